"""The customer decides: ask, approve, narrow, refuse, end, and the switch."""

import json
import signal
import time

import pytest

from parties import ENDPOINT_NAME, Site, processes_with, wait_until

NO_WAIT = ("--no-wait",)


def pending(site: Site) -> list[dict[str, object]]:
    """Return the requests that wait for the customer."""
    return list(site.customer("requests", "--json").json()["requests"])


def ask(site: Site, *arguments: str) -> str:
    """Ask for a session, and wait until the customer's machine shows the request."""
    session_id = str(site.open(*NO_WAIT, *arguments).json()["id"])
    wait_until(lambda: any(item["id"] == session_id for item in pending(site)), "the request to arrive")
    return session_id


def test_ask_shows_who_and_why_and_approve_opens(site: Site) -> None:
    """The customer sees name, purpose and ticket; a yes makes the session usable."""
    asked = site.latch(
        "open",
        ENDPOINT_NAME,
        "--purpose",
        "support_request",
        "--ticket",
        "SUP-1042",
        "--note",
        "dial plan",
        "--no-wait",
        "--json",
    )
    session_id = asked.json()["id"]
    wait_until(lambda: pending(site), "the request to arrive")
    shown = site.customer("requests").out
    for words in ("ann@example.test", "SUP-1042", "dial plan", "1h", session_id):
        assert words in shown
    site.ssh("true", status=255)
    site.customer("approve", session_id)
    site.wait_for_state(session_id, "granted")
    assert site.ssh("echo in").out == "in\n"
    assert site.wait_for_state(session_id, "idle")["purpose"] == "support_request"


def test_refuse(site: Site) -> None:
    """A no reaches the engineer with exit status 3 and the customer's words, and nothing opens."""
    session_id = ask(site)
    site.customer("refuse", session_id, "--reason", "not today")
    site.wait_for_state(session_id, "refused")
    site.ssh("true", status=255)
    site.customer("access", "off")
    refused = site.open(status=3)
    assert "turned access off" in refused.err


def test_customer_gives_less(site: Site) -> None:
    """A narrowed yes grants no more: what was cut away is refused at the door, and the deadline is the shorter one."""
    session_id = ask(site, "--for", "2h")
    site.customer("approve", session_id, "--allow", "exec", "--for", "10m")
    state = site.wait_for_state(session_id, "granted")
    assert state["capabilities"] == ["exec"]
    assert state["granted_seconds"] == 600
    assert site.ssh("echo in").out == "in\n"
    refused = site.run("sftp", "-F", str(site.ssh_config), "-b", "/dev/null", f"{ENDPOINT_NAME}.latch", status=None)
    assert refused.status != 0


def test_approve_cannot_widen(site: Site) -> None:
    """The customer's command refuses to give more than was asked, since it could only be a mistake."""
    session_id = ask(site, "--allow", "exec")
    widened = site.customer("approve", session_id, "--allow", "exec,shell", status=None)
    assert widened.status in (1, 2)
    assert site.session(session_id)["state"] == "awaiting_consent"


def test_unique_prefix_is_enough(site: Site) -> None:
    """An id may be cut short as long as it is unique."""
    session_id = ask(site)
    site.customer("approve", session_id[:9])
    site.wait_for_state(session_id, "granted")


def test_end_cuts_a_running_command(site: Site) -> None:
    """``end`` kills what runs, says that nothing is left, and both logs say the same."""
    session_id = site.open_session()
    with site.ssh_running("trap '' HUP TERM INT; echo started; while true; do sleep 987654; done") as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "started\n"
        ended = site.customer("end", session_id)
        assert running.wait(timeout=5) == 255
    assert "0" in ended.out
    assert not processes_with("sleep\0987654")
    state = site.wait_for_state(session_id, "ended_by_customer")
    assert state["reason"] == "ended_by_customer"
    journal = site.customer("journal", "--json").json()
    assert any(
        entry["event"]["type"] == "session.ended" and entry["event"]["processes_left"] == 0
        for entry in journal["entries"]
    )


def test_off_cuts_everything_and_stays_off(site: Site) -> None:
    """``access off`` ends every session and refuses the next, also after a restart of the agent."""
    session_id = site.open_session()
    with site.ssh_running("echo started; exec sleep 976543") as running:
        assert running.stdout is not None
        running.stdout.readline()
        site.customer("access", "off")
        assert running.wait(timeout=5) == 255
    assert not processes_with("sleep\0976543")
    assert site.wait_for_state(session_id, "ended_by_customer")["reason"] == "access_off"
    assert site.endpoint is not None
    assert site.endpoint.stop() == 0
    site.start_endpoint()
    assert site.customer("access").out.strip() == "off"
    site.open(status=3)


@pytest.mark.parametrize("command", [("access", "off"), ("end",)])
@pytest.mark.parametrize("trouble", [signal.SIGKILL, signal.SIGSTOP], ids=["controller dead", "network silent"])
def test_a_kill_without_the_controller(site: Site, trouble: signal.Signals, command: tuple[str, ...]) -> None:
    """A kill needs neither controller nor network; it is proven at once, and reported when they come back."""
    session_id = site.open_session()
    site.ssh("(trap '' HUP INT TERM; setsid sleep 954321 > /dev/null 2>&1 &)")
    assert processes_with("sleep\0954321")
    assert site.controller is not None
    site.controller.process.send_signal(trouble)  # its relay carries the sessions' bytes, so they stop as well
    site.customer(*command, *([session_id] if command == ("end",) else []))
    assert not processes_with("sleep\0954321")
    ended = site.customer("journal", "--json").json()["entries"][-1]["event"]
    assert (ended["type"], ended["processes_left"]) == ("session.ended", 0)
    assert ended["kill_milliseconds"] < 1000
    if trouble is signal.SIGSTOP:
        site.controller.process.send_signal(signal.SIGCONT)
    else:
        site.controller.kill()
        site.start_controller()
    site.wait_for_state(session_id, "ended_by_customer")


def test_off_with_a_stopped_agent(site: Site) -> None:
    """``access off`` works on an agent that hangs: it is killed, and its sessions with it."""
    site.open_session()
    with site.ssh_running("echo started; exec sleep 965432") as running:
        assert running.stdout is not None
        running.stdout.readline()
        assert site.endpoint is not None
        site.endpoint.process.send_signal(19)
        site.customer("access", "off")
        wait_until(lambda: not processes_with("sleep\0965432"), "the session's processes to be dead", 5)
    site.endpoint.stop()
    site.start_endpoint()
    assert site.customer("access").out.strip() == "off"


def test_timed_on_returns(site: Site) -> None:
    """``access on --for`` falls back by itself."""
    site.customer("access", "off")
    site.customer("access", "on", "--for", "1s")
    wait_until(lambda: site.customer("access").out.strip() == "off", "access to fall back", 10)
    site.open(status=3)


def test_deadline_ends_the_session(site: Site) -> None:
    """When the granted time is up the running command is cut, whatever the engineer does."""
    session_id = site.open_session("--for", "3s")
    with site.ssh_running("echo started; exec sleep 954321") as running:
        assert running.stdout is not None
        running.stdout.readline()
        assert running.wait(timeout=15) == 255
    assert site.wait_for_state(session_id, "expired")["reason"] == "deadline"
    assert not processes_with("sleep\0954321")


def test_close_by_the_engineer(site: Site) -> None:
    """``latch close`` ends the session with the endpoint's proof; a second close changes nothing."""
    session_id = site.open_session()
    site.latch("close", session_id)
    assert site.wait_for_state(session_id, "closed")["reason"] == "closed_by_engineer"
    site.ssh("true", status=255)
    site.latch("close", session_id, status=None)
    assert site.session(session_id)["state"] == "closed"


def test_withdrawn_request_disappears(site: Site) -> None:
    """A request that the engineer takes back is gone from the customer's screen and can no longer be approved."""
    session_id = ask(site)
    site.latch("close", session_id)
    site.wait_for_state(session_id, "withdrawn")
    wait_until(lambda: not pending(site), "the request to disappear")
    assert site.customer("approve", session_id, status=None).status == 1


def test_two_sessions_do_not_share(site: Site) -> None:
    """Ending one session leaves another one alone."""
    first, second = site.open_session(), site.open_session()
    assert first != second
    with site.ssh_running("echo started; read line; echo got $line") as running:
        assert running.stdout is not None
        assert running.stdin is not None
        running.stdout.readline()
        site.customer("end", first)
        running.stdin.write("hello\n")
        running.stdin.flush()
        assert running.stdout.readline() == "got hello\n"
    assert site.session(second)["state"] in ("connected", "idle")


@pytest.mark.parametrize("order", [("approve", "off"), ("off", "approve")])
def test_yes_and_off_at_once_end_safe(site: Site, order: tuple[str, str]) -> None:
    """Whatever the order of a yes and the switch, the end is off."""
    session_id = ask(site)
    for step in order:
        if step == "off":
            site.customer("access", "off")
        else:
            site.customer("approve", session_id, status=None)
    wait_until(lambda: site.session(session_id)["state"] in ("refused", "ended_by_customer"), "the safe end")
    site.ssh("true", status=255)


def test_kill_is_quick(site: Site) -> None:
    """The time that the log gives for a kill is the kernel's, not a time-out's: well under a second."""
    session_id = site.open_session()
    site.ssh("for n in $(seq 40); do (trap '' HUP TERM INT; setsid sleep 943210 > /dev/null 2>&1 &) ; done")
    started = time.monotonic()
    site.customer("end", session_id)
    assert time.monotonic() - started < 10
    assert not processes_with("sleep\0943210")
    entries = json.loads(site.customer("journal", "--json").out)["entries"]
    ended = [entry["event"] for entry in entries if entry["event"]["type"] == "session.ended"]
    assert ended[-1]["processes_left"] == 0
    assert ended[-1]["kill_milliseconds"] < 2000
