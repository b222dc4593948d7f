"""The invariants themselves: each finds what it is there to find."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from ledger.database import get_log_session
from ledger.log import append
from ledger.messages import decode, encode
from ledger.receipts import Receipt
from ledger.settings import Database
from projections.projector import Projector
from tests.faults.invariants import Journal, violations
from tests.faults.publishers import RETELLING, waves
from tests.faults.remains import Remains, read_remains

Spoil = Callable[[Remains], Remains]
ANOTHER = '{"amount":"1","at":"2026-01-05T09:00:00Z","id":"reg","type":"deposit"}'


@pytest.fixture
def history(database: Database) -> tuple[Remains, Journal]:
    """A small history, all of it right, and its journal."""
    facts = [decode(name.removesuffix(RETELLING), encode(said)) for wave in waves("x") for name, said in wave]
    receipts: list[Receipt] = []
    with get_log_session(database, writes=True) as session:
        receipts.extend(append(session, facts))
    Projector(database).catch_up()
    remains = read_remains(directory=database.directory, url=database.url)
    meant = [(fact.subject, fact.payload) for fact in facts]
    return remains, Journal(meant, [receipt.fields() for receipt in receipts])


def _event(place: int, **changed: Any) -> Spoil:
    def spoil(remains: Remains) -> Remains:
        remains.events[place].update(changed)
        return remains

    return spoil


def _without_event(remains: Remains) -> Remains:
    del remains.events[-1]
    return remains


def _twice(remains: Remains) -> Remains:
    remains.events.append(dict(remains.events[-1], position=len(remains.events) + 1))
    return remains


def _cell(table: str, column: str, value: object) -> Spoil:
    def spoil(remains: Remains) -> Remains:
        assert remains.books is not None
        remains.books[table][0][column] = value
        return remains

    return spoil


def _without_row(table: str) -> Spoil:
    def spoil(remains: Remains) -> Remains:
        assert remains.books is not None
        del remains.books[table][0]
        return remains

    return spoil


def _checkpoint(**changed: Any) -> Spoil:
    def spoil(remains: Remains) -> Remains:
        assert remains.checkpoint is not None
        remains.checkpoint.update(changed)
        return remains

    return spoil


def test_a_history_that_is_right_has_nothing_to_say(history: tuple[Remains, Journal]) -> None:
    remains, journal = history
    assert violations(remains, journal, drained=True) == []
    assert len(remains.rejected) == 1, "the history has a conflict in it"


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (_without_event, {"I1", "I4", "I5", "I10"}),
        (_twice, {"I2", "I5"}),
        (_event(0, payload=ANOTHER), {"I5", "I2", "I7", "I1"}),
        (_event(1, subject="bots.Another"), {"I5", "I7", "I10", "I1"}),
        (_event(2, hash=bytes(32)), {"I5", "I10"}),
        (_cell("trades", "profit", Decimal("0.01")), {"I3"}),
        (_cell("cash_movements", "amount", Decimal("1")), {"I3"}),
        (_cell("portfolio_worth", "portfolio_worth", Decimal("0.000000000000000000000000000001")), {"I3"}),
        (_without_row("lots"), {"I3"}),
        (_without_row("historic_data"), {"I3"}),
        (_checkpoint(position=999), {"I4", "I12"}),
        (_checkpoint(hash=bytes(32)), {"I4"}),
        (lambda remains: replace(remains, rejected=[]), {"I1"}),
        (lambda remains: replace(remains, pending=1), {"I12"}),
        (lambda remains: replace(remains, checkpoint=None), {"I12"}),
    ],
)
def test_what_is_wrong_is_found(history: tuple[Remains, Journal], spoil: Spoil, found: set[str]) -> None:
    remains, journal = history
    told = violations(spoil(deepcopy(remains)), journal, drained=True)
    assert found <= {line.partition(":")[0] for line in told}, told


def test_a_receipt_for_what_is_not_there_is_found(history: tuple[Remains, Journal]) -> None:
    remains, journal = history
    for lie in (
        {"subject": "bots.Onex", "id": "t1", "status": "recorded", "position": 99, "hash": "00" * 32},
        {"subject": "bots.Onex", "id": "nothing", "status": "rejected"},
        {"subject": "bots.Onex", "id": "nothing", "status": "parked"},
    ):
        assert len(violations(remains, Journal(journal.meant, [lie]), drained=True)) == 1
