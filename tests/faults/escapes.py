"""What somebody in a session tries in order to get out of it, or at what is hidden from it.

Each is a shell script that says ``escaped`` if it works. It knows ``$SECRET`` (a hidden directory with ``call.wav``),
``$HIDDEN`` (a hidden file), ``$DATA`` (the agent's directory), ``$LOCKED`` (a read-only directory), ``$AGENT`` (the
agent's pid), ``$OUTSIDE`` (the pid of a process of the same account outside) and ``$PYTHON``.
"""

from dataclasses import dataclass

NOT_PERMITTED = "not permitted|[Pp]ermission denied|must be superuser"
NOT_THERE = "No such file or directory"
READ_ONLY = "Read-only file system"
BUSY = "Device or resource busy|busy"


@dataclass(frozen=True, slots=True)
class Escape:
    """One attempt: what it is, the script, what it says when it fails, and why it fails."""

    name: str
    script: str
    says: str
    why: str


def _call(expression: str) -> str:
    """Return a script that makes a system call from Python, and says how it ended."""
    return (
        '$PYTHON -c "import ctypes, os, socket; c = ctypes.CDLL(None, use_errno=True); '
        f"r = {expression}; print('escaped' if r >= 0 else os.strerror(ctypes.get_errno()))\" 2>&1 | tail -n 1"
    )


def _connect(door: str) -> str:
    return f"$PYTHON -c \"import socket; socket.socket(1).connect('{door}'); print('escaped')\" 2>&1 | tail -n 1"


DOORS = (
    "/run/dbus/system_bus_socket",
    "/run/systemd/private",
    "/run/systemd/journal/stdout",
    "/run/docker.sock",
    "/run/containerd/containerd.sock",
)
"""Sockets of programs that would do work outside; where root runs the tests, somebody listens at each."""

ESCAPES = (
    Escape(
        "read what is hidden",
        "cat $SECRET/call.wav && echo escaped",
        NOT_THERE,
        "an empty directory is mounted over it",
    ),
    Escape(
        "list what is hidden",
        'test -n "$(ls -A $SECRET)" && echo escaped || echo empty',
        "empty",
        "an empty directory is mounted over it",
    ),
    Escape(
        "read a hidden file",
        "cat $HIDDEN && echo escaped",
        NOT_PERMITTED,
        "a device is mounted over it, without devices",
    ),
    Escape(
        "write over a hidden file",
        "echo x > $HIDDEN && echo escaped",
        f"{NOT_PERMITTED}|{READ_ONLY}|cannot create",
        "a device is mounted over it, without devices",
    ),
    Escape("put something there", "touch $SECRET/x && echo escaped", READ_ONLY, "the mask is read-only"),
    Escape("take the mask off", "umount $SECRET && echo escaped", NOT_PERMITTED, "no capability to mount"),
    Escape("take it off lazily", "umount -l $SECRET && echo escaped", NOT_PERMITTED, "no capability to mount"),
    Escape(
        "mount over the mask", "mount -t tmpfs none $SECRET && echo escaped", NOT_PERMITTED, "no capability to mount"
    ),
    Escape("bind it elsewhere", "mount --bind $SECRET /mnt && echo escaped", NOT_PERMITTED, "no capability to mount"),
    Escape("make it writable", "mount -o remount,rw $SECRET && echo escaped", NOT_PERMITTED, "no capability to mount"),
    Escape(
        "go through /proc/self/root",
        "cat /proc/self/root$SECRET/call.wav && echo escaped",
        NOT_THERE,
        "the same root, with its masks",
    ),
    Escape(
        "go through init's root",
        "cat /proc/1/root$SECRET/call.wav && echo escaped",
        f"{NOT_PERMITTED}|{NOT_THERE}",
        "init is not dumpable",
    ),
    Escape(
        "go through a symbolic link",
        "ln -sfn $SECRET $TMPDIR/l; cat $TMPDIR/l/call.wav && echo escaped",
        NOT_THERE,
        "it leads to the mask",
    ),
    Escape(
        "make a hard link", "ln $SECRET/call.wav $TMPDIR/h && echo escaped", NOT_THERE, "the name cannot be reached"
    ),
    Escape(
        "make a hard link to a hidden file",
        "ln $HIDDEN $TMPDIR/h2 && cat $TMPDIR/h2 && echo escaped",
        "cross-device|Invalid|not permitted|denied",
        "the mask is another file system",
    ),
    Escape(
        "go round by dots",
        "cat $SECRET/../secret/./call.wav && echo escaped",
        NOT_THERE,
        "names are resolved through the mask",
    ),
    Escape(
        "go by another mount of it",
        "cat $ALIAS/call.wav && echo escaped",
        NOT_THERE,
        "every mount that shows it is masked",
    ),
    Escape(
        "move its parent away",
        "mv $(dirname $SECRET) $(dirname $SECRET).old && echo escaped",
        f"{BUSY}|{NOT_PERMITTED}",
        "what is above a mask is a mount point",
    ),
    Escape("move it away", "mv $SECRET $SECRET.old && echo escaped", f"{BUSY}|{NOT_PERMITTED}", "it is a mount point"),
    Escape("remove it", "rmdir $SECRET && echo escaped", f"{BUSY}|{NOT_PERMITTED}|{READ_ONLY}", "it is a mount point"),
    Escape(
        "change what is read-only",
        "echo x > $LOCKED/dialplan && echo escaped",
        f"{READ_ONLY}|cannot create",
        "it is bound read-only",
    ),
    Escape(
        "find a block device",
        'test -n "$(find /dev -type b)" && echo escaped || echo none',
        "none",
        "/dev has the usual few",
    ),
    Escape("make a block device", "mknod $TMPDIR/disk b 8 0 && echo escaped", NOT_PERMITTED, "no CAP_MKNOD"),
    Escape("read memory", "head -c 1 /dev/mem && echo escaped", NOT_THERE, "/dev has the usual few"),
    Escape(
        "read the kernel's memory",
        "head -c 100 /proc/kcore > $TMPDIR/k && test -s $TMPDIR/k && echo escaped",
        f"{NOT_PERMITTED}|{NOT_THERE}",
        "no CAP_SYS_RAWIO",
    ),
    Escape("mount by FUSE", "test -e /dev/fuse && echo escaped || echo none", "none", "/dev has the usual few"),
    Escape(
        "open by handle",
        _call("c.syscall(304, -100, 0, 0)"),
        "not permitted|Bad address|Bad file descriptor",
        "no CAP_DAC_READ_SEARCH",
    ),
    Escape("make a user namespace", "unshare --user true && echo escaped", NOT_PERMITTED, "filtered"),
    Escape("make one and mount in it", "unshare -Urm umount $SECRET && echo escaped", NOT_PERMITTED, "filtered"),
    Escape("make a mount namespace", "unshare --mount true && echo escaped", NOT_PERMITTED, "no CAP_SYS_ADMIN"),
    Escape("make one by clone3", _call("c.syscall(435, 0, 0)"), "not implemented", "filtered"),
    Escape(
        "enter another's namespaces",
        "nsenter -t 1 -m true && echo escaped",
        NOT_PERMITTED,
        "filtered; init is not dumpable",
    ),
    Escape("change the root", "/usr/sbin/chroot / true && echo escaped", NOT_PERMITTED, "no CAP_SYS_CHROOT"),
    Escape(
        "pivot the root",
        _call("c.pivot_root(b'/', b'/') if hasattr(c, 'pivot_root') else c.syscall(155, b'/', b'/')"),
        NOT_PERMITTED,
        "no CAP_SYS_ADMIN",
    ),
    Escape(
        "trace another process",
        "sleep 5 & " + _call("c.ptrace(16, int(os.popen('pgrep -n sleep').read() or 1), 0, 0)"),
        "not permitted",
        "filtered",
    ),
    Escape("read another's memory", _call("c.syscall(310, os.getppid(), 0, 0, 0, 0, 0)"), "not permitted", "filtered"),
    Escape("count events", _call("c.syscall(298, 0, 0, -1, -1, 0)"), "not permitted", "filtered"),
    Escape("load a program into the kernel", _call("c.syscall(321, 0, 0, 0)"), "not permitted", "filtered"),
    Escape("take another's descriptor", _call("c.syscall(438, 3, 0, 0)"), "not permitted", "filtered"),
    Escape("ask by io_uring", _call("c.syscall(425, 4, 0)"), "not implemented", "filtered"),
    Escape(
        "leave a key",
        _call("c.syscall(248, b'user', b'x', b'y', 1, -4)"),
        "not permitted",
        "filtered: keyrings outlive a session",
    ),
    Escape(
        "capture packets",
        "$PYTHON -c \"import socket; socket.socket(17, 3, 768); print('escaped')\"",
        NOT_PERMITTED,
        "no CAP_NET_RAW",
    ),
    Escape(
        "send raw packets",
        "$PYTHON -c \"import socket; socket.socket(2, 3, 1); print('escaped')\"",
        NOT_PERMITTED,
        "no CAP_NET_RAW",
    ),
    Escape("reach D-Bus", _connect("/run/dbus/system_bus_socket"), NOT_THERE, "its directory is masked"),
    Escape("reach systemd", _connect("/run/systemd/private"), NOT_THERE, "its directory is masked"),
    Escape("write into the system's journal", _connect("/run/systemd/journal/stdout"), NOT_THERE, "masked"),
    Escape("reach Docker", _connect("/run/docker.sock"), f"{NOT_THERE}|refused", "a device is mounted over it"),
    Escape("reach containerd", _connect("/run/containerd/containerd.sock"), NOT_THERE, "its directory is masked"),
    Escape(
        "plan a job for cron",
        "echo '* * * * * root true' > /etc/cron.d/latchstring-test && echo escaped",
        f"{READ_ONLY}|{NOT_PERMITTED}|{NOT_THERE}|cannot create",
        "read-only",
    ),
    Escape(
        "plan one for at",
        "touch /var/spool/cron/latchstring-test && echo escaped",
        f"{READ_ONLY}|{NOT_PERMITTED}|{NOT_THERE}",
        "read-only",
    ),
    Escape(
        "have the kernel start a program",
        "echo '|/bin/true' > /proc/sys/kernel/core_pattern && echo escaped",
        f"{READ_ONLY}|{NOT_PERMITTED}|cannot create",
        "/proc/sys is read-only",
    ),
    Escape(
        "press a system key",
        "echo h > /proc/sysrq-trigger && echo escaped",
        f"{READ_ONLY}|{NOT_PERMITTED}|{NOT_THERE}|cannot create",
        "read-only",
    ),
    Escape("load a module", _call("c.syscall(313, 0, b'', 0)"), "not permitted|not implemented", "no CAP_SYS_MODULE"),
    Escape("restart the machine", _call("c.reboot(0x1234567)"), "not permitted", "no CAP_SYS_BOOT"),
    Escape("set the clock", "date -s 2020-01-01 && echo escaped", NOT_PERMITTED, "no CAP_SYS_TIME"),
    Escape("rename the machine", _call("c.sethostname(b'x', 1)"), "not permitted", "no CAP_SYS_ADMIN"),
    Escape(
        "get a capability back",
        _call("c.capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)(1 << 21, 1 << 21, 0, 0, 0, 0))"),
        "not permitted",
        "nothing is permitted any more",
    ),
    Escape(
        "get one from a set-user-id program",
        "grep -q 'NoNewPrivs:.1' /proc/self/status && echo none || echo escaped",
        "none",
        "no_new_privs",
    ),
    Escape(
        "have init scheduled last, and so put off the end",
        "chrt --idle --pid 0 1 && echo escaped; chrt --idle 0 echo own",
        "not permitted[^~]*own",
        "a process sets the scheduling of itself only",
    ),
    Escape(
        "pin init to a busy processor",
        "taskset -p 1 1 && echo escaped",
        NOT_PERMITTED,
        "a process sets the scheduling of itself only",
    ),
    Escape(
        "give init limits",
        "prlimit --pid 1 --nofile=3 && echo escaped",
        NOT_PERMITTED,
        "a process sets the limits of itself only",
    ),
    Escape(
        "kill init",
        "kill -KILL 1; kill -STOP 1; sleep 0.1; echo still here",
        "still here",
        "the kernel delivers nothing to it from inside",
    ),
    Escape(
        "read init's descriptors",
        "$PYTHON -c \"import os; os.readlink('/proc/1/fd/0'); print('escaped')\"",
        NOT_PERMITTED,
        "init is not dumpable",
    ),
    Escape(
        "see a process outside",
        'test "$(ps -e | wc -l)" -gt 9 && echo escaped || echo few',
        "few",
        "a PID namespace and /proc of its own",
    ),
    Escape(
        "signal a process outside", "kill -0 $OUTSIDE && echo escaped", "No such process", "a PID namespace of its own"
    ),
    Escape(
        "read the agent's environment",
        "cat /proc/$AGENT/environ && echo escaped",
        NOT_THERE,
        "a PID namespace of its own",
    ),
    Escape("read the agent's keys", "cat $DATA/journal.key && echo escaped", NOT_THERE, "masked"),
    Escape(
        "speak to the agent",
        "$PYTHON -c \"import socket; socket.socket(1).connect('$DATA/control.sock'); print('escaped')\"",
        NOT_THERE,
        "masked",
    ),
    Escape(
        "share memory with a process outside",
        "test -e /dev/shm/latchstring-outside && echo escaped || echo none",
        "none",
        "/dev/shm is its own",
    ),
)
