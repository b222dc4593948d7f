"""A process learns of the refusals of what it has published, also where another one on its outbox was told."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.errors import Conflict
from ledger.outbox import Outbox
from ledger.settings import Database
from ledger.unanswered import Unanswered
from tests.services.bots import NOBODY, Ledger, MakeBot, ids
from tests.services.outbox_facts import BOT, deposit, receipt


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    """An empty outbox of a bot."""
    found = Outbox(tmp_path, BOT)
    yield found
    found.close()


def test_who_has_published_what_is_refused_is_told_though_another_process_was(
    ledger: Ledger, make_bot: MakeBot, sqlite_database: Database
) -> None:
    with ledger():
        with make_bot() as bot:
            bot.deposit(1, id="fill-1")
        one, other = make_bot(require_receipts=True), make_bot()
        with pytest.raises(Conflict, match="fill-1"), one:
            one.deposit(2, id="fill-1")
            with pytest.raises(Conflict, match="fill-1"), other:
                other.deposit(3, id="fill-2")
            one.deposit(4, id="fill-3")
        with make_bot() as bot:
            bot.deposit(5, id="fill-4")
    assert ids(sqlite_database) == ["fill-1", "fill-2", "fill-3", "fill-4"]


def test_each_is_told_once(ledger: Ledger, make_bot: MakeBot) -> None:
    with ledger(), make_bot() as one, make_bot() as other:
        one.deposit(1, id="mine")
        assert one.flush() == 0
        one.deposit(2, id="mine")
        for bot in (other, one):
            with pytest.raises(Conflict, match="refuses 1 of its facts"):
                bot.flush()
            assert bot.flush() == 0


def test_what_nobody_was_told_of_is_told_to_the_next(ledger: Ledger, make_bot: MakeBot) -> None:
    with ledger(), make_bot() as bot:
        bot.deposit(1, id="mine")
        assert bot.flush() == 0
        dead = make_bot(nats_url=NOBODY)
        dead.deposit(2, id="mine")
        dead.close()
        with pytest.raises(Conflict, match="mine"):
            bot.flush()


def test_refusals_of_before_under_the_same_id_are_not_its_own(outbox: Outbox) -> None:
    unanswered = Unanswered(outbox)
    _publish(outbox, unanswered, "waits")
    outbox.add([deposit("a")])
    outbox.settle([receipt(deposit("a"), "rejected", position=None)])
    _publish(outbox, unanswered, "a")
    outbox.settle([receipt(deposit("a"))])
    assert (unanswered.take_refused(), len(unanswered)) == ([], 1)
    _publish(outbox, unanswered, "a")
    assert (unanswered.take_refused(), len(unanswered)) == ([], 2)
    outbox.settle([receipt(deposit("a"), "rejected", position=None, reason="too late")])
    assert [one.reason for one in unanswered.take_refused()] == ["too late"]
    assert (unanswered.take_refused(), len(unanswered)) == ([], 1)


def test_it_remembers_so_many_at_most_and_lets_go_of_what_is_recorded_first(outbox: Outbox) -> None:
    unanswered = Unanswered(outbox, most=10)
    _publish(outbox, unanswered, "refused", *(f"recorded{number}" for number in range(8)), "waits")
    outbox.settle([receipt(deposit(f"recorded{number}")) for number in range(8)])
    outbox.settle([receipt(deposit("refused"), "rejected", position=None)])
    outbox.tell(outbox.untold())
    _publish(outbox, unanswered, "another")
    assert len(unanswered) == 3
    assert [one.id for one in unanswered.take_refused()] == ["refused"]
    for number in range(100):
        _publish(outbox, unanswered, f"away{number}")
        assert len(unanswered) <= 10
    outbox.settle([receipt(deposit("away99"), "rejected", position=None)])
    assert [one.id for one in unanswered.take_refused()] == ["away99"]


def _publish(outbox: Outbox, unanswered: Unanswered, *names: str) -> None:
    since = outbox.last_refusal()
    outbox.add([deposit(name) for name in names])
    unanswered.add(names, since=since)
