"""The command line of ``bwrap`` for a sandbox, and its start.

Namespaces: PID (nothing outside is visible, and the kernel kills what is inside with its pid 1), IPC, mount (own
``/proc``, masks), and user where the agent is not root. ``bwrap`` sets no_new_privs; all capabilities are dropped, for
root too: otherwise a session could simply unmount its masks; and a filter keeps sessions from getting them back in a
user namespace of their own (``seccomp``). There is no ``--new-session``: it would break job control, and every child
gets a session and a terminal of its own anyway.

The files of the host are the session's to use, with two exceptions. What the kernel lets root change for the whole
machine, through ``/proc`` and ``/sys``, is read-only: root needs no capability for much of it, and a pattern for core
dumps is a program that the kernel runs outside. And every directory above a mask is a mount point, which the kernel
neither renames nor removes (rename(2), EBUSY): otherwise a session could move the masked directory away with its
parent and leave a decoy for the agent's next start.
"""

import functools
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from latchstring.endpoint.sandbox import init, seccomp
from latchstring.endpoint.sandbox.account import Account
from latchstring.endpoint.sandbox.errors import SandboxUnavailableError

PROBE_SECONDS: Final = 10

# Has to be there; the others are there on some kernels only. They keep host-wide files that root may write.
_PROC_READ_ONLY: Final = "/proc/sys"
_READ_ONLY_IF_THERE: Final = (
    "/proc/sysrq-trigger",
    "/proc/acpi",
    "/proc/asound",
    "/proc/bus",
    "/proc/driver",
    "/proc/dynamic_debug",
    "/proc/fs",
    "/proc/irq",
    "/proc/mtrr",
    "/proc/pressure",
    "/proc/scsi",
    "/sys",
)


@dataclass(frozen=True, slots=True)
class Launched:
    """A ``bwrap`` that has been started.

    Attributes:
        process: the outer ``bwrap``; it ends soon after the namespace does.
        status: the read end of its status pipe. JSON lines; ``child-pid`` is the namespace's init.
    """

    process: subprocess.Popen[bytes]
    status: int


def launch(account: Account, masked: tuple[Path, ...], control: socket.socket) -> Launched:
    """Start ``bwrap`` with our init, which gets ``control``.

    To be called in the event loop's own thread: the kernel ties ``--die-with-parent`` to the thread that starts it.

    Raises:
        SandboxUnavailableError: there is no ``bwrap``, or a masked directory does not exist or is a link.
        OSError: it could not be started.
    """
    status_read, status_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    seccomp_read = _readable(seccomp.program())
    try:
        command = [*arguments(account, masked, status_write, seccomp_read), *_init_command(account, control)]
        process = subprocess.Popen(  # noqa: S603 - an absolute path, and nothing in it comes from outside
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=(control.fileno(), status_write, seccomp_read),
            env={"PATH": os.defpath, "LC_ALL": "C.UTF-8"},
            start_new_session=True,
        )
    except BaseException:
        os.close(status_read)
        raise
    finally:
        os.close(status_write)
        os.close(seccomp_read)
    return Launched(process, status_read)


def _readable(data: bytes) -> int:
    """Return a descriptor from which ``data`` can be read; it fits into a pipe."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    try:
        os.write(writing, data)
    finally:
        os.close(writing)
    return reading


def arguments(account: Account, masked: tuple[Path, ...], status: int, seccomp_filter: int) -> list[str]:
    """Return the command line up to the program that runs inside.

    Args:
        account: who the session's processes run as.
        masked: the directories to hide.
        status: the descriptor of the status pipe.
        seccomp_filter: a descriptor from which the filter can be read.

    Raises:
        SandboxUnavailableError: there is no ``bwrap``, or a masked directory does not exist or is a link.
    """
    hidden = [_masked_directory(directory) for directory in masked]
    command = [program(), "--unshare-pid", "--as-pid-1", "--unshare-ipc", "--die-with-parent", "--cap-drop", "ALL"]
    if os.geteuid() != 0:
        command += ["--unshare-user", *_disable_nested_user_namespaces()]
    elif account.uid != 0:
        command += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]  # until init has become the account
    command += ["--dev-bind", "/", "/"]
    for ancestor in pinned_ancestors(hidden):
        command += ["--dev-bind", str(ancestor), str(ancestor)]
    command += ["--proc", "/proc", *_read_only_kernel_files()]
    for directory in hidden:
        command += ["--perms", "0555", "--tmpfs", str(directory), "--remount-ro", str(directory)]
    return [*command, "--seccomp", str(seccomp_filter), "--chdir", "/", "--json-status-fd", str(status), "--"]


def program() -> str:
    """Return the path of ``bwrap``.

    Raises:
        SandboxUnavailableError: it is not installed.
    """
    found = shutil.which("bwrap", path=os.defpath + ":/usr/local/bin")
    if found is None:
        raise SandboxUnavailableError("bubblewrap is missing; install the package bubblewrap (the program bwrap)")
    return found


def pinned_ancestors(hidden: Iterable[Path]) -> list[Path]:
    """Return every directory above the resolved paths ``hidden``, without ``/``, outermost first."""
    above = {ancestor for directory in hidden for ancestor in directory.parents if ancestor != ancestor.parent}
    return sorted(above, key=lambda ancestor: (len(ancestor.parts), ancestor))


def _masked_directory(directory: Path) -> Path:
    if directory.is_symlink():
        # Whoever can replace the link decides what is hidden.
        raise SandboxUnavailableError(f"the directory to hide from sessions is a symbolic link: {directory}")
    real = directory.resolve()
    if not real.is_dir():
        # bwrap would create it, on the host.
        raise SandboxUnavailableError(f"the directory to hide from sessions does not exist: {directory}")
    return real


def _read_only_kernel_files() -> list[str]:
    command = ["--ro-bind", _PROC_READ_ONLY, _PROC_READ_ONLY]
    for path in _READ_ONLY_IF_THERE:
        command += ["--ro-bind-try", path, path]
    return command


@functools.cache
def _disable_nested_user_namespaces() -> tuple[str, ...]:
    """Return ``--disable-userns`` where this ``bwrap`` has it (0.8 and later)."""
    answer = subprocess.run(  # noqa: S603 - an absolute path
        [program(), "--help"], capture_output=True, text=True, timeout=PROBE_SECONDS, check=False
    )
    return ("--disable-userns",) if "--disable-userns" in answer.stdout else ()


def _init_command(account: Account, control: socket.socket) -> list[str]:
    identity = [account.uid, account.gid, *account.groups] if account.uid != os.geteuid() else []
    return [sys.executable, "-I", "-S", str(Path(init.__file__)), str(control.fileno()), *map(str, identity)]
