"""Publishers with real outboxes, what they say, and a journal of what they meant."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ledger.addresses import Surroundings
from ledger.speaker import Speaker
from tests.faults.invariants import Journal

Wave = Sequence[tuple[str, Mapping[str, Any]]]
DAY = "2026-01-0{}T{:02}:00:00Z"
RETELLING = "!"
"""Behind a subject: another process of that name, with an outbox of its own."""


class Publishers:
    """Speakers by subject, each with its outbox, and everything that they were told to say."""

    def __init__(self, url: str, directory: Path) -> None:
        self._url = url
        self._directory = directory
        self._speakers: dict[str, Speaker] = {}
        self._meant: list[tuple[str, bytes]] = []

    def say(self, wave: Wave) -> None:
        """Publish these facts; each is in an outbox when this returns."""
        for name, fields in wave:
            published = self._speaker(name).publish(fields)
            self._meant.append((published.subject, published.payload))

    def note(self, subject: str, data: bytes) -> None:
        """Put down what somebody says without an outbox."""
        self._meant.append((subject, data))

    @property
    def waiting(self) -> int:
        """How many facts have no receipt yet."""
        boxes = [speaker.outbox for speaker in self._speakers.values()]
        return sum(box.count_waiting(through=box.last_sequence()) for box in boxes)

    def journal(self, receipts: Sequence[Mapping[str, Any]]) -> Journal:
        """What was meant, with these answers."""
        return Journal(tuple(self._meant), tuple(receipts))

    def close(self) -> None:
        """Stop sending."""
        for speaker in self._speakers.values():
            speaker.close()

    def _speaker(self, name: str) -> Speaker:
        if name not in self._speakers:
            subject = name.removesuffix(RETELLING)
            place = self._directory / ("another" if name != subject else "outbox")
            self._speakers[name] = Speaker(
                subject,
                Surroundings(self._url, None, place),
                timeout_seconds=10,
                require_receipts=False,
                clock=None,
                excuses=lambda refused, seconds: refused,
            )
        return self._speakers[name]


@contextmanager
def publishers(url: str, directory: Path) -> Iterator[Publishers]:
    """Publishers of one broker, closed at the end."""
    found = Publishers(url, directory)
    try:
        yield found
    finally:
        found.close()


def waves(key: str) -> tuple[Wave, ...]:
    """A small history with everything in it that is treated apart, under names of this key; told out of order."""
    one, other, symbol = f"bots.One{key}", f"bots.Other{key}", f"Q{key}"

    def trade(id_: str, day: int, side: str, quantity: str, price: str) -> dict[str, Any]:
        fields = {"symbol": symbol, "side": side, "quantity": quantity, "price": price, "fee": "0.35"}
        return {"type": "trade", "id": id_, "at": DAY.format(day, 15), **fields}

    def market(kind: str, id_: str, day: int, **fields: Any) -> dict[str, Any]:
        return {"type": kind, "id": id_, "at": DAY.format(day, 0), "symbol": symbol, **fields}

    bar = [DAY.format(5, 0), "100", "104", "99.5", "103.25", "1000"]
    later = [DAY.format(7, 0), "51", "53", "50", "52.125", "1000"]
    first = [
        (one, {"type": "bot_registered", "id": "reg", "at": DAY.format(5, 9), "opening": {"USD": "1000"}}),
        (one, trade("t1", 5, "buy", "3", "100.1")),
        (other, {"type": "deposit", "id": "d1", "at": DAY.format(5, 10), "amount": "500"}),
        ("market.feed", market("bars", f"{key}.5", 6, interval="1d", bars=[bar])),
    ]
    second = [
        (one, trade("t3", 7, "sell", "1", "52.2")),
        (other, trade("t1", 6, "buy", "2", "104.5")),
        (one + RETELLING, trade("t1", 5, "buy", "4", "100.1")),
        ("actions.source", market("split", f"{key}.split", 7, new=2, old=1)),
        (one, {"type": "run_started", "id": "r.s", "at": DAY.format(7, 14), "run": "r"}),
        ("market.feed", market("bars", f"{key}.7", 8, interval="1d", bars=[later])),
    ]
    third = [
        (one, trade("t2", 6, "buy", "1", "101")),
        (other, {"type": "void", "id": "v1", "at": DAY.format(8, 9), "subject": other, "target": "d1", "reason": "x"}),
        ("actions.source", market("dividend", f"{key}.div", 8, per_share="0.25")),
        (one, {"type": "run_finished", "id": "r.f", "at": DAY.format(8, 14), "run": "r", "success": True}),
        (one + RETELLING, trade("t3", 7, "sell", "1", "52.2")),
    ]
    latest = [DAY.format(8, 0), "53", "54", "52", "53.5", "1000"]
    # Of a price alone each holder is only noted, to be folded in a step of its own.
    fourth = [("market.feed", market("bars", f"{key}.8", 9, interval="1d", bars=[latest]))]
    return first, second, third, fourth


def strangers(key: str) -> tuple[tuple[str, bytes], ...]:
    """What is said without an outbox: a type that nobody knows yet, a malformed message, the same message twice."""
    one = f"bots.One{key}"
    deposit = json.dumps({"type": "deposit", "id": "s1", "at": DAY.format(5, 11), "amount": "1"}).encode()
    return (
        (one, json.dumps({"type": "exercised", "id": "x1", "at": DAY.format(5, 11)}).encode()),
        (one, b'{"type": "deposit", "id": "m1", "amount": 1}'),
        (one, deposit),
        (one, deposit),
    )
