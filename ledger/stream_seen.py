"""What the log has of the broker's stream: which sequence numbers were decided, in the transaction that decided them.

A number is no identity of a fact; it only says where the stream goes on. The broker is told that a message is
decided after the commit. So where it has been told of more than stands here, this database is older than it was; up to
where it had been told is noted, for what is delivered again up to there was decided once already.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from ledger.errors import SetupError
from ledger.schema import stream_seen

Span = tuple[int, int]
SPANS_LIMIT = 1_000
_RESET = "UPDATE stream_seen SET stream = '', through = 0, beyond = '', and all of the stream is delivered again"
_MARK_NEXT = """
UPDATE {schema}stream_seen SET through = {value}
WHERE stream = {value} AND through >= {value} AND through <= {value} AND beyond = ''
"""


@dataclass(frozen=True, slots=True)
class Delivered:
    """Messages of one stream, by their sequence numbers; `stream` is when that stream was made.

    `entries` says how many entries each holds, one each where it is empty.
    """

    stream: str
    sequences: tuple[int, ...]
    entries: tuple[int, ...] = ()

    def sequence_of(self, place: int) -> int:
        """The number of the message that holds the entry at this place."""
        if not self.entries:
            return self.sequences[place]
        return self.sequences[bisect_right(list(accumulate(self.entries)), place)]

    def only(self, place: int) -> Delivered:
        """The message that holds this entry, as if it held nothing else."""
        return Delivered(self.stream, (self.sequence_of(place),))


@dataclass(frozen=True, slots=True)
class Seen:
    """Of this stream everything up to `through` is decided, and what stands in `beyond`, spans in rising order.

    Several services take messages from one stream, so what comes later can be decided first. Whatever is not decided
    here up to `acknowledged` was so before, in a database that had more; that is no part of what this one has.
    """

    stream: str
    through: int
    beyond: tuple[Span, ...] = ()
    acknowledged: int = field(default=0, compare=False)

    @property
    def last(self) -> int:
        """The highest number that is decided."""
        return self.beyond[-1][1] if self.beyond else self.through

    def count_open(self, through: int) -> int:
        """How many numbers from the first open one up to and with this one are not decided."""
        decided = sum(max(0, min(last, through) - first + 1) for first, last in self.beyond)
        return max(0, through - self.through - decided)

    def with_spans(self, spans: Iterable[Span]) -> Seen:
        """The same with these decided too; far too many gaps are forgotten, so that what is there comes again."""
        through = self.through
        merged: list[Span] = []
        for first, last in sorted((*self.beyond, *spans)):
            if first <= through + 1:
                through = max(through, last)
            elif merged and first <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(merged[-1][1], last))
            else:
                merged.append((first, last))
        return Seen(self.stream, through, tuple(merged[:SPANS_LIMIT]), self.acknowledged)

    def cut(self, last: int) -> Seen:
        """The same without what is above this number."""
        kept = tuple((first, min(end, last)) for first, end in self.beyond if first <= last)
        return Seen(self.stream, min(self.through, last), kept, min(self.acknowledged, last))


def read_seen(session: Session) -> Seen:
    """What the log has of the stream.

    Raises: SetupError where the row is gone.
    """
    table = stream_seen.c
    row = session.execute(select(table.stream, table.through, table.beyond, table.acknowledged)).one_or_none()
    if row is None:
        raise SetupError("ledger.stream_seen has lost its row: INSERT INTO stream_seen VALUES (1, '', 0, '', 0)")
    return Seen(row.stream, row.through, _spans_of(row.beyond), row.acknowledged)


def replace_seen(session: Session, before: Seen, after: Seen) -> bool:
    """Write `after` where `before` still stands, and whether it did."""
    table = stream_seen.c
    found = session.execute(
        update(stream_seen)
        .where(table.stream == before.stream, table.through == before.through, table.beyond == _text_of(before.beyond))
        .where(table.acknowledged == before.acknowledged)
        .values(
            stream=after.stream,
            through=after.through,
            beyond=_text_of(after.beyond),
            acknowledged=after.acknowledged,
        )
    )
    return bool(found.rowcount)  # type: ignore[attr-defined]  # a cursor's result, for an update


def mark(session: Session, delivered: Delivered) -> None:
    """Note that these messages are decided, in a transaction that holds the head; another stream's change nothing."""
    spans = _spans(delivered.sequences)
    if not spans:
        return
    if len(spans) == 1 and _mark_next(session, delivered.stream, *spans[0]):
        return
    before = read_seen(session)
    after = before.with_spans(spans)
    if before.stream == delivered.stream and after != before:
        replace_seen(session, before, after)


def was_decided(session: Session, delivered: Delivered, place: int) -> bool:
    """Whether the entry at this place had been decided before, in a database that had more than this one."""
    seen = read_seen(session)
    return seen.stream == delivered.stream and delivered.sequence_of(place) <= seen.acknowledged


def _mark_next(session: Session, stream: str, first: int, last: int) -> bool:
    """Mark what follows on what is decided already: nearly always so, and one statement, in each append."""
    connection = session.connection()
    on_sqlite = connection.dialect.name == "sqlite"
    statement = _MARK_NEXT.format(schema="" if on_sqlite else "ledger.", value="?" if on_sqlite else "%s")
    return connection.exec_driver_sql(statement, (last, stream, first - 1, last)).rowcount == 1


def _spans(sequences: Sequence[int]) -> list[Span]:
    spans: list[Span] = []
    for number in sorted(sequences):
        if spans and number <= spans[-1][1] + 1:
            spans[-1] = (spans[-1][0], number)
        else:
            spans.append((number, number))
    return spans


def _spans_of(text: str) -> tuple[Span, ...]:
    pairs = (part.partition("-") for part in text.split(",") if part)
    try:
        return tuple((int(first), int(last)) for first, _, last in pairs)
    except ValueError as error:
        raise SetupError(f"ledger.stream_seen was written by somebody else: {_RESET}") from error


def _text_of(spans: Sequence[Span]) -> str:
    return ",".join(f"{first}-{last}" for first, last in spans)
