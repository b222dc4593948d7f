"""Bots whose broker or ledger is away, refuses them, or is somewhere else."""

import asyncio
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from ledger.broker import STREAM, SUBJECTS
from ledger.connection import close, connect
from ledger.database import dispose
from ledger.errors import SetupError, Unconfirmed, Unreachable
from ledger.publisher import Bot
from ledger.service import running_service
from ledger.settings import Database, Settings
from tests.servers import DEADLINE_SECONDS, NatsServer, wait_until
from tests.services.bots import NOBODY, SOON, Ledger, MakeBot, ids, payloads, waiting
from tests.services.desk import kept


@pytest.mark.parametrize("published", [True, False])
def test_a_portfolio_that_cannot_be_had_raises_within_its_limit(make_bot: MakeBot, published: bool) -> None:
    bot = make_bot(nats_url=NOBODY)
    if published:
        bot.deposit(1)
    before = time.monotonic()
    with pytest.raises(Unreachable, match="does not answer"):
        bot.portfolio(timeout_seconds=SOON)
    assert SOON <= time.monotonic() - before < SOON + 2


def test_a_broker_without_a_ledger_says_what_is_missing(make_bot: MakeBot) -> None:
    bot = make_bot()
    with pytest.raises(Unreachable, match="botledger serve"):
        bot.portfolio(timeout_seconds=SOON)


def test_leaving_tells_how_many_receipts_are_missing(make_bot: MakeBot) -> None:
    with capture_logs() as logs, make_bot(timeout_seconds=SOON) as bot:
        bot.deposit(1)
        bot.deposit(1)
    assert [entry["waiting"] for entry in logs if entry["event"].startswith("receipts missing")] == [2]


def test_a_bot_that_requires_receipts_raises_where_they_are_missing(make_bot: MakeBot) -> None:
    with pytest.raises(Unconfirmed) as caught, make_bot(timeout_seconds=SOON, require_receipts=True) as bot:
        bot.deposit(1)
    assert caught.value.waiting == 1


def test_an_error_in_the_block_is_not_replaced_by_missing_receipts(make_bot: MakeBot) -> None:
    with (
        capture_logs(),
        pytest.raises(ZeroDivisionError),
        make_bot(timeout_seconds=SOON, require_receipts=True) as bot,
    ):
        bot.deposit(1)
        raise ZeroDivisionError


def test_many_facts_travel_in_few_messages_and_a_single_one_as_it_is(
    make_bot: MakeBot, broker: NatsServer, ledger: Ledger, sqlite_database: Database
) -> None:
    deposit = {"type": "deposit", "amount": "1"}
    with ledger():
        pass  # It has made the stream.
    bot = make_bot()
    bot.publish([deposit | {"id": f"d{number:03}"} for number in range(250)])
    assert bot.flush(SOON) == 250
    assert [len(data.split(b"\n")) for data, _ in stream_of(broker)] == [100, 100, 50]
    single = bot.deposit(1, id="single")
    assert bot.flush(SOON) == 251
    assert stream_of(broker)[3:] == [(single.payload, {})]
    with ledger():
        assert bot.flush(DEADLINE_SECONDS) == 0
    assert ids(sqlite_database) == [*(f"d{number:03}" for number in range(250)), "single"]


def test_a_broker_that_takes_small_messages_gets_small_ones(make_bot: MakeBot, broker: NatsServer) -> None:
    broker.stop()
    broker.start("max_payload: 16384\njetstream {}")
    asyncio.run(make_small_stream(broker))
    bot = make_bot()
    bot.publish([{"type": "deposit", "amount": "1", "note": "x" * 400}] * 90)
    assert bot.flush(SOON) == 90
    sizes = [len(data) for data, _ in stream_of(broker)]
    assert len(sizes) > 1
    assert max(sizes) <= 16384
    assert sum(data.count(b"\n") + 1 for data, _ in stream_of(broker)) == 90


async def make_small_stream(broker: NatsServer) -> None:
    connection = await connect(broker.url)
    try:
        await connection.jetstream().add_stream(name=STREAM, subjects=list(SUBJECTS))
    finally:
        await close(connection)


def stream_of(broker: NatsServer) -> list[tuple[bytes, dict[str, str]]]:
    """What is in the broker's stream: data and headers of each message."""

    async def read() -> list[tuple[bytes, dict[str, str]]]:
        connection = await connect(broker.url)
        try:
            context = connection.jetstream()
            last = (await context.stream_info(STREAM)).state.last_seq
            found = [await context.get_msg(STREAM, number) for number in range(1, last + 1)]
        finally:
            await close(connection)
        return [(message.data or b"", message.headers or {}) for message in found]

    return asyncio.run(read())


def test_the_sender_comes_back_when_the_broker_does(
    broker: NatsServer, ledger: Ledger, make_bot: MakeBot, sqlite_database: Database
) -> None:
    with ledger(), make_bot() as bot:
        bot.deposit(1, id="before")
        assert bot.flush() == 0
        broker.kill()
        bot.deposit(1, id="away")
        assert bot.flush(SOON) == 1
        broker.start()
        assert bot.flush(DEADLINE_SECONDS) == 0
    assert ids(sqlite_database) == ["before", "away"]


def test_what_the_broker_did_not_keep_is_sent_again(
    ledger: Ledger, make_bot: MakeBot, sqlite_database: Database
) -> None:
    with make_bot() as bot:
        bot.deposit(1, id="lost")
        assert bot.flush(SOON) == 1  # There is no stream yet, so the broker has thrown it away.
        with ledger():
            assert bot.flush(DEADLINE_SECONDS) == 0
    assert ids(sqlite_database) == ["lost"]


def test_a_broker_that_denies_publishing_is_told_and_the_fact_stays(
    broker: NatsServer, make_bot: MakeBot, tmp_path: Path
) -> None:
    broker.stop()
    rights = 'publish: ["ledger.bots.Other"], subscribe: [">"]'
    broker.start(f"authorization {{ users: [ {{ user: RSIBot, password: p, permissions: {{ {rights} }} }} ] }}")
    bot = make_bot(nats_url=broker.url.replace("nats://", "nats://RSIBot:p@"))
    bot.deposit(1)
    with pytest.raises(SetupError, match=r"(?s)permissions violation.*ledger\.bots\.rsibot"):
        bot.flush(DEADLINE_SECONDS)
    other = make_bot("Other", nats_url=broker.url.replace("nats://", "nats://RSIBot:wrong@"))
    other.deposit(1)
    with pytest.raises(SetupError, match="refuses the credentials"):
        other.flush(DEADLINE_SECONDS)
    bot.close()
    assert waiting(tmp_path / "outbox") == 1


def test_a_bot_finds_broker_and_outbox_in_the_data_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("LEDGER_")]:
        monkeypatch.delenv(name)
    directory = tmp_path / "data"
    with Bot("RSIBot", data_dir=directory, timeout_seconds=DEADLINE_SECONDS) as bot:
        bot.deposit(1, id="early")
        assert bot.flush(SOON) == 1
        assert (directory / "outbox" / "bots.RSIBot.sqlite").exists()
        database = Database(directory=directory)
        with running_service(Settings(database, directory, None)):
            wait_until(lambda: bot.flush(SOON) == 0, what="the fact is delivered")
    assert ids(database) == ["early"]


def test_the_outbox_lies_apart_for_each_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("LEDGER_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "botledger-data").mkdir()
    here = Bot("RSIBot")
    here.close()
    far = Bot("RSIBot", nats_url="nats://token@broker.example:4333,nats://other:4222")
    far.close()
    monkeypatch.setenv("LEDGER_OUTBOX_DIR", str(tmp_path / "named"))
    named = Bot("RSIBot", nats_url=NOBODY)
    named.close()
    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.sqlite"))
    assert found == [
        "botledger-data/outbox/bots.RSIBot.sqlite",
        "named/bots.RSIBot.sqlite",
        "state/botledger/outbox/broker.example-4333/bots.RSIBot.sqlite",
    ]


def test_a_ledger_that_was_wiped_gets_what_the_outbox_remembers_once(
    broker: NatsServer, ledger: Ledger, make_bot: MakeBot, sqlite_database: Database, tmp_path: Path
) -> None:
    """In the order in which it was published; what a run says for the first time comes behind it."""

    def say(buys: int) -> list[str]:
        with ledger():
            with make_bot(require_receipts=True) as bot:
                bot.register(opening={"USD": 1_000})
                with bot.run("r") as run:
                    for _ in range(buys):
                        run.buy("QQQ", 1, price=10)
                    run.sell("QQQ", 1, price=10, id="order-77")
            return ids(sqlite_database)

    first = say(2)
    assert first[1:] == ["r.QQQ.0001-buy", "r.QQQ.0002-buy", "order-77"]
    wipe(sqlite_database, broker, tmp_path)
    with make_bot() as away:
        assert away.register(opening={"USD": 1_000}).position == 1, "where no ledger answers, the memory tells"
        assert away.flush(0) == 0
    with capture_logs() as logs:
        assert say(3) == [*first, "r.QQQ.0003-buy"]
        assert say(3) == [*first, "r.QQQ.0003-buy"]
    assert sent_again(logs) == [("@registrations", 1), ("r", 3)]
    assert kept(sqlite_database) == []


def test_a_ledger_that_was_wiped_does_not_get_what_it_had_refused(
    broker: NatsServer, ledger: Ledger, make_bot: MakeBot, sqlite_database: Database, tmp_path: Path
) -> None:
    """Where the id was another fact's, it is free now: what is said next is published under it, not what was."""
    first, second = make_bot(), make_bot(outbox_dir=tmp_path / "another")
    for bot, day in ((first, 1), (second, 2)):  # There is no ledger yet that could tell the second of the first.
        bot.register(opening={"USD": 1_000}, at=f"2026-01-0{day}T00:00:00Z")
        bot.run("r").__enter__().buy("QQQ", day, price=10)
    with ledger(), capture_logs():
        for bot in (first, second):
            assert bot.flush(DEADLINE_SECONDS) == 0
            bot.close()
        assert len(kept(sqlite_database)) == 2
    wipe(sqlite_database, broker, tmp_path)
    with ledger(), capture_logs() as logs, make_bot(outbox_dir=tmp_path / "another") as bot:
        assert not bot.register(opening={"USD": 1_000}, at="2026-01-03T00:00:00Z").earlier
        with bot.run("r") as run:
            assert run.recorded == ()
            assert not run.buy("QQQ", 3, price=10).earlier
        assert bot.flush(DEADLINE_SECONDS) == 0
    said = payloads(sqlite_database)
    assert [one["at"] for one in said if one["type"] == "bot_registered"] == ["2026-01-03T00:00:00Z"]
    assert [one["quantity"] for one in said if one["type"] == "trade"] == ["3"]
    assert sent_again(logs) == []


def sent_again(logs: Sequence[EventDict]) -> list[tuple[str, int]]:
    """The runs whose facts are told to be sent again, and how many of each."""
    return [(entry["run"], entry["facts"]) for entry in logs if "sent again" in entry["event"]]


def wipe(database: Database, broker: NatsServer, home: Path) -> None:
    """Make an end of the log, the books and the stream; outboxes lie elsewhere."""
    assert database.directory is not None
    dispose(database)
    shutil.rmtree(database.directory)
    broker.stop()
    shutil.rmtree(home / "broker" / "jetstream")
    broker.start()
