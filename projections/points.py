"""Pure: as of when, and known at when: the two times of law 9."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from ledger.fields import parse_time
from projections.days import LAST_MOMENT

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Moment:
    """A time that somebody asks for: the facts before one moment, and the bars that have ended by another.

    The two differ for a date D: it means the facts before D+1 00:00Z, and the bars that end by then.
    """

    text: str
    facts_before: datetime
    bars_by: datetime


def read_moment(text: str) -> Moment:
    """The moment that a text names: RFC 3339 with an offset, or a date.

    Raises: ValueError where it is neither.
    """
    if _DATE.match(text):
        try:
            day = datetime.combine(date.fromisoformat(text), datetime.min.time(), tzinfo=UTC)
        except ValueError as error:
            raise ValueError(f"{text} is no day of the calendar") from error
        end = LAST_MOMENT if LAST_MOMENT - day < timedelta(days=1) else day + timedelta(days=1)
        return Moment(text, end, end)
    at = parse_time(text)
    return Moment(text, LAST_MOMENT if at == LAST_MOMENT else at + _TICK, at)
