"""When which fault strikes, drawn from a seed: the same seed, kinds and time give the same schedule."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

SHORTEST_SECONDS, LONGEST_SECONDS = 0.5, 7.0
BETWEEN_SECONDS = (0.5, 4.0)


@dataclass(frozen=True, order=True)
class Planned:
    """A fault of this kind strikes `at` seconds after the begin and is undone `seconds` later.

    `seed` decides whom it strikes.
    """

    at: float
    kind: str
    seconds: float
    seed: int


def draw(seed: int, kinds: Sequence[str], *, seconds: float) -> list[Planned]:
    """Faults over so many seconds, in the order of time: each kind once before any comes twice."""
    chance = Random(seed)
    planned: list[Planned] = []
    deck: list[str] = []
    at = chance.uniform(*BETWEEN_SECONDS)
    pace = min(1.0, seconds / (len(kinds) * sum(BETWEEN_SECONDS) / 2))
    while at < seconds:
        if not deck:
            deck = chance.sample(sorted(kinds), len(kinds))
        length = chance.uniform(SHORTEST_SECONDS, LONGEST_SECONDS)
        planned.append(Planned(at, deck.pop(), length, chance.randrange(2**32)))
        at += pace * chance.uniform(*BETWEEN_SECONDS)
    return planned
