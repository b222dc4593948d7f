"""`botledger outbox`: what waits is listed, sent, exported or dropped, and nothing goes without a word."""

import asyncio
import json
from pathlib import Path

import pytest
from nats.aio.msg import Msg

from ledger.connection import close, connect
from ledger.publisher import Bot
from ledger.sender import Sender
from ledger.settings import Database
from tests.servers import DEADLINE_SECONDS, NatsServer, wait_until
from tests.services.bots import NOBODY, SOON, Ledger, MakeBot, ids, waiting
from tests.services.calls import call


@pytest.fixture
def left(make_bot: MakeBot, tmp_path: Path) -> Path:
    """Outboxes of two bots whose ledger was away: three facts of the one, one of the other."""
    for name, count in (("RSIBot", 3), ("MACDBot", 1)):
        bot: Bot = make_bot(name, nats_url=NOBODY, timeout_seconds=SOON)
        for number in range(1, count + 1):
            bot.deposit(number, id=f"d{number}")
        bot.close()
    return tmp_path / "outbox"


def test_each_outbox_is_listed_with_what_waits_and_since_when(left: Path) -> None:
    answer = call("outbox", "list", "--json", "--outbox-dir", str(left))
    assert [(row["subject"], row["waiting"], row["refused"]) for row in answer.rows] == [
        ("bots.MACDBot", 1, 0),
        ("bots.RSIBot", 3, 0),
    ]
    assert all(row["oldest"].endswith("Z") and row["bytes"] > 0 for row in answer.rows)
    items = call("outbox", "list", "bots.RSIBot", "--json", "--outbox-dir", str(left)).rows
    assert [(row["id"], row["status"], row["payload"]["amount"]) for row in items] == [
        ("d1", "waiting", "1"),
        ("d2", "waiting", "2"),
        ("d3", "waiting", "3"),
    ]


def test_flush_sends_what_waits_in_all_outboxes(left: Path, ledger: Ledger, sqlite_database: Database) -> None:
    with ledger() as service:
        answer = call("outbox", "flush", "--outbox-dir", str(left), "--nats", service.nats_url)
    assert answer.code == 0, answer.err
    assert sorted(ids(sqlite_database)) == ["d1", "d1", "d2", "d3"]
    assert waiting(left) == waiting(left, "bots.MACDBot") == 0


def test_flush_without_a_ledger_exits_4_and_keeps_everything(left: Path) -> None:
    answer = call("outbox", "flush", "--timeout", "0.3", "--outbox-dir", str(left), "--nats", NOBODY)
    assert answer.code == 4
    assert "4 facts have no receipt" in answer.err and "they stay in the outbox" in answer.err
    assert (waiting(left), waiting(left, "bots.MACDBot")) == (3, 1)


def test_what_is_refused_is_told_by_flush_listed_and_can_be_dropped(
    left: Path, ledger: Ledger, make_bot: MakeBot, tmp_path: Path
) -> None:
    with ledger() as service:
        with make_bot(outbox_dir=tmp_path / "elsewhere") as other:
            other.deposit(99, id="d2")
        answer = call("outbox", "flush", "bots.RSIBot", "--outbox-dir", str(left), "--nats", service.nats_url)
    assert answer.code == 1
    assert "bots.RSIBot d2: conflict: another fact has this id" in answer.err
    [item] = call("outbox", "list", "bots.RSIBot", "--json", "--outbox-dir", str(left)).rows
    assert (item["id"], item["status"], item["payload"]["amount"]) == ("d2", "conflict", "2")
    dropped = call("outbox", "drop", "bots.RSIBot", "--refused", "--outbox-dir", str(left))
    assert dropped.code == 0 and "1 facts of bots.RSIBot are dropped" in dropped.err
    assert json.loads(dropped.out)["payload"]["id"] == "d2"
    assert call("outbox", "list", "bots.RSIBot", "--json", "--outbox-dir", str(left)).rows == []


def test_flush_tells_of_a_refusal_that_comes_at_once(
    left: Path, ledger: Ledger, make_bot: MakeBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command is slow: everything is answered for before it goes on; and a bot is told of it meanwhile."""
    begin = Sender.start

    def slowly(sender: Sender) -> None:
        begin(sender)
        box = sender._outbox
        wait_until(lambda: not box.is_waiting(through=box.last_sequence()), what="all receipts")
        box.tell(box.untold())

    with ledger() as service:
        with make_bot(outbox_dir=tmp_path / "elsewhere") as other:
            other.deposit(99, id="d2")
        monkeypatch.setattr(Sender, "start", slowly)
        answer = call("outbox", "flush", "bots.RSIBot", "--outbox-dir", str(left), "--nats", service.nats_url)
    assert answer.code == 1
    assert "bots.RSIBot d2: conflict: another fact has this id" in answer.err


def test_what_is_exported_can_be_imported(left: Path, tmp_path: Path) -> None:
    answer = call("outbox", "export", "bots.RSIBot", "--outbox-dir", str(left))
    assert waiting(left) == 3
    imported = call("import", "-", "--json", "--data-dir", str(tmp_path / "new"), stdin=answer.out.encode())
    assert [(row["id"], row["status"]) for row in imported.rows] == [(f"d{n}", "recorded") for n in (1, 2, 3)]


def test_a_dropped_fact_is_written_out_and_never_sent(left: Path) -> None:
    answer = call("outbox", "drop", "bots.RSIBot", "d2", "--outbox-dir", str(left))
    assert json.loads(answer.out) == {
        "subject": "bots.RSIBot",
        "payload": json.loads(answer.out)["payload"],
    }
    assert json.loads(answer.out)["payload"]["id"] == "d2"
    items = call("outbox", "list", "bots.RSIBot", "--json", "--outbox-dir", str(left)).rows
    assert [item["id"] for item in items] == ["d1", "d3"]


def test_a_dropped_fact_is_not_sent_again_by_a_bot_that_runs(
    broker: NatsServer, make_bot: MakeBot, tmp_path: Path
) -> None:
    async def see() -> list[bytes]:
        """What goes over the wire once d1 is dropped, while no ledger answers: the second message."""
        sent: list[bytes] = []
        repeated = asyncio.Event()

        async def take(message: Msg) -> None:
            sent.append(message.data)
            if len(sent) == enough:
                repeated.set()

        enough = -1
        client = await connect(broker.url, name="a listener")
        await client.subscribe("ledger.bots.RSIBot", cb=take)
        await client.flush()
        bot = await asyncio.to_thread(make_bot, nats_url=broker.url, timeout_seconds=SOON)
        for number in (1, 2):
            await asyncio.to_thread(bot.deposit, number, id=f"d{number}")
        words = ("outbox", "drop", "bots.RSIBot", "d1", "--outbox-dir", str(tmp_path / "outbox"))
        assert (await asyncio.to_thread(call, *words)).code == 0
        enough = len(sent) + 2
        await asyncio.wait_for(repeated.wait(), DEADLINE_SECONDS)
        await close(client)
        return sent

    last = asyncio.run(see())[-1]
    assert (b'"d2"' in last, b'"d1"' in last) == (True, False)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("drop", "bots.RSIBot"), "name the ids of the facts that wait, or give --refused or --all"),
        (("drop", "bots.RSIBot", "d1", "--all"), "name the ids of the facts that wait, or give --refused or --all"),
        (("drop", "bots.RSIBot", "d9"), "no fact that waits has the id d9"),
        (("list", "bots.Nobody"), "there is no outbox of bots.Nobody"),
        (("flush", "bots.Nobody"), "there is no outbox of bots.Nobody"),
    ],
)
def test_wrong_use_is_told_and_changes_nothing(left: Path, arguments: tuple[str, ...], told: str) -> None:
    answer = call("outbox", *arguments, "--outbox-dir", str(left))
    assert answer.code == 2
    assert told in answer.err
    assert (waiting(left), waiting(left, "bots.MACDBot")) == (3, 1)


def test_an_outbox_that_cannot_be_read_is_told_and_the_others_go_on(
    left: Path, ledger: Ledger, sqlite_database: Database
) -> None:
    (left / "bots.Bad.sqlite").write_bytes(b"this is no database\n" * 100)
    told = f"the outbox {left}/bots.Bad.sqlite cannot be read: file is not a database"
    listed = call("outbox", "list", "--json", "--outbox-dir", str(left))
    assert [row["subject"] for row in listed.rows] == ["bots.MACDBot", "bots.RSIBot"]
    assert (listed.code, told in listed.err) == (1, True)
    with ledger() as service:
        flushed = call("outbox", "flush", "--outbox-dir", str(left), "--nats", service.nats_url)
    assert (flushed.code, told in flushed.err) == (1, True)
    assert sorted(ids(sqlite_database)) == ["d1", "d1", "d2", "d3"]
