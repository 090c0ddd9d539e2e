"""The customer's policy at work: real tools against what it hides, changes under way, what engineers are told."""

import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from parties import AS_ROOT, ENDPOINT_NAME, Site, wait_until

HOST = f"{ENDPOINT_NAME}.latch"
MARKER = "call-content-7c1f"


@pytest.fixture
def spool() -> Iterator[Path]:
    """A spool directory with a recording, and a chat database, outside of everything that is hidden anyway."""
    made = Path(tempfile.mkdtemp(prefix="latchstring-spool-", dir="/var/tmp"))
    (made / "monitor").mkdir()
    (made / "monitor" / "call.wav").write_text(f"{MARKER}\n")
    (made / "chat.db").write_text(f"{MARKER}\n")
    yield made
    shutil.rmtree(made)


def apply(site: Site, text: str) -> str:
    """Apply a policy, and return what that said."""
    file = site.root / "new.toml"
    file.write_text(AS_ROOT + text)
    return site.customer("policy", "apply", str(file), "--yes").out


def hiding(spool: Path, more: str = "") -> str:
    """Return a policy that hides what is in the spool, and the voicemail that is not there yet."""
    paths = ", ".join(f"'{spool / name}'" for name in ("monitor", "chat.db", "voicemail"))
    return f"content_paths = [{paths}]\n{more}"


def test_no_tool_reaches_content(site: Site, spool: Path, tmp_path: Path) -> None:
    """ssh, scp, sftp and rsync see nothing of what is hidden, now or when it appears; the rest is there."""
    apply(site, hiding(spool))
    site.open_session("--for", "1h")
    (spool / "notes.txt").write_text("not content\n")
    assert site.ssh(f"cat {spool}/notes.txt").out == "not content\n"
    assert MARKER not in site.ssh(f"cat {spool}/monitor/* {spool}/chat.db; grep -r {MARKER} {spool}", status=None).out
    for source in ("monitor/call.wav", "chat.db"):
        for legacy in ([], ["-O"]):
            copy = ["scp", *legacy, "-F", str(site.ssh_config), f"{HOST}:{spool}/{source}", str(tmp_path / "got")]
            assert site.run(*copy, status=None).status != 0
    batch = tmp_path / "batch"
    batch.write_text(f"get {spool}/monitor/call.wav {tmp_path}/got\n")
    assert site.run("sftp", "-F", str(site.ssh_config), "-b", str(batch), HOST, status=None).status != 0
    remote = ["-e", f"ssh -F {site.ssh_config}", f"{HOST}:{spool}/", str(tmp_path / "mirror")]
    site.run("rsync", "-a", *remote, status=None)
    copied = [tmp_path / "got", *(tmp_path / "mirror").rglob("*")]
    assert tmp_path / "mirror" / "notes.txt" in copied
    assert not any(MARKER.encode() in file.read_bytes() for file in copied if file.is_file())
    (spool / "voicemail").mkdir()
    (spool / "voicemail" / "msg.wav").write_text(f"{MARKER}\n")
    seen = f"cat {spool}/voicemail/*"
    wait_until(lambda: MARKER not in site.ssh(seen, status=None).out, "the voicemail to be hidden")
    assert (spool / "monitor" / "call.wav").read_text() == f"{MARKER}\n"


def test_a_change_ends_and_narrows(site: Site, spool: Path) -> None:
    """A capability that was not used is taken away; a path to hide ends the session; both logs say so."""
    site.customer("access", "on")
    session_id = site.open_session("--for", "1h")
    assert site.ssh("true").status == 0
    assert "0 sessions ended" in apply(site, "[capabilities]\nsftp_write = 'refuse'\n")
    assert site.wait_for_state(session_id, "idle")["capabilities"] == ["exec", "sftp_read", "shell"]
    copy = ["scp", "-F", str(site.ssh_config), str(spool / "chat.db"), f"{HOST}:{spool}/copy"]
    assert "Permission denied" in site.run(*copy, status=None).err
    with site.ssh_running("trap '' TERM HUP; while sleep 0.1; do :; done") as client:
        assert "1 session ended" in apply(site, hiding(spool))
        assert client.wait(20) == 255
    ended = site.wait_for_state(session_id, "ended_by_customer")
    assert ended["reason"] == "policy_changed"
    events = [entry["event"]["type"] for entry in site.customer("journal", "--json").json()["entries"]]
    assert events.count("policy.changed") == 2
    assert "session.narrowed" in events
    site.login("odd@example.test", "auditor")
    listed = site.latch("audit", "list", "--json", home="auditor").json()["events"]
    assert [event["type"] for event in listed].count("policy.changed") == 2
    assert site.latch("audit", "verify", home="auditor").status == 0


def test_engineers_are_told_why(site: Site) -> None:
    """Outside the customer's window, and for an engineer who is not accepted, the refusal says so, with the opening."""
    site.customer("access", "on")
    window = "[[windows]]\nfrom = 2099-01-05T08:00:00+01:00\nto = 2099-01-05T18:00:00+01:00\n"
    apply(site, f"timezone = 'Europe/Berlin'\n{window}")
    assert "outside the customer's window, opens Mon 2099-01-05 08:00 Europe/Berlin" in site.open(status=3).err
    apply(site, "engineers = ['bob@example.test']\n")
    assert "does not accept this engineer" in site.open(status=3).err
    apply(site, "purposes = ['legal_requirement']\n")
    assert "does not accept this purpose" in site.open(status=3).err


def test_no_network_but_named_services(site: Site) -> None:
    """Without a network a session reaches no port of the machine; a forward to a named service works all the same."""
    site.customer("access", "on")
    with socket.create_server(("127.0.0.1", 0)) as service, socket.create_server(("127.0.0.1", 0)) as other:
        port = service.getsockname()[1]
        apply(site, f"network = 'none'\n[services]\nweb = '127.0.0.1:{port}'\n")
        site.open_session("--for", "1h", "--allow", "exec,forward:web")
        for number in (port, other.getsockname()[1]):
            reach = f"(exec 3<>/dev/tcp/127.0.0.1/{number}) && echo reached"
            assert "reached" not in site.ssh(f"bash -c '{reach}'", status=None).out
        assert site.ssh("cat /proc/net/dev | grep -c :").out == "1\n"
        forward = ["ssh", "-F", str(site.ssh_config), "-W", "web:1", HOST]
        with subprocess.Popen(forward, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=site.environment()) as client:
            connection, _ = service.accept()
            connection.sendall(b"hello")
            connection.close()
            assert client.communicate(timeout=20)[0] == b"hello"


_SERVER = """
import http.server, os, sys
server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
print(server.server_port, flush=True)
os.close(1)
server.serve_forever()
"""


@pytest.mark.parametrize("network", ["host", "none"])
def test_an_editors_remote_server(site: Site, network: str) -> None:
    """A script over stdin leaves a server running; another connection's forward reaches its port, as editors do it.

    Without a network of the machine the same forward does not reach the machine's own ports.
    """
    site.customer("access", "on")
    apply(site, f"network = '{network}'\n[services]\ndev = '127.0.0.1:*'\n")
    site.open_session("--for", "1h", "--allow", "exec,forward:dev")
    script = f"setsid /usr/bin/python3 -c '{_SERVER}' < /dev/null 2> /dev/null &"
    port = site.ssh("bash -s", given=script).out.strip()

    def answer(number: int | str) -> bytes:
        forward = ["ssh", "-F", str(site.ssh_config), "-W", f"127.0.0.1:{number}", HOST]
        request = b"GET / HTTP/1.0\r\n\r\n"
        return subprocess.run(
            forward, input=request, capture_output=True, env=site.environment(), timeout=60, check=False
        ).stdout

    assert answer(port).startswith(b"HTTP/1.0 501")
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(10)
        if network == "none":
            assert answer(other.getsockname()[1]) == b""


def test_a_broken_edit_while_running(site: Site) -> None:
    """SIGHUP takes a good edit up; a broken one is told in status, and only takes away."""
    agent = site.endpoint
    assert agent is not None
    policy = site.endpoint_data / "policy.toml"
    policy.write_text(f"{AS_ROOT}max_sessions = 7\n")
    agent.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "another policy is in force" in agent.text, "the policy to be taken up")
    policy.write_text("max_session = 7\n[capabilities]\nshell = 'refuse'\n")
    agent.process.send_signal(signal.SIGHUP)
    wait_until(lambda: site.customer("status", "--json").json()["policy_problem"], "the mistake to be told")
    status = site.customer("status").out
    assert "policy.toml, line 1" in status
    site.customer("access", "on")
    site.open_session("--allow", "shell,exec")
    assert site.customer("sessions", "--json").json()["sessions"][0]["capabilities"] == ["exec"]
