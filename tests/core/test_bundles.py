"""Facts on their way, several in one message of the broker."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ledger.bundles import BUNDLE_BYTES, BUNDLE_FACTS, HEADERS, bundled, count_lines, is_bundle

LINES = st.lists(st.binary(min_size=1, max_size=300).map(lambda data: data.replace(b"\n", b" ")), max_size=400)


@given(LINES)
def test_every_line_arrives_once_in_its_order(lines: list[bytes]) -> None:
    messages = list(bundled(lines))
    assert [line for data, _ in messages for line in data.split(b"\n")] == lines
    assert sum(count_lines(data, headers) for data, headers in messages) == len(lines)


@given(LINES)
def test_a_message_is_bounded_and_full_before_the_next_begins(lines: list[bytes]) -> None:
    sizes = [(count_lines(data, headers), len(data)) for data, headers in bundled(lines)]
    assert all(count <= BUNDLE_FACTS and size <= BUNDLE_BYTES + count for count, size in sizes)
    for (count, size), (_, following) in pairwise(sizes):
        assert count == BUNDLE_FACTS or size + following > BUNDLE_BYTES


def test_one_fact_alone_is_the_plain_message() -> None:
    assert list(bundled([b"{}"])) == [(b"{}", None)]
    assert not is_bundle(None)


def test_a_large_fact_travels_alone_between_its_neighbours() -> None:
    large = b"x" * (BUNDLE_BYTES + 1)
    assert list(bundled([b"a", b"b", large, b"c"])) == [(b"a\nb", HEADERS), (large, None), (b"c", None)]


def test_another_content_type_is_no_bundle() -> None:
    assert not is_bundle({"Content-Type": "application/json"})
    assert count_lines(b"{\n}", {"Content-Type": "application/json"}) == 1
