"""The customer's switch: ``off``, ``ask`` or ``on``, durably, with or without an end.

When a time is over, ``on`` and ``ask`` fall back to ``off`` if that is where the switch stood before, else to ``ask``;
``off`` goes back to where the switch stood before, since the customer said so when turning it off.

The file is looked at for every question, so whoever removes ``access.json`` by hand has turned access off.
"""

from datetime import timedelta

from latchstring.endpoint.access_file import NARROWNESS, AccessFile, Setting
from latchstring.endpoint.clock import Clock
from latchstring.endpoint.data_directory import DataDirectory
from latchstring.protocol.access import AccessMode
from latchstring.protocol.times import format_time


class Switch:
    """The switch of one data directory.

    Within one process ``off`` holds from the moment that :meth:`close` is called, whatever the disk says; only
    :meth:`move` opens it again.
    """

    def __init__(self, directory: DataDirectory, clock: Clock, *, boot_id: str) -> None:
        self._file = AccessFile(directory.access, directory.access_return, boot_id=boot_id)
        self._clock = clock
        self._closed = False

    @property
    def setting(self) -> Setting:
        """Where the switch stands now, and how it will move by itself."""
        setting = self._file.read(self._clock.monotonic())
        if self._closed and setting.mode is not AccessMode.OFF:
            return Setting(AccessMode.OFF)
        return setting

    @property
    def mode(self) -> AccessMode:
        """Where the switch stands now."""
        return self.setting.mode

    def close(self) -> None:
        """Be off from now on, in this process. Touches no file, so it cannot fail."""
        self._closed = True

    def move(self, mode: AccessMode, *, seconds: int | None = None, then: AccessMode | None = None) -> Setting:
        """Set the switch durably, for ``seconds`` or for good, and return where it stands.

        ``then`` is what follows ``on`` and ``ask`` after that time, if not what follows by itself.

        Raises:
            OSError: the file system refused. To ``off``: this process is off, and :attr:`setting` says so; a timed
                ``off`` whose time could not be written stays off. Otherwise the switch stands where it was.
        """
        before = self.setting
        if mode is AccessMode.OFF:
            self._turn_off(before, seconds)
        else:
            self._open(mode, before, seconds, then)
        return self.setting

    def settle(self) -> Setting:
        """Write down what a time that has run out made of the switch, so that it outlives this boot.

        Raises:
            OSError: the file system refused; :attr:`setting` is right nevertheless, for as long as this boot lasts.
        """
        setting = self.setting
        if setting.seconds_left is None:
            if setting.mode is AccessMode.OFF:
                self._file.write_off()
            else:
                self._file.write_open(setting.mode, initial=setting.initial)
        return setting

    def _turn_off(self, before: Setting, seconds: int | None) -> None:
        self.close()
        self._file.write_off()
        self._closed = False
        back = before.mode if before.mode is not AccessMode.OFF else before.following
        if seconds is not None and back is not None:
            self._file.write_return(back, monotonic=self._clock.monotonic() + seconds, wall=self._wall(seconds))

    def _open(self, mode: AccessMode, before: Setting, seconds: int | None, then: AccessMode | None) -> None:
        if seconds is None:
            self._file.write_open(mode)
        else:
            self._file.write_open(
                mode,
                monotonic=self._clock.monotonic() + seconds,
                wall=self._wall(seconds),
                fallback=_fallback(before) if then is None else narrower(then, _fallback(before)),
            )
        self._closed = False

    def _wall(self, seconds: int) -> str:
        return format_time(self._clock.now() + timedelta(seconds=seconds))


def narrower(first: AccessMode, second: AccessMode) -> AccessMode:
    """Return the mode that lets in less."""
    return min(first, second, key=NARROWNESS.__getitem__)


def _fallback(before: Setting) -> AccessMode:
    standing = before.mode if before.following is None else narrower(before.mode, before.following)
    return AccessMode.OFF if standing is AccessMode.OFF else AccessMode.ASK
