"""The demonstration: a controller and an endpoint on loopback, one session, the switch, the log.

``make demo`` stays up afterwards and prints what to try next; ``make demo ONCE=1`` ends by itself, with exit status 0
only if every step did what it should. Everything lives in ``.demo/``, which each run makes anew.
"""

import argparse
import json
import os
import pwd
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / ".demo"
BIN = Path(sys.prefix) / "bin"
CONTROLLER, ENDPOINT, ENGINEER, AUDITOR = (DEMO / name for name in ("controller", "endpoint", "engineer", "auditor"))
SSH_CONFIG = ENGINEER / "demo_ssh_config"
NAME, EMAIL, AUDITOR_EMAIL, PASSWORD = (
    "acme-pbx1",
    "ann@support.example.test",
    "odd@support.example.test",
    "correct horse battery",
)
READY_SECONDS = 30
CUT_SECONDS = 10


class StepError(Exception):
    """A step did not do what it should."""


def title(text: str) -> None:
    """Print the heading of a step."""
    print(f"\n\033[1m== {text}\033[0m" if sys.stdout.isatty() else f"\n== {text}", flush=True)


def show(command: list[str], *, stays: bool = False) -> None:
    """Print a command as a person would type it; one that ``stays``, in the background."""
    words = [word.replace(f"{BIN}/", "").replace(f"{ROOT}/", "") for word in command]
    print(f"$ {shlex.join(words)}{' &' if stays else ''}", flush=True)


def environment(home: Path) -> dict[str, str]:
    """The environment of one person's commands."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**inherited, "LATCH_HOME": str(home), "PATH": f"{BIN}:{os.environ['PATH']}"}


def run(*command: str, home: Path = ENGINEER, given: str = "", quiet: bool = False, expect: int = 0) -> str:
    """Run a command, show it and what it says, and require its exit status."""
    if not quiet:
        show(list(command))
    done = subprocess.run(
        command, input=given, capture_output=True, text=True, env=environment(home), timeout=90, check=False
    )
    if not quiet:
        print((done.stdout + done.stderr).rstrip(), flush=True)
    if done.returncode != expect:
        raise StepError(
            f"{shlex.join(command[:3])} … ended with {done.returncode}, not {expect}:\n{done.stdout}{done.stderr}"
        )
    return done.stdout


def free_ports(*wanted: int) -> list[int]:
    """Return the wanted ports of loopback, or where one is taken the next free one above it."""
    with ExitStack() as stack:
        return [_bind_from(stack.enter_context(socket.socket()), port) for port in wanted]


def _bind_from(free: socket.socket, port: int) -> int:
    while True:
        try:
            free.bind(("127.0.0.1", port))
        except OSError:
            port += 10
        else:
            return port


@contextmanager
def service(*command: str) -> Iterator[None]:
    """Run a program in the background until the block ends; the block begins when it said that it is ready."""
    show(list(command), stays=True)
    log = DEMO / f"{Path(command[0]).name}.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True
        )
    try:
        deadline = time.monotonic() + READY_SECONDS
        while "ready" not in log.read_text():
            if process.poll() is not None or time.monotonic() > deadline:
                raise StepError(f"{Path(command[0]).name} did not get ready:\n{log.read_text()}")
            time.sleep(0.05)
        print(log.read_text().rstrip(), flush=True)
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def vendor_prepares() -> str:
    """Initialise a controller with two accounts and a customer; returns the address for people."""
    title("The vendor sets up a controller")
    people, tunnel, relay = (f"127.0.0.1:{port}" for port in free_ports(8443, 8444, 7022))
    data = ["--data", str(CONTROLLER)]
    listeners = ["--listen", people, "--tunnel-listen", tunnel, "--relay-listen", relay]
    run(str(BIN / "latch-controller"), "init", *data, "--name", "support.example.test", *listeners)
    for email, role in ((EMAIL, "engineer"), (AUDITOR_EMAIL, "auditor")):
        run(str(BIN / "latch-controller"), "user", "add", email, "--role", role, *data, given=PASSWORD)
    run(str(BIN / "latch-controller"), "customer", "add", "Acme Dental", *data)
    return f"https://{people}"


def customer_enrols() -> None:
    """Take a code from the vendor to the customer's machine."""
    title("The vendor invites the customer's server; the customer enrols it")
    code = run(
        str(BIN / "latch-controller"), "invite", NAME, "--customer", "Acme Dental", "--data", str(CONTROLLER)
    ).strip()
    account = pwd.getpwuid(os.getuid()).pw_name  # a customer gives sessions an account of their own
    run(str(BIN / "latch-endpoint"), "enroll", code, "--run-as", account, "--data", str(ENDPOINT))


def people_sign_in(address: str) -> None:
    """Sign in an engineer and an auditor, and write the engineer's SSH configuration."""
    title("An engineer and an auditor sign in")
    fingerprint = run(str(BIN / "latch-controller"), "fingerprint", "--data", str(CONTROLLER)).strip()
    for email, home in ((EMAIL, ENGINEER), (AUDITOR_EMAIL, AUDITOR)):
        run(
            str(BIN / "latch"),
            "login",
            address,
            "--user",
            email,
            "--fingerprint",
            fingerprint,
            home=home,
            given=PASSWORD,
        )
    SSH_CONFIG.write_text(run(str(BIN / "latch"), "ssh-config", quiet=True))


def ask_and_answer() -> str:
    """Ask for a session; the customer looks at the request and says yes. Returns the session's id."""
    title("The engineer asks; the customer sees who and why, and says yes")
    wish = ["--purpose", "support_request", "--ticket", "SUP-1042", "--for", "1h"]
    asked = run(str(BIN / "latch"), "open", NAME, *wish, "--no-wait", "--json", quiet=True)
    session = str(json.loads(asked)["id"])
    show([str(BIN / "latch"), "open", NAME, *wish])
    wait_for_request(session)
    run(str(BIN / "latch-endpoint"), "requests", "--data", str(ENDPOINT))
    run(str(BIN / "latch-endpoint"), "approve", session, "--data", str(ENDPOINT))
    return session


def wait_for_request(session: str) -> None:
    """Wait until the customer's machine shows the request."""
    deadline = time.monotonic() + READY_SECONDS
    while session not in run(str(BIN / "latch-endpoint"), "requests", "--json", "--data", str(ENDPOINT), quiet=True):
        if time.monotonic() > deadline:
            raise StepError("the request did not reach the customer")
        time.sleep(0.1)


def ssh(*command: str) -> list[str]:
    """The command line of an ordinary ssh into the customer's server."""
    return ["ssh", "-F", str(SSH_CONFIG), f"{NAME}.latch", *command]


def session_works() -> None:
    """Run a command through the session."""
    title("Ordinary ssh, end to end")
    deadline = time.monotonic() + READY_SECONDS
    while json.loads(run(str(BIN / "latch"), "sessions", "--json", quiet=True))["sessions"][0]["state"] != "granted":
        if time.monotonic() > deadline:
            raise StepError("the session was approved, but the controller did not hear of it")
        time.sleep(0.05)
    answer = run(*ssh("uname", "-a"))
    if os.uname().release not in answer:
        raise StepError(f"uname answered {answer!r}")


def customer_cuts(session: str) -> None:
    """Turn access off while a command runs that ignores every signal it can."""
    title("The customer turns access off while a command runs")
    command = ssh("trap '' HUP INT TERM; while true; do date +%T.%N; sleep 0.3; done")
    show(command)
    running = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(ENGINEER)
    )
    assert running.stdout is not None
    for _ in range(3):
        print(running.stdout.readline().rstrip(), flush=True)
    run(str(BIN / "latch-endpoint"), "access", "off", "--data", str(ENDPOINT))
    try:
        rest, _ = running.communicate(timeout=CUT_SECONDS)
    except subprocess.TimeoutExpired as error:
        running.kill()
        raise StepError("the session went on after access was turned off") from error
    print(rest.rstrip())
    print(f"(ssh ended with {running.returncode})", flush=True)
    run(*ssh("true"), expect=255)
    check_ending(session)


def check_ending(session: str) -> None:
    """Require that both sides know how the session ended."""
    listed: list[dict[str, Any]] = []
    deadline = time.monotonic() + READY_SECONDS
    while not any(item["id"] == session and item["state"] == "ended_by_customer" for item in listed):
        if time.monotonic() > deadline:
            raise StepError(f"the controller did not learn how the session ended: {listed}")
        listed = json.loads(run(str(BIN / "latch"), "sessions", "--json", quiet=True))["sessions"]
        time.sleep(0.05)


def auditor_reads(session: str) -> None:
    """Read the log and verify it."""
    title("The auditor reads what happened, and checks that nothing was changed")
    run(str(BIN / "latch"), "audit", "show", session, home=AUDITOR)
    run(str(BIN / "latch"), "audit", "verify", home=AUDITOR)


def what_next(address: str) -> None:
    """Print what to try, and wait for Ctrl-C."""
    title("Everything is up. In another terminal, in this folder:")
    relative = DEMO.relative_to(ROOT)
    print(
        f"""
  export PATH="$PWD/.venv/bin:$PATH" LATCH_HOME="$PWD/{ENGINEER.relative_to(ROOT)}"
  latch-endpoint access ask --data {relative}/endpoint          # the customer lets people ask again
  latch open {NAME} --purpose maintenance --for 30m             # the engineer asks, and waits
  latch-endpoint requests --data {relative}/endpoint            # the customer sees it
  latch-endpoint approve ses-… --data {relative}/endpoint       # … and says yes
  ssh -F {SSH_CONFIG.relative_to(ROOT)} {NAME}.latch   # a shell; scp and sftp take -F likewise
  latch-endpoint access off --data {relative}/endpoint          # the customer pulls the latchstring in
  LATCH_HOME=$PWD/{AUDITOR.relative_to(ROOT)} latch audit list          # the auditor

  API and its description   {address}/api/v1/openapi.json
  accounts                  {EMAIL} (engineer), {AUDITOR_EMAIL} (auditor), password "{PASSWORD}"
  logs                      {relative}/latch-controller.log, {relative}/latch-endpoint.log

Ctrl-C ends it.""",
        flush=True,
    )
    with suppress(KeyboardInterrupt):
        while True:
            signal.pause()
    print("\nending …", flush=True)


def demonstrate(*, once: bool) -> None:
    """Run every step."""
    shutil.rmtree(DEMO, ignore_errors=True)
    for folder in (DEMO, ENGINEER, AUDITOR):
        folder.mkdir(mode=0o700)
    address = vendor_prepares()
    with service(str(BIN / "latch-controller"), "serve", "--data", str(CONTROLLER)):
        customer_enrols()
        with service(str(BIN / "latch-endpoint"), "run", "--data", str(ENDPOINT)):
            people_sign_in(address)
            session = ask_and_answer()
            session_works()
            customer_cuts(session)
            auditor_reads(session)
            if not once:
                what_next(address)


def main() -> int:
    """Parse the arguments, run, and say how it went."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--once", action="store_true", help="end after the last step")
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        demonstrate(once=arguments.once)
    except (StepError, subprocess.TimeoutExpired) as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo: interrupted", file=sys.stderr)
        return 130
    title("Every step did what it should")
    return 0


if __name__ == "__main__":
    sys.exit(main())
