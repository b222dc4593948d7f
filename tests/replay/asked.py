"""A log and the time that it is asked for, and, worked out the naive way, the log of what had happened by then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from projections.audit.facts import moment
from projections.points import Moment, read_moment
from tests.replay.ways import Message
from tests.strategies import INTERVALS, logs
from tests.strategies_fields import days, times

_DAY = timedelta(days=1)
_NOTHING = {"type": "statement", "at": "2026-01-01T00:00:00Z", "subject": "bots.Elsewhere", "cash": {}, "holdings": {}}


@dataclass(frozen=True)
class Asked:
    """A log, as of which time, and how many of its facts are known then."""

    messages: list[Message]
    text: str
    known: int

    @property
    def moment(self) -> Moment:
        """The time, as a command reads it."""
        return read_moment(self.text)

    def by_then(self, known: int) -> list[Message]:
        """The first facts, and in the place of each that had not happened yet one that says nothing to any bot."""
        return [
            happened_by(self.text, message) or ("ops.elsewhere", {"id": str(number), **_NOTHING})
            for number, message in enumerate(self.messages[:known])
        ]


@st.composite
def asked(draw: st.DrawFn) -> Asked:
    """Any log, as of any time or day, most of them those of a fact.

    Prices in shares of after the time are not drawn: they need a split that the shorter log does not have.
    """
    messages = draw(logs())
    text = draw(st.sampled_from([said["at"] for _, said in messages]) | times() | days())
    text = draw(st.sampled_from((text, text[:10])))
    return Asked(in_shares_of_then(messages, text), text, draw(st.integers(1, len(messages))))


def happened_by(text: str, message: Message) -> Message | None:
    """What of a message had happened by a time: of bars those that had ended, of a void all, whenever it was said."""
    subject, said = message
    end = _end(text)
    if said["type"] == "bars":
        length, _ = INTERVALS[said["interval"]]
        ended = [bar for bar in said["bars"] if moment(bar[0]) + length <= end]
        return (subject, {**said, "bars": ended}) if ended else None
    # Of a day all that is before its end is in, of a time what is at it, too.
    is_in = moment(said["at"]) <= end if "T" in text else moment(said["at"]) < end
    return message if is_in or said["type"] == "void" else None


def in_shares_of_then(messages: Sequence[Message], text: str) -> list[Message]:
    """The same log, its prices as traded where they are told in shares of after the time."""
    return [
        (subject, {name: value for name, value in said.items() if name != "adjusted_through"})
        if "adjusted_through" in said and moment(said["adjusted_through"]) > _end(text)
        else (subject, said)
        for subject, said in messages
    ]


def _end(text: str) -> datetime:
    return moment(text) if "T" in text else datetime.fromisoformat(text).replace(tzinfo=UTC) + _DAY
