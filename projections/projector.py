"""Carry the tables forward: read facts, fold the bots concerned, save, move the checkpoint, in one transaction.

Books and market are kept in memory between steps and are dropped when a transaction fails. A market fact
writes its own rows and a note for each bot that it concerns; the notes are worked off afterwards, a bounded
number a transaction, so that no step grows with the fleet.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Inexact

from sqlalchemy import delete, select, update
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.orm import Session

from ledger.database import dispose, get_db_session
from ledger.errors import LedgerError
from ledger.events import FactVoided, Recorded, StatementIssued
from ledger.failpoints import reach
from ledger.log import position_hash, read, read_head
from ledger.settings import Database
from ledger.stalled import is_lock_timeout
from projections.amending import amend, can_amend
from projections.book import traded
from projections.bot_rows import BotRows
from projections.checkpoints import Outdated, check_books
from projections.commons import BOTS, Commons
from projections.folding import EVERYTHING, Kept, can_go_on, fold, fold_from, go_on, is_retold
from projections.generations import CHECKPOINT, are_broken, ensure_books
from projections.kept_books import KeptBooks
from projections.market import Effect
from projections.market_rows import save_market, take_in
from projections.notes import FIRST_DAY, Work, concerned, merge_notes, write_notes
from projections.retelling import retell, save_void_flags, told_before
from projections.saving import save
from projections.sources import bot_facts, load_commons, newest_snapshot, read_previous
from projections.tables import Checkpoint, PendingFold
from projections.voids import identity, voided

FACTS_A_STEP = 1_000
FACTS_A_STEP_BEHIND = 10_000
BYTES_A_STEP = 4 * 1024 * 1024
NOTES_A_STEP = 50


class Overtaken(LedgerError):
    """Another projector has moved the checkpoint; this one begins its step again, or stands by."""


class Projector:
    """Follows the log into one generation of the books: the live one unless a number is given.

    `gives_way`: once another has moved the checkpoint, steps raise Overtaken until `take_over`, to keep one's memory.
    """

    def __init__(
        self,
        database: Database,
        *,
        generation: int | None = None,
        facts_a_step: int | None = None,
        gives_way: bool = False,
    ) -> None:
        self._database = database
        self._fixed = generation
        self._facts_a_step = facts_a_step
        self._gives_way = gives_way
        self._own_steps: tuple[int, ...] = ()
        self._generation: int | None = None
        self._position = 0
        self._steps = 0
        self._healed = 0
        self._commons: Commons | None = None
        self._books = KeptBooks()
        self._notes_next = False

    def step(self) -> bool:
        """One bounded transaction; True if there was anything to do.

        Raises: Overtaken where another projector was quicker, Outdated where the books have to be made anew; what
        the database raises.
        """
        generation = self._fixed or ensure_books(self._database)
        if generation != self._generation:
            self._forget()
            if self._database.is_sqlite and self._generation is not None:
                dispose(self._database, generation=self._generation)  # Else its deleted file would keep its space.
            self._generation = generation
            self._own_steps = ()
        try:
            with get_db_session(self._database, writes=True, generation=generation) as session:
                moved = self._step(session)
            self._own_steps = (self._steps,)
            reach("fold.committed")
            return moved
        except BaseException as error:
            self._forget()
            if isinstance(error, DatabaseError) and are_broken(error):
                raise Outdated(f"the books cannot be read: {str(error.orig).splitlines()[0]}") from error
            raise

    def catch_up(self) -> int:
        """Step until nothing is left to do; the position that the books have reached."""
        while self.step():
            pass
        return self._position

    def take_over(self, steps: int | None) -> None:
        """Go on from where another projector has left the checkpoint, unless it makes one more step after all."""
        self._own_steps = () if steps is None else (steps,)

    def close(self) -> None:
        """Let go of everything that is kept in memory."""
        self._forget()

    def _forget(self) -> None:
        self._commons = None
        self._books.clear()

    def _step(self, session: Session) -> bool:
        self._lock(session)
        reach("fold.locked")
        position = self._position
        facts = () if self._notes_next else self._read(session)
        if facts:
            reach("fold.read")
            self._take(session, facts)
            position = facts[-1].position
        elif not self._fold_notes(session):
            if not self._notes_next:
                return False
            self._notes_next = False
            return True
        self._move(session, position)
        reach("fold.moved")
        self._notes_next = bool(facts)
        return True

    def _read(self, session: Session) -> tuple[Recorded, ...]:
        """The next facts, bounded in number and in bytes: a message of bars can have a thousand of them."""
        limit = self._facts_a_step
        if limit is None:
            # Two doors record what one bot says out of its order; within a step, that costs nothing.
            behind = read_head(session).position - self._position
            limit = max(FACTS_A_STEP, min(behind, FACTS_A_STEP_BEHIND))
        return read(session, after=self._position, limit=limit, payload_bytes=BYTES_A_STEP)

    def _lock(self, session: Session) -> None:
        """Take the checkpoint row; whatever is kept in memory goes where another projector has moved it."""
        query = select(Checkpoint).where(Checkpoint.name == CHECKPOINT).with_for_update()
        try:
            row = session.scalars(query).one_or_none()
        except OperationalError as error:
            if is_lock_timeout(error):
                raise Overtaken("another projector is at work on these books") from error
            raise
        if row is None:
            raise Outdated("the books have lost their checkpoint")
        if self._gives_way and self._own_steps and row.steps not in self._own_steps:
            raise Overtaken("another projector follows these books")
        if self._commons is None or row.steps != self._steps or row.healed != self._healed:
            self._forget()
            check_books(session, row)
            self._position, self._steps, self._healed = row.position, row.steps, row.healed
            self._commons = load_commons(session, through=row.position)
        session.expunge(row)

    def _take(self, session: Session, facts: Sequence[Recorded]) -> None:
        """Write what the market says, note the bots that it concerns, fold the bots that spoke or were spoken of."""
        work: dict[str, Work] = {}
        effects = self._take_commons(session, facts, work)
        for fact in facts:
            kind, _, name = fact.subject.partition(".")
            if kind == "bots":
                work.setdefault(name, Work()).facts.append(fact)
        notes = concerned(session, effects)
        for name, note in notes.items():
            if name in work:
                work[name].market_day, work[name].actions = note.market_day, note.actions
        merge_notes(session, work)
        write_notes(session, {name: note for name, note in notes.items() if name not in work})
        self._fold(session, work, through=facts[-1].position)

    def _take_commons(self, session: Session, facts: Sequence[Recorded], work: dict[str, Work]) -> list[Effect]:
        """Take in what all books share; what it changes for holders. Bots that operators speak of become work."""
        assert self._commons is not None
        commons = self._commons
        common = [fact for fact in facts if not fact.subject.startswith(BOTS)]
        voids = [fact for fact in common if isinstance(fact.event, FactVoided)]
        for fact in voids:
            bot = commons.record_void(fact)
            if bot is not None:
                work.setdefault(bot.removeprefix(BOTS), Work()).facts.append(fact)
        effects: list[Effect] = []
        gone = told_before(session, voids, through=self._position)
        if gone:
            self._commons, rows = retell(session, commons, gone, voids, through=self._position)
            commons = self._commons
            save_market(session, rows)
            effects.extend(rows.effects)
        rows = take_in(commons, common)
        save_market(session, rows)
        if voids or any(commons.voids_of(identity(fact)) for fact in common):
            save_void_flags(session, commons, common, through=facts[-1].position)
        for fact in common:
            if isinstance(fact.event, StatementIssued) and not commons.voids_of(identity(fact)):
                work.setdefault(fact.event.subject.removeprefix(BOTS), Work()).facts.append(fact)
        return [*effects, *rows.effects]

    def _fold_notes(self, session: Session) -> bool:
        """Fold some of the bots that have a note; whether there were any."""
        query = select(PendingFold).order_by(PendingFold.bot_name).limit(NOTES_A_STEP)
        notes = session.scalars(query).all()
        if not notes:
            return False
        work = {note.bot_name: Work([], note.from_day.toordinal(), note.actions) for note in notes}
        session.expunge_all()
        session.execute(delete(PendingFold).where(PendingFold.bot_name.in_(list(work))))
        reach("notes.taken")
        self._fold(session, work, through=self._position)
        reach("notes.folded")
        return True

    def _fold(self, session: Session, work: dict[str, Work], *, through: int) -> None:
        folded = [self._fold_one(session, name, todo, through) for name, todo in work.items()]
        if folded:
            reach("fold.folded")
            save(session, folded)
            reach("fold.saved")

    def _fold_one(self, session: Session, name: str, todo: Work, through: int) -> BotRows:
        assert self._commons is not None
        market = self._commons.market
        kept = self._books.take(name)
        if kept is not None and can_go_on(kept, todo.facts, from_day=todo.from_day, actions=todo.actions):
            try:
                rows = go_on(kept, todo.facts, market, from_day=todo.from_day)
            except Inexact:
                kept = None
            else:
                self._books.keep(name, kept)
                return rows
        if kept is not None and not is_retold(todo.facts, kept.voided):
            late = self._fold_late(session, kept, todo, through)
            if late is not None:
                self._books.keep(name, kept)
                return late
        facts = bot_facts(session, self._commons, f"{BOTS}{name}", through=through)
        retold = todo.from_day <= FIRST_DAY or is_retold(todo.facts, voided(facts))
        kept, rows = fold(name, facts, market, from_day=EVERYTHING if retold else todo.from_day)
        if kept is not None:
            self._books.keep(name, kept)
        return rows

    def _fold_late(self, session: Session, kept: Kept, todo: Work, through: int) -> BotRows | None:
        """Amend a kept book, or fold it again, from the newest snapshot that still holds, if there is one."""
        assert self._commons is not None
        market = self._commons.market
        snapshot = newest_snapshot(session, kept.book.name, day=todo.from_day)
        if snapshot is None:
            return None
        if not todo.actions and can_amend(kept, todo.facts, market, snapshot):
            told = read_previous(session, kept.book.name, traded(todo.facts), market, snapshot)
            try:
                rows = amend(kept, snapshot, todo.facts, told, market, from_day=todo.from_day)
            except Inexact:
                return None
            if rows is not None:
                return rows
        subject = f"{BOTS}{kept.book.name}"
        facts = bot_facts(session, self._commons, subject, through=through, since=snapshot.date)
        facts = [fact for fact in facts if identity(fact) not in kept.voided]
        try:
            return fold_from(kept, snapshot, facts, todo.facts, market, from_day=todo.from_day, actions=todo.actions)
        except Inexact:
            return None

    def _move(self, session: Session, position: int) -> None:
        """Move the checkpoint by compare-and-set: of two projectors one loses and rolls back."""
        moved = session.execute(
            update(Checkpoint)
            .where(Checkpoint.name == CHECKPOINT, Checkpoint.steps == self._steps)
            .values(position=position, hash=position_hash(session, position), steps=self._steps + 1)
        )
        if moved.rowcount != 1:  # type: ignore[attr-defined]  # an UPDATE's result has it
            raise Overtaken(f"the checkpoint was not at {self._position} any more")
        self._own_steps = (self._steps, self._steps + 1)  # Where the answer to COMMIT is lost, it may be either.
        self._position, self._steps = position, self._steps + 1
