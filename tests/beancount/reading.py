"""A bot's journal as beancount itself books it, and held against our own fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from importlib import import_module
from typing import Any

from ledger.amounts import ZERO
from ledger.events import Recorded
from projections.beancount import journal
from projections.beancount_names import bot_part, commodity, holding_part
from projections.bot_rows import BotRows
from projections.folding import fold
from projections.market import Market
from projections.market_rows import take_in
from tests.replay.given import told
from tests.replay.ways import RECORDED_AT, Message, commons_of, decoded

loader = import_module("beancount.loader")
interpolate = import_module("beancount.core.interpolate")

EIGHT_DECIMALS = Decimal("0.000000005")
"""Amounts that are less apart are equal to 8 decimals."""
LOST = Decimal("0.000000000001")
"""Of what a transaction does not balance by, beancount's own digits lose less than this."""
Amounts = Mapping[str, Decimal]
Lots = Mapping[tuple[str, str], tuple[Decimal, Decimal]]


@dataclass(frozen=True)
class Booked:
    """A journal as beancount has booked it: amounts of accounts by commodity, lots by account and label."""

    text: str
    entries: Sequence[Any]

    @property
    def transactions(self) -> list[Any]:
        """The transactions, in the order in which beancount books them."""
        return [entry for entry in self.entries if type(entry).__name__ == "Transaction"]

    def account(self, account: str) -> Amounts:
        """What is in an account, by commodity; what comes to nothing is left out."""
        found: dict[str, Decimal] = {}
        for transaction in self.transactions:
            for posting in transaction.postings:
                if posting.account == account:
                    name = posting.units.currency
                    found[name] = found.get(name, ZERO) + posting.units.number
        return {name: amount for name, amount in found.items() if amount}

    def lots(self) -> Lots:
        """Quantity and cost of the lots that are open."""
        found: dict[tuple[str, str], tuple[Decimal, Decimal]] = {}
        for transaction in self.transactions:
            for posting in transaction.postings:
                if posting.cost is not None:
                    place = (posting.account, posting.cost.label)
                    quantity, cost = found.get(place, (ZERO, ZERO))
                    units = posting.units.number
                    found[place] = (quantity + units, cost + units * posting.cost.number)
        return {place: lot for place, lot in found.items() if lot[0]}

    def worst_residual(self) -> Decimal:
        """How far the transaction that balances worst is from balancing."""
        found = [interpolate.compute_residual(transaction.postings) for transaction in self.transactions]
        return max((abs(place.units.number) for residual in found for place in residual), default=ZERO)


def booked(text: str) -> Booked:
    """The journal, loaded by beancount, which has nothing to say against it."""
    entries, errors, _ = loader.load_string(text)
    assert [f"line {error.source['lineno']}: {error.message}" for error in errors] == []
    return Booked(text, entries)


def agreed(*messages: Message) -> tuple[Booked, BotRows]:
    """The journal of the one bot in these messages, which beancount has booked to what our own fold says."""
    by_bot, market = facts_of(messages)
    ((bot, facts),) = by_bot.items()
    _, rows = fold(bot, facts, market)
    found = booked("\n".join(journal(bot, facts, market)))
    assert_agree(found, rows)
    return found, rows


def facts_of(messages: Sequence[Message]) -> tuple[dict[str, list[Recorded]], Market]:
    """All that the books of each bot in these messages are a function of: its facts, what is said of it, the market."""
    told_in_order = enumerate(decoded(told(messages)), start=1)
    facts = [Recorded(position, fact.subject, fact.event, RECORDED_AT) for position, fact in told_in_order]
    commons = commons_of(facts)
    take_in(commons, facts)
    subjects = sorted({fact.subject for fact in facts if fact.subject.startswith("bots.")})
    own = {subject: [fact for fact in facts if fact.subject == subject] for subject in subjects}
    by_bot = {subject.partition(".")[2]: [*own[subject], *commons.about(subject)] for subject in subjects}
    return by_bot, commons.market


def assert_agree(found: Booked, rows: BotRows) -> None:
    """Cash, lots, profit and every other account are the same to 8 decimals."""
    assert rows.bot is not None
    bot = bot_part(rows.name)
    assert_close(found.account(f"Assets:{bot}:Cash"), rows.bot.cash)
    assert_close(negated(found.account(f"Income:{bot}:Profit")), rows.bot.realised_profit)
    for account, kinds, sign in (
        (f"Equity:{bot}:Flows", ("deposit", "withdrawal"), -1),
        (f"Income:{bot}:Dividends", ("dividend",), -1),
        (f"Expenses:{bot}:Charges", ("charge",), -1),
    ):
        moved: dict[str, Decimal] = {}
        for movement in rows.movements:
            if movement.kind in kinds:
                moved[movement.currency] = moved.get(movement.currency, ZERO) + sign * movement.amount
        assert_close(found.account(account), moved)
    assert_same_lots(found, rows)
    assert_close(found.account(f"Equity:{bot}:Rounding"), {})
    assert found.worst_residual() < LOST


def assert_same_lots(found: Booked, rows: BotRows) -> None:
    """Each lot has the same quantity and cost; a cost that beancount cannot have in a lot is carried beside it."""
    bot = bot_part(rows.name)
    lots = dict(found.lots())
    carried: dict[str, Decimal] = {}
    for row in rows.lots.new:
        root = "Assets" if row.quantity >= 0 else "Liabilities"
        place = (f"{root}:{bot}:{holding_part(row.symbol)}:{row.currency}", str(row.opened_by))
        quantity, cost = lots.pop(place, (ZERO, ZERO))
        bare = row.cost_basis * row.quantity < 0 or not row.quantity
        if bare:
            carried[row.currency] = carried.get(row.currency, ZERO) + row.cost_basis
        assert abs(quantity - row.quantity) < EIGHT_DECIMALS, place
        assert abs(cost - (ZERO if bare else row.cost_basis)) < EIGHT_DECIMALS, place
    assert lots == {}
    assert_close(found.account(f"Assets:{bot}:Carried"), carried)


def assert_close(found: Amounts, expected: Amounts) -> None:
    """The amounts are equal to 8 decimals; `expected` is by our names, `found` by beancount's."""
    known = {commodity(name): amount for name, amount in expected.items()}
    differences = {name: found.get(name, ZERO) - known.get(name, ZERO) for name in {*found, *known}}
    assert {name: apart for name, apart in differences.items() if abs(apart) >= EIGHT_DECIMALS} == {}


def negated(amounts: Amounts) -> Amounts:
    """The amounts with the other sign: income is below zero in beancount."""
    return {name: -amount for name, amount in amounts.items()}
