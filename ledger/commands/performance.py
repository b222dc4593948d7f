"""Returns: of a bot, of the fleet as a whole, and of a symbol beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import click

from ledger.amounts import ONE, ZERO
from ledger.commands.columns import Column
from ledger.commands.options import json_flag, with_settings
from ledger.commands.output import say, show
from ledger.commands.points import Times, reading_history, with_times
from ledger.commands.values import CurrencyType, NumberType
from ledger.errors import UnknownName
from ledger.settings import Settings
from projections.history import History, View
from projections.returns import Performance, WorthDay, combined, performance
from projections.series import converted, fleets, of_symbol, of_worth
from projections.telling import Json, plain_value

_PERCENTS = ("total_return", "money_weighted", "cagr", "volatility", "maximum_drawdown")
_TOLD = 5
_RATIOS = ("sharpe", "sortino", "calmar")
_SHOWN = (
    "days",
    "final_worth",
    "net_flows",
    "profit",
    *_PERCENTS[:3],
    "volatility",
    *_RATIOS,
    "maximum_drawdown",
    "fell",
    "recovered",
    "best",
    "worst",
)


@dataclass(frozen=True, slots=True)
class _Series:
    """What is looked at: a bot, a fleet or a symbol, in one currency."""

    name: str
    currency: str
    days: tuple[WorthDay, ...]
    of: str


@click.command(
    "performance",
    epilog="""\b
Examples:
  botledger performance RSIBot --against QQQ
  botledger performance --annualise 365
  botledger performance --as-of 2025-12-31 --json | jq .cagr
Without BOT the fleet as a whole: all live bots as one, all paper bots as one. Every figure, its formula
and its source: docs/returns.md.""",
)
@click.argument("bot", required=False)
@click.option("--against", metavar="SYMBOL", help="A symbol to compare with, over the same days (price alone).")
@click.option(
    "--annualise",
    "periods",
    type=click.Choice(["252", "365"]),
    default="252",
    show_default=True,
    help="How many days of returns make a year.",
)
@click.option(
    "--risk-free",
    metavar="R",
    type=NumberType(-ONE, ONE, "a part of one, such as 0.04"),
    default=ZERO,
    help="Risk-free return a year, such as 0.04.",
)
@click.option("--mixed", is_flag=True, help="Live and paper bots as one.")
@click.option("--currency", metavar="CUR", type=CurrencyType(), help="In which the fleet is told, at each day's rate.")
@with_times
@json_flag
@with_settings()
def performance_command(
    settings: Settings,
    *,
    bot: str | None,
    against: str | None,
    periods: str,
    risk_free: Decimal,
    mixed: bool,
    currency: str | None,
    times: Times,
    as_json: bool,
) -> None:
    """Returns with flows taken out: time- and money-weighted, risk, drawdown; of a bot, or of the fleet as a whole."""
    with reading_history(settings.database, times) as past:
        series = list(_series(past, bot, mixed=mixed, currency=currency))
        if not series:
            say(f"{bot} has no day with a worth yet" if bot else "no bots with a worth yet")
            return
        if against is not None:
            series += [_symbol(past, against, found) for found in series]
    a_year = int(periods)
    told = [(found, performance(found.days, periods=a_year, risk_free=risk_free / a_year)) for found in series]
    if as_json:
        show((_fields(*one) for one in told), (), as_json=True, nothing="")
        return
    _show(told)


def _series(past: History, bot: str | None, *, mixed: bool, currency: str | None) -> Iterator[_Series]:
    """The bot's series, or one for each fleet; none where nothing has a worth yet.

    That days are left out, for want of a rate, is said in one line for each.
    """
    names = [bot] if bot is not None else list(past.names)
    views = {name: view for name in names if (view := past.view(name) if bot else past.find(name)) is not None}
    groups = fleets({name: view.bot.mode for name, view in views.items()}, mixed=mixed)
    for mode, members in groups.items():
        bases = {views[name].bot.base_currency for name in members}
        if currency is None and len(bases) > 1:
            raise click.UsageError(
                f"the {mode} bots count in {', '.join(sorted(bases))}: say in which the fleet is told, by --currency"
            )
        told_in = currency or next(iter(bases))
        found = {name: _in(past, views[name], told_in) for name in members}
        parts = [days for days, _ in found.values() if days]
        left_out = {name: days for name, (_, days) in found.items() if days}
        if parts:
            _tell_left_out(left_out, told_in)
            days = combined(parts) if bot is None else parts[0]
            yield _Series(bot or f"fleet ({mode})", told_in, tuple(days), "bot" if bot else "fleet")
        elif left_out:
            raise UnknownName(f"no rate of {', '.join(sorted(bases))} in {told_in} is known")


def _in(past: History, view: View, currency: str) -> tuple[list[WorthDay], list[int]]:
    """A bot's series in a currency, and the days that have no rate."""
    days = of_worth(view.rows.worth, view.rows.without_price)
    return converted(days, past.commons.market, base=view.bot.base_currency, currency=currency)


def _tell_left_out(left_out: Mapping[str, Sequence[int]], currency: str) -> None:
    if not left_out:
        return
    told = [
        f"{name} {len(days)} from {date.fromordinal(days[0])} on" for name, days in sorted(left_out.items())[:_TOLD]
    ]
    more = len(left_out) - _TOLD
    names = ", ".join([*told, f"and {more} bots more"] if more > 0 else told)
    say(f"botledger: days without a rate in {currency} are left out: {names}")


def _symbol(past: History, symbol: str, beside: _Series) -> _Series:
    days = of_symbol(past.commons.market, symbol, beside.currency, first=beside.days[0].day, last=beside.days[-1].day)
    if not days:
        raise UnknownName(f"no prices of {symbol!r} in {beside.currency} are known between these days")
    return _Series(symbol, beside.currency, tuple(days), "symbol")


def _fields(found: _Series, figures: Performance) -> Json:
    told: Json = {"name": found.name, "of": found.of, "currency": found.currency}
    for name, value in asdict(figures).items():
        match value:
            case int() if name.endswith("_day"):
                told[name] = date.fromordinal(value).isoformat()
            case {"day": day, "value": amount}:
                told[name] = {"day": date.fromordinal(day).isoformat(), "return": plain_value(amount)}
            case tuple():
                told[name] = list(value)
            case _:
                told[name] = plain_value(value)
    return told


def _show(told: list[tuple[_Series, Performance]]) -> None:
    """A column for each series, a row for each figure."""
    names = [found.name for found, _ in told]
    columns = [Column("figure", ""), *(Column(str(place), name) for place, name in enumerate(names))]
    shown = [_shown(*one) for one in told]
    rows: list[dict[str, Any]] = [
        {"figure": name.replace("_", " "), **{str(place): cells[name] for place, cells in enumerate(shown)}}
        for name in _SHOWN
    ]
    show(rows, columns, as_json=False, nothing="")
    for found, figures in told:
        for note in figures.notes:
            say(f"{found.name}: {note}")


def _shown(found: _Series, figures: Performance) -> dict[str, str]:
    first, last = date.fromordinal(figures.first_day), date.fromordinal(figures.last_day)
    cells = {"days": f"{figures.observations} from {first} to {last}"}
    amounts = {"final_worth": figures.final_worth, "net_flows": figures.net_flows, "profit": figures.profit}
    for name, amount in amounts.items():
        cells[name] = "" if found.of == "symbol" and name != "final_worth" else f"{amount:.2f} {found.currency}"
    cells |= {name: _percent(getattr(figures, name)) for name in _PERCENTS}
    cells |= {name: "" if getattr(figures, name) is None else f"{getattr(figures, name):.3f}" for name in _RATIOS}
    peak, trough, recovered = (
        figures.drawdown_peak_day,
        figures.drawdown_trough_day,
        figures.drawdown_recovered_day,
    )
    cells["fell"] = "" if peak is None or trough is None else f"{date.fromordinal(peak)} to {date.fromordinal(trough)}"
    cells["recovered"] = "not yet" if recovered is None and trough is not None else ""
    if recovered is not None:
        cells["recovered"] = date.fromordinal(recovered).isoformat()
    for name, one in (("best", figures.best_day), ("worst", figures.worst_day)):
        cells[name] = "" if one is None else f"{_percent(one.value)} on {date.fromordinal(one.day)}"
    return cells


def _percent(share: Decimal | None) -> str:
    return "" if share is None else f"{share:.2%}"
