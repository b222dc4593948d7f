"""Tables of prices as data vendors give them, read into rows for messages."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from ledger.errors import Refused
from ledger.fields import BARS_IN_A_MESSAGE, EXPECTED, INTERVAL_PATTERN, format_time, interval_length
from ledger.inputs import amount_text

BATCH_BYTES = 240 * 1024
PRICES = ("open", "high", "low", "close")
_STARTS = ("start", "datetime", "timestamp", "date", "time", "index")
_MILLISECONDS_FROM = 10**11
_INTERVAL = re.compile(INTERVAL_PATTERN[:-1] + r"\Z")


@dataclass(frozen=True, slots=True)
class Row:
    """One bar: when it starts, and its open, high, low, close and volume as decimal text."""

    start: datetime
    numbers: tuple[str, ...]

    def fields(self) -> list[str]:
        """The bar as a message carries it."""
        return [format_time(self.start), *self.numbers]


def check_interval(interval: str) -> None:
    """Look at the interval before the rows, whose reading depends on it.

    Raises: Refused where it is not well-formed.
    """
    if not _INTERVAL.match(interval):
        raise Refused("interval", f"is {interval!r}; it must be {EXPECTED[INTERVAL_PATTERN]}")


def read_rows(rows: Any, interval: str) -> tuple[tuple[Row, ...], int]:
    """The bars of a table in rising order, and how many of its rows were left out.

    Raises: Refused where a row cannot be read.
    """
    found: dict[datetime, Row] = {}
    count = 0
    for record in _records(rows):
        count += 1
        start, *numbers = _columns(record, number=count)
        if any(_is_missing(value) for value in (start, *numbers)):
            continue
        moment = _start(start, interval, number=count)
        found[moment] = Row(moment, tuple(amount_text(value, f"row {count}") for value in numbers))
    return tuple(found[moment] for moment in sorted(found)), count - len(found)


def batches(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """The rows in the portions that one message can carry."""
    batch: list[Row] = []
    size = 0
    for row in rows:
        length = len(json.dumps(row.fields()))
        if batch and (len(batch) == BARS_IN_A_MESSAGE or size + length > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += length
    if batch:
        yield batch


def bar_end(start: datetime, interval: str) -> datetime:
    """When a bar of this interval ends; a month ends with its last day."""
    length = interval_length(interval)
    if length is not None:
        return start + length
    months = start.year * 12 + start.month - 1 + int(interval.removesuffix("mo"))
    return start.replace(year=months // 12, month=months % 12 + 1, day=1)


def _records(rows: Any) -> Iterable[Any]:
    """The rows of a DataFrame, its index being the start where there is no such column; other rows as they are."""
    if hasattr(rows, "reset_index"):
        rows = rows.reset_index()
    found: Iterable[Any] = rows.to_dict("records") if hasattr(rows, "to_dict") else rows
    return found


def _columns(record: Any, *, number: int) -> tuple[Any, ...]:
    if not isinstance(record, Mapping):
        if len(record) != 2 + len(PRICES):
            raise Refused(f"row {number}", f"has {len(record)} values; it must have start, {', '.join(PRICES)}, volume")
        return tuple(record)
    named = {_name(key): value for key, value in record.items()}
    start = next((name for name in _STARTS if name in named), None)
    missing = [name for name in PRICES if name not in named]
    if start is None or missing:
        raise Refused(f"row {number}", f"has no {', '.join(missing) or 'start'}; it has {', '.join(named)}")
    return (named[start], *(named[name] for name in PRICES), named.get("volume", 0))


def _name(key: object) -> str:
    """A column's name in small letters; of several levels the first."""
    return str(key[0] if isinstance(key, tuple) else key).strip().lower()


def _is_missing(value: Any) -> bool:
    """Whether a cell is empty: None, or one of the many things that do not equal themselves."""
    return value is None or bool(value != value)


def _start(value: Any, interval: str, *, number: int) -> datetime:
    """The moment at which a bar starts; of a day or longer, 00:00Z of its local date."""
    place = f"row {number}"
    moment = _moment(value, place)
    if interval.endswith(("d", "wk", "mo")):
        return datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise Refused(place, f"starts at {value}, without an offset: say which zone, such as tzinfo=UTC")
    return moment.astimezone(UTC)


def _moment(value: Any, place: str) -> date:
    """What a cell says about time; a whole number counts seconds, or milliseconds, since 1970."""
    if isinstance(value, date):
        return value
    try:
        if isinstance(value, str):
            return datetime.fromisoformat(value)
        seconds = int(value) / 1000 if int(value) >= _MILLISECONDS_FROM else int(value)
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    except (ValueError, TypeError, OverflowError) as error:
        raise Refused(place, f"starts at {str(value)[:60]!r}, which is no date or time") from error
