"""Books as they are beside books as they would be: a bot's or a fleet's figures in two columns, and what is between."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ledger.amounts import ZERO
from ledger.commands.columns import Column
from ledger.commands.failures import one_line
from ledger.commands.output import say, show
from projections.figures import difference
from projections.results import PARTS, Result
from projections.telling import Json, plain_value

FIGURES = ("worth", "net_flows", *PARTS, "profit", "total_return")
_COLUMNS = (
    Column("name", "bot"),
    Column("figure", "figure"),
    Column("live", "live", "number"),
    Column("altered", "altered", "number"),
    Column("difference", "difference", "profit"),
    Column("currency", "in"),
)


@dataclass(frozen=True, slots=True)
class Pair:
    """A bot, or a fleet, as it is and as it would be; `altered` is None where it is left out."""

    name: str
    of: str
    mode: str
    currency: str
    live: Result
    altered: Result | None


def show_pairs(pairs: Sequence[Pair], *, as_json: bool) -> None:
    """Write them: one object each for programs; for people a row for each figure, and what has no price beside it."""
    if as_json:
        show(map(_fields, pairs), _COLUMNS, as_json=True, nothing="")
        return
    show((row for pair in pairs for row in _for_people(pair)), _COLUMNS, as_json=False, nothing="")
    for pair in pairs:
        unpriced = sorted(pair.live.unpriced | (frozenset() if pair.altered is None else pair.altered.unpriced))
        if unpriced and pair.of == "bot":
            say(one_line(f"{pair.name}: without price, so not in its worth: {', '.join(unpriced)}"))


def _fields(pair: Pair) -> Json:
    live, altered = _figures(pair.live), None if pair.altered is None else _figures(pair.altered)
    return {
        "name": pair.name,
        "of": pair.of,
        "mode": pair.mode,
        "currency": pair.currency,
        "live": _told(live, pair.live),
        "altered": None if altered is None or pair.altered is None else _told(altered, pair.altered),
        "difference": None if altered is None else plain_value(_differences(live, altered)),
    }


def _figures(result: Result) -> dict[str, Any]:
    """The figures in the order of `FIGURES`; those by currency as one mapping each."""
    return {name: dict(result.parts[name]) if name in PARTS else getattr(result, name) for name in FIGURES}


def _told(figures: Mapping[str, Any], result: Result) -> Json:
    return {**{name: plain_value(value) for name, value in figures.items()}, "unpriced": sorted(result.unpriced)}


def _differences(live: Mapping[str, Any], altered: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _difference(live[name], altered[name]) for name in live}


def _difference(live: Any, altered: Any) -> Any:
    match live, altered:
        case dict(), dict():
            currencies = sorted(live.keys() | altered.keys())
            return {name: difference(altered.get(name, ZERO), live.get(name, ZERO)) for name in currencies}
        case Decimal(), Decimal():
            return difference(altered, live)
        case _:
            return None


def _for_people(pair: Pair) -> Iterator[Json]:
    """A row for each figure and currency, amounts with two decimals; the name stands in the first one."""
    live = _by_currency(pair, pair.live)
    altered = {} if pair.altered is None else _by_currency(pair, pair.altered)
    name = pair.name
    for figure, currency in sorted(live.keys() | altered.keys(), key=lambda key: (FIGURES.index(key[0]), key[1])):
        one, other = live.get((figure, currency), ZERO), altered.get((figure, currency), ZERO)
        row = {"name": name, "figure": figure.replace("_", " "), "live": _shown(figure, one), "currency": currency}
        if pair.altered is None:
            row["altered"] = "left out"
        else:
            row["altered"] = _shown(figure, other)
            row["difference"] = "" if one == other else _shown(figure, _difference(one, other))
        yield row
        name = ""


def _by_currency(pair: Pair, result: Result) -> dict[tuple[str, str], Decimal | None]:
    """The figures by name and currency; the return has none."""
    found: dict[tuple[str, str], Decimal | None] = {}
    for figure, value in _figures(result).items():
        match value:
            case dict():
                found |= {(figure, currency): amount for currency, amount in sorted(value.items())}
            case _:
                found[figure, "" if figure == "total_return" else pair.currency] = value
    return found


def _shown(figure: str, value: Decimal | None) -> str:
    if value is None:
        return "none"
    return f"{value:.2%}" if figure == "total_return" else f"{value:.2f}"
