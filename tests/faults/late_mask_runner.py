"""Shows in one sandbox that what appears later is hidden, and ends with status 0. Run as a process, by any account."""

import asyncio
import shutil
import sys
import time
from pathlib import Path

from faults.escape_runner import attempt
from latchstring.endpoint.sandbox.late_masks import LateMasks
from latchstring.endpoint.sandbox.sandbox import Sandbox
from latchstring.endpoint.sandbox.spec import SandboxSpec

SECONDS = 5.0


async def hidden_within(inside: Sandbox, place: Path) -> float:
    """Return how long it took until a session saw nothing at ``place`` any more."""
    began = time.monotonic()
    while "content" in await attempt(inside, f"cat {place} {place}/*", {}):
        assert time.monotonic() - began < SECONDS, f"{place} is not hidden"
    return time.monotonic() - began


async def appears(place: Path, run_as: str | None) -> None:
    """A directory, one below another that is missing too, a file, and a directory that is replaced."""
    spool = place / "spool"
    paths = (spool / "monitor", spool / "deep" / "er" / "voicemail", spool / "chat.db")
    late = LateMasks(paths)
    inside = await Sandbox.start(SandboxSpec(run_as=run_as, content=paths))
    late.keep(inside)
    for _ in range(2):
        for path in paths:
            if path.suffix:
                path.write_text("content\n")
            else:
                path.mkdir(parents=True)
                (path / "call.wav").write_text("content\n")
            await hidden_within(inside, path)
        assert inside.is_alive
        await asyncio.to_thread(shutil.rmtree, spool / "monitor")
        await asyncio.to_thread(shutil.rmtree, spool / "deep")
        paths[2].unlink()
    await inside.kill()


async def held(place: Path, run_as: str | None) -> None:
    """A session that stands in a directory before it is hidden ends."""
    path = place / "spool" / "held"
    inside = await Sandbox.start(SandboxSpec(run_as=run_as, content=(path,)))
    path.mkdir()
    await attempt(inside, f"cd {path} && (sleep 1000 > /dev/null 2>&1 &)", {})
    LateMasks((path,)).keep(inside)
    await asyncio.wait_for(inside.wait_ended(), SECONDS)
    path.rmdir()


async def main(place: Path, run_as: str | None) -> None:
    """Show both."""
    await appears(place, run_as)
    await held(place, run_as)


if __name__ == "__main__":
    folder, *account = sys.argv[1:]
    asyncio.run(main(Path(folder), account[0] if account else None))
