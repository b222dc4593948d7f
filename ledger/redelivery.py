"""What the log lacks of the stream, delivered again: after an older database was restored, or on a stream made anew.

Compared are the broker's acknowledgements, given after the commit, and `ledger.stream_seen`, written in it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

import structlog
from nats import errors
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from ledger.broker import CONSUMER, STREAM, acknowledged_before, ensure_stream, make_consumer_again
from ledger.connection import Connection
from ledger.database import get_log_session, unreachable
from ledger.errors import Unreachable
from ledger.log import lock_head
from ledger.settings import Database
from ledger.stream_seen import Seen, read_seen, replace_seen

_TRIES = 5
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Stream:
    """The stream as it is: when it was made, and the numbers that it holds."""

    made: str
    first: int
    last: int


async def ensure_delivery(connection: Connection, database: Database) -> Seen:
    """See that stream and consumer are as they have to be, and that whatever the log lacks is on its way.

    What has been acknowledged and is not in the log is delivered again; a duplicate is harmless. What is no longer
    in the stream is told with its numbers, once.

    Shape: what the log has of the stream.

    Raises: SetupError, Unreachable, as `ensure_stream`.
    """
    await ensure_stream(connection)
    return await compare_delivery(connection, database)


async def compare_delivery(connection: Connection, database: Database) -> Seen:
    """The same where stream and consumer are known to be there; a stream that is gone is not made again.

    Raises: Unreachable where broker or database do not answer.
    """
    context = connection.jetstream()
    try:
        for _ in range(_TRIES):
            seen = await _compared(context, database)
            if seen is not None:
                return seen
    except (errors.Error, OSError, TimeoutError) as error:
        raise Unreachable(f"the broker does not answer: {str(error) or type(error).__name__}") from error
    except DBAPIError as error:
        raise unreachable(database, error) from error
    except SQLAlchemyError as error:
        raise Unreachable(f"the database ({database}) cannot be asked: {type(error).__name__}") from error
    raise Unreachable("other services keep changing what the log has of the stream: trying again")


async def is_same_stream(connection: Connection, made: str) -> bool:
    """Whether the stream that is there now is the one that was made then.

    Raises: errors.Error of nats-py where the broker does not answer.
    """
    try:
        return (await _stream(connection.jetstream())).made == made
    except NotFoundError:
        return False


async def _compared(context: JetStreamContext, database: Database) -> Seen | None:
    """What the log has of the stream, rewound where that is less than was acknowledged; None to look once more."""
    # In this order: what is acknowledged before we look into the log is in it; what is recorded meanwhile is no loss.
    begun = await _stream(context)
    consumer = await context.consumer_info(STREAM, CONSUMER)
    acknowledged = consumer.ack_floor.stream_seq if consumer.ack_floor is not None else 0
    before = await asyncio.to_thread(_read, database)
    stream = await _stream(context)
    if stream.made != begun.made:
        return None  # What was acknowledged may be another stream's.
    after = _at_home(before, stream, first=begun.first)
    if acknowledged > after.through:
        after = _passed_over(after, await _next_there(context, after.through + 1, stream.last), "deleted from it")
    earlier = acknowledged_before(consumer.config)
    after = _noting(after, max(acknowledged, earlier), last=stream.last)
    is_other = after != before or after.acknowledged != before.acknowledged
    # Before anything is delivered again: whoever takes it has to know that it was decided once.
    if is_other and not await asyncio.to_thread(_replace, database, before, after):
        return None
    if acknowledged > after.through:
        _tell(before, after, acknowledged)
    if acknowledged > after.through or earlier > stream.last:
        await make_consumer_again(context, start=after.through + 1, acknowledged=after.acknowledged)
    return after


def _noting(seen: Seen, acknowledged: int, *, last: int) -> Seen:
    """The same, noting how far all was decided once; numbers that the broker has lost will name other messages.

    An older database may be restored once more before all has come: then the consumer alone knows of the first time.
    """
    told = min(max(acknowledged, seen.acknowledged), last)
    return replace(seen, acknowledged=told if told > seen.through else min(seen.acknowledged, last))


def _at_home(seen: Seen, stream: _Stream, *, first: int) -> Seen:
    """What the log has of the stream that is there now."""
    if seen.stream != stream.made:
        if seen.stream:
            _log.warning("the stream was made anew", made=stream.made, before=seen.stream, recorded=seen.through)
        return Seen(stream.made, first - 1)
    if stream.last < seen.last:
        _log.error(
            "the broker has lost the end of the stream: what is not recorded of it comes again from outboxes",
            last=stream.last,
            recorded=seen.last,
        )
        seen = seen.cut(stream.last)
    return _passed_over(seen, first, "purged from it")


def _passed_over(seen: Seen, following: int, how: str) -> Seen:
    """What the log has, where the stream holds nothing between that and this number."""
    lost = seen.count_open(following - 1)
    if lost:
        _log.error(
            f"messages that this log lacks are no longer in the stream, {how}: what is in no outbox is lost; "
            "`botledger verify --receipts` tells of which facts there were receipts",
            messages=lost,
            first=seen.through + 1,
            last=following - 1,
        )
    return seen.with_spans([(seen.through + 1, following - 1)]) if following - 1 > seen.through else seen


def _tell(before: Seen, after: Seen, acknowledged: int) -> None:
    """Say why everything is delivered again that follows on what the log has."""
    if before.stream == after.stream:
        _log.error(
            "the log is older than what was acknowledged, an older database was restored: delivering again",
            recorded=after.through,
            acknowledged=acknowledged,
            messages=after.count_open(acknowledged),
        )
    else:
        _log.warning("the log does not know this stream: delivering all of it again", acknowledged=acknowledged)


async def _stream(context: JetStreamContext) -> _Stream:
    found = await context.stream_info(STREAM)
    made = "" if found.created is None else found.created.isoformat()
    # An empty stream that never held a message says that its first one has the number 0.
    return _Stream(made, max(found.state.first_seq, 1), found.state.last_seq)


async def _next_there(context: JetStreamContext, number: int, last: int) -> int:
    """The first number from this one on that the stream holds a message of."""
    try:
        found = await context.get_msg(STREAM, seq=number, next=True, subject=">")
    except NotFoundError:
        return last + 1
    return found.seq or number


def _read(database: Database) -> Seen:
    with get_log_session(database) as session:
        return read_seen(session)


def _replace(database: Database, before: Seen, after: Seen) -> bool:
    with get_log_session(database, writes=True) as session:
        lock_head(session)
        return replace_seen(session, before, after)
