"""What the simulated speakers say: facts of every type, in small histories full of late ones, and what is none."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from tests.strategies import RUNS, SYMBOLS, actions, bars, money_and_runs, registrations, trades
from tests.strategies_corrections import adjustments, operators_statements, statements
from tests.strategies_fields import message, times

Said = dict[str, Any]
BOTS = ("bots.RSIBot", "bots.MACDBot")
SPEAKERS = (*BOTS, "market.yahoo", "actions.exchange", "ops.desk")
_SYMBOLS = SYMBOLS[:2]
_PREMISES = message("run_started", {"run": st.sampled_from(RUNS), "after": st.integers(0, 12)})
_NEWER = {"type": "trade", "v": 99, "at": "2026-01-05T15:30:00Z", "what": "nobody knows yet"}
_AT = "2026-01-05T15:30:00Z"
_STRANGE: tuple[bytes, ...] = (
    b"{",
    b"\xff\xfe",
    b"[]",
    b'{"id":"x1","id":"x2"}',
    json.dumps({"id": "x3", "type": "trade", "at": _AT}).encode(),
    json.dumps({"id": "x4", "type": "deposit", "at": _AT, "amount": 1}).encode(),
    json.dumps({"id": "x5", "type": "deposit", "at": _AT, "amount": "NaN"}).encode(),
    json.dumps({"id": "x6", "type": "deposit", "at": "2026-01-05T15:30:00", "amount": "1"}).encode(),
    json.dumps({"id": "x7\u0000", "type": "deposit", "at": _AT, "amount": "1"}).encode(),
)


def sayings(subject: str) -> st.SearchStrategy[list[Said]]:
    """One to three messages of a speaker, without ids."""
    kind = subject.partition(".")[0]
    one: dict[str, st.SearchStrategy[Said]] = {
        "bots": st.one_of(
            trades(_SYMBOLS),
            trades(_SYMBOLS),
            money_and_runs(),
            adjustments(_SYMBOLS),
            registrations(_SYMBOLS),
            statements(subject, _SYMBOLS),
            _PREMISES,
            st.just(_NEWER),
        ),
        "market": bars(_SYMBOLS),
        "actions": actions(_SYMBOLS),
        "ops": operators_statements(BOTS, _SYMBOLS),
    }
    return st.lists(one[kind], min_size=1, max_size=3)


def all_sayings() -> st.SearchStrategy[tuple[str, list[Said]]]:
    """Somebody's messages: a speaker and what it says; bots speak most."""
    speakers = st.sampled_from((*BOTS, *BOTS, *SPEAKERS))
    return speakers.flatmap(lambda subject: st.tuples(st.just(subject), sayings(subject)))


def strange_messages() -> st.SearchStrategy[bytes]:
    """What is not well-formed, alone or in a bundle."""
    return st.sampled_from(_STRANGE)


def void_of(target: tuple[str, str], at: str) -> Said:
    """What takes a fact back."""
    return {"type": "void", "at": at, "subject": target[0], "target": target[1], "reason": "told wrong"}


def moments() -> st.SearchStrategy[str]:
    """Times of the histories."""
    return times()
