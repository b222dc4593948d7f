"""The wire form: what is a fact, what is refused, what is parked, and when two messages are the same fact."""

import hashlib
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.errors import Refused
from ledger.events import FactVoided, StatementIssued, TradeExecuted
from ledger.fields import KINDS, interval_length, parse_time
from ledger.market_events import BarsPublished
from ledger.message_size import MESSAGE_BYTES
from ledger.messages import Fact, Unknown, check_subject, decode, digest, encode, identity_of
from tests.corpus import corpus, well_formed, well_formed_messages
from tests.corpus_messages import (
    BOT,
    FEED,
    HOSTILE_TEXTS,
    OPERATOR,
    Case,
    bars_fields,
    encoded,
    encoded_with,
    message,
    trade_fields,
)
from tests.strategies import logs
from tests.strategies_fields import Drawn

CASES = corpus()


def by_name(cases: Sequence[Case]) -> pytest.MarkDecorator:
    """One test for each case, called by its name."""
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name[:60])


def outcome(case: Case) -> tuple[str, str]:
    try:
        return ("recorded" if isinstance(decode(case.subject, case.data), Fact) else "parked"), ""
    except Refused as refused:
        return "rejected", refused.field


@by_name(CASES)
def test_every_message_has_the_outcome_that_the_corpus_says(case: Case) -> None:
    assert outcome(case) == (case.outcome, case.field)


def test_the_corpus_has_no_two_cases_of_one_name_nor_two_facts_of_one_identity() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
    facts = [decode(case.subject, case.data) for case in CASES if case.outcome != "rejected"]
    identities = [(fact.subject, fact.id if isinstance(fact, Unknown) else fact.event.id) for fact in facts]
    assert len(set(identities)) == len(identities)


def test_a_fact_carries_exactly_what_was_sent() -> None:
    sent = trade_fields("a", quantity="0.1", price="412.10", fee="-0.35", at="2026-01-05T17:30:00.1234569+02:00")
    fact = decode(BOT, encoded(sent))
    assert isinstance(fact, Fact)
    assert isinstance(fact.event, TradeExecuted)
    assert (fact.event.quantity, fact.event.price, fact.event.fee) == tuple(map(Decimal, ("0.1", "412.10", "-0.35")))
    assert fact.event.at == datetime(2026, 1, 5, 15, 30, 0, 123456, tzinfo=UTC), "cut, not rounded"
    assert fact.event.currency == "USD"
    assert json.loads(fact.payload) == sent, "the payload keeps what was said and nothing more"


def test_a_bar_becomes_a_named_row() -> None:
    fact = decode(FEED, encoded({"id": "a", **bars_fields([["2026-01-05T00:00:00Z", "1", "3", "-2", "2", "9"]])}))
    assert isinstance(fact, Fact)
    assert isinstance(fact.event, BarsPublished)
    assert (fact.event.bars[0].low, fact.event.bars[0].volume) == (Decimal(-2), Decimal(9))
    assert fact.event.bars[0].start == datetime(2026, 1, 5, tzinfo=UTC)


@pytest.mark.parametrize("name", HOSTILE_TEXTS)
def test_hostile_texts_are_kept_as_they_are(name: str) -> None:
    fact = decode(BOT, encoded(trade_fields("a", note=HOSTILE_TEXTS[name])))
    assert isinstance(fact, Fact)
    assert isinstance(fact.event, TradeExecuted)
    assert fact.event.note == HOSTILE_TEXTS[name]


@by_name(well_formed())
def test_the_payload_is_the_same_fact_again_and_already_canonical(case: Case) -> None:
    fact = decode(case.subject, case.data)
    assert decode(case.subject, fact.payload) == fact
    assert json.loads(fact.payload) == json.loads(case.data)


@by_name(well_formed())
def test_order_of_keys_white_space_and_escapes_do_not_make_another_fact(case: Case) -> None:
    fields = json.loads(case.data)
    shuffled = dict(reversed(fields.items()))
    written = json.dumps(shuffled, indent=3, ensure_ascii=False).encode()
    if len(written) <= MESSAGE_BYTES:
        assert decode(case.subject, written) == decode(case.subject, case.data)


@pytest.mark.parametrize(("one", "other"), [("1", "1.0"), ("100", "1e2"), ("0", "-0"), ("0", "-0.0"), ("0.5", "5E-1")])
def test_numbers_in_ext_that_are_equal_are_the_same_fact(one: str, other: str) -> None:
    facts = [decode(BOT, encoded_with(trade_fields("a"), f'"ext":{{"n":{number}}}')) for number in (one, other)]
    assert facts[0] == facts[1]


def test_amounts_are_texts_so_one_and_one_point_zero_differ() -> None:
    facts = [decode(BOT, encoded(trade_fields("a", price=price))) for price in ("1", "1.0")]
    assert facts[0].digest != facts[1].digest


def test_a_digest_holds_subject_and_payload_apart() -> None:
    expected = hashlib.sha256(b"\0\0\0\x06bots.a" + b"\0\0\0\x02{}").digest()
    assert digest("bots.a", b"{}") == expected
    assert digest("bots.a{", b"}") != digest("bots.a", b"{}")


def test_the_same_message_from_two_bots_is_two_facts() -> None:
    data = encoded(trade_fields("a"))
    assert decode("bots.a", data).digest != decode("bots.b", data).digest


def test_an_unknown_message_keeps_its_envelope_and_all_that_it_said() -> None:
    sent = trade_fields("a", v=2, new_field={"x": [1, "2"]})
    unknown = decode(BOT, encoded(sent))
    assert isinstance(unknown, Unknown)
    assert (unknown.subject, unknown.id, unknown.type, unknown.version) == (BOT, "a", "trade", 2)
    assert json.loads(unknown.payload) == sent
    assert unknown.digest == digest(BOT, unknown.payload)


@pytest.mark.parametrize("depth", [31, 32, 33, 400, 900])
def test_what_is_too_deep_does_not_depend_on_the_stack_of_the_caller(depth: int) -> None:
    ext: object = "x"
    for _ in range(depth):
        ext = {"a": ext} if depth < 400 else [ext]
    data = encoded(trade_fields("a", ext={"a": ext} if depth >= 400 else ext))

    def outcome_after(frames: int) -> str:
        if frames:
            return outcome_after(frames - 1)
        return outcome(Case("", BOT, data, "recorded"))[0]

    deep_down = sys.getrecursionlimit() * 3 // 4
    assert outcome_after(0) == outcome_after(deep_down) == ("recorded" if depth <= 32 else "rejected")


@settings(max_examples=300)
@given(st.binary() | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_no_bytes_whatever_raise_anything_but_a_refusal(data: bytes) -> None:
    with pytest.raises(Refused):
        decode(BOT, data)
    assert isinstance(identity_of(data), str)


def json_values() -> st.SearchStrategy[Any]:
    scalars = (
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec=None))
    )
    names = st.sampled_from(("id", "at", "a", "QQQ", "USD", "\ud800", "quantity")) | st.text(max_size=3)
    return st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3))


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(well_formed_messages()), st.data())
def test_any_value_in_any_field_is_recorded_or_refused_for_that_field(
    sent: tuple[str, dict[str, Any]], data: st.DataObject
) -> None:
    subject, fields = sent
    field = data.draw(st.sampled_from(sorted(fields)))
    changed = json.dumps({**fields, field: data.draw(json_values())}).encode()
    try:
        fact = decode(subject, changed)
    except Refused as refused:
        partner = {"currency": "symbol", "interval": "bars"}.get(field, field)
        assert refused.field.strip('"').startswith((field, partner, "message"))
        assert str(refused).encode("utf-8")
    else:
        assert decode(subject, fact.payload) == fact


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(logs())
def test_every_log_that_the_strategies_draw_is_well_formed(drawn: list[Drawn]) -> None:
    assert all(isinstance(decode(subject, json.dumps(said).encode()), Fact) for subject, said in drawn)


def test_a_void_and_a_statement_carry_exactly_what_was_sent() -> None:
    void = decode(OPERATOR, encoded(message("a", type="void", subject=FEED, target="b:1", reason="bad close")))
    assert isinstance(void, Fact)
    assert isinstance(void.event, FactVoided)
    assert (void.subject, void.event.subject, void.event.target) == (OPERATOR, FEED, "b:1")
    said: dict[str, Any] = {"cash": {"USD": "-5.25", "EUR": "0.00"}, "holdings": {"^XAU": "-0.5"}}
    statement = decode(BOT, encoded(message("b", type="statement", subject=BOT, **said)))
    assert isinstance(statement, Fact)
    assert isinstance(statement.event, StatementIssued)
    assert statement.event.cash == {"USD": Decimal("-5.25"), "EUR": Decimal("0.00")}
    assert statement.event.holdings == {"^XAU": Decimal("-0.5")}


@pytest.mark.parametrize("kind", KINDS)
def test_a_subject_is_a_kind_and_a_name(kind: str) -> None:
    assert check_subject(f"{kind}.A-b_9") == kind


def test_the_seconds_of_a_time_may_have_any_number_of_digits_and_are_cut() -> None:
    assert parse_time("2026-01-05T15:30:00.9999999Z").microsecond == 999_999
    assert parse_time("2026-01-05T15:30:00.1Z").microsecond == 100_000


@pytest.mark.parametrize(
    ("interval", "seconds"), [("1s", 1), ("5m", 300), ("1h", 3_600), ("1d", 86_400), ("999999wk", 999_999 * 604_800)]
)
def test_an_interval_has_the_length_that_it_names(interval: str, seconds: int) -> None:
    length = interval_length(interval)
    assert length is not None
    assert length.days * 86_400 + length.seconds == seconds
    assert interval_length("1mo") is None, "months have no one length"


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b'{"id":"a-1","price":1}', "a-1"),
        (b'{"id":"a b"}', ""),
        (b'{"id":7}', ""),
        (b'["id"]', ""),
        (b"{", ""),
        (b"\xff", ""),
        (b"[" * 100_000, ""),
        (b'{"id":"a","n":' + b"9" * 10_000 + b"}", "a"),
        (b'{"id":"a","x":"' + b"x" * MESSAGE_BYTES + b'"}', ""),
        (b'{"id":"a","x":[' + b"1," * 10_000 + b"1]}", ""),
        (b'{"id":"\\ud800"}', ""),
    ],
)
def test_a_refused_message_is_answered_under_its_id_where_it_has_one(data: bytes, found: str) -> None:
    assert identity_of(data) == found


def test_encoding_leaves_out_what_is_none_and_sorts_the_keys() -> None:
    assert encode({"b": "é", "a": None, "c": [1]}) == '{"b":"é","c":[1]}'.encode()


@pytest.mark.parametrize(
    ("value", "field"),
    [(Decimal(1), "message"), (float("nan"), "message"), ("a\0", "b"), ("\ud800", "b"), ({1, 2}, "message")],
)
def test_what_cannot_be_sent_is_refused_before_it_leaves_the_bot(value: object, field: str) -> None:
    with pytest.raises(Refused) as refused:
        encode({"b": value})
    assert refused.value.field == field
