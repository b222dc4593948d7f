"""The journal that the command writes: beancount books it without an error, as of now and as of a time."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
import structlog

from ledger.database import dispose
from ledger.settings import Database
from tests.beancount.reading import booked
from tests.services.calls import DAY, call, jsonl, line, where

DIVIDEND = line(
    "q1", subject="actions.vendor", type="dividend", at="2026-01-06T00:00:00Z", symbol="QQQ", per_share="0.25"
)
SPLIT = line("q2", subject="actions.vendor", type="split", at="2026-01-07T00:00:00Z", symbol="QQQ", new=3, old=2)


@pytest.fixture
def kept(sqlite_database: Database) -> Iterator[Database]:
    """A day of one bot, then a dividend and a split of what it holds."""
    assert call("import", "-", *where(sqlite_database), stdin=jsonl([*DAY, DIVIDEND, SPLIT])).code == 0
    yield sqlite_database
    dispose(sqlite_database)
    structlog.reset_defaults()


def test_a_journal_from_the_command_is_booked_to_the_same_cash_and_lots(kept: Database, tmp_path: Path) -> None:
    file = tmp_path / "RSIBot.beancount"
    assert call("export", "beancount", "RSIBot", "-o", str(file), *where(kept)).code == 0
    found = booked(file.read_text())
    assert [entry.narration for entry in found.transactions].count("dividend of QQQ") == 1
    [portfolio] = call("portfolio", "RSIBot", "--json", *where(kept)).rows
    assert {name: Decimal(amount) for name, amount in portfolio["cash"].items()} == {"USD": Decimal("9178.1")}
    assert found.account("Assets:RSIBot:Cash") == {"USD": Decimal("9178.1")}
    assert found.account("Income:RSIBot:Profit") == {"USD": Decimal(-2)}
    [lot] = found.lots().values()
    assert lot == (Decimal(portfolio["holdings"]["QQQ"]["quantity"]), Decimal("824.4"))
    assert lot[0] == 3


def test_a_journal_as_of_a_time_knows_nothing_later(kept: Database) -> None:
    text = call("export", "beancount", "RSIBot", "--as-of", "2026-01-06", *where(kept)).out
    found = booked(text)
    assert [entry.narration for entry in found.transactions][-1] == "dividend of QQQ"
    assert [quantity for quantity, _ in found.lots().values()] == [2]
