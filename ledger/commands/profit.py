"""Where a bot's profit came from: `pnl`, and `explain`, which shows every fact behind a number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import date
from decimal import Decimal
from typing import Any, get_args

import click

from ledger.amounts import ZERO, plain
from ledger.commands.columns import Column
from ledger.commands.options import json_flag, with_settings
from ledger.commands.output import show, write
from ledger.commands.points import Times, cost_basis_option, reading_history, with_times
from ledger.errors import UnknownName
from ledger.events import AdjustmentMade, ChargeApplied, CostBasis, Recorded, TradeExecuted
from ledger.fields import format_time
from ledger.settings import Settings
from projections.explaining import Explained, Opened, explain
from projections.history import View
from projections.profit import By, Profit, Question, profits
from projections.rows import MatchRow
from projections.telling import Json, plain_fields

_AMOUNTS = ("realised", "unrealised", "dividends", "charges", "fees", "adjustments", "flows", "profit")
_PNL = (
    Column("key", "by"),
    *(Column(name, name, "profit" if name in ("realised", "unrealised", "profit") else "number") for name in _AMOUNTS),
    Column("currency", "in"),
    Column("unpriced", "without price"),
)
_STEPS = (
    Column("at", "time (UTC)", "time"),
    Column("told", "what"),
    Column("lots", "lots"),
    Column("realised", "realised", "profit"),
    Column("held", "held", "number"),
)


class DayType(click.ParamType[int]):
    """A date, as `date.toordinal`."""

    name = "day"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> int:
        """The day, or a usage error that says what to write."""
        if isinstance(value, int):
            return value
        try:
            return date.fromisoformat(value).toordinal()
        except ValueError:
            self.fail(f"{value!r} is no date, such as 2026-01-05", parameter, context)


@click.command(
    epilog="""\b
Examples:
  botledger pnl RSIBot
  botledger pnl RSIBot --by month --from 2025-01-01 --to 2025-12-31
  botledger pnl RSIBot --by run --json | jq 'select(.profit|startswith("-"))'
profit = realised + unrealised + dividends − charges − fees apart (in another currency than their trade)
+ adjustments. The other fees are in realised and unrealised already."""
)
@click.argument("bot")
@click.option("--by", type=click.Choice(get_args(By)), default="symbol", show_default=True, help="A row for each.")
@click.option("--from", "since", metavar="DAY", type=DayType(), help="From the beginning of this day on.")
@click.option("--to", "until", metavar="DAY", type=DayType(), help="Up to the end of this day.")
@cost_basis_option
@with_times
@json_flag
@with_settings()
def pnl(
    settings: Settings,
    *,
    bot: str,
    by: By,
    since: int | None,
    until: int | None,
    cost_basis: CostBasis | None,
    times: Times,
    as_json: bool,
) -> None:
    """What a bot made: realised, unrealised, dividends, charges, fees, flows, by symbol, period or run."""
    if since is not None and until is not None and until < since:
        raise click.UsageError("--to is before --from")
    with reading_history(settings.database, times) as past:
        rows = profits_of(past.view(bot), Question(by, since, until), cost_basis)
    if as_json:
        show((_row(row) for row in rows), _PNL, as_json=True, nothing="")
    else:
        told = list(_for_people(rows))
        columns = [column for column in _PNL if any(row.get(column.name) for row in told)]
        show(told, columns, as_json=False, nothing="nothing was made or lost")


def profits_of(view: View, question: Question, cost_basis: CostBasis | None = None) -> list[Profit]:
    """What a bot made, row by row, at the point of a view."""
    return profits(view.name, view.facts, view.market, question, cost_basis=cost_basis)


@click.command(
    epilog="""\b
Examples:
  botledger explain RSIBot QQQ
  botledger explain RSIBot --run 2026-01-05T15:30
  botledger explain RSIBot QQQ --cost-basis lifo --json | tail -1 | jq .profit
Each fact with the lots that it closed, and what became of the lot that it opened; the last line is the same
number as that of `pnl`."""
)
@click.argument("bot")
@click.argument("symbol", required=False)
@click.option("--run", metavar="KEY", help="The trades of a run, and what became of their lots.")
@cost_basis_option
@with_times
@json_flag
@with_settings(shows_books_schema=False)
def explain_command(
    settings: Settings,
    *,
    bot: str,
    symbol: str | None,
    run: str | None,
    cost_basis: CostBasis | None,
    times: Times,
    as_json: bool,
) -> None:
    """Every fact that makes a number, with the lots that it opened and closed, ending in that number."""
    if (symbol is None) == (run is None):
        raise click.UsageError("give a SYMBOL, or --run KEY")
    with reading_history(settings.database, times) as past:
        view = past.view(bot)
    found = explain(bot, view.facts, symbol=symbol, run=run, cost_basis=cost_basis)
    if not found:
        what = f"facts of {symbol}" if run is None else f"trades and no charges in run {run}"
        raise UnknownName(f"{bot} has no {what}")
    key = symbol or run or ""
    rows = profits_of(view, Question("symbol" if run is None else "run"), cost_basis)
    nothing = Profit(key, next((step.currency for step in found if step.currency), view.bot.base_currency))
    totals = [row for row in rows if row.key == key] or [nothing]
    ids = {fact.position: fact for fact in view.facts}
    if as_json:
        show([*(_step(step, ids) for step in found), *map(_total, totals)], (), as_json=True, nothing="")
        return
    show((_told(step, ids) for step in found), _STEPS, as_json=False, nothing="")
    for row in totals:
        write("")
        write(_sentence(row))


def _row(row: Profit) -> Json:
    fields = {name: value for name, value in asdict(row).items() if name != "unpriced"}
    return plain_fields({**fields, "profit": row.profit, "unpriced": sorted(row.unpriced)})


def _for_people(rows: Iterable[Profit]) -> Iterator[Json]:
    """The rows with two decimals, and where there are several of a currency their sum; zeros are left out."""
    sums: dict[str, list[Profit]] = {}
    for row in rows:
        sums.setdefault(row.currency, []).append(row)
        yield _rounded(_row(row) | {"key": row.key or "–"})
    for currency, of_it in sums.items():
        if len(of_it) > 1:
            total = {name: plain(sum((getattr(row, name) for row in of_it), ZERO)) for name in _AMOUNTS}
            yield _rounded({"key": "all", "currency": currency, **total})


def _rounded(row: Json) -> Json:
    amounts = {name: f"{Decimal(row[name]):.2f}" for name in _AMOUNTS if row[name] != "0" or name == "profit"}
    return {name: value for name, value in row.items() if name not in _AMOUNTS} | amounts


def _total(row: Profit) -> Json:
    return {"type": "total", **_row(row)}


def _step(step: Explained, facts: dict[int, Recorded]) -> Json:
    event = step.fact.event
    return {
        "type": event.type,
        "position": step.fact.position,
        "id": event.id,
        "at": format_time(event.at),
        "run": getattr(event, "run", None),
        "symbol": step.symbol,
        **_said(event),
        "closed": [_match(match, facts, match.opened_by) for match in step.closed],
        "opened": None if step.opened is None else _opened(step.opened, facts),
        **plain_fields({"realised": step.realised, "dividend": step.dividend, "held": step.held, "cost": step.cost}),
    }


def _said(event: Any) -> Json:
    """What the fact itself says in numbers."""
    names = ("side", "quantity", "price", "fee", "currency", "new", "old", "per_share", "amount", "cost", "reason")
    told = {name: getattr(event, name) for name in names if getattr(event, name, None) is not None}
    if "cost" in told:
        told["stated_cost"] = told.pop("cost")
    return plain_fields(told)


def _match(match: MatchRow, facts: dict[int, Recorded], other: int) -> Json:
    """A lot match, and the fact at its other end."""
    fact = facts[other]
    amounts = {"quantity": match.quantity, "proceeds": match.proceeds, "cost": match.cost, "profit": match.profit}
    return {
        "position": other,
        "id": fact.event.id,
        "at": format_time(fact.event.at),
        "run": getattr(fact.event, "run", None),
        **plain_fields(amounts),
    }


def _opened(opened: Opened, facts: dict[int, Recorded]) -> Json:
    return {
        **plain_fields({"quantity": opened.quantity, "cost": opened.cost, "still_open": opened.still_open}),
        "pool": opened.pool,
        "closed_by": [_match(match, facts, match.closed_by) for match in opened.closed],
    }


def _told(step: Explained, facts: dict[int, Recorded]) -> Json:
    event = step.fact.event
    return {
        "at": format_time(event.at),
        "told": _sentence_of(step),
        "lots": "; ".join(_lots(step, facts)),
        "realised": f"{step.realised + step.dividend:.2f}" if step.closed or step.dividend else "",
        "held": plain(step.held),
    }


def _sentence_of(step: Explained) -> str:
    event = step.fact.event
    match event:
        case TradeExecuted():
            fee = f", fee {plain(event.fee)} {event.fee_currency or event.currency}" if event.fee else ""
            return f"{event.side} {plain(event.quantity)} {event.symbol} at {plain(event.price)} {event.currency}{fee}"
        case AdjustmentMade():
            return f"{plain(event.quantity)} {event.symbol} ({event.reason})"
        case ChargeApplied():
            return f"charge {plain(event.amount)} {event.currency} ({event.reason})"
        case _ if event.type == "split":
            return f"split {event.new}:{event.old}"
        case _ if event.type == "dividend":
            return f"dividend {plain(event.per_share)} {event.currency} a share"
        case _:
            return "held at the opening"


def _lots(step: Explained, facts: dict[int, Recorded]) -> Iterator[str]:
    for match in step.closed:
        opener = facts[match.opened_by].event
        yield f"closes {plain(match.quantity)} of {opener.at.date()}: {match.profit:.2f}"
    opened = step.opened
    if opened is not None and opened.pool is not None:
        yield f"adds {plain(opened.quantity)} for {opened.cost:.2f} to those of {facts[opened.pool].event.at.date()}"
    elif opened is not None:
        left = f", {plain(opened.still_open)} still open" if opened.still_open else ", closed since"
        yield f"opens {plain(opened.quantity)} for {opened.cost:.2f}{left}"


def _sentence(row: Profit) -> str:
    parts = [
        f"{name} {plain(value)}"
        for name, value in (
            ("realised", row.realised),
            ("unrealised", row.unrealised),
            ("dividends", row.dividends),
            ("charges", -row.charges),
            ("fees apart", -row.fees_apart),
            ("adjustments", row.adjustments),
        )
        if value or name in ("realised", "unrealised")
    ]
    missing = f" (without price: {', '.join(sorted(row.unpriced))})" if row.unpriced else ""
    total: Decimal = row.profit
    return f"{row.key}: {' + '.join(parts)} = {plain(total)} {row.currency}{missing}"
