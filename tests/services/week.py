"""A week of two live bots and a paper one, as lines, and what was learned of it later; recorded on a database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ledger.settings import Database
from tests.services.calls import Answer, call, jsonl, line, trade, where

ALPHA, GAMMA, PAPER = "bots.Alpha", "bots.Gamma", "bots.Paper"


def registered(subject: str, cash: dict[str, str], **fields: Any) -> dict[str, Any]:
    """A registration with this cash, before all else."""
    return line("r1", subject=subject, type="bot_registered", at="2026-01-05T09:00:00Z", opening=cash, **fields)


def closes(identity: str, symbol: str, *prices: str, start: int = 5, **fields: Any) -> dict[str, Any]:
    """Daily bars from a day in January on."""
    bars = [[f"2026-01-{start + day:02}T00:00:00Z", *[price] * 4, "1000"] for day, price in enumerate(prices)]
    usual = {"type": "bars", "at": "2026-01-10T00:00:00Z", "symbol": symbol, "interval": "1d", "bars": bars}
    return line(identity, subject="market.exchange", **{**usual, **fields})


WEEK = (
    registered(ALPHA, {"USD": "1000"}),
    registered(GAMMA, {"USD": "500"}),
    registered(PAPER, {"USD": "9000"}, mode="paper"),
    closes("q", "QQQ", "100", "110", "99", "120"),
    closes("s", "SPY", "50", "50", "40", "60"),
    line("s1", subject=ALPHA, type="run_started", at="2026-01-05T15:29:00Z", run="r-1"),
    trade("t1", "buy", "2", price="100", at="2026-01-05T15:30:00Z", fee="1", run="r-1", subject=ALPHA),
    trade("t2", "buy", "1", price="104", at="2026-01-06T15:30:00Z", run="r-2", subject=ALPHA),
    trade("t3", "sell", "2", price="112", at="2026-01-07T15:30:00Z", fee="0.5", run="r-2", subject=ALPHA),
    line("x", subject="actions.exchange", type="dividend", at="2026-01-08T00:00:00Z", symbol="QQQ", per_share="3"),
    line("c1", subject=ALPHA, type="charge", at="2026-01-08T10:00:00Z", amount="2", reason="interest", run="r-2"),
    line("d1", subject=ALPHA, at="2026-01-08T11:00:00Z", amount="400"),
    {**trade("t1", "buy", "4", price="50", at="2026-01-06T15:30:00Z", subject=GAMMA), "symbol": "SPY"},
    {**trade("t1", "buy", "100", price="50", at="2026-01-06T15:30:00Z", subject=PAPER), "symbol": "SPY"},
)
LEARNED = (
    trade("late", "buy", "1", price="90", at="2026-01-05T16:00:00Z", subject=ALPHA),
    {
        "subject": "ops.desk",
        "payload": {"id": "v1", "type": "void", "at": "2026-01-12T00:00:00Z", "subject": ALPHA, "target": "t2"}
        | {"reason": "told twice"},
    },
    closes("q2", "QQQ", "101", at="2026-01-12T00:00:00Z"),
)


def keep(database: Database, lines: Sequence[dict[str, Any]]) -> None:
    """Record the lines, and bring the books up."""
    assert call("import", "-", *where(database), stdin=jsonl(lines)).code == 0


def asked(database: Database, *arguments: str) -> Answer:
    """The answer to a call that ends well; tables are no wider than the terminal."""
    answer = call(*arguments, *where(database))
    assert answer.code == 0, answer
    assert "\x1b" not in answer.out
    if "--json" not in arguments:
        assert all(len(found) <= 80 for found in answer.out.splitlines()), answer.out
    return answer


def refused(database: Database, *arguments: str, says: str) -> bool:
    """Whether a call ends as wrong use: with 2, one line with the reason, and no answer."""
    answer = call(*arguments, *where(database))
    assert (answer.code, answer.out) == (2, ""), answer
    [line] = answer.err.splitlines()
    assert line.startswith("botledger: "), line
    assert says in line
    return True
