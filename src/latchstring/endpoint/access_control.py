"""The switch in a running agent: what moving it does to requests and sessions, and what the journal says of it.

Off: cut everything first, then remove the file, then write the journal, then tell. Nothing of it waits for the disk or
for the controller. On and ask: the journal first, then the file; what cannot be logged is not opened.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final, Literal

from latchstring.endpoint import inotify
from latchstring.endpoint.access_file import Setting
from latchstring.endpoint.clock import Clock
from latchstring.endpoint.errors import EndpointError, RefusedError
from latchstring.endpoint.inotify import Inotify
from latchstring.endpoint.journal.journal import Journal
from latchstring.endpoint.lifecycle import Lifecycle
from latchstring.endpoint.policy.schema import Policy
from latchstring.endpoint.session import Ending
from latchstring.endpoint.switch import Switch
from latchstring.protocol.access import AccessMode
from latchstring.protocol.endings import Reason
from latchstring.protocol.endpoint_events import AccessChanged
from latchstring.protocol.times import format_time

LOOK_SECONDS: Final = 10.0
"""How often the clock is looked at while the switch has a time: the loop's stands still while the machine sleeps."""
_TOUCHES: Final = inotify.CREATED | inotify.DELETED | inotify.MOVED_FROM | inotify.MOVED_TO
_LOSSES: Final = inotify.SELF_DELETED | inotify.SELF_MOVED
_JOURNAL_SECONDS: Final = 1.0

By = Literal["customer_cli", "policy", "timer"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OffReport:
    """What turning access off did.

    Attributes:
        endings: of the sessions that were live.
        refused: how many requests waited.
        seconds: from the command to the last proof.
        fault: why it may not outlive this agent, or its time could not be kept; None if all is durable.
        journaled: whether the journal has it already; it will, otherwise.
    """

    endings: tuple[Ending, ...]
    refused: int
    seconds: float
    fault: str | None
    journaled: bool


class AccessControl:
    """Moves the switch of a running agent, and lets time move it."""

    def __init__(
        self,
        switch: Switch,
        lifecycle: Lifecycle,
        journal: Journal,
        clock: Clock,
        *,
        policy: Callable[[], Policy],
    ) -> None:
        self._switch = switch
        self._lifecycle = lifecycle
        self._journal = journal
        self._clock = clock
        self._policy = policy
        self._seen = switch.mode
        self._touched = asyncio.Event()
        self._times_off = 0

    @property
    def setting(self) -> Setting:
        """Where the switch stands."""
        return self._switch.setting

    async def begin(self, mode: AccessMode) -> None:
        """Set the switch to what the policy says for the first start, unless the customer has touched it already.

        Raises:
            JournalUnavailableError: it cannot be logged, so it was not done.
            EndpointError: it cannot be kept on the disk.
        """
        setting = self._switch.setting
        if not setting.initial or setting.mode is mode:
            return
        if mode is AccessMode.OFF:
            await self.turn_off(by="policy")
        else:
            await self.open(mode, by="policy")

    async def turn_off(self, *, by: By = "customer_cli", seconds: int | None = None) -> OffReport:
        """Turn access off, for ``seconds`` or for good. Never fails."""
        began = self._clock.monotonic()
        self._switch.close()
        endings = self._lifecycle.end_all(Reason.ACCESS_OFF)
        self._times_off += 1
        fault = self._write_off(seconds)
        self._seen = AccessMode.OFF
        refused = self._lifecycle.refuse_all(Reason.ACCESS_OFF)
        written = self._journal.record(AccessChanged(mode=AccessMode.OFF, by=by, until=self._switch.setting.until))
        _log.info("access is off")
        done = tuple(await asyncio.gather(*endings))
        seconds_taken = self._clock.monotonic() - began
        await asyncio.wait({written}, timeout=_JOURNAL_SECONDS)
        return OffReport(done, refused, seconds_taken, fault, journaled=written.done())

    async def open(self, mode: AccessMode, *, by: By = "customer_cli", seconds: int | None = None) -> Setting:
        """Set ``on`` or ``ask``, for ``seconds``, else as long as the policy says, else for good.

        Raises:
            JournalUnavailableError: it cannot be logged, so it was not done.
            RefusedError: somebody turned access off meanwhile, which wins.
            EndpointError: it cannot be kept on the disk.
        """
        times_off = self._times_off
        seconds, then = self._policy().time_for(mode, seconds)
        until = None if seconds is None else format_time(self._clock.now() + timedelta(seconds=seconds))
        await self._journal.append(AccessChanged(mode=mode, by=by, until=until))
        if self._times_off != times_off:
            raise RefusedError("access was turned off at the same time, and off wins; say it again if you mean it")
        try:
            setting = self._switch.move(mode, seconds=seconds, then=then)
        except OSError as error:
            self._journal.record(AccessChanged(mode=self._switch.mode, by=by))
            raise EndpointError(f"the switch cannot be kept on the disk: {error.strerror}; nothing changed") from error
        self._seen = setting.mode
        _log.info("access is %s", mode)
        return setting

    def look(self) -> None:
        """Have :meth:`run` look whether the switch has moved by itself."""
        self._touched.set()

    async def run(self, directory: Path) -> None:
        """Notice that a time has run out, or that somebody removed the file, until cancelled.

        Args:
            directory: where the file is.
        """
        watch = self._watch(directory)
        try:
            while True:
                self._touched.clear()
                setting = self._switch.setting
                if setting.mode is not self._seen:
                    await self._moved_by_itself(setting)
                    continue
                left = None if setting.seconds_left is None else min(max(setting.seconds_left, 0.0), LOOK_SECONDS)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_SECONDS if watch is None else left):
                        await self._touched.wait()
        finally:
            if watch is not None:
                watch.close()

    def _watch(self, directory: Path) -> Inotify | None:
        """Have the kernel tell when the file is touched, or lost with a directory; None if it does not."""
        watch = None
        try:
            watch = Inotify(self.look)
            watch.watch(directory, _TOUCHES | _LOSSES)
            for above in directory.parents:
                watch.watch(above, _LOSSES)
        except OSError as error:
            _log.info("nothing tells of the switch's file (%s), so it is looked at", error)
            if watch is not None:
                watch.close()
            return None
        return watch

    def _write_off(self, seconds: int | None) -> str | None:
        try:
            self._switch.move(AccessMode.OFF, seconds=seconds)
        except OSError as error:
            if self._switch.setting.mode is AccessMode.OFF and seconds is not None:
                return f"the time could not be kept ({error.strerror}): access stays off until you turn it on"
            return f"the disk refused ({error.strerror}): access is off until the agent restarts"
        return None

    async def _moved_by_itself(self, setting: Setting) -> None:
        if setting.mode is AccessMode.OFF:
            await self.turn_off(by="timer")
            return
        self._seen = setting.mode
        self._journal.record(AccessChanged(mode=setting.mode, by="timer"))
        _log.info("access is %s: its time was up", setting.mode)
        try:
            self._switch.settle()
        except OSError as error:
            _log.warning("the switch cannot be kept on the disk: %s", error.strerror)
