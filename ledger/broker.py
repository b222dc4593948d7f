"""The broker's side of the door: the stream that keeps messages until they are recorded, and its one consumer.

Into the stream go `ledger.bots.<bot>`, `ledger.market.<feed>`, `ledger.actions.<source>` and
`ledger.ops.<operator>`; outside of it stay `ledger.receipts.<kind>.<name>` and `ledger.queries.<kind>.<name>`.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog
from nats import errors
from nats.js import JetStreamContext, api
from nats.js.errors import APIError, BadRequestError, NotFoundError, ServerError, ServiceUnavailableError

from ledger.connection import Connection
from ledger.errors import SetupError, Unreachable
from ledger.fields import KINDS
from ledger.messages import SUBJECT_PREFIX
from ledger.settings import Settings

STREAM = "LEDGER"
CONSUMER = "intake"
SUBJECTS = tuple(f"{SUBJECT_PREFIX}{kind}.*" for kind in KINDS)
RECEIPTS_PREFIX = f"{SUBJECT_PREFIX}receipts."
QUERIES_PREFIX = f"{SUBJECT_PREFIX}queries."
URL_FILE = "nats.url"
STREAM_BYTES = 1024**3
PAYLOAD_BYTES = 1024**2
ACK_WAIT_SECONDS = 30
MAX_ACK_PENDING = 10_000
_FULL = 0.8
_START_SECONDS = 2.0
_RETRY_SECONDS = 0.1
_DUPLICATE_WINDOW_SECONDS = 0.1  # The shortest there is: identities are the ledger's business, not the broker's.
_ACKNOWLEDGED = "botledger-acknowledged"
_STARTS: dict[object, object] = {"by_start_sequence": "all"}
"""How a consumer was told to begin; where it began behind what the log has, `ledger.redelivery` notices."""
_log = structlog.get_logger(__name__)


def broker_url(settings: Settings) -> str | None:
    """The broker's address: what was named, else that of the service on the data directory, else None."""
    if settings.nats_url is not None or settings.data_dir is None:
        return settings.nats_url
    return read_url(settings.data_dir)


def read_url(directory: Path) -> str | None:
    """The address and token that a service has left in its data directory, or None where there is none.

    Raises: SetupError where the file belongs to another user.
    """
    path = directory / URL_FILE
    try:
        return path.read_text(encoding="ascii").strip() or None
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise SetupError(f"{path} cannot be read: set LEDGER_NATS_URL to the broker's address ({error})") from error


def receipts_subject(subject: str) -> str:
    """Where the receipts of `bots.RSIBot` are published."""
    return RECEIPTS_PREFIX + subject


def queries_subject(subject: str) -> str:
    """Where `bots.RSIBot` asks for its portfolio."""
    return QUERIES_PREFIX + subject


async def ensure_stream(connection: Connection) -> None:
    """Make stream and consumer where they are missing, and check them where they are not.

    Raises: SetupError saying what differs and what to do, Unreachable where the broker does not answer.
    """
    check_payload(connection)
    context = connection.jetstream()
    try:
        await _retried(context)
    except ServiceUnavailableError as error:
        raise SetupError("the broker runs without JetStream: start it with a jetstream { } block, or -js") from error
    except APIError as error:
        raise SetupError(f"the broker refuses the stream {STREAM}: {error.description}") from error
    except (errors.Error, OSError, TimeoutError) as error:
        denied = str(connection.last_error or "")
        if "permissions violation" in denied:  # The broker tells that aside, and leaves the question unanswered.
            raise SetupError(
                f"the broker does not let the service do its work: {denied}; give it its own user"
            ) from error
        raise Unreachable(f"the broker does not answer: {str(error) or type(error).__name__}") from error


def check_payload(connection: Connection) -> None:
    """Raises: SetupError where the broker takes only messages that are too small."""
    if connection.max_payload < PAYLOAD_BYTES:
        raise SetupError(
            f"the broker takes messages of at most {connection.max_payload} bytes: set its max_payload to 1MB or more"
        )


def check_stream(config: api.StreamConfig) -> None:
    """Raises: SetupError where the stream could lose or change messages, saying what differs."""
    _compare(f"stream {STREAM}", _stream_facts(config), _stream_facts(_stream_config()))


def check_consumer(config: api.ConsumerConfig) -> None:
    """Raises: SetupError where the consumer could leave messages out, saying what differs."""
    _compare(f"consumer {CONSUMER}", _consumer_facts(config), _consumer_facts(_consumer_config()))


def acknowledged_before(config: api.ConsumerConfig) -> int:
    """How far the stream had been acknowledged before its consumer was made again; 0 where it never was."""
    text = (config.metadata or {}).get(_ACKNOWLEDGED, "")
    return int(text) if text.isascii() and text.isdigit() else 0


async def make_consumer_again(context: JetStreamContext, *, start: int, acknowledged: int) -> None:
    """Have everything from this sequence number on delivered again; the consumer remembers what was acknowledged."""
    config = _consumer_config()
    config.metadata = {_ACKNOWLEDGED: str(acknowledged)}
    config.deliver_policy = api.DeliverPolicy.BY_START_SEQUENCE
    config.opt_start_seq = start
    with suppress(NotFoundError):
        await context.delete_consumer(STREAM, CONSUMER)
    with suppress(BadRequestError, ServerError):  # Another service was quicker: what it lacks is seen at the next look.
        await context.add_consumer(STREAM, config)


async def make_room(connection: Connection, *, through: int | None = None) -> int:
    """Purge what has been recorded where the stream is nearly full; how many messages went.

    `through`: the last message that the log is known to have, where it has been asked.
    """
    context = connection.jetstream()
    stream = await context.stream_info(STREAM)
    limit = stream.config.max_bytes or 0
    if limit <= 0 or stream.state.bytes < limit * _FULL:
        return 0
    consumer = await context.consumer_info(STREAM, CONSUMER)
    recorded = consumer.ack_floor.stream_seq if consumer.ack_floor is not None else 0
    recorded = recorded if through is None else min(recorded, through)
    before = stream.state.messages
    if recorded < stream.state.first_seq:
        _log.error("stream nearly full of messages that are not recorded", messages=before, bytes=stream.state.bytes)
        return 0
    await context.purge_stream(STREAM, seq=recorded + 1)
    purged = before - (await context.stream_info(STREAM)).state.messages
    _log.info("stream purged of recorded messages", purged=purged)
    return purged


async def _retried(context: JetStreamContext) -> None:
    """A broker that has just started may say for a moment that it has no JetStream."""
    deadline = asyncio.get_running_loop().time() + _START_SECONDS
    while True:
        try:
            await _ensure(context)
            return
        except ServiceUnavailableError:
            if asyncio.get_running_loop().time() > deadline:
                raise
        await asyncio.sleep(_RETRY_SECONDS)


async def _ensure(context: JetStreamContext) -> None:
    try:
        stream = await context.stream_info(STREAM)
    except NotFoundError:
        stream = await context.add_stream(_stream_config())
        _log.info("stream made", stream=STREAM)
    check_stream(stream.config)
    try:
        consumer = await context.consumer_info(STREAM, CONSUMER)
    except NotFoundError:
        consumer = await context.add_consumer(STREAM, _consumer_config())
    check_consumer(consumer.config)


def _stream_config() -> api.StreamConfig:
    return api.StreamConfig(
        name=STREAM,
        description="botledger: facts on their way into the log",
        subjects=list(SUBJECTS),
        storage=api.StorageType.FILE,
        retention=api.RetentionPolicy.LIMITS,
        discard=api.DiscardPolicy.NEW,
        max_bytes=STREAM_BYTES,
        deny_delete=True,
        duplicate_window=_DUPLICATE_WINDOW_SECONDS,
    )


def _consumer_config() -> api.ConsumerConfig:
    return api.ConsumerConfig(
        name=CONSUMER,
        durable_name=CONSUMER,
        ack_policy=api.AckPolicy.EXPLICIT,
        ack_wait=ACK_WAIT_SECONDS,
        max_deliver=-1,
        max_ack_pending=MAX_ACK_PENDING,
    )


def _stream_facts(config: api.StreamConfig) -> dict[str, Any]:
    """What must hold so that no message is lost or changed before it is recorded; sizes are the operator's choice."""
    return {
        "subjects": sorted(config.subjects or ()),
        "storage": _word(config.storage),
        "retention": _word(config.retention),
        "discard": _word(config.discard),
        "deny_delete": bool(config.deny_delete),
        "max_age": config.max_age or 0,
        "max_msgs_per_subject": max(config.max_msgs_per_subject or -1, -1),
        "no_ack": bool(config.no_ack),
        "sealed": bool(config.sealed),
        "allow_rollup_hdrs": bool(config.allow_rollup_hdrs),  # A bot could remove others' messages by a header.
        "subject_transform": config.subject_transform,
        "mirror": config.mirror,
        "sources": config.sources or None,
    }


def _consumer_facts(config: api.ConsumerConfig) -> dict[str, Any]:
    return {
        "ack_policy": _word(config.ack_policy),
        "deliver_policy": _STARTS.get(_word(config.deliver_policy), _word(config.deliver_policy)),
        "max_deliver": config.max_deliver,
        "max_ack_pending is bounded": (config.max_ack_pending or 0) > 0,
        "deliver_subject": config.deliver_subject or None,
        "filter_subjects": config.filter_subjects or config.filter_subject or None,
        "headers_only": bool(config.headers_only),
    }


def _compare(what: str, found: dict[str, Any], needed: dict[str, Any]) -> None:
    different = [f"{name} is {found[name]}, not {needed[name]}" for name in needed if found[name] != needed[name]]
    if different:
        kind, _, name = what.partition(" ")
        command = f"nats {kind} rm {name}" if kind == "stream" else f"nats {kind} rm {STREAM} {name}"
        raise SetupError(
            f"the broker's {what} was not made by botledger: {'; '.join(different)}. "
            f"Change it, or remove it (`{command}`) and start again: bots send again what has no receipt"
        )


def _word(value: object) -> object:
    return getattr(value, "value", value)
