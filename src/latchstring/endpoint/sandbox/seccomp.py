"""The kernel's filter on what a session's processes may ask of it (seccomp(2)).

No user namespace of their own: whoever is in one has every capability there, and so can mount. A mount that is never
answered (FUSE) holds whoever touches it in a sleep that SIGKILL does not end, and a kill would not be the end of the
session. No tracing: no process reads another's memory, counts its events or takes its descriptors, and none loads a
program into the kernel. No keyrings, which outlive a session; no io_uring, which asks for what no filter sees. No
process sets another's scheduling or limits, only its own: a session that had its init scheduled last could put off its
own end, since a SIGKILL takes effect when its receiver runs.

The program is classic BPF over ``struct seccomp_data``: the call's number at 0, the architecture at 4, the lower halves
of the first two arguments at 16 and 24 (these machines are little-endian). ``clone`` and ``unshare`` are refused where
their first argument has CLONE_NEWUSER; ``clone3`` keeps its flags in memory, where a filter cannot look, so it does not
exist, and the C library takes ``clone``. What names a process is allowed with 0, the caller itself.
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
SECOND_ARGUMENT_OFFSET: Final = 24

LOAD: Final = 0x20
JUMP_IF_EQUAL: Final = 0x15
JUMP_IF_AT_LEAST: Final = 0x35
JUMP_IF_ANY_BIT: Final = 0x45
RETURN: Final = 0x06

_INSTRUCTION: Final = struct.Struct("=HBBI")
_X32_BIT: Final = 0x4000_0000
"""Of the call numbers of x86-64's third ABI, which has other numbers for the same calls."""


_MISSING_CALLS: Final = (425, 426, 427, 435)
"""io_uring_setup, io_uring_enter, io_uring_register and clone3, which have these numbers everywhere."""
_PIDFD_GETFD: Final = 438


@dataclass(frozen=True, slots=True)
class _Architecture:
    """The numbers of calls on one architecture.

    Attributes:
        token: AUDIT_ARCH_…
        clone: looked at.
        unshare: looked at.
        refused: setns; ptrace, process_vm_readv, process_vm_writev, kcmp, perf_event_open, bpf, userfaultfd; add_key,
            request_key, keyctl.
        own_first: whose first argument has to be 0: sched_setparam, sched_setscheduler, sched_setaffinity,
            sched_setattr, prlimit64.
        own_second: whose second has to be: setpriority, ioprio_set.
    """

    token: int
    clone: int
    unshare: int
    refused: tuple[int, ...]
    own_first: tuple[int, ...]
    own_second: tuple[int, ...]


_GENERIC: Final = ((268, 117, 270, 271, 272, 241, 280, 282, 217, 218, 219), (118, 119, 122, 274, 261), (140, 30))
_X86_64: Final = ((308, 101, 310, 311, 312, 298, 321, 323, 248, 249, 250), (142, 144, 203, 314, 302), (141, 251))
_I386: Final = ((346, 26, 347, 348, 349, 336, 357, 374, 286, 287, 288), (154, 156, 241, 351, 340), (97, 289))
_ARM: Final = ((375, 26, 376, 377, 378, 364, 386, 388, 309, 310, 311), (154, 156, 241, 380, 369), (97, 314))
_PPC64: Final = ((350, 26, 351, 352, 354, 319, 361, 364, 269, 270, 271), (154, 156, 222, 355, 325), (97, 273))
_ARCHITECTURES: Final = (
    _Architecture(0xC000_003E, 56, 272, *_X86_64),
    _Architecture(0x4000_0003, 120, 310, *_I386),
    _Architecture(0xC000_00B7, 220, 97, *_GENERIC),  # aarch64
    _Architecture(0x4000_0028, 120, 337, *_ARM),
    _Architecture(0xC000_00F3, 220, 97, *_GENERIC),  # riscv64
    _Architecture(0xC000_0015, 120, 282, *_PPC64),  # little-endian
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
    refused = (*architecture.refused, _PIDFD_GETFD)
    looked_at = (architecture.clone, architecture.unshare)
    jumps = [(JUMP_IF_AT_LEAST, _X32_BIT, "missing")]
    jumps += [(JUMP_IF_EQUAL, number, "missing") for number in _MISSING_CALLS]
    jumps += [(JUMP_IF_EQUAL, number, "refused") for number in refused]
    jumps += [(JUMP_IF_EQUAL, number, "look") for number in looked_at]
    jumps += [(JUMP_IF_EQUAL, number, "own first") for number in architecture.own_first]
    jumps += [(JUMP_IF_EQUAL, number, "own second") for number in architecture.own_second]
    ends = [
        ("allowed", _instruction(RETURN, ALLOW)),
        ("missing", _instruction(RETURN, MISSING)),
        ("own first", _instruction(LOAD, FIRST_ARGUMENT_OFFSET)),
        ("is first own", _instruction(JUMP_IF_EQUAL, 0, yes=5, no=4)),  # to harmless, to refused
        ("own second", _instruction(LOAD, SECOND_ARGUMENT_OFFSET)),
        ("is second own", _instruction(JUMP_IF_EQUAL, 0, yes=3, no=2)),
        ("look", _instruction(LOAD, FIRST_ARGUMENT_OFFSET)),
        ("flags", _instruction(JUMP_IF_ANY_BIT, CLONE_NEWUSER, no=1)),
        ("refused", _instruction(RETURN, REFUSED)),
        ("harmless", _instruction(RETURN, ALLOW)),
    ]
    places = {name: len(jumps) + offset for offset, (name, _) in enumerate(ends)}
    tests = [
        _instruction(code, value, yes=places[goal] - position - 1) for position, (code, value, goal) in enumerate(jumps)
    ]
    return [_instruction(LOAD, NUMBER_OFFSET), *tests, *(instruction for _, instruction in ends)]


def _instruction(code: int, value: int, *, yes: int = 0, no: int = 0) -> bytes:
    return _INSTRUCTION.pack(code, yes, no, value)
