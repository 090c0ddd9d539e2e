"""How the switch is kept on disk, so that ``off`` needs no room on it.

``access.json`` holds ``on`` or ``ask``. That there is no such file means ``off``, and so does one that cannot be read:
a full disk, a damaged file, a newer version can only close the door. ``access.return.json`` exists only beside an
``off`` that was given a time, and says what comes after it.

A time is kept as a point of the monotonic clock of one boot. In another boot of the machine it counts as over for
``on`` and ``ask``, and as never over for ``off``: whoever is in doubt stays on the narrower side.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeVar

from pydantic import ValidationError

from latchstring.certs.keyfiles import KeyFileError, read_private, replace_private, sync_directory
from latchstring.protocol.access import AccessMode
from latchstring.protocol.grants import Frozen
from latchstring.protocol.times import Timestamp

_Contents = TypeVar("_Contents", bound=Frozen)

NARROWNESS: Final = {AccessMode.OFF: 0, AccessMode.ASK: 1, AccessMode.ON: 2}


class Until(Frozen):
    """When a mode ends: seconds on the monotonic clock of the boot ``boot_id``. ``wall`` is for people only."""

    boot_id: str
    seconds: float
    wall: Timestamp


class OpenAccess(Frozen):
    """The contents of ``access.json``. ``initial`` means that nobody has touched the switch since the enrolment."""

    version: Literal[1] = 1
    mode: Literal[AccessMode.ON, AccessMode.ASK]
    until: Until | None = None
    fallback: Literal[AccessMode.OFF, AccessMode.ASK] = AccessMode.ASK
    initial: bool = False


class Return(Frozen):
    """The contents of ``access.return.json``: what follows a timed ``off``."""

    version: Literal[1] = 1
    mode: Literal[AccessMode.ON, AccessMode.ASK]
    until: Until


@dataclass(frozen=True, slots=True)
class Setting:
    """Where the switch stands. ``seconds_left`` and ``following`` say that and how it moves by itself."""

    mode: AccessMode
    seconds_left: float | None = None
    following: AccessMode | None = None
    until: str | None = None
    initial: bool = False


class AccessFile:
    """The switch's two files.

    Args:
        path: of ``access.json``.
        return_path: of ``access.return.json``.
        boot_id: of the boot that this process runs in; empty if it is not known, which ends every time.
    """

    def __init__(self, path: Path, return_path: Path, *, boot_id: str) -> None:
        self._path = path
        self._return_path = return_path
        self._boot_id = boot_id

    def read(self, monotonic: float) -> Setting:
        """Return where the switch stands at ``monotonic``. Never raises: what cannot be read is ``off``."""
        if not os.path.lexists(self._path):
            return self._read_off(monotonic)
        access = _read(self._path, OpenAccess)
        if access is None:
            return Setting(AccessMode.OFF)
        if access.until is None:
            return Setting(access.mode, initial=access.initial)
        left = self._left(access.until, monotonic)
        if left is None or left <= 0:
            return Setting(access.fallback)
        return Setting(access.mode, left, access.fallback, access.until.wall)

    def write_off(self) -> None:
        """Turn off. Nothing is written, only removed.

        Raises:
            OSError: the file could not be removed, or its removal may not survive a loss of power.
        """
        # The return goes first: in between, an `off` must not be left with a way back that nobody asked for.
        for path in (self._return_path, self._path):
            path.unlink(missing_ok=True)
        sync_directory(self._path.parent)

    def write_return(self, mode: AccessMode, *, monotonic: float, wall: str) -> None:
        """Let the ``off`` that was just written end at ``monotonic`` in ``mode``.

        Raises:
            OSError: it could not be written; the ``off`` has no end.
        """
        until = Until(boot_id=self._boot_id, seconds=monotonic, wall=wall)
        replace_private(self._return_path, Return(mode=mode, until=until).model_dump_json().encode())

    def write_open(
        self,
        mode: AccessMode,
        *,
        monotonic: float | None = None,
        wall: str | None = None,
        fallback: AccessMode = AccessMode.ASK,
        initial: bool = False,
    ) -> None:
        """Set ``on`` or ``ask``, with an end if ``monotonic`` and ``wall`` say when.

        Raises:
            OSError: it could not be written; the switch is where it was.
        """
        until = None
        if monotonic is not None and wall is not None:
            until = Until(boot_id=self._boot_id, seconds=monotonic, wall=wall)
        access = OpenAccess.model_validate({"mode": mode, "until": until, "fallback": fallback, "initial": initial})
        replace_private(self._path, access.model_dump_json().encode())
        self._return_path.unlink(missing_ok=True)

    def _read_off(self, monotonic: float) -> Setting:
        following = _read(self._return_path, Return)
        left = None if following is None else self._left(following.until, monotonic)
        if following is None or left is None:
            return Setting(AccessMode.OFF)
        if left <= 0:
            return Setting(following.mode)
        return Setting(AccessMode.OFF, left, following.mode, following.until.wall)

    def _left(self, until: Until, monotonic: float) -> float | None:
        if not self._boot_id or until.boot_id != self._boot_id:
            return None
        return until.seconds - monotonic


def _read(path: Path, model: type[_Contents]) -> _Contents | None:
    try:
        return model.model_validate_json(read_private(path))
    except (KeyFileError, ValidationError):
        return None
