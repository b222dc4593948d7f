"""What `doctor` looks at in the broker: reachable, JetStream, stream and consumer, how full, how far."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

from nats import errors
from nats.js.errors import NotFoundError, ServiceUnavailableError
from sqlalchemy.exc import DBAPIError

from ledger.access import SERVICE, inbox_prefix
from ledger.addresses import service_seed_of
from ledger.broker import CONSUMER, STREAM, broker_url, check_consumer, check_payload, check_stream
from ledger.commands.doctor_database import may_not, skew
from ledger.commands.findings import Finding, ok, problem, warning
from ledger.connection import Connection, address, close, connect
from ledger.database import get_log_session
from ledger.errors import LedgerError, SetupError
from ledger.lock import is_served
from ledger.settings import Settings
from ledger.stream_seen import Seen, read_seen

_SECONDS = 3.0
_NEARLY_FULL, _FULL = 0.85, 0.95
_MANY_WAITING = 10_000
_NO_MATTER = "nothing rests on it, for facts stay in the outbox until their receipt"
_START = "botledger serve makes it"


def look(settings: Settings, *, asks_log: bool) -> Iterator[Finding]:
    """What there is to say of the broker."""
    url = broker_url(settings)
    directory = settings.database.directory
    if directory is not None and settings.nats_url is None and not (directory.is_dir() and is_served(directory)):
        yield warning("not looked at: the embedded broker runs with the service", "botledger serve")
        return
    if url is None:
        yield problem("no broker is named", "give --nats URL, or set LEDGER_NATS_URL")
        return
    yield from _embedded(settings)
    yield from asyncio.run(_asked(url, settings, asks_log=asks_log))


def _embedded(settings: Settings) -> Iterator[Finding]:
    """How soon the broker has on its disk what it has acknowledged, where its configuration is ours to read."""
    if settings.data_dir is None or settings.nats_url is not None:
        yield ok(f"sync_interval cannot be seen from here; {_NO_MATTER}")
        return
    try:
        config = (settings.data_dir / "nats" / "server.conf").read_text(encoding="utf-8")
    except OSError:
        config = ""
    found = re.search(r"sync_interval:\s*(\w+)", config)
    yield ok(f"sync_interval is {found[1] if found else '2m'}; {_NO_MATTER}")


async def _asked(url: str, settings: Settings, *, asks_log: bool) -> list[Finding]:
    try:
        connection = await connect(
            url,
            name="botledger doctor",
            seed_file=service_seed_of(settings),
            inbox_prefix=inbox_prefix(SERVICE),  # With the service's key it may hear no other.
            patience_seconds=_SECONDS,
        )
    except SetupError as error:
        return [problem(str(error), "correct it, as for the service: --nats URL, LEDGER_NATS_SEED_FILE")]
    except LedgerError as error:
        return [problem(str(error), "start the broker, or name the right one: --nats URL, LEDGER_NATS_URL")]
    try:
        found = [ok(f"{address(url)} answers, nats-server {connection.connected_server_version}")]
        try:
            check_payload(connection)
        except SetupError as error:
            found.append(problem(str(error), "set max_payload in the broker's configuration"))
        async with asyncio.timeout(_SECONDS):
            found += await _stream(connection, settings, asks_log=asks_log)
        return found
    finally:
        await close(connection)


async def _stream(connection: Connection, settings: Settings, *, asks_log: bool) -> list[Finding]:
    context = connection.jetstream()
    try:
        stream = await context.stream_info(STREAM)
        consumer = await context.consumer_info(STREAM, CONSUMER)
    except ServiceUnavailableError:
        return [problem("the broker runs without JetStream", "start it with a jetstream { } block, or -js")]
    except NotFoundError as error:
        return [problem(f"the stream {STREAM} or its consumer is not there ({error.description})", _START)]
    except errors.Error as error:
        return [
            problem(f"the stream cannot be asked for: {error}", "let this user use JetStream's API, as the service may")
        ]
    found = []
    for check in (partial(check_stream, stream.config), partial(check_consumer, consumer.config)):
        try:
            check()
        except SetupError as error:
            found.append(problem(str(error), "do what this says; nothing is lost by it that has no receipt"))
    if not found:
        found.append(ok(f"stream {STREAM} and consumer {CONSUMER} are as they have to be"))
    found.append(_fill(stream.state.bytes, stream.config.max_bytes or 0, stream.state.messages))
    waiting = (consumer.num_pending or 0) + (consumer.num_ack_pending or 0)
    if waiting > _MANY_WAITING:
        found.append(warning(f"{waiting} messages wait to be recorded", "see that the service runs, and what it logs"))
    found += await _clock(connection)
    if asks_log:
        acknowledged = consumer.ack_floor.stream_seq if consumer.ack_floor is not None else 0
        made = "" if stream.created is None else stream.created.isoformat()
        try:
            found += _delivery(await asyncio.to_thread(_seen, settings), made, acknowledged)
        except DBAPIError as error:
            if not may_not(error):
                raise
            found.append(ok("what the log has of the stream is not looked at: this role of the database must not"))
    return found


def _fill(used: int, limit: int, messages: int) -> Finding:
    if limit <= 0:
        return warning(
            f"the stream holds {messages} messages and has no limit", "set max_bytes, or watch the broker's disk"
        )
    share = used / limit
    told = f"the stream holds {messages} messages, {share:.0%} of {limit / 1024**2:.0f} MiB"
    if share > _FULL:
        return problem(
            told, "see that the service runs: it purges what it has recorded; until then bots keep their facts"
        )
    if share > _NEARLY_FULL:
        return warning(told, "see that the service runs: it purges what it has recorded")
    return ok(told)


def _delivery(seen: Seen, made: str, acknowledged: int) -> list[Finding]:
    """Whether the log has what the broker was told that it has."""
    if seen.stream != made and acknowledged:
        told = "the log does not know this stream, of which messages were acknowledged"
        return [
            warning(told, "botledger serve has all of it delivered again by itself; see that it is the right broker")
        ]
    told = f"the log has the stream up to {seen.through}, the broker was told of {acknowledged}"
    if acknowledged > seen.through and seen.stream == made:
        remedy = "botledger serve has the rest delivered again by itself, within half a minute"
        return [problem(f"{told}: an older log was restored", remedy)]
    return [ok(told)]


async def _clock(connection: Connection) -> list[Finding]:
    """The broker tells its time with what it tells of a stream."""
    before = datetime.now(UTC)
    answer = await connection.request(f"$JS.API.STREAM.INFO.{STREAM}", b"", timeout=_SECONDS)
    told: dict[str, Any] = json.loads(answer.data)
    if "ts" not in told:
        return []
    middle = before + (datetime.now(UTC) - before) / 2
    return list(skew("the broker's clock", datetime.fromisoformat(told["ts"]), middle))


def _seen(settings: Settings) -> Seen:
    with get_log_session(settings.database) as session:
        return read_seen(session)
