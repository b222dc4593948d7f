"""The door: fetch, decode, append, commit, receipt, acknowledge.

    broker ─batch→ decode ─→ append, one transaction ─→ commit ─→ receipts ─→ acknowledgements

A message is acknowledged only after the commit that decided its fate. Whatever goes wrong before that leaves
it with the broker, which delivers it again; what had been recorded is then answered as a duplicate.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain

import structlog
from nats import errors
from nats.aio.msg import Msg
from sqlalchemy.exc import DataError, DBAPIError

from ledger import log, stream_seen, witness
from ledger.broker import receipts_subject
from ledger.bundles import LINES_LIMIT, count_lines, is_bundle, lines_of
from ledger.connection import Connection
from ledger.database import get_log_session
from ledger.errors import LedgerError, Refused
from ledger.failpoints import reach
from ledger.inbox import Batch, Inbox
from ledger.messages import SUBJECT_PREFIX, Fact, check_subject, decode, identity_of
from ledger.metrics import Metrics
from ledger.quarantine import Refusal
from ledger.receipts import Receipt, encode_receipts
from ledger.redelivery import ensure_delivery
from ledger.settings import Database
from ledger.stalled import end_stalled_copies, is_lock_timeout
from ledger.waiting import wait_for

_SUBJECT_KEPT = 200
_FIRST_BACKOFF_SECONDS = 0.1
_LAST_BACKOFF_SECONDS = 5.0
_log = structlog.get_logger(__name__)


async def run_intake(
    connection: Connection,
    database: Database,
    *,
    stop: asyncio.Event,
    on_recorded: Callable[[], None],
    metrics: Metrics | None = None,
) -> None:
    """Record what bots publish until `stop`; the batch in hand is finished, the rest goes back to the broker.

    `on_recorded` is called after each commit that recorded something.

    Raises: Unreachable where the connection was closed for good.
    """
    metrics = metrics or Metrics()
    inbox = Inbox(connection, stop, partial(ensure_delivery, connection, database))
    await inbox.open()
    try:
        while batch := await inbox.take():
            reach("intake.taken")
            receipts = await _record_until_done(database, batch, stop, metrics)
            if receipts is None:
                await inbox.give_back(batch.messages)
                return
            if any(receipt.status == "recorded" for receipt in receipts):
                on_recorded()
            await _answer(connection, inbox, batch, receipts)
    finally:
        await inbox.close()


def record(database: Database, messages: Sequence[tuple[str, bytes]]) -> tuple[Receipt, ...]:
    """Record these (NATS subject, data) in one transaction; one receipt for each, in order.

    A message that the database cannot hold, against all expectation, is refused alone.
    """
    return record_entries(database, [entry_of(subject, data) for subject, data in messages])


def record_entries(
    database: Database, entries: Sequence[log.Entry], *, delivered: stream_seen.Delivered | None = None
) -> tuple[Receipt, ...]:
    """Record what these messages are in one transaction; one receipt for each, in order.

    `delivered`: their numbers in the broker's stream, which are noted in the same transaction.
    """
    try:
        return _append(database, entries, delivered)
    except Exception as error:  # whatever one message sets off must not reach its neighbours
        if not _is_of_a_message(error):
            raise
        _log.error("a message cannot be stored, looking for it", error=type(error).__name__)
    receipts = tuple(
        _append_alone(database, entry, None if delivered is None else delivered.only(place))
        for place, entry in enumerate(entries)
    )
    _append(database, (), delivered)
    return receipts


def entry_of(subject: str, data: bytes) -> log.Entry:
    """What this message on this NATS subject is: a fact, an unknown, or a refusal with its reason; never an error."""
    name = subject.removeprefix(SUBJECT_PREFIX)
    try:
        return decode(name, data)
    except Refused as error:
        return _refusal(name, data, error.reason, str(error))
    except Exception as error:  # noqa: BLE001 - the outermost place: no message may stop its neighbours
        _log.error("decoding failed unexpectedly", error=type(error).__name__)
        return _refusal(name, data, "malformed", f"message: cannot be read ({type(error).__name__})")


def _entries_of(message: Msg) -> list[log.Entry]:
    """What a message of the broker holds: one entry, or where it is a bundle one for each of its lines."""
    if not is_bundle(message.headers):
        return [entry_of(message.subject, message.data)]
    lines = count_lines(message.data)
    if lines > LINES_LIMIT:
        name = message.subject.removeprefix(SUBJECT_PREFIX)
        detail = f"message: a bundle has {lines} lines; it may have {LINES_LIMIT}"
        return [_refusal(name, message.data, "malformed", detail)]
    return [entry_of(message.subject, line) for line in lines_of(message.data)]


def _record_batch(database: Database, batch: Batch) -> tuple[Receipt, ...]:
    held = [_entries_of(message) for message in batch.messages]
    delivered = batch.delivered
    if delivered is not None:
        delivered = replace(delivered, entries=tuple(map(len, held)))
    return record_entries(database, list(chain.from_iterable(held)), delivered=delivered)


def _record_freeing(database: Database, batch: Batch) -> tuple[Receipt, ...]:
    """Record the batch; where somebody holds the head for too long, see whether it is one that was stopped."""
    try:
        return _record_batch(database, batch)
    except DBAPIError as error:
        if not is_lock_timeout(error) or not end_stalled_copies(database):
            raise
    return _record_batch(database, batch)


async def _record_until_done(
    database: Database, batch: Batch, stop: asyncio.Event, metrics: Metrics
) -> tuple[Receipt, ...] | None:
    """The receipts, one for each fact, however long the database is away; None where `stop` came first.

    A lost answer to COMMIT leaves the outcome unknown: doing it again is harmless, for identities are unique.
    """
    backoff = _FIRST_BACKOFF_SECONDS
    while not stop.is_set():
        began = time.perf_counter()
        try:
            receipts = await asyncio.to_thread(_record_freeing, database, batch)
        except Exception as error:  # noqa: BLE001 - the outermost loop: no message is given up
            metrics.append_failed()
            _log.warning("batch not recorded, trying again", error=_one_line(error), retry_seconds=backoff)
        else:
            metrics.batch(receipts, time.perf_counter() - began)
            return receipts
        await wait_for(stop, seconds=backoff)
        backoff = min(backoff * 2, _LAST_BACKOFF_SECONDS)
    return None


async def _answer(connection: Connection, inbox: Inbox, batch: Batch, receipts: Sequence[Receipt]) -> None:
    """Publish the receipts, then acknowledge; what fails is answered again, for the message comes again."""
    counts = Counter[str](receipt.status for receipt in receipts)
    last = max((receipt.position or 0 for receipt in receipts if receipt.status == "recorded"), default=None)
    _log.info("batch recorded", facts=len(receipts), last_position=last, **counts)
    try:
        reach("receipts.begun")
        await _publish_receipts(connection, receipts)
        reach("receipts.sent")
        if not await inbox.is_of_this_stream(batch):
            return  # In a stream made anew since, the same sequence names another message.
        for message in batch.messages:
            if not inbox.is_of_this_life(batch):
                # After a power cut of the broker the same sequence may name another message by now, and what is
                # published while the connection is away is sent once it is back.
                return
            await connection.publish(message.reply)
            reach("acknowledge.sent")
        reach("acknowledge.done")
    except (errors.Error, OSError) as error:
        _log.warning("batch recorded, not answered", error=_one_line(error))


async def _publish_receipts(connection: Connection, receipts: Sequence[Receipt]) -> None:
    answers: dict[str, list[Receipt]] = defaultdict(list)
    for receipt in receipts:
        answers[receipt.subject].append(receipt)
    for subject, found in answers.items():
        if not _is_name(subject):
            continue  # Nobody can listen under such a name, and a long one would break the connection.
        for payload in encode_receipts(found):
            await connection.publish(receipts_subject(subject), payload)


def _append(
    database: Database,
    entries: Sequence[log.Entry],
    delivered: stream_seen.Delivered | None = None,
    *,
    marks: bool = True,
) -> tuple[Receipt, ...]:
    with get_log_session(database, writes=True) as session:
        decided = None if delivered is None else partial(stream_seen.was_decided, session, delivered)
        receipts = log.append(session, entries, decided=decided)
        if delivered is not None and marks:
            stream_seen.mark(session, delivered)
        reach("append.marked")
    reach("append.committed")
    witness.note(database, receipts)
    return receipts


def _append_alone(database: Database, entry: log.Entry, delivered: stream_seen.Delivered | None) -> Receipt:
    try:
        return _append(database, [entry], delivered, marks=False)[0]
    except Exception as error:  # whatever one message sets off must not reach its neighbours
        if not _is_of_a_message(error):
            raise
        detail = f"message: cannot be stored ({type(error).__name__})"
        event_id = entry.event.id if isinstance(entry, Fact) else entry.id
        refusal = Refusal(entry.subject, event_id, "malformed", detail, entry.payload)
        return _append(database, [refusal])[0]


def _is_of_a_message(error: Exception) -> bool:
    """Whether a value was at fault, not the database or its set-up."""
    return isinstance(error, DataError) or not isinstance(error, DBAPIError | LedgerError | OSError | MemoryError)


def _refusal(subject: str, data: bytes, reason: str, detail: str) -> Refusal:
    return Refusal(_storable(subject)[:_SUBJECT_KEPT], identity_of(data), reason, _storable(detail), data)


def _storable(text: str) -> str:
    """The text with whatever a database's text cannot hold, or a terminal should not, written out."""
    return text if text.isprintable() else ascii(text)[1:-1]


def _is_name(subject: str) -> bool:
    try:
        check_subject(subject)
    except Refused:
        return False
    return True


def _one_line(error: Exception) -> str:
    text = str(error.orig) if isinstance(error, DBAPIError) else str(error)
    return (text.strip().splitlines() or [type(error).__name__])[0]
