"""Pure: what all books share, the market, and what operators say: voids of anything, statements about bots."""

from __future__ import annotations

from collections.abc import Iterator

from ledger.events import FactVoided, Recorded, StatementIssued
from projections.market import Market
from projections.voids import Identity, identity

BOTS = "bots."


class Commons:
    """The market's and the operators' facts that stand, ready for a bot's fold.

    Every void has to be recorded before the other facts up to its position, for what it names counts for nothing.
    """

    def __init__(self, market: Market | None = None) -> None:
        self.market = Market() if market is None else market
        self._voids: dict[Identity, list[Recorded]] = {}
        self._about: dict[str, dict[Identity, Recorded]] = {}
        self._bot_of: dict[Identity, str] = {}

    def record_void(self, fact: Recorded) -> str | None:
        """Take in a void that a feed, a source or an operator has spoken; the subject of the bot that it reaches."""
        event = fact.event
        assert isinstance(event, FactVoided)
        target = (event.subject, event.target)
        if event.subject.startswith(BOTS):
            self._about.setdefault(event.subject, {})[identity(fact)] = fact
            return event.subject
        self._voids.setdefault(target, []).append(fact)
        bot = self._bot_of.pop(target, None)
        if bot is not None:
            del self._about[bot][target]
        return bot

    def record_statement(self, fact: Recorded) -> str:
        """Take in what an operator states about a bot; the bot's subject."""
        event = fact.event
        assert isinstance(event, StatementIssued)
        self._about.setdefault(event.subject, {})[identity(fact)] = fact
        self._bot_of[identity(fact)] = event.subject
        return event.subject

    def about(self, subject: str) -> tuple[Recorded, ...]:
        """What operators say about a bot: statements that stand, and voids of its facts."""
        return tuple(self._about.get(subject, {}).values())

    @property
    def bots(self) -> Iterator[str]:
        """The subjects of the bots that operators say anything about."""
        return (subject for subject, facts in self._about.items() if facts)

    def voids_of(self, target: Identity) -> tuple[Recorded, ...]:
        """The voids that name a fact of a feed, a source or an operator."""
        return tuple(self._voids.get(target, ()))

    @property
    def voids(self) -> Iterator[Recorded]:
        """All voids of facts of feeds, sources and operators."""
        return (fact for facts in self._voids.values() for fact in facts)
