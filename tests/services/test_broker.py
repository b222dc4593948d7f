"""Connection, stream and consumer on a real broker."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import nkeys  # type: ignore[import-untyped]  # it ships no types
import pytest
from nats.js.api import ConsumerConfig, StreamConfig

from ledger.broker import CONSUMER, STREAM, SUBJECTS, broker_url, ensure_stream, make_room
from ledger.connection import Connection, close, connect
from ledger.errors import SetupError, Unreachable
from ledger.settings import Database, load_settings
from tests.servers import NatsServer
from tests.services.desk import desk, door, eventually, trade


def test_stream_and_consumer_are_made_and_then_found_as_they_have_to_be(broker: NatsServer) -> None:
    async def scenario(connection: Connection) -> None:
        await ensure_stream(connection)
        await ensure_stream(connection)
        context = connection.jetstream()
        stream = (await context.stream_info(STREAM)).config
        assert sorted(stream.subjects or ()) == sorted(SUBJECTS)
        assert (stream.storage, stream.retention, stream.discard) == ("file", "limits", "new")
        assert stream.deny_delete
        consumer = (await context.consumer_info(STREAM, CONSUMER)).config
        assert (consumer.ack_policy, consumer.ack_wait, consumer.max_deliver) == ("explicit", 30, -1)
        assert consumer.max_ack_pending == 10_000

    _with_connection(broker.url, scenario)


@pytest.mark.parametrize(
    ("config", "named"),
    [
        (StreamConfig(subjects=list(SUBJECTS), deny_delete=True), "discard is old, not new"),
        (StreamConfig(subjects=list(SUBJECTS), discard="new"), "deny_delete is False, not True"),  # type: ignore[arg-type]  # the word that the server uses
        (StreamConfig(subjects=["ledger.bots.*"], discard="new", deny_delete=True), "subjects is"),  # type: ignore[arg-type]  # as above
        (
            StreamConfig(subjects=list(SUBJECTS), discard="new", deny_delete=True, max_age=60),  # type: ignore[arg-type]  # as above
            "max_age is 60",
        ),
        (
            StreamConfig(subjects=list(SUBJECTS), discard="new", deny_delete=True, allow_rollup_hdrs=True),  # type: ignore[arg-type]  # as above
            "allow_rollup_hdrs is True, not False",
        ),
    ],
)
def test_a_stream_that_could_lose_messages_is_refused_by_name(
    broker: NatsServer, config: StreamConfig, named: str
) -> None:
    async def scenario(connection: Connection) -> None:
        await connection.jetstream().add_stream(config, name=STREAM)
        with pytest.raises(SetupError, match=f"{named}.*nats stream rm LEDGER"):
            await ensure_stream(connection)

    _with_connection(broker.url, scenario)


def test_a_consumer_that_gives_up_is_refused_by_name(broker: NatsServer) -> None:
    async def scenario(connection: Connection) -> None:
        await ensure_stream(connection)
        context = connection.jetstream()
        await context.delete_consumer(STREAM, CONSUMER)
        await context.add_consumer(STREAM, ConsumerConfig(name=CONSUMER, durable_name=CONSUMER, max_deliver=3))
        with pytest.raises(SetupError, match=r"max_deliver is 3, not -1.*nats consumer rm LEDGER intake"):
            await ensure_stream(connection)

    _with_connection(broker.url, scenario)


@pytest.mark.parametrize(
    ("config", "named"),
    [("max_payload: 1MB", "JetStream"), ("jetstream {}\nmax_payload: 64KB", "max_payload to 1MB")],
)
def test_a_broker_that_cannot_carry_the_ledger_is_refused(broker: NatsServer, config: str, named: str) -> None:
    broker.stop()
    broker.start(config)

    async def scenario(connection: Connection) -> None:
        with pytest.raises(SetupError, match=named):
            await ensure_stream(connection)

    _with_connection(broker.url, scenario)


def test_a_full_stream_is_purged_of_what_has_been_recorded_and_of_nothing_else(
    broker: NatsServer, sqlite_database: Database
) -> None:
    async def scenario(connection: Connection) -> None:
        await connection.jetstream().add_stream(
            name=STREAM, subjects=list(SUBJECTS), discard="new", deny_delete=True, max_bytes=8_500
        )
        async with desk(broker.url) as bot:
            async with door(broker.url, sqlite_database):
                for number in range(40):
                    await bot.publish(trade(f"t{number}"))
                await bot.answers(40)
            await bot.publish(trade("waiting"))
            assert await make_room(connection) == 40
            assert await make_room(connection) == 0
            assert (await connection.jetstream().stream_info(STREAM)).state.messages == 1

    _with_connection(broker.url, scenario)


def test_a_connection_comes_back_after_the_broker_was_killed(broker: NatsServer) -> None:
    async def scenario(connection: Connection) -> None:
        broker.kill()
        await eventually(lambda: not connection.is_connected, what="the loss is noticed")
        broker.start()
        await eventually(lambda: connection.is_connected, what="back again")
        await ensure_stream(connection)

    _with_connection(broker.url, scenario)


def test_a_broker_that_is_not_there_is_told_in_one_line_without_the_secret() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"nats://topsecret@127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(Unreachable, match=r"the broker at 127\.0\.0\.1:\d+ does not answer: ") as caught:
            asyncio.run(connect(url, patience_seconds=0.3))
    assert "topsecret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_wrong_token_is_told_at_once(broker: NatsServer) -> None:
    broker.stop()
    broker.start('jetstream {}\nauthorization { token: "right" }')
    wrong = broker.url.replace("://", "://topsecret@")
    started = time.monotonic()
    with pytest.raises(Unreachable, match="refuses these credentials") as caught:
        asyncio.run(connect(wrong))
    assert time.monotonic() - started < 2
    assert "topsecret" not in str(caught.value)
    right = broker.url.replace("://", "://right@")
    _with_connection(right, ensure_stream)


def test_a_seed_file_opens_the_broker(broker: NatsServer, tmp_path: Path) -> None:
    seed = nkeys.encode_seed(bytes(range(32)), nkeys.PREFIX_BYTE_USER)
    public = nkeys.from_seed(bytearray(seed)).public_key.decode()
    (tmp_path / "seed").write_bytes(seed + b"\n")
    broker.stop()
    broker.start(f"jetstream {{}}\nauthorization {{ users: [{{ nkey: {public} }}] }}")

    async def scenario() -> None:
        connection = await connect(broker.url, seed_file=tmp_path / "seed")
        await ensure_stream(connection)
        await close(connection)
        with pytest.raises(Unreachable, match="refuses these credentials"):
            await connect(broker.url)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("content", "named"), [(None, "cannot be read: No such file"), (b"nonsense", "holds no nkey seed")]
)
def test_a_bad_seed_file_is_a_fault_of_the_set_up(
    broker: NatsServer, tmp_path: Path, content: bytes | None, named: str
) -> None:
    if content is not None:
        (tmp_path / "seed").write_bytes(content)
    with pytest.raises(SetupError, match=named):
        asyncio.run(connect(broker.url, seed_file=tmp_path / "seed"))


@pytest.mark.parametrize("url", ["http://127.0.0.1:4222", "nats://", "nats://host:port", "nats://secret@host:99999"])
def test_an_address_that_is_none_is_a_fault_of_the_set_up(url: str) -> None:
    with pytest.raises(SetupError, match="no address of a broker") as caught:
        asyncio.run(connect(url))
    assert "secret" not in str(caught.value)


def test_a_missing_permission_is_heard(broker: NatsServer) -> None:
    broker.stop()
    broker.start('jetstream {}\nauthorization { users: [{user: bot, password: pw, permissions: {publish: "a"}}] }')
    heard: list[Exception] = []

    async def scenario() -> None:
        connection = await connect(broker.url.replace("://", "://bot:pw@"), on_error=heard.append)
        await connection.publish("ledger.bots.Other", b"{}")
        await eventually(lambda: heard, what="the broker's complaint")
        await close(connection)

    asyncio.run(scenario())
    assert "permissions violation" in str(heard[0])


def test_the_broker_is_the_one_that_was_named_else_that_of_the_directory(tmp_path: Path) -> None:
    def settings(**environment: str) -> str | None:
        return broker_url(load_settings(environment={"LEDGER_DATA_DIR": str(tmp_path), **environment}))

    assert settings() is None
    (tmp_path / "nats.url").write_text("nats://token@127.0.0.1:1\n")
    assert settings() == "nats://token@127.0.0.1:1"
    assert settings(LEDGER_NATS_URL="nats://elsewhere:2") == "nats://elsewhere:2"
    assert broker_url(load_settings(database_url="postgresql://x/y", environment={})) is None


def _with_connection(url: str, scenario: Callable[[Connection], Awaitable[object]]) -> None:
    async def run() -> None:
        connection = await connect(url)
        try:
            await scenario(connection)
        finally:
            await close(connection)

    asyncio.run(run())
