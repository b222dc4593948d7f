"""What must hold of the books: the checkpoint is in the log, and the tables are what the audit makes of its facts."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import Any

from ledger.database import live_generation
from ledger.settings import Database
from projections.audit.facts import Fact, moment
from projections.audit.tables import tables
from tests.faults.naive_model import Model
from tests.replay.outcome import assert_same
from tests.replay.ways import live_books


class Books:
    """The books that are live, as they are on the disk."""

    def __init__(self, database: Database, model: Model) -> None:
        self._database = database
        self._model = model
        self._before = (0, 0)

    def check_checkpoint(self) -> None:
        """It is in the log, and goes back only where other books take the place of the live ones."""
        rows = self._model.read().rows
        ((position, hash_),) = self._select("SELECT position, hash FROM checkpoints")
        assert position <= len(rows), f"the checkpoint {position} is ahead of the head {len(rows)}"
        assert hash_ == (rows[position - 1].hash if position else bytes(32)), "the checkpoint is of another log"
        now = (live_generation(self._database) or 0, position)
        assert now >= self._before, f"the checkpoint (generation, position) was {self._before} and is {now}"
        self._before = now

    def check(self) -> bool:
        """Hold the tables against the audit's; False where some bots are still to be folded."""
        if self._select("SELECT 1 FROM pending_folds"):
            return False
        ((position,),) = self._select("SELECT position FROM checkpoints")
        facts = [
            Fact(row.position, row.subject, moment(row.recorded_at), json.loads(row.payload))
            for row in self._model.read().rows[:position]
        ]
        assert_same(live_books(self._database), tables(facts), way="live")
        return True

    def _select(self, query: str) -> list[Any]:
        with closing(sqlite3.connect(f"{self._database.books_link.as_uri()}?mode=ro", uri=True)) as books:
            return books.execute(query).fetchall()
