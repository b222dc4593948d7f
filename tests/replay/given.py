"""The facts of a scenario: a small builder for each type, so that a test reads as a sentence.

A builder gives a subject and a message. What a scenario leaves out, `told` gives: the id is the fact's place in
the scenario ("0001", "0002", …), and facts without a time of their own are a minute apart, from 15:30 on of the day
that was last named.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any

from tests.replay.ways import Message

BOT = "TestBot"
DAY = "2026-01-05"
_HOUR = time(15, 30, tzinfo=UTC)
_MINUTE = timedelta(minutes=1)
_LENGTHS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "wk": timedelta(weeks=1)}


def register(*, bot: str = BOT, **fields: Any) -> Message:
    """A registration that says just this."""
    return f"bots.{bot}", {"type": "bot_registered", **fields}


def opening(cash: str = "10000", **fields: Any) -> Message:
    """A registration with this much USD."""
    return register(opening={"USD": cash}, **fields)


def buy(symbol: str, quantity: str, *, price: str, bot: str = BOT, **fields: Any) -> Message:
    """A purchase."""
    return _trade("buy", symbol, quantity, price, bot, fields)


def sell(symbol: str, quantity: str, *, price: str, bot: str = BOT, **fields: Any) -> Message:
    """A sale."""
    return _trade("sell", symbol, quantity, price, bot, fields)


def deposit(amount: str, *, bot: str = BOT, **fields: Any) -> Message:
    """Cash that came in."""
    return f"bots.{bot}", {"type": "deposit", "amount": amount, **fields}


def withdrawal(amount: str, *, bot: str = BOT, **fields: Any) -> Message:
    """Cash that went out."""
    return f"bots.{bot}", {"type": "withdrawal", "amount": amount, **fields}


def charge(amount: str, *, bot: str = BOT, **fields: Any) -> Message:
    """Interest, unless another reason is given."""
    return f"bots.{bot}", {"type": "charge", "amount": amount, "reason": "interest", **fields}


def adjustment(symbol: str, quantity: str, *, bot: str = BOT, **fields: Any) -> Message:
    """Units that came, or, below zero, went, for nothing unless a cost is given."""
    message = {"type": "adjustment", "symbol": symbol, "quantity": quantity, "reason": "airdrop", **fields}
    return f"bots.{bot}", message


def void(target: str, *, of: str = f"bots.{BOT}", by: str | None = None, **fields: Any) -> Message:
    """A fact of this subject counts as never published; its speaker says so, unless somebody else does."""
    return by or of, {"type": "void", "subject": of, "target": target, "reason": "told wrong", **fields}


def statement(
    cash: dict[str, str],
    holdings: dict[str, str] | None = None,
    *,
    bot: str = BOT,
    by: str | None = None,
    **fields: Any,
) -> Message:
    """What the bot has by its own word, unless somebody else says so."""
    subject = f"bots.{bot}"
    return by or subject, {"type": "statement", "subject": subject, "cash": cash, "holdings": holdings, **fields}


def run_started(run: str, *, bot: str = BOT, **fields: Any) -> Message:
    """An attempt of a run."""
    return f"bots.{bot}", {"type": "run_started", "run": run, **fields}


def run_finished(run: str, *, success: bool = True, bot: str = BOT, **fields: Any) -> Message:
    """The end of a run, a good one unless said otherwise."""
    return f"bots.{bot}", {"type": "run_finished", "run": run, "success": success, **fields}


def close(
    symbol: str, start: str, price: str, *, interval: str = "1d", feed: str = "exchange", **fields: Any
) -> Message:
    """One bar with this close, told when it ends; `start` is a day or a time."""
    begins = datetime.fromisoformat(start if "T" in start else f"{start}T00:00:00Z")
    digits = interval.rstrip("mhdwk")
    ends = begins + int(digits) * _LENGTHS[interval.removeprefix(digits)]
    row = [_text(begins), price, price, price, price, "1000"]
    message = {"type": "bars", "at": _text(ends), "symbol": symbol, "interval": interval, "bars": [row], **fields}
    return f"market.{feed}", message


def split(symbol: str, day: str, new: int, old: int, *, source: str = "exchange", **fields: Any) -> Message:
    """`new` shares for `old` ones from 00:00Z of a day on."""
    at = f"{day}T00:00:00Z"
    return f"actions.{source}", {"type": "split", "at": at, "symbol": symbol, "new": new, "old": old, **fields}


def dividend(symbol: str, day: str, per_share: str, *, source: str = "exchange", **fields: Any) -> Message:
    """Cash for each share that was held before 00:00Z of a day."""
    at = f"{day}T00:00:00Z"
    return f"actions.{source}", {"type": "dividend", "at": at, "symbol": symbol, "per_share": per_share, **fields}


def told(facts: Sequence[Message]) -> list[Message]:
    """The facts with ids and times where they have none; an `at` that is a day becomes a time of that day."""
    found: list[Message] = []
    clock = datetime.combine(datetime.fromisoformat(DAY), _HOUR) - _MINUTE
    for number, (subject, message) in enumerate(facts, start=1):
        if subject.startswith("bots.") or "T" not in message.get("at", ""):
            clock = _time(message.get("at"), clock)
            message = {**message, "at": message["at"] if "T" in message.get("at", "") else _text(clock)}
        found.append((subject, {"id": f"{number:04d}", **message}))
    return found


def _time(at: str | None, before: datetime) -> datetime:
    """A minute after the fact before, or 15:30 on the day that is named, if that is another."""
    if at is None:
        return before + _MINUTE
    if "T" in at:
        return datetime.fromisoformat(at).astimezone(UTC)
    first = datetime.combine(datetime.fromisoformat(at), _HOUR)
    return before + _MINUTE if first.date() == before.date() and first <= before else first


def _trade(side: str, symbol: str, quantity: str, price: str, bot: str, fields: dict[str, Any]) -> Message:
    message = {"type": "trade", "symbol": symbol, "side": side, "quantity": quantity, "price": price, **fields}
    return f"bots.{bot}", message


def _text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
