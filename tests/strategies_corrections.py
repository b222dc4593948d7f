"""Hypothesis strategies for what sets books right: adjustments, statements, and voids of anything by whoever may."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from hypothesis import strategies as st

from tests.strategies_fields import CURRENCIES, Drawn, amounts, message, signed_amounts, times

OPERATORS = ("ops.desk", "ops.night")
STRANGERS = (
    ("bots.RSIBot", "never"),
    ("bots.Nobody", "never"),
    ("market.yahoo", "never"),
    ("actions.exchange", "never"),
    ("ops.night", "never"),
    ("ops.desk", "void1"),
)
"""What is never recorded, and what, if it is, is a void, perhaps the one itself that names it."""


@cache
def adjustments(symbols: Sequence[str]) -> Any:
    """Units that come or go, with or without a stated cost."""
    needed = {
        "symbol": st.sampled_from((*symbols, symbols[0])),
        "quantity": signed_amounts(),
        "reason": st.sampled_from(("airdrop", "residue")),
    }
    drawn = message("adjustment", needed, cost=amounts(), currency=st.sampled_from(CURRENCIES))
    return drawn.filter(lambda adjustment: adjustment["symbol"] != adjustment.get("currency", "USD"))


@cache
def statements(subject: str, symbols: Sequence[str]) -> Any:
    """What somebody says that a bot has; nearly always something else than the books."""
    balance = signed_amounts() | st.just("0")
    needed = {
        "subject": st.just(subject),
        "cash": st.dictionaries(st.sampled_from(sorted({*CURRENCIES})), balance, max_size=3),
        "holdings": st.dictionaries(st.sampled_from(symbols), balance, max_size=2),
    }
    return message("statement", needed)


def operators_statements(subjects: Sequence[str], symbols: Sequence[str]) -> Any:
    """Statements about bots, whether these have spoken or not."""
    return st.sampled_from(subjects).flatmap(lambda subject: statements(subject, symbols))


@st.composite
def voids(draw: st.DrawFn, drawn: Sequence[Drawn]) -> list[Drawn]:
    """Voids of these facts, of voids, and of what is never recorded; now and then of all that one bot has said."""
    targets = draw(st.lists(st.sampled_from([*map(identity_of, drawn), *STRANGERS]), max_size=3))
    if draw(st.integers(0, 15)) == 15:
        silenced = draw(st.sampled_from([subject for subject, _ in drawn if subject.startswith("bots.")]))
        targets += [identity_of(said) for said in drawn if said[0] == silenced]
    found: list[Drawn] = []
    for target in targets:
        found.append(draw(void(target, f"void{len(found)}")))
    if found:
        for again in draw(st.lists(st.sampled_from(found), max_size=2)):
            found.append(draw(void(identity_of(again), f"void{len(found)}")))
    return found


@st.composite
def void(draw: st.DrawFn, target: tuple[str, str], id_: str) -> Drawn:
    """A void of a fact by the one who said it or by an operator."""
    subject, target_id = target
    speaker = draw(st.sampled_from((subject, *OPERATORS)))
    said = {"type": "void", "at": draw(times()), "subject": subject, "target": target_id, "reason": "told wrong"}
    return speaker, {"id": id_, **said}


def identity_of(said: Drawn) -> tuple[str, str]:
    """What names a fact: who said it, and its id."""
    return said[0], said[1]["id"]
