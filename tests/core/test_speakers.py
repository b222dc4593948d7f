"""Who may say what, about whom: the kinds of subjects of each type, and the subject that a message names."""

import pytest

from ledger.errors import Refused
from ledger.events import EVENT_TYPES
from ledger.fields import KINDS
from ledger.messages import Fact, decode
from tests.corpus import well_formed_messages
from tests.corpus_messages import BOT, FEED, OPERATOR, encoded

KINDS_OF = {
    "bot_registered": {"bots"},
    "trade": {"bots"},
    "run_started": {"bots"},
    "run_finished": {"bots"},
    "deposit": {"bots"},
    "withdrawal": {"bots"},
    "charge": {"bots"},
    "adjustment": {"bots"},
    "bars": {"market"},
    "split": {"actions"},
    "dividend": {"actions"},
    "void": {"bots", "market", "actions", "ops"},
    "statement": {"bots", "ops"},
}


@pytest.mark.parametrize("type_", EVENT_TYPES)
def test_every_type_is_taken_on_the_subjects_of_its_kinds_and_on_no_other(type_: str) -> None:
    _, fields = next(sent for sent in well_formed_messages() if sent[1]["type"] == type_)
    taken = set()
    for kind in KINDS:
        about = {"subject": "bots.x" if kind == "ops" else f"{kind}.x"} if "subject" in fields else {}
        try:
            assert isinstance(decode(f"{kind}.x", encoded(fields | about)), Fact)
            taken.add(kind)
        except Refused as refused:
            assert refused.field == "type"
    assert taken == KINDS_OF[type_]


def test_a_refusal_by_type_names_every_subject_that_would_take_it() -> None:
    for subject, type_, places in (
        (FEED, "trade", "ledger.bots.<name>"),
        (FEED, "statement", "ledger.bots.<name> or ledger.ops.<name>"),
    ):
        with pytest.raises(Refused) as refused:
            decode(subject, encoded({"id": "a", "type": type_}))
        assert str(refused.value) == f"type: {type_} is published on {places}, not on {FEED}"


@pytest.mark.parametrize(
    ("speaker", "type_", "subject", "text"),
    [
        (BOT, "void", "bots.b", f"is bots.b; {BOT} may void its own facts only, an operator any"),
        (FEED, "void", BOT, f"is {BOT}; {FEED} may void its own facts only, an operator any"),
        (BOT, "statement", "bots.b", f"is bots.b; {BOT} may state what itself has, an operator anybody"),
        (OPERATOR, "statement", FEED, f"is {FEED}; a statement is about a bot, such as bots.RSIBot"),
        (
            OPERATOR,
            "void",
            "RSIBot",
            'is "RSIBot"; it must be <kind>.<name>, with bots, market, actions or ops as the kind and a name of '
            "1 to 63 of A-Z a-z 0-9 _ -, a letter or digit first",
        ),
    ],
)
def test_whom_a_message_may_be_about_is_told(speaker: str, type_: str, subject: str, text: str) -> None:
    _, fields = next(sent for sent in well_formed_messages() if sent[1]["type"] == type_)
    with pytest.raises(Refused) as refused:
        decode(speaker, encoded({**fields, "subject": subject}))
    assert str(refused.value) == f"subject: {text}"
