"""The command line of ``bwrap`` for a sandbox, and its start.

Namespaces: PID (nothing outside is visible, and the kernel kills what is inside with its pid 1), IPC, mount (own
``/proc``, masks), and user where the agent is not root. ``bwrap`` sets no_new_privs; all capabilities are dropped, for
root too: otherwise a session could simply unmount its masks; and a filter keeps sessions from getting them back in a
user namespace of their own (``seccomp``). There is no ``--new-session``: it would break job control, and every child
gets a session and a terminal of its own anyway.

What of the file system is where: ``filesystem``.
"""

import functools
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from latchstring.endpoint.sandbox import init, seccomp
from latchstring.endpoint.sandbox.account import Account
from latchstring.endpoint.sandbox.errors import SandboxUnavailableError
from latchstring.endpoint.sandbox.filesystem import mounts
from latchstring.endpoint.sandbox.spec import SandboxSpec

PROBE_SECONDS: Final = 10


@dataclass(frozen=True, slots=True)
class Launched:
    """A ``bwrap`` that has been started.

    Attributes:
        process: the outer ``bwrap``; it ends soon after the namespace does.
        status: the read end of its status pipe. JSON lines; ``child-pid`` is the namespace's init.
    """

    process: subprocess.Popen[bytes]
    status: int


def launch(account: Account, spec: SandboxSpec, control: socket.socket) -> Launched:
    """Start ``bwrap`` with our init, which gets ``control``.

    To be called in the event loop's own thread: the kernel ties ``--die-with-parent`` to the thread that starts it.

    Raises:
        SandboxUnavailableError: there is no ``bwrap``, or a masked directory does not exist or is a link.
        OSError: it could not be started.
    """
    status_read, status_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    seccomp_read = _readable(seccomp.program())
    try:
        command = [*arguments(account, spec, status_write, seccomp_read), *_init_command(account, spec, control)]
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


def arguments(account: Account, spec: SandboxSpec, status: int, seccomp_filter: int) -> list[str]:
    """Return the command line up to the program that runs inside.

    Args:
        account: who the session's processes run as.
        spec: what it is to be.
        status: the descriptor of the status pipe.
        seccomp_filter: a descriptor from which the filter can be read.

    Raises:
        SandboxUnavailableError: there is no ``bwrap``, or a masked directory does not exist or is a link.
    """
    command = [program(), "--unshare-pid", "--as-pid-1", "--unshare-ipc", "--die-with-parent", "--cap-drop", "ALL"]
    if os.geteuid() != 0:
        command += ["--unshare-user", *_disable_nested_user_namespaces()]
    elif account.uid != 0:
        command += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]  # until init has become the account
    if spec.own_network:
        command += ["--unshare-net"]
    command += mounts(spec)
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


@functools.cache
def _disable_nested_user_namespaces() -> tuple[str, ...]:
    """Return ``--disable-userns`` where this ``bwrap`` has it (0.8 and later)."""
    answer = subprocess.run(  # noqa: S603 - an absolute path
        [program(), "--help"], capture_output=True, text=True, timeout=PROBE_SECONDS, check=False
    )
    return ("--disable-userns",) if "--disable-userns" in answer.stdout else ()


def _init_command(account: Account, spec: SandboxSpec, control: socket.socket) -> list[str]:
    identity = [account.uid, account.gid, *account.groups] if account.uid != os.geteuid() else []
    return [
        sys.executable,
        "-I",
        "-S",
        str(Path(init.__file__)),
        str(control.fileno()),
        spec.label,
        *map(str, identity),
    ]
