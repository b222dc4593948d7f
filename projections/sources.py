"""What folds are made of, read from the log: what all books share, and a bot's own facts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sqlalchemy.orm import Session

from ledger.events import FactVoided, Recorded
from ledger.log import find_fact, read_kind, read_subject, subjects
from projections.commons import BOTS, Commons
from projections.market_rows import MarketRows, take_in
from projections.rows import FlagRow
from projections.voids import Identity, void_flags

COMMON_KINDS = ("ops", "market", "actions")


def load_commons(
    session: Session, *, through: int, into: MarketRows | None = None, voids: Iterable[Recorded] = ()
) -> Commons:
    """What all books share, as the facts up to a position tell it, with more voids where some are given.

    `into` gathers the rows of the market.
    """
    commons = load_voids(session, through=through)
    for fact in voids:
        commons.record_void(fact)
    for fact in common_facts(session, through=through):
        take_in(commons, (fact,), into=into)
    return commons


def load_voids(session: Session, *, through: int) -> Commons:
    """A market without facts yet, with every void up to a position known: these come first."""
    commons = Commons()
    for kind in COMMON_KINDS:
        for fact in read_kind(session, kind, type_="void", through=through):
            commons.record_void(fact)
    return commons


def common_facts(session: Session, *, through: int) -> Iterator[Recorded]:
    """The facts of operators, feeds and sources up to a position, in no particular order."""
    for kind in COMMON_KINDS:
        yield from read_kind(session, kind, through=through)


def bot_facts(session: Session, commons: Commons, subject: str, *, through: int) -> list[Recorded]:
    """Everything that a bot's books are a function of, beside the market: its own facts, and operators' about it."""
    return [*read_subject(session, subject, through=through), *commons.about(subject)]


def bot_subjects(session: Session, commons: Commons, *, through: int) -> tuple[str, ...]:
    """The subjects of the bots that have spoken, or that operators say anything about, sorted."""
    return tuple(sorted({*subjects(session, BOTS[:-1], through=through), *commons.bots}))


def common_void_flags(session: Session, commons: Commons, *, through: int) -> list[FlagRow]:
    """The flags of voids, of facts of feeds, sources and operators, that void nothing."""
    voids = list(commons.voids)
    return void_flags(voids, recorded_targets(session, voids, through=through), None)


def recorded_targets(session: Session, voids: list[Recorded], *, through: int) -> dict[Identity, bool]:
    """Of what these voids name, what is recorded up to a position, and whether that is a void itself."""
    known: dict[Identity, bool] = {}
    for fact in voids:
        assert isinstance(fact.event, FactVoided)
        target = find_fact(session, fact.event.subject, fact.event.target)
        if target is not None and target.position <= through:
            known[fact.event.subject, fact.event.target] = isinstance(target.event, FactVoided)
    return known
