"""The outbox: what is in it survives, leaves with its receipt, and never blocks what comes after."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.errors import Conflict, SetupError
from ledger.outbox import Outbox
from ledger.outbox_rows import Kept
from ledger.receipts import Receipt
from tests.servers import DEADLINE_SECONDS
from tests.services.outbox_facts import BOT, RUN, deposit, receipt, waiting

WRITER = """
import sys
from pathlib import Path
from ledger.messages import decode, encode
from ledger.outbox import Outbox

outbox = Outbox(Path(sys.argv[1]), "bots.RSIBot")
for number in range(int(sys.argv[3])):
    id_ = f"{sys.argv[2]}.{number:04}"
    message = {"id": id_, "type": "deposit", "at": "2026-01-05T15:30:00Z", "amount": "1"}
    outbox.add([decode("bots.RSIBot", encode(message))])
    print(id_, flush=True)
sys.stdin.read()
"""

FULL_DISK = """
import resource, sys
from pathlib import Path
from ledger.errors import LedgerError
from ledger.messages import decode, encode
from ledger.outbox import Outbox

outbox = Outbox(Path(sys.argv[1]), "bots.RSIBot")
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
for number in range(1_000):
    message = {"id": str(number), "type": "deposit", "at": "2026-01-05T15:30:00Z", "amount": "1", "note": "x" * 9_000}
    try:
        outbox.add([decode("bots.RSIBot", encode(message))])
    except LedgerError as error:
        print(error)
        break
    print(number)
"""


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    """An empty outbox of a bot."""
    found = Outbox(tmp_path, BOT)
    yield found
    found.close()


def test_facts_wait_in_the_order_in_which_they_were_added_and_survive_the_process(tmp_path: Path) -> None:
    first = Outbox(tmp_path, BOT)
    first.add([deposit("c"), deposit("a")])
    first.add([deposit("b")])
    first.close()
    second = Outbox(tmp_path, BOT)
    assert waiting(second) == ["c", "a", "b"]
    assert second.waiting(after=1, limit=1, limit_bytes=1) == (
        Kept(2, "a", deposit("a").payload, None, booked=False, position=None),
    )
    second.close()


def test_only_what_is_added_waits_for_the_disk(outbox: Outbox) -> None:
    said: list[str] = []
    outbox._connection.set_trace_callback(said.append)
    outbox.add([deposit("a")])
    outbox.settle([receipt(deposit("a"))])
    outbox.add([deposit("b")])
    synced = [line.rpartition(" ")[2] for line in said if line.startswith(("PRAGMA synchronous", "COMMIT"))]
    assert synced == ["FULL", "COMMIT", "NORMAL", "COMMIT", "FULL", "COMMIT"]


def test_receipts_empty_the_outbox(outbox: Outbox) -> None:
    facts = [deposit(name) for name in "abc"]
    outbox.add(facts)
    outbox.settle([receipt(facts[0]), receipt(facts[1], "duplicate"), receipt(facts[2], "parked", position=None)])
    assert waiting(outbox) == []
    assert outbox.count_waiting(through=outbox.last_sequence()) == 0
    assert not outbox.is_waiting(through=outbox.last_sequence())
    assert outbox.untold() == ()


def test_receipts_of_others_and_for_other_content_change_nothing(outbox: Outbox) -> None:
    outbox.add([deposit("a")])
    outbox.settle([Receipt("bots.Other", "a", "recorded", 1, None, deposit("a").digest)])
    outbox.settle([receipt(deposit("a", "2"))])
    assert waiting(outbox) == ["a"]


def test_a_refused_fact_is_set_aside_with_its_reason_and_told_once(outbox: Outbox) -> None:
    bad, good = deposit("bad"), deposit("good")
    outbox.add([bad, good])
    outbox.settle([receipt(bad, "rejected", position=None, reason="amount: is too kind")])
    assert waiting(outbox) == ["good"]
    (told,) = outbox.untold()
    assert (told.id, told.status, told.reason, told.payload) == ("bad", "rejected", "amount: is too kind", bad.payload)
    outbox.tell([told])
    assert outbox.untold() == ()
    outbox.add([bad])
    assert waiting(outbox) == ["good", "bad"]


def test_a_conflict_is_set_aside_with_the_position_of_the_first(outbox: Outbox) -> None:
    outbox.add([deposit("a")])
    outbox.settle([receipt(deposit("a"), "conflict", position=7)])
    assert waiting(outbox) == []
    assert [(one.status, one.position) for one in outbox.untold()] == [("conflict", 7)]


def test_the_same_fact_again_is_kept_once_and_another_one_under_its_id_is_a_conflict(outbox: Outbox) -> None:
    outbox.add([deposit("a")])
    (kept,) = outbox.add([deposit("a")])
    assert kept is not None
    with pytest.raises(Conflict):
        outbox.add([deposit("b"), deposit("a", "2")])
    assert waiting(outbox) == ["a"]


def test_facts_of_a_run_are_remembered_after_their_receipts(outbox: Outbox) -> None:
    fact = deposit("a")
    outbox.add([fact], run=RUN)
    assert [(kept.id, kept.booked) for kept in outbox.recorded(RUN)] == [("a", False)]
    outbox.settle([receipt(fact, position=5)])
    assert waiting(outbox) == []
    assert [(kept.id, kept.booked, kept.position) for kept in outbox.recorded(RUN)] == [("a", True, 5)]
    assert outbox.recorded("another run") == ()


def test_another_attempt_gets_what_the_first_has_kept(outbox: Outbox) -> None:
    outbox.add([deposit("a", "1")], run=RUN)
    first, second = outbox.add([deposit("a", "2"), deposit("b")], run=RUN)
    assert first is not None
    assert first.payload == deposit("a", "1").payload
    assert second is None
    with pytest.raises(Conflict):
        outbox.add([deposit("a", "3")], run="another run")


def test_a_run_remembers_an_id_that_is_in_conflict_and_forgets_one_that_was_refused(outbox: Outbox) -> None:
    taken, bad = deposit("taken"), deposit("bad")
    outbox.add([taken, bad], run=RUN)
    outbox.settle([receipt(taken, "conflict", position=3), receipt(bad, "rejected", position=None)])
    assert [(kept.id, kept.position) for kept in outbox.recorded(RUN)] == [("taken", 3)]
    assert [(one.id, one.run) for one in outbox.untold()] == [("taken", RUN), ("bad", RUN)]


def test_what_the_ledger_has_lost_waits_again_behind_all_else_and_once_for_all_processes(
    outbox: Outbox, tmp_path: Path
) -> None:
    booked, taken, parked, new = deposit("booked"), deposit("taken"), deposit("parked"), deposit("new")
    outbox.add([booked, taken, parked], run=RUN)
    outbox.settle([receipt(booked), receipt(taken, "conflict"), receipt(parked, "parked", position=None)])
    outbox.add([new], run=RUN)
    other = Outbox(tmp_path, BOT)
    seen, seen_by_other = outbox.recorded(RUN), other.recorded(RUN)
    assert outbox.unsettle(seen) == 1
    assert other.unsettle(seen_by_other) == 0
    assert waiting(outbox) == ["new", "booked"]
    assert [(kept.id, kept.position) for kept in outbox.recorded(RUN)] == [
        ("parked", None),
        ("new", None),
        ("booked", None),
    ]
    outbox.settle([receipt(booked, position=7), receipt(new, position=8)])
    assert other.unsettle(seen_by_other) == 0
    other.close()
    assert [(kept.id, kept.position) for kept in outbox.recorded(RUN)] == [("parked", None), ("new", 8), ("booked", 7)]
    assert outbox.add([taken], run=RUN) == (None,)


def test_a_file_that_is_no_outbox_is_named(tmp_path: Path) -> None:
    path = tmp_path / f"{BOT}.sqlite"
    path.write_bytes(b"not a database, but long enough to be looked at" * 100)
    with pytest.raises(SetupError, match=r"bots\.RSIBot\.sqlite"):
        Outbox(tmp_path, BOT)
    with pytest.raises(SetupError, match="cannot be opened"):
        Outbox(path / "below", BOT)


def test_several_processes_share_one_outbox_from_its_first_moment(tmp_path: Path) -> None:
    names = ["a", "b", "c"]
    writers = [_writer(tmp_path, name, count=30) for name in names]
    for process in writers:
        assert process.wait(DEADLINE_SECONDS) == 0
        assert process.stdout is not None
        process.stdout.close()
    outbox = Outbox(tmp_path, BOT)
    found = waiting(outbox)
    outbox.close()
    assert sorted(found) == [f"{name}.{number:04}" for name in names for number in range(30)]
    for name in names:
        own = [id_ for id_ in found if id_.startswith(name)]
        assert own == sorted(own)


def test_what_was_published_survives_the_killing_of_the_process(tmp_path: Path) -> None:
    process = _writer(tmp_path, "a", count=10_000)
    assert process.stdout is not None
    told = [process.stdout.readline().strip() for _ in range(25)]
    process.kill()
    process.wait()
    told += process.stdout.read().split()
    process.stdout.close()
    outbox = Outbox(tmp_path, BOT)
    # One more may have been committed before it was told.
    assert waiting(outbox)[: len(told)] == told
    assert outbox.count_waiting(through=outbox.last_sequence()) - len(told) in (0, 1)
    outbox.close()


def test_where_the_disk_is_full_nothing_is_claimed_and_nothing_kept_is_lost(tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, check=True, timeout=60
    ).stdout.splitlines()
    assert "cannot be used" in told[-1] and "bots.RSIBot.sqlite" in told[-1]
    outbox = Outbox(tmp_path, BOT)
    assert waiting(outbox) == told[:-1], "exactly what was told as kept is kept"
    assert len(told) > 3
    outbox.close()


def _writer(directory: Path, name: str, *, count: int) -> subprocess.Popen[str]:
    """A process that adds this many facts and tells each once it is kept."""
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(directory), name, str(count)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
