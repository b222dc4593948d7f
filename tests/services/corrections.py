"""A bot that told something wrong, by hand to the last digit, for the commands that set it right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ledger.settings import Database
from tests.services.calls import Answer, call, jsonl, line, trade, where
from tests.services.desk import recorded

OTHER = "bots.Other"
MONDAY = "2026-01-05"
TUESDAY = "2026-01-06"


def close(day: str, end: str, price: str) -> dict[str, Any]:
    """The price of a day's end."""
    bars = [[f"{day}T00:00:00Z", price, price, price, price, "1"]]
    at = f"{end}T00:00:00Z"
    return line(f"b{day}", subject="market.x", type="bars", at=at, symbol="QQQ", interval="1d", bars=bars)


TOLD = (
    line("r", type="bot_registered", at=f"{MONDAY}T09:00:00Z", opening={"USD": "1000"}),
    trade("t1", "buy", "2", price="100", fee="0.30", at=f"{MONDAY}T10:00:00Z", note="first", run="r-1"),
    trade("t2", "buy", "1", price="130", at=f"{MONDAY}T11:00:00Z"),
    trade("t3", "sell", "2", price="150", fee="0.10", at=f"{TUESDAY}T10:00:00Z"),
    close(MONDAY, TUESDAY, "140"),
    close(TUESDAY, "2026-01-07", "160"),
)
"""1000 USD; 200.30 for 2 QQQ and 130 for 1; 2 of these sold for 299.90, at a profit of 99.60; 1 QQQ left."""


def told(database: Database, *more: dict[str, Any]) -> None:
    """Record the bot's facts, and more, and bring the books up."""
    assert call("import", "-", *where(database), stdin=jsonl([*TOLD, *more])).code == 0


def about(subject: str, *, by: str, **fields: Any) -> dict[str, Any]:
    """A void or a statement about somebody, as a line."""
    payload = {"at": "2026-01-08T12:00:00Z", "subject": subject, **fields}
    return {"subject": by, "payload": payload}


def asking(database: Database, command: str) -> Callable[..., Answer]:
    """A command on a database."""

    def ask(*arguments: str, **environment: str) -> Answer:
        return call(command, *arguments, *where(database), stdin=b"", **environment)

    return ask


def head(database: Database) -> int:
    """The last position of the log."""
    return len(recorded(database))


def profits(database: Database, bot: str = "RSIBot") -> dict[str, str | None]:
    """The profit of each trade in the books, by id."""
    return {row["event_id"]: row["profit"] for row in call("trades", bot, "--json", *where(database)).rows}


def changes(answer: Answer, what: str, *names: str) -> list[tuple[Any, ...]]:
    """These columns of what an answer says that changes, and from what to what."""
    return [tuple(row[name] for name in (*names, "from", "to")) for row in answer.rows if row["what"] == what]
