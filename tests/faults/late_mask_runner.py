"""Shows in one sandbox that what appears later is hidden, and ends with status 0. Run as a process, by any account."""

import asyncio
import os
import shutil
import sys
import time
from pathlib import Path

from faults.doors import listening
from faults.escape_runner import attempt
from latchstring.endpoint.sandbox.late_masks import LateMasks
from latchstring.endpoint.sandbox.masks import mounts_of
from latchstring.endpoint.sandbox.sandbox import Sandbox
from latchstring.endpoint.sandbox.spec import SandboxSpec

SECONDS = 5.0


async def masked(inside: Sandbox, place: Path) -> None:
    """Wait until the sandbox has a mount at ``place``: a session that touches it earlier would end, as it should."""
    began = time.monotonic()
    while place not in {mount.point for mount in mounts_of(inside.first_pid)}:
        assert time.monotonic() - began < SECONDS, f"nothing happened at {place}"
        await asyncio.sleep(0.005)


async def appears(place: Path, run_as: str | None) -> None:
    """A directory, one below another that is missing too, a file, and a directory that is replaced."""
    spool = place / "spool"
    paths = (spool / "monitor", spool / "deep" / "er" / "voicemail", spool / "chat.db")
    spec = SandboxSpec(run_as=run_as, content=paths)
    inside = await LateMasks(spec).start(lambda: Sandbox.start(spec))
    for _ in range(2):
        for path in paths:
            if path.suffix:
                path.write_text("content\n")
            else:
                path.mkdir(parents=True)
                (path / "call.wav").write_text("content\n")
            await masked(inside, path)
            assert "content" not in await attempt(inside, f"cat {path} {path}/*", {})
        assert inside.is_alive
        await asyncio.to_thread(shutil.rmtree, spool / "monitor")
        await asyncio.to_thread(shutil.rmtree, spool / "deep")
        paths[2].unlink()
    await inside.kill()


async def held(place: Path, run_as: str | None) -> None:
    """A session that stands in a directory before it is hidden ends."""
    path = place / "spool" / "held"
    spec = SandboxSpec(run_as=run_as, content=(path,))

    async def start_late() -> Sandbox:
        inside = await Sandbox.start(spec)
        path.mkdir()
        await attempt(inside, f"cd {path} && (sleep 1000 > /dev/null 2>&1 &)", {})
        return inside

    inside = await LateMasks(spec).start(start_late)
    await asyncio.wait_for(inside.wait_ended(), SECONDS)
    path.rmdir()


async def becomes_read_only(place: Path, run_as: str | None) -> None:
    """A directory and a file that appear, and appear again, can be read and not changed."""
    settings = place / "spool" / "settings"
    paths = (settings, place / "spool" / "pbx.conf")
    spec = SandboxSpec(run_as=run_as, read_only=paths)
    inside = await LateMasks(spec).start(lambda: Sandbox.start(spec))
    for number in range(2):
        settings.mkdir(mode=0o777)
        settings.chmod(0o777)
        paths[1].write_text(f"content {number}\n")
        paths[1].chmod(0o666)
        for target in (settings / "new", paths[1]):
            await masked(inside, target if target.suffix else settings)
            assert "Read-only file system" in await attempt(inside, f"printf '' >> {target}", {})
        assert f"content {number}" in await attempt(inside, f"cat {paths[1]}", {})
        assert inside.is_alive
        await asyncio.to_thread(shutil.rmtree, settings)
        paths[1].unlink()
    await inside.kill()


async def door_opens(run_as: str | None) -> None:
    """A program that would do work outside, and starts to listen while a session runs, cannot be asked."""
    door = Path("/run/podman/podman.sock")
    spec = SandboxSpec(run_as=run_as)
    inside = await LateMasks(spec).start(lambda: Sandbox.start(spec))
    with listening([str(door)]):
        await masked(inside, door.parent)
        assert "No such file" in await attempt(inside, f"stat {door}", {})
        assert inside.is_alive
    await inside.kill()


async def main(place: Path, run_as: str | None) -> None:
    """Show all."""
    await appears(place, run_as)
    await becomes_read_only(place, run_as)
    await held(place, run_as)
    if os.geteuid() == 0:
        await door_opens(run_as)


if __name__ == "__main__":
    folder, *account = sys.argv[1:]
    asyncio.run(main(Path(folder), account[0] if account else None))
