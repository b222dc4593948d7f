"""What passes between the simulated broker and those around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

Headers = dict[str, str] | None


@dataclass(frozen=True, slots=True)
class Stored:
    """A message in the stream."""

    sequence: int
    subject: str
    data: bytes
    headers: Headers


class Client(Protocol):
    """A connection, as the broker sees it."""

    def hear(self, to: str, data: bytes, *, stored: str = "", reply: str = "", headers: Headers = None) -> None:
        """Take what the broker sends to a subject, if this connection listens to it; `stored` is a message's own."""

    def lose(self, seconds: float) -> None:
        """Be cut off, for at least so long."""


class Spy(Protocol):
    """Who looks over the broker's shoulder."""

    def acknowledged(self, message: Stored) -> None:
        """A message has been acknowledged."""

    def answered(self, subject: str, data: bytes) -> None:
        """A message of receipts has reached the broker."""
