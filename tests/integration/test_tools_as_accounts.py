"""Ordinary tools through a session that is not root's: the policy names an account, or the agent itself is one."""

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import latchstring
from faults.escape_runner import python_for_all
from parties import ENDPOINT_NAME, Site, wait_until

HOST = f"{ENDPOINT_NAME}.latch"
ACCOUNT = "latchsupport"
UID = 64_123
SERVER = """
import http.server, os
server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
print(server.server_port, flush=True)
os.close(1)
server.serve_forever()
"""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="takes root to run things as another account")


@dataclass
class Place:
    """A site, and a directory in which the session's account may write."""

    site: Site
    folder: Path

    @property
    def ssh(self) -> str:
        """The command line of ssh, for tools that start it themselves."""
        return f"ssh -F {self.site.ssh_config}"


@pytest.fixture(scope="module", params=["agent as root, session as an account", "agent and session as an account"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """A site with an open session of :data:`ACCOUNT`."""
    root = Path(tempfile.mkdtemp(prefix="latchstring-accounts-", dir="/var/tmp"))
    root.chmod(0o755)
    folder = root / ACCOUNT
    folder.mkdir()
    program = (*_with_account(root, folder), *Site.endpoint_program)
    policy = '[services]\ndev = "127.0.0.1:*"\n'
    if request.param == "agent and session as an account":
        libraries = f"{Path(latchstring.__file__).parent.parent}:{_site_packages()}"
        environment = ("env", f"PYTHONPATH={libraries}", "PYTHONDONTWRITEBYTECODE=1", f"HOME={folder}")
        become = ("setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups")
        module = (python_for_all(), "-P", "-m", "latchstring.endpoint")
        program = (*_with_account(root, folder), *become, *environment, *module)
        os.chown(root, UID, UID)  # an enrolment makes its directory itself
    else:
        policy = f'run_as = "{ACCOUNT}"\n{policy}'
    os.chown(folder, UID, UID)
    (root / "policy.toml").write_text(policy)
    try:
        with Site.running(root, endpoint_program=program) as site:
            site.customer("policy", "apply", str(root / "policy.toml"), "--yes")
            site.open_session("--for", "1h", "--allow", "shell,exec,sftp_read,sftp_write,forward:dev")
            yield Place(site, folder)
    finally:
        shutil.rmtree(root)


def _with_account(root: Path, home: Path) -> tuple[str, ...]:
    """Return what goes before a program that is to find an account with a shell, which the machine itself lacks."""
    for name, line in (("passwd", f"{ACCOUNT}:x:{UID}:{UID}::{home}:/bin/bash\n"), ("group", f"{ACCOUNT}:x:{UID}:\n")):
        (root / name).write_text(Path("/etc", name).read_text() + line)
    mount = f'mount --bind {root}/passwd /etc/passwd && mount --bind {root}/group /etc/group && exec "$@"'
    return ("unshare", "--mount", "sh", "-c", mount, "sh")


def _site_packages() -> Path:
    return next(Path(entry) for entry in sys.path if entry.endswith("site-packages"))


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_commands_are_the_accounts(place: Place) -> None:
    """A command runs as the account, without a capability, and its files are the account's."""
    made = place.folder / "made"
    printed = place.site.ssh(f"id -un; grep CapEff /proc/self/status; touch {made}").out.split()
    assert printed == [ACCOUNT, "CapEff:", "0" * 16]
    assert made.stat().st_uid == UID


def test_copies(place: Place, tmp_path: Path) -> None:
    """scp, sftp and rsync bring a file there and back."""
    source = tmp_path / "source"
    source.write_bytes(os.urandom(1_000_003))
    options = ["-F", str(place.site.ssh_config)]
    place.site.run("scp", *options, str(source), f"{HOST}:{place.folder}/scp")
    place.site.run("scp", "-O", *options, f"{HOST}:{place.folder}/scp", str(tmp_path / "scp"))
    batch = tmp_path / "batch"
    batch.write_text(f"put {source} {place.folder}/sftp\nget {place.folder}/sftp {tmp_path}/sftp\n")
    place.site.run("sftp", *options, "-b", str(batch), HOST)
    place.site.run("rsync", "-a", "-e", place.ssh, str(source), f"{HOST}:{place.folder}/rsync")
    place.site.run("rsync", "-a", "-e", place.ssh, f"{HOST}:{place.folder}/rsync", str(tmp_path / "rsync"))
    assert {digest(tmp_path / tool) for tool in ("scp", "sftp", "rsync")} == {digest(source)}


def test_git(place: Place, tmp_path: Path) -> None:
    """A repository of the account is cloned and pushed to."""
    bare, clone = place.folder / "repository.git", tmp_path / "clone"
    place.site.ssh(f"git init -q --bare {bare}")
    ssh = f"GIT_SSH_COMMAND={shlex.quote(place.ssh)}"
    author = "git -c user.name=Ann -c user.email=ann@example.test"
    place.site.run(
        "sh",
        "-ec",
        f"export {ssh}; git clone -q {HOST}:{bare} {clone} 2>&1; cd {clone}; "
        f"{author} commit -q --allow-empty -m first; git push -q origin HEAD:refs/heads/main",
    )
    assert place.site.ssh(f"git --git-dir {bare} log --format=%s main").out == "first\n"


def test_multiplexing(place: Place, tmp_path: Path) -> None:
    """Several commands share one connection."""
    control = ["-o", f"ControlPath={tmp_path}/mux", "-F", str(place.site.ssh_config)]
    place.site.run("ssh", *control, "-o", "ControlMaster=yes", "-o", "ControlPersist=60", "-fN", HOST)
    try:
        assert [place.site.run("ssh", *control, HOST, f"echo {number}").out for number in range(3)] == [
            "0\n",
            "1\n",
            "2\n",
        ]
    finally:
        place.site.run("ssh", *control, "-O", "exit", HOST)


def test_an_editors_remote_server(place: Place) -> None:
    """A script over stdin leaves a server running, and another connection's forward reaches it."""
    script = f"setsid /usr/bin/python3 -c '{SERVER}' < /dev/null 2> /dev/null &"
    port = place.site.ssh("bash -s", given=script).out.strip()
    forward = ["ssh", "-F", str(place.site.ssh_config), "-W", f"127.0.0.1:{port}", HOST]
    answer = subprocess.run(
        forward,
        input=b"GET / HTTP/1.0\r\n\r\n",
        capture_output=True,
        env=place.site.environment(),
        timeout=60,
        check=False,
    )
    assert answer.stdout.startswith(b"HTTP/1.0 501"), answer.stderr


def test_ansible(place: Place, tmp_path: Path) -> None:
    """A play copies a file, and runs a command."""
    (tmp_path / "greeting").write_text("hello from a play\n")
    play = tmp_path / "play.yml"
    play.write_text(
        f"""
- hosts: all
  gather_facts: false
  tasks:
    - copy: {{src: {tmp_path}/greeting, dest: {place.folder}/greeting}}
    - shell: id -un; cat {place.folder}/greeting
      register: seen
    - assert:
        that: seen.stdout_lines == ["{ACCOUNT}", "hello from a play"]
"""
    )
    inventory = tmp_path / "inventory"
    inventory.write_text(f"{HOST} ansible_python_interpreter=/usr/bin/python3\n")
    settings = (
        f"ANSIBLE_SSH_ARGS=-F {place.site.ssh_config}",
        f"ANSIBLE_REMOTE_TMP={place.folder}/.ansible",
        f"ANSIBLE_HOME={tmp_path}/ansible",
        "ANSIBLE_PIPELINING=0",
        "ANSIBLE_NOCOLOR=1",
        "PATH=/usr/bin:/bin:" + place.site.environment()["PATH"],
    )
    done = place.site.run("env", *settings, "ansible-playbook", "-i", str(inventory), str(play), seconds=110)
    assert "ok=3" in done.out
    assert "failed=0" in done.out


def test_tmux_survives_a_reconnect_and_not_the_session(place: Place) -> None:
    """What runs in tmux is there for the next connection, and is gone with the session."""
    socket = f"{place.folder}/tmux"
    started = place.site.ssh(f"tmux -S {socket} new-session -d -s work 'exec sleep 27182.8184'; echo started").out
    assert started == "started\n"
    assert place.site.ssh(f"tmux -S {socket} list-sessions -F '#{{session_name}}'").out == "work\n"
    assert _pids("sleep", "27182.8184")
    current = place.site.latch("sessions", "--json").json()["sessions"][0]["id"]
    place.site.latch("close", current)
    wait_until(lambda: not _pids("sleep", "27182.8184") and not _pids("tmux", socket), "tmux to be gone")
    place.site.open_session("--for", "1h", "--allow", "shell,exec,sftp_read,sftp_write,forward:dev")


def _pids(*words: str) -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                line = (folder / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
            except OSError:
                continue
            if all(word in line for word in words) and "ssh" not in line:
                found.append(int(folder.name))
    return found
