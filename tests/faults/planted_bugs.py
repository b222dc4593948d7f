"""Mistakes that one could make in door, log, sender and projector, put into the code by patches, to be found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy.orm import Session

from ledger import chain, intake, log
from ledger.connection import Connection
from ledger.database import get_log_session
from ledger.events import Recorded
from ledger.inbox import Batch, Inbox
from ledger.log import Head
from ledger.messages import decode
from ledger.receipts import Receipt
from ledger.sender import Sender
from ledger.settings import Database
from ledger.window import Window
from projections import projector as projector_module
from projections.projector import Projector
from projections.tables import Checkpoint

Patch = pytest.MonkeyPatch
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def acknowledge_before_commit(patch: Patch) -> None:
    """The door lets the broker forget what it has only read."""
    take = Inbox.take

    async def hasty(self: Inbox) -> Batch | None:
        batch = await take(self)
        for message in batch.messages if batch is not None else ():
            await self._connection.publish(message.reply)
        return batch

    patch.setattr(Inbox, "take", hasty)


def receipt_before_commit(patch: Patch) -> None:
    """The door answers for a transaction that is still to come."""
    record, answer = intake._record_batch, intake._answer
    databases: list[Database] = []

    class Undone(Exception):
        """The end of a transaction that only shows what would come of it."""

    def only_try(database: Database, batch: Batch) -> tuple[Receipt, ...]:
        entries = [entry for message in batch.messages for entry in intake._entries_of(message)]
        found: tuple[Receipt, ...] = ()
        with suppress(Undone), get_log_session(database, writes=True) as session:
            found = log.append(session, entries)
            raise Undone
        databases.append(database)
        return found

    async def answer_first(connection: Connection, inbox: Inbox, batch: Batch, receipts: Sequence[Receipt]) -> None:
        await answer(connection, inbox, batch, receipts)
        record(databases[-1], batch)

    patch.setattr(intake, "_record_batch", only_try)
    patch.setattr(intake, "_answer", answer_first)


def acknowledged_in_a_later_life(patch: Patch) -> None:
    """The door acknowledges sequences of before a broken connection, which may name other messages by now."""
    patch.setattr(Inbox, "is_of_this_life", lambda inbox, batch: True)


def acknowledged_in_a_later_stream(patch: Patch) -> None:
    """The door acknowledges sequences of a stream that was deleted, which may name other messages by now."""

    async def of_any(inbox: Inbox, batch: Batch) -> bool:
        return True

    patch.setattr(Inbox, "is_of_this_stream", of_any)


def no_identity_check(patch: Patch) -> None:
    """The log does not ask whether a fact is recorded already; what else would refuse it is taken away as well."""
    patch.setattr(log, "_lookup", lambda session, facts: {})


def conflict_taken_for_a_duplicate(patch: Patch) -> None:
    """Whatever comes under a used id is thought to be the same."""
    patch.setattr(log, "_repeated", lambda first, content: first._replace(status="duplicate"))


def redelivery_taken_for_a_conflict(patch: Patch) -> None:
    """What comes again after a crash behind the commit is thought to be something else."""
    patch.setattr(log, "_repeated", lambda first, content: first._replace(status="conflict", reason="id is used"))


def chain_not_continued(patch: Patch) -> None:
    """Each transaction begins its chain at the genesis."""

    def links(moment: datetime) -> Any:
        link, first = chain.links(moment), [chain.GENESIS]
        return lambda previous, **fields: link(first.pop() if first else previous, **fields)

    patch.setattr(log, "chain", SimpleNamespace(links=links, GENESIS=chain.GENESIS))


def premise_not_looked_at(patch: Patch) -> None:
    """A run starts although something newer is recorded than what it has seen."""
    patch.setattr(log, "_is_stale", lambda session, fact, after, seen: False)


def clock_believed(patch: Patch) -> None:
    """`recorded_at` goes back with the clock."""
    lock = log.lock_head

    def forgetful(session: Session) -> Head:
        return replace(lock(session), recorded_at=_LONG_AGO)

    patch.setattr(log, "lock_head", forgetful)


def refusals_not_told(patch: Patch) -> None:
    """No receipt goes out for what is refused."""
    publish = intake._publish_receipts

    async def publish_good_news(connection: Connection, receipts: Sequence[Receipt]) -> None:
        await publish(connection, [one for one in receipts if one.status not in ("rejected", "conflict")])

    patch.setattr(intake, "_publish_receipts", publish_good_news)


def sent_taken_for_recorded(patch: Patch) -> None:
    """The outbox lets go what the broker has."""
    publish = Sender._publish

    async def publish_and_forget(self: Sender, client: Connection, subject: str, payloads: Iterable[bytes]) -> None:
        sent = list(payloads)
        await publish(self, client, subject, sent)
        facts = [decode(self._outbox.subject, payload) for payload in sent]
        self._outbox.settle([Receipt(fact.subject, fact.id, "recorded", 1, b"", fact.digest) for fact in facts])

    patch.setattr(Sender, "_publish", publish_and_forget)


def receipts_by_id_alone(patch: Patch) -> None:
    """The sender takes a receipt for what another process said under an id for one of its own. It once did."""

    def settled(self: Window, receipts: Iterable[Receipt]) -> None:
        for receipt in receipts:
            self._sent.pop(receipt.id, None)

    patch.setattr(Window, "settled", settled)


def checkpoint_in_its_own_transaction(patch: Patch) -> None:
    """The tables are committed, and then, some time, the checkpoint."""
    step, move = Projector.step, Projector._move
    waiting: dict[Projector, int] = {}

    def remember(self: Projector, session: Session, position: int) -> None:
        waiting[self] = position

    def step_twice(self: Projector) -> bool:
        found = step(self)
        if found and self in waiting:
            session_of = vars(projector_module)["get_db_session"]  # The one in which faults strike.
            with session_of(self._database, writes=True, generation=self._generation) as session:
                move(self, session, waiting.pop(self))
        return found

    patch.setattr(Projector, "_move", remember)
    patch.setattr(Projector, "step", step_twice)


def checkpoint_not_compared(patch: Patch) -> None:
    """A projector goes on from where it was, whatever another one has done meanwhile."""
    lock = Projector._lock

    def trusting(self: Projector, session: Session) -> None:
        if self._commons is None:
            lock(self, session)
        else:
            self._steps = session.query(Checkpoint.steps).scalar() or 0

    patch.setattr(Projector, "_lock", trusting)


def late_facts_ignored(patch: Patch) -> None:
    """What is dated before the newest fact of its bot is passed over."""
    take = Projector._take

    def take_timely(self: Projector, session: Session, facts: Sequence[Recorded]) -> None:
        newest: dict[str, datetime] = self.__dict__.setdefault("newest", {})
        timely = []
        for fact in facts:
            if fact.event.at >= newest.setdefault(fact.subject, fact.event.at):
                newest[fact.subject] = fact.event.at
                timely.append(fact)
        if timely:
            take(self, session, timely)

    patch.setattr(Projector, "_take", take_timely)


def notes_dropped(patch: Patch) -> None:
    """The market changes, and nobody notes whom it concerns."""
    patch.setattr(projector_module, "write_notes", lambda session, notes: None)
