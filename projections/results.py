"""Pure: what a bot, or several as one, has come to: worth, flows, profit and its parts, return."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from ledger.amounts import ZERO
from ledger.events import CostBasis, Recorded
from projections.bot_rows import BotRows
from projections.figures import difference, total
from projections.market import Market
from projections.profit import Question, profits
from projections.returns import WorthDay, combined, performance
from projections.series import of_worth

PARTS = ("realised", "unrealised", "fees", "dividends")


@dataclass(frozen=True, slots=True)
class Result:
    """What a bot, or several with one base currency, has come to.

    Units: `worth`, `net_flows` and `profit` (worth less flows) in the base currency; `parts` of the profit by name
        (`PARTS`), each by currency; `total_return` time-weighted, 0.01 is one percent.
    Shape: `unpriced` has no price or rate, and adds nothing to the worth.
    """

    worth: Decimal
    net_flows: Decimal
    parts: Mapping[str, Mapping[str, Decimal]]
    days: Sequence[WorthDay] = field(repr=False)
    unpriced: frozenset[str]

    @property
    def profit(self) -> Decimal:
        """What was made in all."""
        return difference(self.worth, self.net_flows)

    @property
    def total_return(self) -> Decimal | None:
        """Time-weighted return; None where no day has one."""
        return performance(self.days).total_return if self.days else None


def result_of(
    rows: BotRows, facts: Sequence[Recorded], market: Market, *, cost_basis: CostBasis | None = None
) -> Result:
    """What a bot has come to by these rows, and the standing facts that they were folded from.

    Shape: `facts` are in the total order, and hold the splits and dividends.
    """
    assert rows.bot is not None
    parts: dict[str, dict[str, Decimal]] = {name: {} for name in PARTS}
    for row in profits(rows.name, facts, market, Question("symbol"), cost_basis=cost_basis):
        for name in PARTS:
            _add(parts[name], row.currency, getattr(row, name))
    return Result(
        worth=rows.bot.worth,
        net_flows=total(row.net_flow for row in rows.worth),
        parts=parts,
        days=of_worth(rows.worth, rows.without_price),
        unpriced=frozenset(rows.bot.unpriced),
    )


def together(results: Iterable[Result]) -> Result:
    """Several bots as one. Units: all have one base currency."""
    members = list(results)
    parts: dict[str, dict[str, Decimal]] = {name: {} for name in PARTS}
    for member in members:
        for name in PARTS:
            for currency, amount in member.parts[name].items():
                _add(parts[name], currency, amount)
    return Result(
        worth=total(member.worth for member in members),
        net_flows=total(member.net_flows for member in members),
        parts=parts,
        days=combined([member.days for member in members]),
        unpriced=frozenset().union(*(member.unpriced for member in members)),
    )


def _add(sums: dict[str, Decimal], currency: str, amount: Decimal) -> None:
    if amount:
        sums[currency] = total((sums.get(currency, ZERO), amount))
