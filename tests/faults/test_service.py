"""The whole service: in this process, and as a process that is stopped, killed and started again."""

import asyncio
import os
import signal
import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from nats.js.api import ConsumerConfig
from sqlalchemy import text

from ledger.broker import CONSUMER, STREAM, URL_FILE, read_url
from ledger.connection import Connection, address
from ledger.database import connect, dispose, get_log_session
from ledger.embedded import start_broker
from ledger.errors import SetupError, Unreachable
from ledger.lock import LOCK_FILE, is_served
from ledger.receipts import Receipt
from ledger.service import Service, running_service
from ledger.settings import Database, Settings, load_settings
from ledger.verify import verify
from tests.servers import NatsServer, wait_until
from tests.services.desk import BOT, Desk, desk, eventually, recorded, trade
from tests.services.process import ServeProcess, serving


def test_a_directory_is_served_with_its_own_broker_and_left_in_order(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path / "new" / "data", environment={})
    assert settings.data_dir is not None
    with running_service(settings) as service:
        assert read_url(settings.data_dir) == service.nats_url
        assert is_served(settings.data_dir)
        asyncio.run(_publish_one(service))
    assert not is_served(settings.data_dir)
    assert recorded(settings.database) == [(1, BOT, "t1")]
    dispose(settings.database)
    with pytest.raises(OSError, match="Connect call failed"):
        asyncio.run(_open(service.nats_url))


def test_postgresql_is_served_through_the_broker_that_is_named(broker: NatsServer, postgres_database: Database) -> None:
    with running_service(_postgres_settings(postgres_database, broker.url)) as service:
        assert service.nats_url == broker.url
        asyncio.run(_publish_one(service))
    assert recorded(postgres_database) == [(1, BOT, "t1")]


def test_postgresql_without_a_broker_is_a_fault_of_the_set_up(postgres_database: Database) -> None:
    with (
        pytest.raises(SetupError, match="give --nats URL, or set LEDGER_NATS_URL"),
        running_service(_postgres_settings(postgres_database, None)),
    ):
        pass


def test_a_database_that_is_no_ledger_is_not_served(broker: NatsServer, postgres_url: str) -> None:
    settings = load_settings(database_url=postgres_url, nats_url=broker.url, environment={})
    with pytest.raises(SetupError, match="botledger db upgrade"), running_service(settings):
        pass
    dispose(settings.database)


def test_a_database_that_is_away_is_told_in_one_line(broker: NatsServer, tmp_path: Path) -> None:
    url = f"postgresql://x@/x?host={tmp_path}"
    settings = load_settings(database_url=url, nats_url=broker.url, environment={})
    with pytest.raises(Unreachable, match="does not answer") as caught, running_service(settings):
        pass
    assert "\n" not in str(caught.value)


def test_postgresql_that_may_forget_what_it_has_committed_is_refused(
    broker: NatsServer, postgres_database: Database
) -> None:
    with connect(postgres_database, "log").connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        name = connection.scalar(text("SELECT current_database()"))
        connection.execute(text(f'ALTER DATABASE "{name}" SET synchronous_commit = off'))
    dispose(postgres_database)
    with (
        pytest.raises(SetupError, match="synchronous_commit=off"),
        running_service(_postgres_settings(postgres_database, broker.url)),
    ):
        pass


def test_stopped_as_soon_as_it_is_ready_it_leaves_at_once(tmp_path: Path) -> None:
    with running_service(load_settings(data_dir=tmp_path, environment={})):
        started = time.monotonic()
    assert time.monotonic() - started < 2


def test_its_own_broker_is_started_again_when_it_dies(tmp_path: Path) -> None:
    settings = load_settings(data_dir=tmp_path, environment={})
    _choose_port(tmp_path)
    with running_service(settings) as service:
        asyncio.run(_publish_one(service))
        os.kill(int((tmp_path / "nats" / "server.pid").read_text()), signal.SIGKILL)

        async def scenario() -> None:
            async with desk(service.nats_url) as bot:
                assert (await bot.ask(trade("t2"))).position == 2

        asyncio.run(scenario())


def test_a_second_service_on_a_directory_names_the_holder_and_leaves(tmp_path: Path) -> None:
    log = tmp_path / "serve.log"
    data = tmp_path / "data"
    with serving(log, LEDGER_DATA_DIR=str(data)) as first:
        with (
            pytest.raises(SetupError, match=f"is served by process {first.pid}: stop it first"),
            running_service(load_settings(data_dir=data, environment={})),
        ):
            pass
        first.signal(signal.SIGTERM)
        assert first.wait(5) == 0
    (data / LOCK_FILE).write_text("1\n")  # What a process that died has left there does not count.
    with running_service(load_settings(data_dir=data, environment={})):
        pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_under_load_it_leaves_in_time_and_nothing_is_lost(tmp_path: Path, number: signal.Signals) -> None:
    data = tmp_path / "data"
    settings = load_settings(data_dir=data, environment={})

    async def scenario() -> Desk:
        with serving(tmp_path / "serve.log", LEDGER_DATA_DIR=str(data)) as service:
            async with desk(_url(data)) as bot:
                publisher = asyncio.create_task(_publish_many(bot, 2_000))
                await bot.answers(300)
                service.signal(number)
                started = time.monotonic()
                assert await asyncio.to_thread(service.wait, 10) == 0
                assert time.monotonic() - started < 5
                await eventually(lambda: not bot.connection.is_connected, what="the broker has ended too")
                publisher.cancel()
                await asyncio.gather(publisher, return_exceptions=True)
                return bot

    told = asyncio.run(scenario()).receipts
    _check_witnesses(settings.database, told)


def test_told_to_stop_while_the_database_hangs_it_leaves_in_time(
    broker: NatsServer, postgres_database: Database, tmp_path: Path
) -> None:
    assert postgres_database.url is not None
    url = postgres_database.url.replace("+psycopg", "")

    async def scenario() -> None:
        with serving(tmp_path / "log", LEDGER_DATABASE_URL=url, LEDGER_NATS_URL=broker.url) as service:
            async with desk(broker.url) as bot:
                await bot.ask(trade("t1"))
                with psycopg.connect(url) as holder:
                    holder.execute("SELECT * FROM ledger.log_head FOR UPDATE")
                    await bot.publish(trade("t2"))
                    await asyncio.to_thread(wait_until, lambda: _is_waited_for(url), what="the append waits")
                    service.signal(signal.SIGTERM)
                    started = time.monotonic()
                    await asyncio.to_thread(service.wait, 10)
                    assert time.monotonic() - started < 5

    asyncio.run(scenario())
    assert recorded(postgres_database) == [(1, BOT, "t1")]


def test_killed_under_load_and_started_again_it_loses_and_doubles_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    log = tmp_path / "serve.log"
    settings = load_settings(data_dir=data, environment={})
    count = 3_000

    async def scenario() -> Desk:
        _choose_port(data)
        service = ServeProcess(log, LEDGER_DATA_DIR=str(data))
        try:
            service.wait_until_ready()
            async with desk(_url(data)) as bot:
                await _hurry(bot.connection)
                publisher = asyncio.create_task(_publish_many(bot, count))
                for kill_at in (200, 900, 1_700):
                    await bot.answers(kill_at)
                    service.signal(signal.SIGKILL)
                    service.close()
                    service = ServeProcess(log, LEDGER_DATA_DIR=str(data))
                    await asyncio.to_thread(service.wait_until_ready)
                await publisher
                wanted = {f"t{number}" for number in range(count)}
                await eventually(lambda: {receipt.id for receipt in bot.receipts} == wanted, what="all are told")
                return bot
        finally:
            service.close()
            start_broker(data).stop()  # The last kill may have left it behind.

    bot = asyncio.run(scenario())
    assert {receipt.status for receipt in bot.receipts} <= {"recorded", "duplicate"}
    assert len(recorded(settings.database)) == count
    _check_witnesses(settings.database, bot.receipts)


def _check_witnesses(database: Database, receipts: list[Receipt]) -> None:
    """Every receipt is about a fact that is in the log, which is whole."""
    facts = {(subject, id_): position for position, subject, id_ in recorded(database)}
    assert receipts
    assert all(facts[receipt.subject, receipt.id] == receipt.position for receipt in receipts)
    with get_log_session(database) as session:
        assert verify(session).facts == len(facts)
    dispose(database)


async def _publish_one(service: Service) -> None:
    async with desk(service.nats_url) as bot:
        receipt = await bot.ask(trade("t1"))
        assert (receipt.status, receipt.position) == ("recorded", 1)


async def _publish_many(bot: Desk, count: int) -> None:
    """Publish, each as soon as the broker has the one before, so that kills fall in between."""
    for number in range(count):
        await bot.publish(trade(f"t{number}"))


def _choose_port(directory: Path) -> None:
    """A port of its own, as of a last time: another test may want the usual one in the moment between two lives."""
    directory.mkdir(exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        (directory / URL_FILE).write_text(f"nats://old@127.0.0.1:{free.getsockname()[1]}\n")


async def _hurry(connection: Connection) -> None:
    """Let the broker deliver again after one second, not thirty."""
    context = connection.jetstream()
    config = (await context.consumer_info(STREAM, CONSUMER)).config
    await context.add_consumer(STREAM, ConsumerConfig.evolve(config, ack_wait=1))


async def _open(url: str) -> None:
    parts = urlsplit(f"nats://{address(url)}")
    await asyncio.open_connection(parts.hostname, parts.port)


def _postgres_settings(database: Database, nats_url: str | None) -> Settings:
    return Settings(database=database, data_dir=None, nats_url=nats_url)


def _url(directory: Path) -> str:
    url = read_url(directory)
    assert url is not None
    return url


def _is_waited_for(url: str) -> bool:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ).fetchone()
    return row is not None and row[0] > 0
