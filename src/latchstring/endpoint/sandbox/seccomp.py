"""The kernel's filter on what a session's processes may ask of it (seccomp(2)): no user namespace of their own.

Whoever is in a new user namespace has every capability there, and so can mount. A mount that is never answered (FUSE)
holds whoever touches it in a sleep that SIGKILL does not end, and a kill would not be the end of the session.

The program is classic BPF over ``struct seccomp_data``: the call's number at 0, the architecture at 4, the lower half
of the first argument at 16 (these machines are little-endian). ``clone`` and ``unshare`` are refused where their first
argument has CLONE_NEWUSER, ``setns`` always; ``clone3`` keeps its flags in memory, where a filter cannot look, so it
does not exist, and the C library takes ``clone``.
"""

import errno
import struct
from dataclasses import dataclass
from typing import Final

CLONE_NEWUSER: Final = 0x1000_0000

ALLOW: Final = 0x7FFF_0000
KILL_PROCESS: Final = 0x8000_0000
_ERRNO: Final = 0x0005_0000
REFUSED: Final = _ERRNO | errno.EPERM
MISSING: Final = _ERRNO | errno.ENOSYS

NUMBER_OFFSET: Final = 0
ARCHITECTURE_OFFSET: Final = 4
FIRST_ARGUMENT_OFFSET: Final = 16

LOAD: Final = 0x20
JUMP_IF_EQUAL: Final = 0x15
JUMP_IF_AT_LEAST: Final = 0x35
JUMP_IF_ANY_BIT: Final = 0x45
RETURN: Final = 0x06

_INSTRUCTION: Final = struct.Struct("=HBBI")
_X32_BIT: Final = 0x4000_0000
"""Of the call numbers of x86-64's third ABI, which has other numbers for the same calls."""


@dataclass(frozen=True, slots=True)
class _Architecture:
    token: int
    """AUDIT_ARCH_…"""
    clone: int
    unshare: int
    setns: int
    clone3: int = 435


_ARCHITECTURES: Final = (
    _Architecture(0xC000_003E, clone=56, unshare=272, setns=308),  # x86-64
    _Architecture(0x4000_0003, clone=120, unshare=310, setns=346),  # i386
    _Architecture(0xC000_00B7, clone=220, unshare=97, setns=268),  # aarch64
    _Architecture(0x4000_0028, clone=120, unshare=337, setns=375),  # arm
    _Architecture(0xC000_00F3, clone=220, unshare=97, setns=268),  # riscv64
    _Architecture(0xC000_0015, clone=120, unshare=282, setns=350),  # ppc64le
)


def program() -> bytes:
    """Return the filter, as ``bwrap --seccomp`` reads it: ``struct sock_filter`` after ``struct sock_filter``."""
    instructions = [_instruction(LOAD, ARCHITECTURE_OFFSET)]
    for architecture in _ARCHITECTURES:
        block = _block(architecture)
        instructions += [_instruction(JUMP_IF_EQUAL, architecture.token, no=len(block)), *block]
    return b"".join([*instructions, _instruction(RETURN, KILL_PROCESS)])


def _block(architecture: _Architecture) -> list[bytes]:
    """Return what decides on a call of one architecture. It always returns."""
    return [
        _instruction(LOAD, NUMBER_OFFSET),
        _instruction(JUMP_IF_AT_LEAST, _X32_BIT, yes=5),  # missing
        _instruction(JUMP_IF_EQUAL, architecture.clone3, yes=4),  # missing
        _instruction(JUMP_IF_EQUAL, architecture.setns, yes=6),  # refused
        _instruction(JUMP_IF_EQUAL, architecture.clone, yes=3),  # look at the flags
        _instruction(JUMP_IF_EQUAL, architecture.unshare, yes=2),  # look at the flags
        _instruction(RETURN, ALLOW),
        _instruction(RETURN, MISSING),
        _instruction(LOAD, FIRST_ARGUMENT_OFFSET),
        _instruction(JUMP_IF_ANY_BIT, CLONE_NEWUSER, no=1),
        _instruction(RETURN, REFUSED),
        _instruction(RETURN, ALLOW),
    ]


def _instruction(code: int, value: int, *, yes: int = 0, no: int = 0) -> bytes:
    return _INSTRUCTION.pack(code, yes, no, value)
