"""Which bots have not been heard of for longer than they said; the time of asking is handed in.

Heard of means recorded: a fact under the bot's own name has arrived, whatever time it speaks of. What is delivered late
was still heard; a fact about yesterday that arrives today shows that the bot lives today.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from ledger.events import BotRegistered, Recorded
from ledger.fields import format_time, interval_length
from ledger.log import read_head
from ledger.reading import last_heard, read_kind
from projections.book import first_registration
from projections.telling import Json
from projections.voids import standing_facts

_MONTH = timedelta(days=31)


def expectations(session: Session) -> dict[str, tuple[BotRegistered, timedelta]]:
    """The bots that say how often they run, by subject, and how long they may be silent; a month has 31 days."""
    through = read_head(session).position
    asked = (("bots", "bot_registered"), ("bots", "void"), ("ops", "void"))
    facts = [fact for kind, type_ in asked for fact in read_kind(session, kind, type_=type_, through=through)]
    by_subject: defaultdict[str, list[Recorded]] = defaultdict(list)
    for fact in standing_facts(facts):
        by_subject[fact.subject].append(fact)
    found = {}
    for subject, own in sorted(by_subject.items()):
        registration = first_registration(own)
        event = None if registration is None else registration.event
        if isinstance(event, BotRegistered) and event.expected_every is not None:
            found[subject] = (event, _length(event.expected_every))
    return found


def silent_bots(session: Session, *, now: datetime) -> Iterator[Json]:
    """The bots that are overdue at this moment, by name: since when, and how long they may be silent."""
    expected = expectations(session)
    heard = last_heard(session, sorted(expected))
    for subject, (event, allowed) in expected.items():
        fact = heard[subject]
        silence = now - fact.recorded_at
        if silence > allowed:
            yield {
                "name": subject.removeprefix("bots."),
                "mode": event.mode,
                "silent_since": format_time(fact.recorded_at),
                "last_position": fact.position,
                "last_type": fact.event.type,
                "expected_every": event.expected_every,
                "silent_seconds": int(silence.total_seconds()),
                "overdue_seconds": int((silence - allowed).total_seconds()),
            }


def _length(interval: str) -> timedelta:
    return interval_length(interval) or int(interval.removesuffix("mo")) * _MONTH
