"""Tries every escape in one sandbox, and prints what each said, as JSON. Run as a process, by any account."""

import asyncio
import json
import os
import sys
from pathlib import Path

from faults.escapes import ESCAPES
from latchstring.endpoint.sandbox.environment import session_environment
from latchstring.endpoint.sandbox.sandbox import Sandbox
from latchstring.endpoint.sandbox.spec import SandboxSpec

SECONDS = 20


async def attempt(inside: Sandbox, script: str, variables: dict[str, str]) -> str:
    """Run a script inside, and return all that it said."""
    reading, writing = os.pipe()
    nothing = os.open(os.devnull, os.O_RDONLY)
    child = await inside.spawn(
        ["sh", "-c", script],
        program="/bin/sh",
        environment={**session_environment(inside.account, {}), "LC_ALL": "C", **variables},
        descriptors=(nothing, writing, writing),
    )
    os.close(writing)
    os.close(nothing)
    await asyncio.wait_for(child.wait(), SECONDS)
    os.set_blocking(reading, False)
    try:
        return os.read(reading, 65536).decode(errors="replace")
    except BlockingIOError:
        return ""
    finally:
        os.close(reading)


def python_for_all() -> str:
    """Return an interpreter that every account can run."""
    return "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable


async def main(place: Path, run_as: str | None) -> dict[str, str]:
    """Start the sandbox, and try."""
    spec = SandboxSpec(
        run_as=run_as,
        masked=(place / "data",),
        content=(place / "spool" / "secret", place / "spool" / "hidden.db"),
        read_only=(place / "locked",),
    )
    inside = await Sandbox.start(spec)
    variables = {
        "SECRET": str(place / "spool" / "secret"),
        "HIDDEN": str(place / "spool" / "hidden.db"),
        "ALIAS": str(place / "alias" / "secret"),
        "DATA": str(place / "data"),
        "LOCKED": str(place / "locked"),
        "TMPDIR": str(place / "tmp"),
        "AGENT": str(os.getpid()),
        "OUTSIDE": str(os.getpid()),
        "PYTHON": python_for_all(),
    }
    try:
        return {escape.name: await attempt(inside, escape.script, variables) for escape in ESCAPES}
    finally:
        await inside.kill()


if __name__ == "__main__":
    place, *run_as = sys.argv[1:]
    sys.stdout.write(json.dumps(asyncio.run(main(Path(place), run_as[0] if run_as else None))))
