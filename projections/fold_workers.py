"""Bots folded from their first fact, in bulk: in this process, or for a long log in one process a core.

A worker reads the log for itself and hands over rows as the database takes them; only the caller writes. It
ends when the caller is gone, however that came.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from sqlalchemy.orm import Session

from ledger.database import get_db_session
from ledger.errors import LedgerError
from ledger.settings import Database
from projections.commons import Commons
from projections.folding import fold
from projections.saving import bot_tables
from projections.sources import bot_facts, load_commons
from projections.tables import Base, table
from projections.writer import Prepared, prepare

BOTS_A_CHUNK = 8
FACTS_WORTH_WORKERS = 50_000
_GARBAGE_THRESHOLD = 200_000


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some bots folded: how many facts they are of, and their rows by table."""

    facts: int
    rows: int
    tables: tuple[Prepared, ...]


def folded(database: Database, generation: int, subjects: Sequence[str], *, through: int) -> Iterator[Chunk]:
    """Every one of these subjects' bots folded up to a position, in pieces, in no particular order.

    Raises: LedgerError where a worker ends unexpectedly.
    """
    chunks = [subjects[start : start + BOTS_A_CHUNK] for start in range(0, len(subjects), BOTS_A_CHUNK)]
    workers = min(os.cpu_count() or 1, len(chunks))
    if through < FACTS_WORTH_WORKERS or workers < 2:
        with get_db_session(database, generation=generation) as session:
            commons = load_commons(session, through=through)
            for chunk in chunks:
                yield _fold(session, commons, chunk, through=through)
        return
    yield from _in_processes(database, generation, chunks, through=through, workers=workers)


def _fold(session: Session, commons: Commons, subjects: Sequence[str], *, through: int) -> Chunk:
    found: dict[type[Base], list[tuple[Any, ...]]] = {}
    facts = 0
    for subject in subjects:
        own = bot_facts(session, commons, subject, through=through)
        rows = fold(subject.partition(".")[2], own, commons.market)[1]
        facts += len(own)
        for of, new in bot_tables(rows):
            found.setdefault(of, []).extend(new)
    tables = tuple(prepare(session, table(of), new) for of, new in found.items() if new)
    return Chunk(facts, sum(len(new) for new in found.values()), tables)


def _in_processes(
    database: Database, generation: int, chunks: Sequence[Sequence[str]], *, through: int, workers: int
) -> Iterator[Chunk]:
    context = multiprocessing.get_context("spawn")
    waiting = list(reversed(chunks))
    pipes: list[Connection] = []
    processes = []
    try:
        for _ in range(workers):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs, database, generation, through), daemon=True)
            process.start()
            theirs.close()
            pipes.append(ours)
            processes.append(process)
            _hand_out(ours, waiting)
            _hand_out(ours, waiting)
        for _ in chunks:
            pipe = next(iter(wait(pipes)))
            assert isinstance(pipe, Connection)
            yield _received(pipe)
            _hand_out(pipe, waiting)
    finally:
        for pipe in pipes:
            pipe.close()
        for process in processes:
            process.join()


def _hand_out(pipe: Connection, waiting: list[Sequence[str]]) -> None:
    if waiting:
        with suppress(OSError):  # A worker that is gone is told of when its answer is missed.
            pipe.send(waiting.pop())


def _received(pipe: Connection) -> Chunk:
    try:
        answer = pipe.recv()
    except (EOFError, OSError) as error:
        raise LedgerError("a process that folds bots ended unexpectedly: run the rebuild again") from error
    if isinstance(answer, str):
        raise LedgerError(f"a process that folds bots failed: {answer}")
    assert isinstance(answer, Chunk)
    return answer


def _work(pipe: Connection, database: Database, generation: int, through: int) -> None:
    """A worker's life: chunks in, rows out, until the caller closes the pipe or dies."""
    # Rows are made and let go by the hundred thousand, without circles: looking for these costs a tenth.
    gc.set_threshold(_GARBAGE_THRESHOLD)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the caller, who then closes the pipe.
    try:
        with get_db_session(database, generation=generation) as session:
            commons = load_commons(session, through=through)
            gc.freeze()
            while (subjects := _next_chunk(pipe)) is not None:
                pipe.send(_fold(session, commons, subjects, through=through))
    except OSError:
        return  # The caller is gone; nobody waits for these rows.
    except Exception as error:  # noqa: BLE001 - the outermost place: the caller raises it, in words
        with suppress(OSError):
            pipe.send(f"{type(error).__name__}: {error}")


def _next_chunk(pipe: Connection) -> Sequence[str] | None:
    try:
        subjects: Sequence[str] = pipe.recv()
    except EOFError:
        return None
    return subjects
