"""What late masks do when the kernel stops telling of what appears."""

from pathlib import Path
from typing import Any, cast

import pytest

from endpoint_parts import FakeSandbox
from latchstring.endpoint.sandbox import late_masks
from latchstring.endpoint.sandbox.errors import SandboxUnavailableError
from latchstring.endpoint.sandbox.late_masks import LateMasks
from latchstring.endpoint.sandbox.sandbox import Sandbox
from latchstring.endpoint.sandbox.spec import SandboxSpec


def sandbox() -> Sandbox:
    """A sandbox that only counts."""
    return cast("Sandbox", FakeSandbox())


async def test_when_nothing_tells_any_more_every_session_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure to look ends what runs and what starts; the next start watches anew, or is refused."""
    late = LateMasks(SandboxSpec(content=(Path("/nowhere/calls"),)))

    async def start() -> Sandbox:
        return sandbox()

    running = await late.start(start)

    def fail(*_: Any) -> None:
        raise OSError(24, "Too many open files")

    async def start_and_fail() -> Sandbox:
        monkeypatch.setattr(late_masks, "current_mounts", fail)
        late._look()
        return sandbox()

    with pytest.raises(SandboxUnavailableError):
        await late.start(start_and_fail)
    assert not running.is_alive
    monkeypatch.setattr(late_masks, "Appearances", fail)
    with pytest.raises(SandboxUnavailableError):
        await late.start(start)
