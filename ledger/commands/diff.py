"""What made the worth of a bot change between two points: `diff`."""

from __future__ import annotations

from decimal import Decimal

import click

from ledger.amounts import plain
from ledger.commands.books import reading_log
from ledger.commands.columns import Column
from ledger.commands.options import json_flag, with_settings
from ledger.commands.output import show
from ledger.commands.points import MomentType
from ledger.events import Recorded
from ledger.fields import format_time
from ledger.settings import Settings
from projections.history import History, point_of
from projections.points import Moment
from projections.telling import Json
from projections.worth_changes import Change, changes_of

_ROWS = (
    Column("part", "part"),
    Column("from", "from", "number"),
    Column("to", "to", "number"),
    Column("change", "change", "profit"),
    Column("count", "facts", "number"),
    Column("told", "which"),
)
_TOLD = 3


@click.command(
    epilog="""\b
Examples:
  botledger diff RSIBot --from 2025-12-31
  botledger diff RSIBot --from 2025-12-31 --to 2026-01-31 --json
  botledger diff RSIBot --from-known-at 2026-01-01
    (since then, which is --from as well: what has happened, and as corrections what was learned)
  botledger diff RSIBot --from 2025-12-31 --from-known-at 2026-01-01 --to 2025-12-31
    (what was learned since about the end of the year)
The parts add up to the change. price: what prices and rates did with what was held; trades: profit realised,
before fees; corrections: what was learned later about the time before."""
)
@click.argument("bot")
@click.option("--from", "from_as_of", metavar="T", type=MomentType(), help="As of when it begins.")
@click.option("--from-known-at", metavar="T", type=MomentType(), help="As the ledger knew it then.")
@click.option("--to", "to_as_of", metavar="T", type=MomentType(), help="As of when it ends (else everything).")
@click.option("--to-known-at", metavar="T", type=MomentType(), help="As the ledger knew it then.")
@json_flag
@with_settings()
def diff(
    settings: Settings,
    *,
    bot: str,
    from_as_of: Moment | None,
    from_known_at: Moment | None,
    to_as_of: Moment | None,
    to_known_at: Moment | None,
    as_json: bool,
) -> None:
    """The change of worth between two points, split into flows, price, trades, fees, dividends, corrections."""
    if from_as_of is None and from_known_at is None:
        raise click.UsageError("give --from T or --from-known-at T")
    from_as_of = from_as_of or from_known_at
    with reading_log(settings.database, one_snapshot=True) as session:
        before = History(session, point_of(session, as_of=from_as_of, known_at=from_known_at))
        learned = History(session, point_of(session, as_of=from_as_of, known_at=to_known_at))
        after = History(session, point_of(session, as_of=to_as_of, known_at=to_known_at))
        changes = changes_of(before, learned, after, bot)
        base = after.view(bot).bot.base_currency
    if as_json:
        show((_fields(change, base) for change in changes), (), as_json=True, nothing="")
    else:
        show((_row(change) for change in changes), _ROWS, as_json=False, nothing="")


def _fields(change: Change, base: str) -> Json:
    return {
        "part": change.part,
        "currency": base,
        "from": plain(change.before),
        "to": plain(change.after),
        "change": plain(change.change),
        "facts": [_fact(fact, change.amounts.get(fact.position)) for fact in change.facts],
    }


def _fact(fact: Recorded, amount: Decimal | None) -> Json:
    told: Json = {
        "position": fact.position,
        "subject": fact.subject,
        "id": fact.event.id,
        "type": fact.event.type,
        "at": format_time(fact.event.at),
        "recorded_at": format_time(fact.recorded_at),
    }
    return told if amount is None else {**told, "amount": plain(amount)}


def _row(change: Change) -> Json:
    ids = [fact.event.id for fact in change.facts[:_TOLD]]
    more = ["…"] if len(change.facts) > _TOLD else []
    return {
        "part": change.part,
        "from": f"{change.before:.2f}",
        "to": f"{change.after:.2f}",
        "change": f"{change.change:.2f}",
        "count": str(len(change.facts)) if change.facts else "",
        "told": " ".join([*ids, *more]),
    }
