"""The difference that facts would make, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from ledger.commands.columns import Column
from ledger.commands.output import say, write, write_json
from ledger.receipts import Receipt
from projections.differences import Differences, told

BOTS_SHOWN = 10
TRADES_SHOWN = 20
DAYS_SHOWN = 5
_TRADES = (
    Column("day", "day (UTC)"),
    Column("trade", "trade"),
    Column("id", "id"),
    Column("change", "is"),
    Column("from", "profit from", "profit"),
    Column("to", "to", "profit"),
    Column("currency", "in"),
)
_DAYS = (
    Column("date", "day (UTC)"),
    Column("change", "is"),
    Column("from", "worth from", "number"),
    Column("to", "to", "number"),
    Column("currency", "in"),
)
_TOTALS = (
    Column("of", "total"),
    Column("name", "of"),
    Column("from", "from", "number"),
    Column("to", "to", "number"),
)


def show_changes(found: Iterable[Differences], *, as_json: bool) -> None:
    """Write what would change: everything as JSON, or so much that a person can read it, with the number of all."""
    if as_json:
        for differences in found:
            for row in told(differences):
                write_json(row)
        return
    bots = iter(found)
    shown = list(islice(bots, BOTS_SHOWN))
    for differences in shown:
        _write(differences)
    more = sum(1 for _ in bots)
    if more:
        write(f"… and {more:,} more bots: --json tells them all\n")
    if not shown:
        say("no trade's profit, no day's worth and no total changes")


def tell_dry_run() -> None:
    """Say that it was only shown."""
    say("botledger: nothing was published (--dry-run)")


def write_receipts(receipts: Iterable[Receipt]) -> None:
    """The ledger's answers, for programs, behind what changes."""
    for receipt in receipts:
        write_json({"what": "receipt", **receipt.fields()})


def _write(differences: Differences) -> None:
    from ledger.commands.tables import write_table

    trades, days = len(differences.trades), len(differences.days)
    write(f"{differences.bot}: {_count(trades, 'trade')} and {_count(days, 'day')} change")
    rows = list(told(differences))
    for part, columns in (
        (_first(rows[:trades]), _TRADES),
        (_ends(rows[trades : trades + days]), _DAYS),
        ([_total(row) for row in rows[trades + days :]], _TOTALS),
    ):
        if part:
            write("")
            write_table(part, columns)
    write("")


def _first(trades: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    shown = [{**row, "day": row["at"][:10], "trade": f"{row['side']} {row['symbol']}"} for row in trades[:TRADES_SHOWN]]
    return shown + _left_out(len(trades) - TRADES_SHOWN, "day")


def _ends(days: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first and the last days."""
    if len(days) <= 2 * DAYS_SHOWN:
        return list(days)
    return [*days[:DAYS_SHOWN], *_left_out(len(days) - 2 * DAYS_SHOWN, "date"), *days[-DAYS_SHOWN:]]


def _left_out(number: int, column: str) -> list[dict[str, Any]]:
    return [{column: f"… {number:,} more"}] if number > 0 else []


def _total(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "of": row["of"].replace("_", " ")}


def _count(number: int, name: str) -> str:
    return f"{number:,} {name}" + ("" if number == 1 else "s")
