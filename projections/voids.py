"""Pure: which facts stand. What a void names is treated as never published, whatever came first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ledger.events import FactVoided, Recorded
from projections.rows import FlagRow

Identity = tuple[str, str]
"""Subject and id of a fact."""
WAITING = "void_waiting"
OF_A_VOID = "void_of_void"


def identity(fact: Recorded) -> Identity:
    """What names a fact, whatever its place."""
    return (fact.subject, fact.event.id)


def voided(facts: Iterable[Recorded]) -> set[Identity]:
    """What the voids among these facts name."""
    return {(fact.event.subject, fact.event.target) for fact in facts if isinstance(fact.event, FactVoided)}


def standing_facts(facts: Sequence[Recorded]) -> list[Recorded]:
    """The facts that count: without voids and without what they name (a void itself cannot be voided)."""
    gone = voided(facts)
    if not gone:
        return list(facts)
    return [fact for fact in facts if not isinstance(fact.event, FactVoided) and identity(fact) not in gone]


def void_flags(voids: Iterable[Recorded], known: dict[Identity, bool], bot: str | None) -> list[FlagRow]:
    """The flags of voids that void nothing: their target is unknown so far, or is itself a void.

    Shape: `known` tells of each target that is recorded whether it is a void.
    """
    found: list[FlagRow] = []
    for fact in voids:
        event = fact.event
        assert isinstance(event, FactVoided)
        target = (event.subject, event.target)
        told = f"{event.target} of {event.subject}"
        if target not in known:
            found.append(FlagRow(WAITING, fact.position, "", bot, event.at, f"{told} is not recorded: the void waits"))
        elif known[target]:
            detail = f"{told} is a void, which cannot be voided: publish the fact again under a new id"
            found.append(FlagRow(OF_A_VOID, fact.position, "", bot, event.at, detail))
    return found
