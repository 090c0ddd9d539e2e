"""The first process of a sandbox. Runs alone, as ``python -I -S init.py``: it imports the standard library only.

Every session waits for its start, so it takes ``_socket`` and ``_signal``, which ``socket`` and ``signal`` wrap in
enumerations: that and ``contextlib`` were more than half of the time until it is ready.

It starts children on the agent's request, passes signals on, reports how children ended, and reaps orphans. It is pid 1
of the session's PID namespace: when it ends, the kernel kills everything that is left in there.

Protocol, over one SOCK_SEQPACKET socket (``control`` is the agent's side). A message is fields joined by NUL, which
cannot occur in what ``execve(2)`` takes. Numbers are decimal.

    agent → init   spawn  <id> pipes|terminal <program> <cwd> <argc> <argv …> <environment, NAME=value …>
                          with 3 descriptors (stdin, stdout, stderr), or 1 (the terminal)
                   signal <id> <signal number>          to the child's process group
                   terminal <id>                        a new one, of the sandbox's own
                   connect <id> <host> <port>           by TCP, in the sandbox's network, as its account
                   alive  <>                            the agent still answers
    init → agent   ready
                   opened  <id> <name>                  with 2 descriptors (master, slave)
                   connected <id>                       with 1 descriptor
                   started <id> <pid>
                   failed  <id> <errno>
                   exited  <id> <exit status> <signal number>      one of the two is 0
    end of file    the agent is gone: end, and everything with it
    silence        for SILENCE_SECONDS: the agent was stopped, or hangs, so nobody could end the session: end too. It
                   says that it is alive more often than that.

No process of the session can reach the socket: every descriptor is close-on-exec, and this process is not dumpable, so
that nobody without CAP_SYS_PTRACE over it opens its ``/proc`` entries or traces it. From inside its own namespace it
cannot be killed either: the kernel delivers no signal to it that it does not handle (pid_namespaces(7)), and the one
that Python handles by itself, SIGINT, it ignores.
"""

import _signal as signal  # type: ignore[import-not-found]  # typeshed does not have it
import _socket as socket
import ctypes
import errno
import fcntl
import os
import select
import struct
import sys
import termios
import time

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_NO_NEW_PRIVS = 38
CAPABILITY_VERSION_3 = 0x20080522
CAPABILITY_SETS_BYTES = 24

SILENCE_SECONDS = 4.0
CONNECT_SECONDS = 10.0
MAX_MESSAGE_BYTES = 200_000
MAX_DESCRIPTORS = 3
DESCRIPTOR_BYTES = 4
EXIT_NOT_EXECUTABLE = 126
EXIT_NOT_FOUND = 127


class Init:
    """The children of one sandbox and the socket to the agent."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._ids_by_pid: dict[int, bytes] = {}
        self._pids_by_id: dict[bytes, int] = {}

    def run(self) -> None:
        """Serve the agent until it is gone, or silent for too long."""
        wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        poll = select.poll()
        poll.register(self._control.fileno(), select.POLLIN)
        poll.register(wake_read, select.POLLIN)
        self._send(b"ready")
        heard = time.monotonic()
        while True:
            patience = max(0.0, heard + SILENCE_SECONDS - time.monotonic())
            ready = {descriptor for descriptor, _ in poll.poll(patience * 1000)}
            if self._control.fileno() in ready:
                if not self._serve_one():
                    return
                heard = time.monotonic()
            elif patience == 0.0:  # nothing has come, not even while this process had to wait for its turn
                return
            if wake_read in ready:
                os.read(wake_read, 4096)
            self._reap()

    def _serve_one(self) -> bool:
        """Take one message. Return False at the end of file."""
        space = socket.CMSG_SPACE(MAX_DESCRIPTORS * DESCRIPTOR_BYTES)
        message, ancillary, _, _ = self._control.recvmsg(MAX_MESSAGE_BYTES, space, socket.MSG_CMSG_CLOEXEC)
        descriptors: list[int] = []
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                descriptors += struct.unpack(f"{len(data) // DESCRIPTOR_BYTES}i", data)
        if not message:
            return False
        operation, identifier, *fields = message.split(b"\0")
        try:
            if operation == b"spawn":
                self._spawn(identifier, fields, descriptors)
            elif operation == b"signal":
                self._signal(identifier, int(fields[0]))
            elif operation == b"connect":
                self._connect(identifier, fields)
            elif operation == b"terminal":
                self._open_terminal(identifier)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return True

    def _spawn(self, identifier: bytes, fields: list[bytes], descriptors: list[int]) -> None:
        try:
            pid = os.fork()
        except OSError as error:
            self._send(b"failed", identifier, b"%d" % (error.errno or errno.EAGAIN))
            return
        if pid == 0:
            become_child(fields, descriptors)
        self._ids_by_pid[pid] = identifier
        self._pids_by_id[identifier] = pid
        self._send(b"started", identifier, b"%d" % pid)

    def _connect(self, identifier: bytes, fields: list[bytes]) -> None:
        """Connect in a process of its own, since that may take its time."""
        try:
            pid = os.fork()
        except OSError as error:
            self._send(b"failed", identifier, b"%d" % (error.errno or errno.EAGAIN))
            return
        if pid == 0:
            try:
                host, port = fields
                connection = connected(host, int(port))
                self._send(b"connected", identifier, descriptors=(connection.fileno(),))
            except Exception as error:  # noqa: BLE001 - whoever asked has to get an answer
                number = getattr(error, "errno", None) or 0
                self._send(b"failed", identifier, b"%d" % (number if number > 0 else errno.EHOSTUNREACH))
            finally:
                os._exit(0)

    def _open_terminal(self, identifier: bytes) -> None:
        try:
            terminal = os.openpty()
        except OSError as error:
            self._send(b"failed", identifier, b"%d" % (error.errno or errno.EAGAIN))
            return
        try:
            self._send(b"opened", identifier, os.ttyname(terminal[1]).encode(), descriptors=terminal)
        finally:
            for descriptor in terminal:
                os.close(descriptor)

    def _signal(self, identifier: bytes, number: int) -> None:
        pid = self._pids_by_id.get(identifier)
        if pid is not None:  # not yet reaped, so the number is still this child's
            try:
                os.kill(pid if os.getpgid(pid) != pid else -pid, number)  # in its first moments it leads no group
            except (ProcessLookupError, PermissionError):
                return

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            identifier = self._ids_by_pid.pop(pid, None)
            if identifier is not None:
                del self._pids_by_id[identifier]
                code = os.waitstatus_to_exitcode(status)
                self._send(b"exited", identifier, b"%d" % max(code, 0), b"%d" % max(-code, 0))

    def _send(self, *fields: bytes, descriptors: tuple[int, ...] = ()) -> None:
        packed = struct.pack(f"{len(descriptors)}i", *descriptors)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, packed)] if descriptors else []
        self._control.sendmsg([b"\0".join(fields)], rights)


def connected(host: bytes, port: int) -> socket.socket:
    """Return a TCP connection, non-blocking; every address of the host is tried.

    The host stays bytes: for text Python would load a codec, from where the account may not be able to read.

    Raises:
        OSError: of the last address: nobody answers.
    """
    failure = OSError(errno.EHOSTUNREACH, os.strerror(errno.EHOSTUNREACH))
    for family, kind, number, _, address in socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM):
        connection = socket.socket(family, kind, number)
        connection.settimeout(CONNECT_SECONDS)
        try:
            connection.connect(address)
        except OSError as error:
            failure = error
            connection.close()
            continue
        connection.settimeout(0)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection
    raise failure


def reset_signals() -> None:
    """Give every signal its default: what the agent or its parent ignores (a shell's background job) ends here."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def become_child(fields: list[bytes], descriptors: list[int]) -> None:
    """Turn this new process into the child that was asked for. Never returns."""
    status = EXIT_NOT_EXECUTABLE
    try:
        kind, program, directory, count, *rest = fields
        argv, environment = rest[: int(count)], rest[int(count) :]
        os.setsid()
        if kind == b"terminal":
            descriptors = descriptors * 3
            fcntl.ioctl(descriptors[0], termios.TIOCSCTTY, 0)
        for target, descriptor in enumerate(descriptors):
            os.dup2(descriptor, target)
        signal.set_wakeup_fd(-1)
        reset_signals()
        try:
            os.chdir(directory)
        except OSError:
            os.chdir(b"/")
        variables = dict(entry.split(b"=", 1) for entry in environment)
        os.execve(program, argv, variables)  # noqa: S606 - the agent chooses the program, a shell among them
    except OSError as error:
        if error.errno == errno.ENOENT:
            status = EXIT_NOT_FOUND
        os.write(2, b"latchstring: cannot start the program: %s\n" % os.strerror(error.errno or 0).encode())
    finally:
        os._exit(status)


def confine(identity: list[str]) -> None:
    """Become the session's account, for good, and unreachable for its other processes.

    Args:
        identity: nothing to stay who we are, else uid, gid and groups.

    Raises:
        OSError: the kernel refused.
    """
    if identity:
        uid, gid, *groups = map(int, identity)
        os.setgroups(groups)
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    library = ctypes.CDLL(None, use_errno=True)
    # What bubblewrap left for the change of account; the inheritable set outlives it.
    header = ctypes.create_string_buffer(CAPABILITY_VERSION_3.to_bytes(4, sys.byteorder) + bytes(4))
    if library.capset(header, ctypes.create_string_buffer(CAPABILITY_SETS_BYTES)):
        raise OSError(ctypes.get_errno(), "capset")
    # A change of account clears the death signal that bubblewrap had set.
    for option, value in ((PR_SET_NO_NEW_PRIVS, 1), (PR_SET_PDEATHSIG, signal.SIGKILL), (PR_SET_DUMPABLE, 0)):
        if library.prctl(option, value, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")


def main() -> None:
    """Confine this process, then serve the socket whose descriptor is the first argument."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    descriptor, _label, *identity = sys.argv[1:]
    control = socket.socket(fileno=int(descriptor))
    os.set_inheritable(control.fileno(), False)
    os.closerange(3, control.fileno())
    os.closerange(control.fileno() + 1, os.sysconf("SC_OPEN_MAX"))
    os.umask(0o022)
    confine(identity)
    try:
        Init(control).run()
    finally:
        os._exit(0)


if __name__ == "__main__":
    main()
