"""Long histories, and logs of anything: beancount books each journal to what our own fold says."""

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings

from projections.beancount import journal
from projections.folding import fold
from tests.beancount.histories import Teller
from tests.beancount.reading import agreed, assert_agree, booked, facts_of
from tests.replay.ways import Message
from tests.strategies import logs


@pytest.mark.parametrize("cost_basis", ["fifo", "lifo", "hifo"])
def test_two_thousand_trades_are_booked_to_eight_decimals(cost_basis: str) -> None:
    found, rows = agreed(*Teller(Random(20_260_105)).history(2_000, cost_basis))
    assert len(rows.trades) == 2_000
    assert len(rows.matches) > 1_500
    moved = {posting.account for transaction in found.transactions for posting in transaction.postings}
    assert {"Income:TestBot:Dividends", "Expenses:TestBot:Fees", "Equity:TestBot:Adjustments"} <= moved
    assert "Assets:TestBot:Carried" in moved


@given(logs())
@settings(
    max_examples=60,
    deadline=None,
    database=None,
    print_blob=True,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_whatever_happens_is_booked_as_our_books_have_it(messages: list[Message]) -> None:
    by_bot, market = facts_of(messages)
    for bot, facts in by_bot.items():
        _, rows = fold(bot, facts, market)
        if rows.bot is not None and rows.bot.cost_basis != "average":
            assert_agree(booked("\n".join(journal(bot, facts, market))), rows)
