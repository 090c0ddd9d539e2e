"""When sessions may be opened: recurring windows in a time zone, and windows that come once. Pure.

A recurring window is written in local time and lasts from one wall-clock time to another, so on a day on which the
clocks change it is an hour longer or shorter than on others. A time that the clocks skip is as far after midnight as
it says; of one that they pass twice, the first counts (PEP 495, ``fold=0``). A window whose end is not after its start
ends on the next day; ``days`` says on which days it starts.
"""

import re
import zoneinfo
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, model_validator

from latchstring.protocol.grants import Frozen

MAX_WINDOWS: Final = 64
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
FAR_AHEAD: Final = timedelta(days=8)
"""A recurring window comes back within a week; a day more, for the difference between clocks and days."""

_CLOCK_TIME: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00")
_ONE_DAY: Final = timedelta(days=1)

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Span = tuple[datetime, datetime]


def _minutes(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("write the time of day in quotes, like '08:00'")  # noqa: TRY004 - pydantic's own protocol
    if not _CLOCK_TIME.fullmatch(value):
        raise ValueError(f"{value[:20]!r} is not a time of day; write it like 08:00")
    hours, _, minutes = value.partition(":")
    return int(hours) * 60 + int(minutes)


def _zone_name(name: str) -> str:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(
            f"{name[:60]!r} is not a time zone here; write it like Europe/Berlin (the package tzdata has them)"
        ) from error
    return name


ClockTime = Annotated[int, BeforeValidator(_minutes)]
"""A time of day in minutes after midnight, 0 to 1440; ``"08:00"`` in the file."""
ZoneName = Annotated[str, AfterValidator(_zone_name)]
"""The name of a time zone that this machine knows."""


class RecurringWindow(Frozen):
    """A window that comes back on some days of each week."""

    days: Annotated[tuple[Day, ...], Field(min_length=1)] = DAYS
    start: Annotated[ClockTime, Field(alias="from")]
    end: Annotated[ClockTime, Field(alias="to")]

    @model_validator(mode="after")
    def _lasts(self) -> Self:
        if self.start == self.end:
            raise ValueError("from and to are the same; for a whole day write from = '00:00' and to = '24:00'")
        return self

    def spans(self, zone: zoneinfo.ZoneInfo, first: date, last: date) -> Iterator[Span]:
        """Yield when it opens and closes, for each start from the day ``first`` to ``last``."""
        day = first
        while day <= last:
            if DAYS[day.weekday()] in self.days:
                closing = day if self.end > self.start else day + _ONE_DAY
                yield _moment(day, self.start, zone), _moment(closing, self.end, zone)
            day += _ONE_DAY


_FIRST_YEAR: Final = 2000
_LAST_YEAR: Final = 2999
"""Far from where a date leaves the calendar in another time zone."""


class SingleWindow(Frozen):
    """A window that comes once. In the file: offset date-times, as TOML has them."""

    start: Annotated[AwareDatetime, Field(alias="from")]
    end: Annotated[AwareDatetime, Field(alias="to")]

    @model_validator(mode="after")
    def _lasts(self) -> Self:
        if self.end <= self.start:
            raise ValueError("to is not after from")
        if not _FIRST_YEAR <= self.start.year <= self.end.year <= _LAST_YEAR:
            raise ValueError(f"a window lies between the years {_FIRST_YEAR} and {_LAST_YEAR}")
        return self


Window = RecurringWindow | SingleWindow


def parse_window(value: object) -> object:
    """Return the window that a table of the file means; what is none is left for pydantic to refuse.

    Raises:
        pydantic.ValidationError: it is of one kind, but wrong.
    """
    if isinstance(value, dict):
        single = any(isinstance(value.get(key), datetime) for key in ("from", "to"))
        return (SingleWindow if single else RecurringWindow).model_validate(value)
    return value


def closing_time(windows: Sequence[Window], zone: zoneinfo.ZoneInfo, now: datetime) -> datetime | None:
    """Return when what is open now closes (at most :data:`FAR_AHEAD` from now); None if nothing is open.

    Windows that overlap or meet count as one.
    """
    moment = now
    while moment < now + FAR_AHEAD:
        latest = max((end for start, end in _spans(windows, zone, moment) if start <= moment < end), default=None)
        if latest is None:
            break
        moment = latest
    return None if moment == now else moment


def next_opening(windows: Sequence[Window], zone: zoneinfo.ZoneInfo, now: datetime) -> datetime | None:
    """Return when a window opens next, if none is open now; None if none ever does again."""
    return min((start for start, end in _spans(windows, zone, now) if start > now), default=None)


def describe_opening(moment: datetime, zone: zoneinfo.ZoneInfo, now: datetime) -> str:
    """Return when it opens as people there say it: ``Mon 08:00 Europe/Berlin``; beyond six days with the date."""
    local = moment.astimezone(zone)
    day = "" if moment - now < 6 * _ONE_DAY else f" {local:%Y-%m-%d}"
    return f"{DAYS[local.weekday()].title()}{day} {local:%H:%M} {zone.key}"


def _spans(windows: Sequence[Window], zone: zoneinfo.ZoneInfo, now: datetime) -> Iterator[Span]:
    """Yield all that is open around ``now`` or opens after it, in UTC; of recurring windows, those of a week."""
    today = now.astimezone(zone).date()
    for window in windows:
        if isinstance(window, SingleWindow):
            yield window.start.astimezone(UTC), window.end.astimezone(UTC)
        else:
            yield from window.spans(zone, today - 2 * _ONE_DAY, today + FAR_AHEAD)


def _moment(day: date, minutes: int, zone: zoneinfo.ZoneInfo) -> datetime:
    days, minutes = divmod(minutes, 24 * 60)
    local = datetime.combine(day + days * _ONE_DAY, time(*divmod(minutes, 60)), tzinfo=zone)
    return local.astimezone(UTC)
