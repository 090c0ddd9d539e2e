"""The filter on system calls, run as the kernel would run it."""

import errno
import struct

import pytest

from latchstring.endpoint.sandbox import seccomp

X86_64, I386, AARCH64, ARM, RISCV64, PPC64LE = (
    0xC000_003E,
    0x4000_0003,
    0xC000_00B7,
    0x4000_0028,
    0xC000_00F3,
    0xC000_0015,
)
SIGCHLD = 17
CLONE_THREAD = 0x003D_0F00
CLONE_NEWNS = 0x0002_0000


def judge(architecture: int, number: int, first: int = 0, second: int = 0) -> int:
    """Run the program over one call, and return its verdict."""
    data = struct.pack("<IIQ6Q", number, architecture, 0, first, second, 0, 0, 0, 0)
    instructions = list(struct.iter_unpack("=HBBI", seccomp.program()))
    accumulator = position = 0
    while True:
        code, yes, no, value = instructions[position]
        position += 1
        match code:
            case seccomp.LOAD:
                (accumulator,) = struct.unpack_from("<I", data, value)
            case seccomp.JUMP_IF_EQUAL:
                position += yes if accumulator == value else no
            case seccomp.JUMP_IF_AT_LEAST:
                position += yes if accumulator >= value else no
            case seccomp.JUMP_IF_ANY_BIT:
                position += yes if accumulator & value else no
            case seccomp.RETURN:
                return int(value)
            case _:
                raise AssertionError(code)


CALLS = {  # architecture: read, clone, unshare, setns
    X86_64: (0, 56, 272, 308),
    I386: (3, 120, 310, 346),
    AARCH64: (63, 220, 97, 268),
    ARM: (3, 120, 337, 375),
    RISCV64: (63, 220, 97, 268),
    PPC64LE: (3, 120, 282, 350),
}


@pytest.mark.parametrize("architecture", list(CALLS))
def test_verdicts(architecture: int) -> None:
    """A new user namespace is refused however it is asked for; other processes, threads and namespaces are not."""
    read, clone, unshare, setns = CALLS[architecture]
    user = seccomp.CLONE_NEWUSER
    table = [
        (read, 0, seccomp.ALLOW),
        (read, user, seccomp.ALLOW),
        (clone, SIGCHLD, seccomp.ALLOW),
        (clone, CLONE_THREAD, seccomp.ALLOW),
        (clone, user | SIGCHLD, seccomp.REFUSED),
        (clone, user | CLONE_NEWNS, seccomp.REFUSED),
        (unshare, CLONE_NEWNS, seccomp.ALLOW),
        (unshare, user, seccomp.REFUSED),
        (unshare, (0xABCD << 32) | user, seccomp.REFUSED),
        (setns, 5, seccomp.REFUSED),
        (435, 0, seccomp.MISSING),
    ]
    assert [judge(architecture, number, first) for number, first, _ in table] == [verdict for *_, verdict in table]


SCHEDULING = {  # sched_setscheduler, sched_setaffinity, prlimit64; setpriority, ioprio_set
    X86_64: ((144, 203, 302), (141, 251)),
    I386: ((156, 241, 340), (97, 289)),
    AARCH64: ((119, 122, 261), (140, 30)),
    ARM: ((156, 241, 369), (97, 314)),
    RISCV64: ((119, 122, 261), (140, 30)),
    PPC64LE: ((156, 222, 325), (97, 273)),
}


@pytest.mark.parametrize("architecture", list(SCHEDULING))
def test_only_its_own_scheduling(architecture: int) -> None:
    """A process sets scheduling and limits of itself, and of no other: init must not be made to wait for its end."""
    by_first, by_second = SCHEDULING[architecture]
    for number in by_first:
        assert judge(architecture, number, 0, 7) == seccomp.ALLOW
        assert judge(architecture, number, 1, 0) == seccomp.REFUSED
    for number in by_second:
        assert judge(architecture, number, 7, 0) == seccomp.ALLOW
        assert judge(architecture, number, 0, 1) == seccomp.REFUSED


TRACING = {  # ptrace, process_vm_readv, perf_event_open, bpf, keyctl
    X86_64: (101, 310, 298, 321, 250),
    I386: (26, 347, 336, 357, 288),
    AARCH64: (117, 270, 241, 280, 219),
    ARM: (26, 376, 364, 386, 311),
    RISCV64: (117, 270, 241, 280, 219),
    PPC64LE: (26, 351, 319, 361, 271),
}


@pytest.mark.parametrize("architecture", list(TRACING))
def test_tracing_and_keyrings(architecture: int) -> None:
    """No process traces another, whatever the arguments; io_uring does not exist."""
    for number in (*TRACING[architecture], 438):
        assert judge(architecture, number) == judge(architecture, number, 2**64 - 1) == seccomp.REFUSED
    for number in (425, 426, 427):
        assert judge(architecture, number) == seccomp.MISSING
    assert judge(architecture, 424) == judge(architecture, 436) == seccomp.ALLOW


def test_the_third_abi_is_missing() -> None:
    """x32, whose calls have other numbers, does not exist."""
    assert judge(X86_64, 0x4000_0000 | 56, seccomp.CLONE_NEWUSER) == seccomp.MISSING
    assert judge(X86_64, 0xFFFF_FFFF) == seccomp.MISSING


def test_an_unknown_architecture_ends_the_process() -> None:
    """Where the numbers are not known, nothing may be called."""
    assert judge(0x1234, 0) == seccomp.KILL_PROCESS


def test_verdicts_are_the_kernels() -> None:
    """A refusal is EPERM, and what is missing ENOSYS, so that the C library takes another way."""
    assert seccomp.REFUSED & 0xFFFF == errno.EPERM
    assert seccomp.MISSING & 0xFFFF == errno.ENOSYS


def test_it_fits_into_a_pipe() -> None:
    """The whole program can be written into a pipe that nobody reads yet, and every jump stays within it."""
    program = seccomp.program()
    assert len(program) <= 4096
    count = len(program) // 8
    for position, (code, yes, no, _) in enumerate(struct.iter_unpack("=HBBI", program)):
        if code in (seccomp.JUMP_IF_EQUAL, seccomp.JUMP_IF_AT_LEAST, seccomp.JUMP_IF_ANY_BIT):
            assert position + 1 + max(yes, no) < count
