"""What bots ask, answered from log and books."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from ledger.database import get_db_session, get_log_session
from ledger.errors import SetupError
from ledger.progress import Reached
from ledger.reading_runs import good_finish, open_starts, read_run
from ledger.responder import Answer, Question, Reply
from ledger.settings import Database
from projections import queries

PAGE_BYTES = 256 * 1024


def answerer(database: Database) -> Answer:
    """Answers questions about this ledger; None where the books do not know enough yet."""

    def answer(question: Question) -> Reply | None:
        if question.query == "recorded":
            with get_log_session(database) as session:
                return _recorded(session, question)
        try:
            return _from_books(database, question)
        except SetupError:
            return None  # A ledger that begins has no books for a moment.

    return answer


def books_reached(database: Database) -> Reached:
    """Tells how far this ledger's books are, 0 where there are none yet."""

    def reached() -> int:
        try:
            with get_db_session(database) as session:
                return queries.checkpoint(session)
        except SetupError:
            return 0

    return reached


def _from_books(database: Database, question: Question) -> Reply | None:
    with get_db_session(database) as session:
        if not queries.knows(session, question.bot, question.position):
            return None
        if question.query == "run":
            return _run_state(session, question)
        return queries.portfolio(session, question.bot)


def _recorded(session: Session, question: Question) -> Reply:
    """The facts of a run; all of them, or where the asker counts pages, as many as fit well into a message."""
    facts: list[object] = []
    size = 0
    for id_, position, payload in read_run(session, f"bots.{question.bot}", question.run, after=question.after or 0):
        fact = {"id": id_, "position": position, "payload": payload}
        size += len(json.dumps(fact))
        if question.after is not None and facts and size > PAGE_BYTES:
            return {"facts": facts, "more": True}
        facts.append(fact)
    return {"facts": facts, "more": False}


def _run_state(session: Session, question: Question) -> Reply:
    """The books' row of a run; one that has finished well stays so, whatever later or misdated attempts say."""
    state = queries.run_state(session, question.bot, question.run)
    finish = good_finish(session, f"bots.{question.bot}", question.run)
    if state["run"] is not None and finish is not None:
        state["run"] |= {"success": True, "result": finish.result}
    if question.overlap_seconds:
        since = datetime.now(UTC) - timedelta(seconds=question.overlap_seconds)
        state["open"] = list(open_starts(session, f"bots.{question.bot}", since=since))
    return state
