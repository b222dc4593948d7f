"""Bots that have to be folded: now, because they spoke, or later, by a note, because the market changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from ledger.events import Recorded
from projections.market import Effect
from projections.tables import Interest, PendingFold, table
from projections.writer import upsert_rows

_NAMES_A_QUERY = 400
FIRST_DAY = 1
"""The day of a note for a bot whose rows are all told again, with a date or without."""


@dataclass(slots=True)
class Work:
    """Why a bot has to be folded: new facts of its own, and from which day on the market changed."""

    facts: list[Recorded] = field(default_factory=list)
    market_day: int | None = None
    actions: bool = False

    def notice(self, effect: Effect) -> None:
        """The market changed something from this day on."""
        self.market_day = effect.from_day if self.market_day is None else min(self.market_day, effect.from_day)
        self.actions = self.actions or effect.is_action

    @property
    def from_day(self) -> int:
        """The first day of which anything is new."""
        days = [fact.event.at.toordinal() for fact in self.facts]
        if self.market_day is not None:
            days.append(self.market_day)
        return min(days)


def concerned(session: Session, effects: Sequence[Effect]) -> dict[str, Work]:
    """The bots whose books these changes of the market reach."""
    by_symbol: dict[str, list[Effect]] = {}
    for effect in effects:
        by_symbol.setdefault(effect.symbol, []).append(effect)
    found: dict[str, Work] = {}
    symbols = sorted(by_symbol)
    for start in range(0, len(symbols), _NAMES_A_QUERY):
        query = select(Interest.bot_name, Interest.symbol, Interest.last_day).where(
            Interest.symbol.in_(symbols[start : start + _NAMES_A_QUERY])
        )
        for name, symbol, last_day in session.execute(query):
            for effect in by_symbol[symbol]:
                if _reaches(effect, last_day):
                    found.setdefault(name, Work()).notice(effect)
    return found


def _reaches(effect: Effect, last_day: date | None) -> bool:
    """What is held at the end of a day is held at the next one's 00:00Z, when splits and dividends come."""
    return last_day is None or last_day.toordinal() >= effect.from_day - (1 if effect.is_action else 0)


def merge_notes(session: Session, work: dict[str, Work]) -> None:
    """Notes of bots that are folded now anyway are worked off with it."""
    if not work or not session.scalar(select(func.count()).select_from(PendingFold)):
        return
    names = sorted(work)
    for start in range(0, len(names), _NAMES_A_QUERY):
        chunk = names[start : start + _NAMES_A_QUERY]
        for note in session.scalars(select(PendingFold).where(PendingFold.bot_name.in_(chunk))):
            work[note.bot_name].notice(Effect("", note.from_day.toordinal(), note.actions))
        session.expunge_all()
        session.execute(delete(PendingFold).where(PendingFold.bot_name.in_(chunk)))


def write_notes(session: Session, notes: dict[str, Work]) -> None:
    """Note these bots, to be folded later; a note that is there already is widened."""
    if not notes:
        return
    standing = {note.bot_name: note for note in session.scalars(select(PendingFold))}
    session.expunge_all()
    rows = []
    for name, note in notes.items():
        before = standing.get(name)
        if before is not None:
            note.notice(Effect("", before.from_day.toordinal(), before.actions))
        assert note.market_day is not None
        rows.append((name, date.fromordinal(note.market_day), note.actions))
    upsert_rows(session, table(PendingFold), rows)
