"""How much a message may hold: counted over its bytes, the same as over what they say."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import message_size
from ledger.errors import Refused
from ledger.message_size import MESSAGE_BYTES, check_size
from ledger.messages import Fact, decode, decode_recorded
from tests.corpus_messages import BOT, encoded, message, trade_fields

LIMIT = 6
_TEXTS = st.text(st.sampled_from(',[{"\\}]:\n é'), max_size=8)
_VALUES = st.recursive(
    st.none() | st.integers(-9, 9) | _TEXTS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(_TEXTS, inner, max_size=5),
    max_leaves=12,
)


@given(value=st.dictionaries(_TEXTS, _VALUES, max_size=5), ascii_only=st.booleans(), indent=st.sampled_from((None, 1)))
def test_values_are_counted_whatever_the_texts_hold(
    value: dict[str, Any], ascii_only: bool, indent: int | None
) -> None:
    data = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(message_size, "VALUES_LIMIT", LIMIT)
        assert is_refused(data) == (begun(value) > LIMIT)


@given(st.binary(max_size=60), st.integers(0, 9))
def test_bytes_that_are_no_json_are_counted_too(data: bytes, commas: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(message_size, "VALUES_LIMIT", LIMIT)
        assert is_refused(b"," * commas + b" " + data) or commas <= LIMIT


def test_a_message_of_the_largest_size_is_taken_and_one_byte_more_is_not() -> None:
    assert not is_refused(b" " * MESSAGE_BYTES)
    assert is_refused(b" " * (MESSAGE_BYTES + 1))


def is_refused(data: bytes) -> bool:
    try:
        check_size(data)
    except Refused:
        return True
    return False


def begun(value: object) -> int:
    """Objects and lists, and what follows on another value in one: each value once, but for the empty ones' own."""
    match value:
        case dict():
            return max(1, len(value)) + sum(begun(inner) for inner in value.values())
        case list():
            return max(1, len(value)) + sum(begun(inner) for inner in value)
        case _:
            return 0


@pytest.mark.parametrize(
    "fields",
    [
        trade_fields("digits", ext={"a": 10**400}),
        message("thousands", type="bot_registered", opening={f"C{n:04}": "1" for n in range(1_001)}),
        {
            **message("all", type="bot_registered"),
            "holdings": {f"S{n}": {"quantity": "1", "cost": "1"} for n in range(4_000)},
        },
    ],
    ids=("digits", "entries", "values"),
)
def test_what_an_earlier_build_has_taken_is_read_back_though_it_is_refused_now(fields: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        decode(BOT, encoded(fields))
    fact = decode_recorded(BOT, encoded(fields))
    assert isinstance(fact, Fact)
    assert json.loads(fact.payload) == fields
