"""An outbox that is full says so and keeps nothing of the call; memories give way, what nobody was told of does not."""

from pathlib import Path

import pytest

from ledger.errors import LedgerError
from ledger.outbox import Outbox
from tests.services.outbox_facts import BOT, RUN, deposit, receipt


def test_a_full_outbox_raises_and_keeps_nothing_of_the_call(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, BOT, limit_bytes=200_000)
    note = "x" * 10_000
    added = 0
    with pytest.raises(LedgerError, match="is full"):
        while added < 100:
            outbox.add([deposit(f"{added}", note=note)])
            added += 1
    assert 5 < added < 20
    assert outbox.count_waiting(through=outbox.last_sequence()) == added
    outbox.settle([receipt(deposit(f"{number}", note=note)) for number in range(added)])
    outbox.add([deposit("again", note=note)])
    outbox.close()


def test_memories_give_way_where_the_outbox_is_full(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, BOT, limit_bytes=200_000)
    for number in range(100):
        fact = deposit(f"{number}", note="x" * 10_000)
        outbox.add([fact], run=RUN)
        outbox.settle([receipt(fact)])
    assert 0 < len(outbox.recorded(RUN)) < 20
    outbox.close()


def test_refusals_are_forgotten_only_once_somebody_was_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outbox = Outbox(tmp_path, BOT)
    monkeypatch.setattr("ledger.outbox_rows.KEPT_FACTS", 10)
    facts = [deposit(f"{number:02}") for number in range(30)]
    outbox.add(facts)
    outbox.settle([receipt(fact, "rejected", position=None) for fact in facts])
    outbox.settle([])
    assert [one.id for one in outbox.untold()] == [fact.id for fact in facts]
    outbox.tell(outbox.untold()[:25])
    outbox.settle([])
    assert [one.id for one in outbox.untold()] == [fact.id for fact in facts[25:]]
    assert [one.number for one in outbox.refused(after=0)] == list(range(21, 31))
    outbox.close()


def test_an_outbox_full_of_refusals_that_nobody_was_told_of_says_so(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, BOT, limit_bytes=200_000)
    note = "x" * 10_000
    added = 0
    with pytest.raises(LedgerError, match=r"is full: 0 facts wait.* \d+ that it refused .*`botledger outbox list bots"):
        while added < 100:
            fact = deposit(f"{added}", note=note)
            outbox.add([fact])
            outbox.settle([receipt(fact, "rejected", position=None)])
            added += 1
    assert 5 < added < 20
    assert len(outbox.untold()) == added, "none of them is lost"
    outbox.tell(outbox.untold())
    outbox.add([deposit("again", note=note)])
    outbox.close()
