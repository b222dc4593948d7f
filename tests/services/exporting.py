"""What the tests of exports export: two bots, one with every text that could do harm, and what an operator says."""

from typing import Any

from tests.services.calls import DAY, line

TRICKS = "bots.Tricks"
HARMFUL = ("=1+1", "+2", "-3", "@SUM(A1)")
"""Symbols that a spreadsheet would take for formulas."""
LEAST = "0." + "0" * 29 + "1"


def of_tricks(identity: str, **fields: Any) -> dict[str, Any]:
    """A line of the second bot."""
    return line(identity, subject=TRICKS, **fields)


def bought(number: int, symbol: str) -> dict[str, Any]:
    """A purchase of the second bot, in a run that looks like a number."""
    at = f"2026-01-06T1{number}:00:00Z"
    return of_tricks(f"t{number}", type="trade", at=at, symbol=symbol, side="buy", quantity="2", price="1.5", run="-1")


def void(identity: str, *, of: str, target: str) -> dict[str, Any]:
    """An operator takes a fact back."""
    return {
        "subject": "ops.desk",
        "payload": {
            "id": identity,
            "type": "void",
            "at": "2026-01-08T09:00:00Z",
            "subject": of,
            "target": target,
            "reason": "told twice",
        },
    }


LINES = (
    *DAY,
    of_tricks(
        "r1",
        type="bot_registered",
        at="2026-01-06T09:00:00Z",
        description="\x1b[31m=cmd|'/c calc'!A1\n\x7f\u202e",
        opening={"USD": "100", "EUR": "0.5"},
        cost_basis="average",
    ),
    *(bought(number, symbol) for number, symbol in enumerate(HARMFUL)),
    of_tricks("c1", type="charge", at="2026-01-07T09:00:00Z", amount=LEAST, reason="interest"),
    of_tricks("t9", type="trade", at="2026-01-07T09:01:00Z", symbol="X", side="sell", quantity="1", price="9"),
    void("v1", of=TRICKS, target="t9"),
)
