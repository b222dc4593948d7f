"""Pure: days as numbers (`date.toordinal`), and the moments at which they begin and are valued."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

DAY = timedelta(days=1)
LAST_MOMENT = datetime.max.replace(tzinfo=UTC)
_TICK = timedelta(microseconds=1)
_DAYS_KEPT = 16_384


def ending_day(end: datetime) -> int:
    """The day in which a bar ends: the end belongs to the day before it where it is midnight."""
    return (end - _TICK).toordinal()


def bar_end(start: datetime, length: timedelta) -> datetime:
    """The moment at which a bar ends, at most the last one that there is."""
    return LAST_MOMENT if LAST_MOMENT - start < length else start + length


@lru_cache(maxsize=_DAYS_KEPT)
def end_of(day: int) -> datetime:
    """The moment at which a day is valued: 00:00Z of the next one (on the last day of year 9999 its last moment)."""
    if day >= LAST_MOMENT.toordinal():
        return LAST_MOMENT
    return datetime.fromordinal(day + 1).replace(tzinfo=UTC)


@lru_cache(maxsize=_DAYS_KEPT)
def start_of(day: int) -> datetime:
    """00:00Z of a day."""
    return datetime.fromordinal(day).replace(tzinfo=UTC)
