"""What an agent that died has left is found by its label, ended, and proven to be gone."""

import asyncio
import os
from pathlib import Path

from latchstring.endpoint.sandbox.remains import end_remains, label_of
from latchstring.endpoint.sandbox.sandbox import Sandbox
from latchstring.endpoint.sandbox.spec import SandboxSpec


async def test_only_sandboxes_of_the_same_directory_end(tmp_path: Path) -> None:
    """A sandbox with the directory's label is ended, with all in it; one of another directory lives on."""
    ours, others = (label_of(tmp_path / name) for name in ("ours", "others"))
    mine, other = [await Sandbox.start(SandboxSpec(label=label)) for label in (ours, others)]
    nothing = os.open(os.devnull, os.O_RDWR)
    await mine.spawn(["sleep", "1000"], program="/bin/sleep", environment={}, descriptors=(nothing, nothing, nothing))
    assert len(mine.processes()) == 2
    remains = await asyncio.to_thread(end_remains, ours)
    assert remains.processes_left == 0
    assert mine.processes() == []
    assert other.is_alive
    assert (await asyncio.to_thread(end_remains, ours)).processes_left == 0
    await other.kill()
    await mine.kill()
    os.close(nothing)
