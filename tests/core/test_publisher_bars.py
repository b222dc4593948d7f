"""Tables of prices as vendors give them, read into bars."""

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from ledger.bars import Row, bar_end, batches, check_interval, read_rows
from ledger.errors import Refused

NEW_YORK = timezone(timedelta(hours=-5))
TOKYO = timezone(timedelta(hours=9))
NAN = float("nan")


class Frame:
    """What matters of a pandas DataFrame: an index that `reset_index` makes a column."""

    def __init__(self, index: str, records: Sequence[dict[Any, Any]]) -> None:
        self._index = index
        self._records = records

    def reset_index(self) -> "Frame":
        return Frame("", [{self._index: record["__index"]} | _without_index(record) for record in self._records])

    def to_dict(self, orient: str) -> list[dict[Any, Any]]:
        assert orient == "records"
        return list(self._records)


def _without_index(record: dict[Any, Any]) -> dict[Any, Any]:
    return {name: value for name, value in record.items() if name != "__index"}


def test_tuples_are_read_in_the_order_of_the_message() -> None:
    rows, left_out = read_rows([("2026-01-05", 1, "2.50", 0.5, 1.5, 100)], "1d")
    assert rows == (Row(datetime(2026, 1, 5, tzinfo=UTC), ("1", "2.50", "0.5", "1.5", "100")),)
    assert rows[0].fields() == ["2026-01-05T00:00:00Z", "1", "2.50", "0.5", "1.5", "100"]
    assert left_out == 0


@pytest.mark.parametrize("start", ["Date", "Datetime", "timestamp", "START", "time"])
def test_mappings_are_read_by_names_in_any_case(start: str) -> None:
    record = {start: "2026-01-05", "OPEN": 1, "High": 2, "low": 1, "Close": 2, "Adj Close": 9, "Volume": 7}
    rows, _ = read_rows([record], "1d")
    assert rows[0].numbers == ("1", "2", "1", "2", "7")


def test_the_index_of_a_frame_is_the_start_and_the_first_level_of_a_column_its_name() -> None:
    record = {("Open", "Q"): 1, ("High", "Q"): 2, ("Low", "Q"): 1, ("Close", "Q"): 2, ("Volume", "Q"): 7}
    rows, _ = read_rows(Frame("Date", [record | {"__index": datetime(2026, 1, 5, tzinfo=NEW_YORK)}]), "1d")
    assert rows[0] == Row(datetime(2026, 1, 5, tzinfo=UTC), ("1", "2", "1", "2", "7"))


@pytest.mark.parametrize(
    "start",
    [
        date(2026, 1, 5),
        datetime(2026, 1, 5, 16, 0),  # noqa: DTZ001 - vendors give such days
        datetime(2026, 1, 5, tzinfo=NEW_YORK),
        datetime(2026, 1, 5, tzinfo=TOKYO),
        "2026-01-05T00:00:00+09:00",
        1_767_571_200,
        1_767_571_200_000,
    ],
)
def test_a_day_starts_at_midnight_utc_of_its_local_date(start: object) -> None:
    rows, _ = read_rows([(start, 1, 1, 1, 1, 1)], "1d")
    assert rows[0].start == datetime(2026, 1, 5, tzinfo=UTC)


def test_a_minute_keeps_its_moment_and_needs_an_offset() -> None:
    rows, _ = read_rows([(datetime(2026, 1, 5, 9, 30, tzinfo=NEW_YORK), 1, 1, 1, 1, 1)], "1m")
    assert rows[0].start == datetime(2026, 1, 5, 14, 30, tzinfo=UTC)
    with pytest.raises(Refused, match=r"row 1: .*without an offset"):
        read_rows([("2026-01-05T09:30:00", 1, 1, 1, 1, 1)], "1m")


def test_rows_with_a_missing_number_are_left_out_and_counted() -> None:
    table = [("2026-01-05", 1, 1, 1, 1, 1), ("2026-01-06", NAN, 1, 1, 1, 1), ("2026-01-07", 1, 1, 1, None, 1)]
    rows, left_out = read_rows(table, "1d")
    assert (len(rows), left_out) == (1, 2)


def test_rows_are_put_in_order_and_of_one_start_the_last_stands() -> None:
    table = [("2026-01-06", 3, 3, 3, 3, 1), ("2026-01-05", 1, 1, 1, 1, 1), ("2026-01-06", 4, 4, 4, 4, 1)]
    rows, left_out = read_rows(table, "1d")
    assert [row.numbers[0] for row in rows] == ["1", "4"]
    assert left_out == 1


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (("2026-01-05", 1, 1, 1), "row 1: has 4 values"),
        ({"date": "2026-01-05", "open": 1}, "row 1: has no high, low, close"),
        ({"open": 1, "high": 1, "low": 1, "close": 1}, "row 1: has no start"),
        (("yesterday", 1, 1, 1, 1, 1), "no date or time"),
        (("2026-01-05", 1, 1, 1, float("inf"), 1), "row 1: is Infinity"),
    ],
)
def test_a_row_that_cannot_be_read_is_refused_by_its_number(row: object, problem: str) -> None:
    with pytest.raises(Refused, match=problem):
        read_rows([row], "1d")


def test_batches_are_bounded_in_number_and_in_bytes() -> None:
    start = datetime(2020, 1, 1, tzinfo=UTC)
    short = [Row(start + timedelta(days=day), ("1", "1", "1", "1", "1")) for day in range(2_500)]
    assert [len(batch) for batch in batches(short)] == [1_000, 1_000, 500]
    long = "1234567890.123456789012345678901234567890"
    wide = [Row(start + timedelta(days=day), (long,) * 5) for day in range(2_000)]
    assert [row for batch in batches(wide) for row in batch] == wide
    assert all(len(json.dumps([row.fields() for row in batch])) < 256 * 1024 for batch in batches(wide))


@pytest.mark.parametrize(
    ("interval", "end"),
    [
        ("5m", datetime(2026, 11, 1, 0, 5, tzinfo=UTC)),
        ("1d", datetime(2026, 11, 2, tzinfo=UTC)),
        ("1wk", datetime(2026, 11, 8, tzinfo=UTC)),
        ("1mo", datetime(2026, 12, 1, tzinfo=UTC)),
        ("3mo", datetime(2027, 2, 1, tzinfo=UTC)),
    ],
)
def test_a_bar_ends_one_interval_after_its_start(interval: str, end: datetime) -> None:
    assert bar_end(datetime(2026, 11, 1, tzinfo=UTC), interval) == end


def test_an_interval_that_is_none_is_refused() -> None:
    with pytest.raises(Refused, match="interval"):
        check_interval("1D")
