"""What the books would be at other fees, other prices, another cost basis, or without some bots."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import click

from ledger.amounts import ONE, ZERO
from ledger.commands.options import json_flag, with_settings
from ledger.commands.output import say
from ledger.commands.pairs import Pair, show_pairs
from ledger.commands.points import Times, cost_basis_option, reading_history, with_times
from ledger.commands.values import NumberType
from ledger.errors import UnknownName
from ledger.events import CostBasis, Recorded
from ledger.settings import Settings
from projections.altering import Transform, fees_at, one_after_the_other, slipped_by, without_reference
from projections.history import History, View
from projections.results import result_of, together

WHOLE = Decimal(10_000)
"""Basis points of all there is."""


@dataclass(frozen=True, slots=True)
class Supposed:
    """What is supposed; None: as it was."""

    fee_rate: Decimal | None
    slippage: Decimal | None
    cost_basis: CostBasis | None
    without: frozenset[str]

    @property
    def is_anything(self) -> bool:
        """Whether anything is."""
        return self.alters or bool(self.without)

    @property
    def alters(self) -> bool:
        """Whether a bot's own books are others."""
        return not (self.fee_rate is None and self.slippage is None and self.cost_basis is None)

    @property
    def transform(self) -> Transform:
        """What becomes of a fact: first its price, then the fee on that price."""
        found: list[Transform] = []
        if self.slippage is not None:
            found.append(slipped_by(self.slippage))
        if self.fee_rate is not None:
            found.append(fees_at(self.fee_rate))
        return one_after_the_other(*found)


@click.command(
    "what-if",
    epilog="""\b
Examples:
  botledger what-if RSIBot --fee-rate 0.001
  botledger what-if --slippage 5 --fee-rate 0.0004
  botledger what-if RSIBot --cost-basis lifo --as-of 2025-12-31
  botledger what-if --without RSIBot --json | jq 'select(.of=="fleet").difference'
\b
--fee-rate: each fee becomes quantity × price × R, in the currency of the trade.
--slippage: each price becomes reference_price × (1 ± BPS/10000), dearer for a purchase, cheaper for a sale.
With both, the fee is that of the slipped price. Fills are replayed, not decisions: what a bot would
have done otherwise is not known. Nothing is stored or published.""",
)
@click.argument("bots", metavar="[BOT]...", nargs=-1)
@click.option(
    "--fee-rate",
    metavar="R",
    type=NumberType(-ONE, ONE, "a part of the traded value, 0.001 is 0.1%; below zero a rebate"),
    help="Fees at this part of the traded value, such as 0.001.",
)
@click.option(
    "--slippage",
    metavar="BPS",
    type=NumberType(ZERO, WHOLE, "in basis points, 5 is 0.05%"),
    help="Prices so many basis points worse than the reference price.",
)
@cost_basis_option
@click.option("--without", metavar="BOT", multiple=True, help="Leave a bot out of the fleet's sum; more than once.")
@with_times
@json_flag
@with_settings()
def what_if(
    settings: Settings,
    *,
    bots: tuple[str, ...],
    fee_rate: Decimal | None,
    slippage: Decimal | None,
    cost_basis: CostBasis | None,
    without: tuple[str, ...],
    times: Times,
    as_json: bool,
) -> None:
    """Live books and altered ones side by side: other fees, prices or lots, or a fleet without some of its bots."""
    supposed = Supposed(fee_rate, slippage, cost_basis, frozenset(without))
    if not supposed.is_anything:
        raise click.UsageError("suppose something: --fee-rate, --slippage, --cost-basis or --without")
    with reading_history(settings.database, times) as past:
        pairs = _pairs(past, bots, supposed)
    if not pairs:
        say("no bots yet")
        return
    if len(bots) != 1:
        pairs += _fleets(pairs)
    say("botledger: fills are replayed, not decisions: what a bot would have done otherwise is not known")
    show_pairs(pairs, as_json=as_json)


def _pairs(past: History, bots: Sequence[str], supposed: Supposed) -> list[Pair]:
    """Each bot as it is and as it would be.

    Raises: UnknownName where a bot is not there; click.UsageError where a trade has no reference price and needs one.
    """
    found: list[Pair] = []
    trades, missing, first = 0, 0, None
    for name in dict.fromkeys(bots) if bots else past.names:
        live = past.view(name) if bots else past.find(name)
        if live is None:
            continue
        if supposed.slippage is not None:
            lacking = without_reference(live.facts)
            trades, missing = trades + len(live.rows.trades), missing + len(lacking)
            first = first or next(iter(lacking), None)
        if first is None:
            found.append(_pair(past, live, supposed))
    if first is not None:
        raise click.UsageError(_refusal(first, missing=missing, trades=trades))
    _refuse_unknown(supposed.without, found)
    return found


def _pair(past: History, live: View, supposed: Supposed) -> Pair:
    result = altered = result_of(live.rows, live.facts, live.market)
    if supposed.alters:
        other = past.view(live.name, cost_basis=supposed.cost_basis, transform=supposed.transform)
        altered = result_of(other.rows, other.facts, other.market, cost_basis=supposed.cost_basis)
    is_out = live.name in supposed.without
    return Pair(live.name, "bot", live.bot.mode, live.bot.base_currency, result, None if is_out else altered)


def _refusal(first: Recorded, *, missing: int, trades: int) -> str:
    return (
        f"--slippage goes by the reference_price of every trade, and {missing} of {trades} trades have none, "
        f"the first is {first.event.id} of {first.subject} at position {first.position}"
    )


def _refuse_unknown(without: frozenset[str], found: Sequence[Pair]) -> None:
    unknown = sorted(without - {pair.name for pair in found})
    if unknown:
        raise UnknownName(f"--without names {', '.join(unknown)[:200]}, which is none of the bots that are looked at")


def _fleets(pairs: Sequence[Pair]) -> list[Pair]:
    """The bots of each mode and base currency as one: live and paper are never added, nor are currencies.

    Where a mode counts in several currencies, the fleet's name says in which.
    """
    groups: dict[tuple[str, str], list[Pair]] = {}
    for pair in pairs:
        groups.setdefault((pair.mode, pair.currency), []).append(pair)
    modes = Counter(mode for mode, _ in groups)
    found: list[Pair] = []
    for (mode, currency), members in sorted(groups.items()):
        left = [pair.altered for pair in members if pair.altered is not None]
        live = together(pair.live for pair in members)
        name = f"fleet ({mode})" if modes[mode] == 1 else f"fleet ({mode}, {currency})"
        found.append(Pair(name, "fleet", mode, currency, live, together(left) if left else None))
    return found
