"""One bot folded: from its first fact or onwards from what is kept, into rows for the tables.

The way for following and for rebuilding is the same; only how much of it is written differs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Inexact

from ledger.amounts import exact, rounded
from ledger.events import AdjustmentMade, BotRegistered, CostBasis, FactVoided, Recorded, StatementIssued
from projections.book import Book, BookDay, Entries, copy_of, first_registration, is_later_day, with_actions
from projections.bookkeeping import apply, close_day
from projections.bot_rows import BotRows, leave_out_unchanged
from projections.days import start_of
from projections.executions import Run, run_row, take_runs
from projections.market import Market
from projections.rows import FlagRow, SnapshotRow
from projections.snapshots import FACTS_A_SNAPSHOT, read_snapshot, write_snapshot
from projections.standing import bot_row, holding_rows, standing_interests, with_closed
from projections.standing_rows import Written, change, change_lots, interest_rows
from projections.voids import Identity, identity, standing_facts, void_flags, voided
from projections.worth import Carry, Valued, value_book

EVERYTHING = 0
"""The day from which on all rows of a bot are told."""


@dataclass(slots=True)
class Kept:
    """A book between two steps, where its valuing can go on, and what was written of it last.

    `facts` counts what has been applied, `snapshot_at` what had been when the last snapshot was taken. What `amending`
    needs: all `days` of the book from `days_from` on; in `apart` the newest day of what is more than a trade or cash
    (see `note_apart`); how many late facts were `amended` since anything was folded again.
    """

    book: Book
    runs: dict[str, Run] = field(default_factory=dict)
    facts: int = 0
    snapshot_at: int = 0
    before_change: Carry = field(default_factory=Carry)
    before_newest: Carry = field(default_factory=Carry)
    written: Written = field(default_factory=Written)
    voided: set[Identity] = field(default_factory=set)
    void_flags: list[FlagRow] = field(default_factory=list)
    days: list[BookDay] = field(default_factory=list)
    days_from: int = EVERYTHING
    apart: dict[str, int] = field(default_factory=dict)
    amended: int = 0

    def forget_days(self) -> None:
        """Free the memory of the days; only `amending` needs them."""
        self.days, self.days_from = [], date.max.toordinal() + 1


def fold(
    bot: str,
    facts: Sequence[Recorded],
    market: Market,
    *,
    from_day: int = EVERYTHING,
    cost_basis: CostBasis | None = None,
    before: datetime | None = None,
) -> tuple[Kept | None, BotRows]:
    """Fold a bot from its first fact; the rows are those dated from `from_day` on.

    Shape: `facts` are all of the bot's own and all that operators say about it, in any order. `cost_basis` is
    one to be used instead of the registered one; with `before`
    only what is dated earlier counts (voids: always). Nothing is kept of a book that had to be rounded.
    """
    try:
        with exact():
            return _fold(bot, facts, market, from_day, cost_basis, before)
    except Inexact:
        with rounded():
            kept, rows = _fold(bot, facts, market, from_day, cost_basis, before)
        rows.snapshots.clear()
        detail = "a number needed more than 300 digits and was rounded"
        rows.book_flags.new.append(_flag_of(kept.book, "inexact", "", detail))
        return None, rows


def can_go_on(kept: Kept, facts: Sequence[Recorded], *, from_day: int, actions: bool) -> bool:
    """Whether nothing of this is earlier than what the kept book has seen.

    `facts` are new ones of the bot's own, `from_day` is the first day that the market changed, `actions` whether
    it did so by a split or dividend.
    """
    book = kept.book
    applied = book.applied
    if applied is None or is_retold(facts, kept.voided):
        return False
    if any(fact.order < applied for fact in facts):
        return False
    if book.registration is None and first_registration(facts) is not None:
        return False
    if actions and from_day <= applied[0].toordinal():
        return False
    return from_day > kept.before_change.day


def is_retold(facts: Sequence[Recorded], gone: Collection[Identity]) -> bool:
    """Whether new facts change what is told of any day: they register, or void, or are voided."""
    return any(isinstance(fact.event, BotRegistered | FactVoided) or identity(fact) in gone for fact in facts)


def go_on(kept: Kept, facts: Sequence[Recorded], market: Market, *, from_day: int) -> BotRows:
    """Carry a kept book forward; `from_day` is the first day of which anything is new.

    Raises: decimal.Inexact; the kept book is then spoilt, and the bot has to be folded from its first fact.
    """
    with exact():
        return _advance(kept, facts, facts, market, from_day=from_day, replaces=False)


def fold_from(
    kept: Kept,
    snapshot: SnapshotRow,
    facts: Sequence[Recorded],
    late: Sequence[Recorded],
    market: Market,
    *,
    from_day: int,
    actions: bool,
) -> BotRows:
    """Fold a kept book again from a snapshot that nothing new is dated before; `late` are the facts that are new.

    Shape: `facts` are all that are dated from the snapshot's day on, the late ones too; `actions` says whether splits
    or dividends are new as well. Rows as of `fold`.

    Raises: decimal.Inexact, as `go_on` does.
    """
    assert not is_retold(late, kept.voided)
    with exact():
        kept.book, carry = read_snapshot(kept.book.name, snapshot.book, kept.book.registration)
        kept.before_change = kept.before_newest = carry
        kept.facts = kept.snapshot_at = snapshot.facts
        kept.days_from, kept.amended = min(kept.days_from, carry.day + 1), 0
        kept.book.entries.flags.extend(kept.void_flags)
        rows = _advance(kept, facts, late, market, from_day=from_day, replaces=True)
    if not actions:
        leave_out_unchanged(rows, late, market)
    return rows


def _fold(
    bot: str,
    facts: Sequence[Recorded],
    market: Market,
    from_day: int,
    cost_basis: CostBasis | None,
    before: datetime | None,
) -> tuple[Kept, BotRows]:
    standing = standing_facts(facts)
    flags = _void_flags(bot, facts)
    if before is not None:
        standing = [fact for fact in standing if fact.event.at < before]
        flags = [flag for flag in flags if flag.at < before]
    book = Book(bot, registration=first_registration(standing), method=cost_basis)
    kept = Kept(book, voided=voided(facts), void_flags=flags)
    kept.book.entries.flags.extend(flags)
    return kept, _advance(kept, standing, standing, market, from_day=from_day, replaces=True)


def _void_flags(bot: str, facts: Sequence[Recorded]) -> list[FlagRow]:
    voids = [fact for fact in facts if isinstance(fact.event, FactVoided)]
    if not voids:
        return []
    return void_flags(voids, {identity(fact): isinstance(fact.event, FactVoided) for fact in facts}, bot)


def _advance(
    kept: Kept,
    facts: Sequence[Recorded],
    new: Sequence[Recorded],
    market: Market,
    *,
    from_day: int,
    replaces: bool,
) -> BotRows:
    """Apply the facts behind what the book has seen; `new` are those that its runs have not seen."""
    book = kept.book
    beginnings = _apply_all(kept, with_actions(facts, market, held=book.symbols, after=book.applied))
    close_day(book)
    note_apart(kept.apart, new)
    carry = kept.before_newest if from_day > kept.before_newest.day else kept.before_change
    valued = value_book(book.name, book.base_currency, book.days, market, carry, before=list(beginnings))
    kept.before_change = valued.before_change or kept.before_change
    kept.before_newest = valued.before_newest or kept.before_newest
    snapshots = [
        SnapshotRow(book.name, start_of(day), facts, write_snapshot(copy, valued.carries[day]))
        for day, (copy, facts) in beginnings.items()
    ]
    rows = rows_of(kept, valued, market, take_runs(kept.runs, new), snapshots, from_day=from_day, replaces=replaces)
    _keep_days(kept, carry)
    book.days = [day for day in book.days if day.day > kept.before_change.day]
    book.entries = Entries()
    return rows


def _keep_days(kept: Kept, carry: Carry) -> None:
    """Remember the days that were told from a carry on, in place of those that were told of then."""
    days = kept.book.days
    if kept.days_from > carry.day + 1:
        return
    again = min(carry.day + 1, days[0].day) if days else carry.day + 1
    while kept.days and kept.days[-1].day >= again:
        kept.days.pop()
    kept.days.extend(days)


def note_apart(apart: dict[str, int], facts: Sequence[Recorded]) -> None:
    """Note the newest day of a statement, under the empty name, and of units that came or went without a trade."""
    for fact in facts:
        match fact.event:
            case StatementIssued():
                name = ""
            case AdjustmentMade():
                name = fact.event.symbol
            case _:
                continue
        apart[name] = max(fact.event.at.toordinal(), apart.get(name, 0))


def _apply_all(kept: Kept, facts: Sequence[Recorded]) -> dict[int, tuple[Book, int]]:
    """Apply the facts in order; copies of the book at the beginnings of some days, with the number of facts so far."""
    book = kept.book
    beginnings: dict[int, tuple[Book, int]] = {}
    for fact in facts:
        if kept.facts - kept.snapshot_at >= FACTS_A_SNAPSHOT and is_later_day(book, fact):
            beginnings[fact.event.at.toordinal()] = (copy_of(book), kept.facts)
            kept.snapshot_at = kept.facts
        apply(book, fact)
        kept.facts += 1
    return beginnings


def rows_of(
    kept: Kept,
    valued: Valued,
    market: Market,
    runs: dict[str, datetime],
    snapshots: list[SnapshotRow],
    *,
    from_day: int,
    replaces: bool,
) -> BotRows:
    """What the book's entries and its worth put into the tables, of the rows with a date those from a day on."""
    book, entries, written = kept.book, kept.book.entries, kept.written
    since = start_of(max(from_day, 1))
    holdings = {row.symbol: row for row in holding_rows(book, market)}
    told = with_closed(valued.interests, entries.matches)
    interests = interest_rows(book, {**told, **standing_interests(book, market)})
    book_flags = {(flag.kind, flag.symbol): flag for flag in _unpriced(book, valued)}
    rows = BotRows(
        name=book.name,
        bot=None if book.first is None else bot_row(book, market),
        from_day=from_day,
        replaces=replaces,
        changed=None,
        clears_worth=replaces or from_day <= written.newest_worth_day,
        trades=[row for row in entries.trades if row.timestamp >= since],
        matches=[row for row in entries.matches if row.closed_at >= since],
        movements=[row for row in entries.movements if row.at >= since],
        flags=[row for row in entries.flags if row.at >= since],
        runs=[run_row(book.name, key, kept.runs[key]) for key, at in runs.items() if at >= since],
        worth=[row for row in valued.rows if row.date >= since],
        without_price=valued.without_price,
        snapshots=[row for row in snapshots if row.date >= since],
        lots=change_lots(written, book),
        holdings=change(written, written.holdings, holdings),
        interests=change(written, written.interests, {**written.interests, **interests}),
        book_flags=change(written, written.book_flags, book_flags),
    )
    written.anything = True
    written.holdings, written.book_flags = holdings, book_flags
    written.interests.update(interests)
    if valued.rows:
        written.newest_worth_day = valued.rows[-1].date.toordinal()
    return rows


def _unpriced(book: Book, valued: Valued) -> Iterator[FlagRow]:
    for name in sorted(valued.unpriced):
        yield _flag_of(book, "unpriced", name, "no price or rate on some days: see portfolio_worth")


def _flag_of(book: Book, kind: str, symbol: str, detail: str) -> FlagRow:
    """A flag about the book as a whole hangs on its first fact."""
    assert book.first is not None
    return FlagRow(kind, book.first.position, symbol, book.name, book.first.at, detail)
