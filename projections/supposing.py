"""What facts would change if they were recorded behind all others: the books without them and with them, compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy.orm import Session

from ledger.events import FactVoided, Recorded
from ledger.log import read_head
from ledger.messages import Fact
from projections.commons import BOTS
from projections.differences import Differences, compare
from projections.history import History, Point
from projections.market_rows import OPERATORS


def suppose(session: Session, facts: Sequence[Fact]) -> Iterator[Differences]:
    """What these facts would change, bot by bot; only bots whose books would differ."""
    head = read_head(session)
    supposed = [
        Recorded(head.position + number, fact.subject, fact.event, head.recorded_at)
        for number, fact in enumerate(facts, start=1)
    ]
    point = Point(head.position)
    before, after = History(session, point), History(session, point, extra=supposed)
    for name in _concerned(before, supposed):
        old, new = before.find(name), after.find(name)
        found = compare(name, None if old is None else old.rows, None if new is None else new.rows, head=head.position)
        if found.are_any:
            yield found


def _concerned(history: History, facts: Sequence[Recorded]) -> Iterator[str]:
    """The bots whose books these facts may change: those that they are about, or for the market's facts all."""
    reached = {fact.event.subject if isinstance(fact.event, FactVoided) else fact.subject for fact in facts}
    if all(subject.startswith((BOTS, OPERATORS)) for subject in reached):
        # What operators say about a bot, statements, changes flags only.
        yield from sorted(subject.removeprefix(BOTS) for subject in reached if subject.startswith(BOTS))
    else:
        yield from history.names
