"""The hash chain: the vector in docs/log.md, recomputed with hashlib alone, is what our code makes."""

import hashlib
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import chain
from ledger.fields import parse_time
from ledger.messages import Fact, decode
from tests.corpus_messages import BOT, encoded_with, trade_fields

DOCUMENT = Path(__file__).parents[2] / "docs" / "log.md"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def vector() -> list[dict[str, Any]]:
    """The facts of the test vector, read out of the document."""
    found = re.search(r"## Test vector.*?```json\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    facts: list[dict[str, Any]] = json.loads(found[1])
    assert [fact["position"] for fact in facts] == [1, 2]
    return facts


def test_the_vector_follows_from_the_document_with_nothing_but_hashlib() -> None:
    previous = b"\0" * 32
    for fact in vector():
        subject, payload = fact["subject"].encode("utf-8"), fact["payload"].encode("utf-8")
        said = len(subject).to_bytes(4, "big") + subject + len(payload).to_bytes(4, "big") + payload
        digest = hashlib.sha256(said).digest()
        numbers = fact["position"].to_bytes(8, "big") + fact["recorded_at_microseconds"].to_bytes(8, "big", signed=True)
        previous = hashlib.sha256(b"botledger-1" + previous + numbers + digest).digest()
        assert digest.hex() == fact["digest"]
        assert previous.hex() == fact["hash"]


def test_our_code_makes_the_vector_of_the_document() -> None:
    hash_ = chain.GENESIS
    for said in vector():
        fact = decode(said["subject"], said["payload"].encode())
        assert isinstance(fact, Fact)
        assert fact.payload.decode() == said["payload"], "the payload of the vector is canonical"
        recorded_at = parse_time(said["recorded_at"])
        assert chain.microseconds(recorded_at) == said["recorded_at_microseconds"]
        hash_ = chain.link(hash_, position=said["position"], recorded_at=recorded_at, digest=fact.digest)
        assert (fact.digest.hex(), hash_.hex()) == (said["digest"], said["hash"])


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ('{ "b" : 1 , "a" : [ ] }', '{"a":[],"b":1}'),
        ('{"a":"\\u00e9\\ud83d\\ude80\\/"}', '{"a":"é\U0001f680/"}'),
        ('{"a":"\\"\\\\\\b\\f\\n\\r\\t\\u001b\\u007f"}', '{"a":"\\"\\\\\\b\\f\\n\\r\\t\\u001b\x7f"}'),
        ('{"a":1e2,"b":-0.0,"c":0.50,"d":1E-7}', '{"a":100,"b":0,"c":0.5,"d":1e-07}'),
        ('{"\\uffff":1,"\\ud83d\\ude80":2}', '{"\uffff":1,"\U0001f680":2}'),
    ],
)
def test_the_canonical_form_is_what_the_document_says(sent: str, kept: str) -> None:
    fact = decode(BOT, encoded_with(trade_fields("a"), f'"ext":{sent}'))
    assert f'"ext":{kept},'.encode() in fact.payload


@given(
    st.binary(min_size=32, max_size=32),
    st.integers(1, 2**63 - 1),
    st.datetimes(timezones=st.just(UTC)),
    st.binary(min_size=32, max_size=32),
)
def test_a_link_holds_everything_that_it_is_made_of(
    previous: bytes, position: int, recorded_at: datetime, digest: bytes
) -> None:
    microseconds = (recorded_at - EPOCH) // timedelta(microseconds=1)
    numbers = position.to_bytes(8, "big") + microseconds.to_bytes(8, "big", signed=True)
    expected = hashlib.sha256(b"botledger-1" + previous + numbers + digest).digest()
    assert chain.link(previous, position=position, recorded_at=recorded_at, digest=digest) == expected


def test_microseconds_are_exact_at_both_ends_of_time() -> None:
    assert chain.microseconds(EPOCH - timedelta(microseconds=1)) == -1
    assert chain.microseconds(datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC)) == 253_402_300_799_999_999
    assert chain.microseconds(datetime(1, 1, 1, tzinfo=UTC)) == -62_135_596_800_000_000
