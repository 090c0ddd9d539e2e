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


async def host(*words: object) -> None:
    """Run a command outside of the sandbox."""
    process = await asyncio.create_subprocess_exec(*map(str, words))
    assert await process.wait() == 0


def make(path: Path) -> None:
    """Make a content path: a directory with a file, or a file."""
    if path.suffix:
        path.write_text("content\n")
    else:
        path.mkdir(parents=True)
        (path / "call.wav").write_text("content\n")


async def appears(place: Path, run_as: str | None) -> None:
    """A directory, one below another that is missing too, a file, and a directory that is replaced.

    A session whose account can write there ends: it may have made by itself what appeared.
    """
    spool = place / "spool"
    paths = (spool / "monitor", spool / "deep" / "er" / "voicemail", spool / "chat.db")
    spec = SandboxSpec(run_as=run_as, content=paths)
    late = LateMasks(spec)
    can_write = os.geteuid() != 0 or run_as is None
    inside = await late.start(lambda: Sandbox.start(spec))
    for _ in range(2):
        for path in paths:
            make(path)
            if can_write:
                await asyncio.wait_for(inside.wait_ended(), SECONDS)
                inside = await late.start(lambda: Sandbox.start(spec))
            await masked(inside, path)
            assert "content" not in await attempt(inside, f"cat {path} {path}/*", {})
        assert inside.is_alive
        assert "busy" in await attempt(inside, f"mv {spool} {place}/elsewhere", {}) or not can_write
        await asyncio.to_thread(shutil.rmtree, spool / "monitor")
        await asyncio.to_thread(shutil.rmtree, spool / "deep")
        paths[2].unlink()
    await inside.kill()


async def is_made_inside(place: Path, run_as: str | None) -> None:
    """A session that gives a content path's name to a directory, or to another name of a file, of its own ends."""
    paths = (place / "open" / "monitor", place / "open" / "chat.db")
    scripts = ("mkdir mine && mv mine monitor; sleep 1000", "echo > mine; ln mine chat.db; sleep 1000")
    spec = SandboxSpec(run_as=run_as, content=paths)
    late = LateMasks(spec)
    for script, made in zip(scripts, paths, strict=True):
        inside = await late.start(lambda: Sandbox.start(spec))
        asyncio.ensure_future(attempt(inside, f"cd {place}/open && {script}", {})).add_done_callback(
            lambda task: task.exception()
        )
        await asyncio.wait_for(inside.wait_ended(), SECONDS)
        await host("rm", "-rf", made, place / "open" / "mine")


async def leads_elsewhere(place: Path, run_as: str | None) -> None:
    """What a link leads to is hidden when it appears there, and so is what a link is turned to, and what is mounted."""
    spool, releases = place / "spool", place / "releases"
    (releases / "1").mkdir(parents=True)
    (spool / "current").symlink_to(releases / "1")
    (spool / "disk").mkdir()
    spec = SandboxSpec(run_as=run_as, content=(spool / "current" / "calls", spool / "disk" / "calls"))
    late = LateMasks(spec)
    inside = await late.start(lambda: Sandbox.start(spec))
    (releases / "2" / "calls").mkdir(parents=True)
    (spool / "next").symlink_to(releases / "2")
    (spool / "next").rename(spool / "current")
    await masked(inside, releases / "2" / "calls")
    await host("mount", "-t", "tmpfs", "tmpfs", spool / "disk")
    (spool / "disk" / "calls").mkdir()
    (spool / "disk" / "calls" / "call.wav").write_text("content\n")
    await masked(inside, spool / "disk" / "calls")
    assert "content" not in await attempt(inside, f"cat {spool}/disk/calls/*", {})
    await host("mount", "--bind", spool / "disk", place / "alias")
    await masked(inside, place / "alias" / "calls")
    assert "content" not in await attempt(inside, f"cat {place}/alias/calls/*", {})
    assert inside.is_alive
    await inside.kill()
    for mounted in (place / "alias", spool / "disk"):
        await host("umount", mounted)


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
    await is_made_inside(place, run_as)
    if os.geteuid() == 0:
        await door_opens(run_as)
    if os.geteuid() == 0 and run_as is not None:
        await leads_elsewhere(place, run_as)


if __name__ == "__main__":
    folder, *account = sys.argv[1:]
    asyncio.run(main(Path(folder), account[0] if account else None))
