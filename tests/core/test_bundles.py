"""Facts on their way, several in one message of the broker."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ledger.bundles import BUNDLE_BYTES, BUNDLE_FACTS, HEADERS, bundled, count_lines, is_bundle, lines_of

LINES = st.lists(st.binary(min_size=1, max_size=300).map(lambda data: data.replace(b"\n", b" ")), max_size=400)


@given(LINES)
def test_every_line_arrives_once_in_its_order(lines: list[bytes]) -> None:
    messages = list(bundled(lines))
    assert [line for data, _ in messages for line in lines_of(data)] == lines
    assert sum(len(lines_of(data)) for data, _ in messages) == len(lines)


@given(LINES)
def test_a_message_is_bounded_and_full_before_the_next_begins(lines: list[bytes]) -> None:
    sizes = [(count_lines(data), len(data)) for data, _ in bundled(lines)]
    assert all(count <= BUNDLE_FACTS and size <= BUNDLE_BYTES for count, size in sizes)
    for (count, size), (_, following) in pairwise(sizes):
        assert count == BUNDLE_FACTS or size + 1 + following > BUNDLE_BYTES


def test_one_fact_alone_is_the_plain_message() -> None:
    assert list(bundled([b"{}"])) == [(b"{}", None)]
    assert not is_bundle(None)


def test_a_large_fact_travels_alone_between_its_neighbours() -> None:
    large = b"x" * (BUNDLE_BYTES + 1)
    assert list(bundled([b"a", b"b", large, b"c"])) == [(b"a\nb", HEADERS), (large, None), (b"c", None)]


def test_another_content_type_is_no_bundle() -> None:
    assert not is_bundle({"Content-Type": "application/json"})


def test_the_header_is_read_as_http_reads_it() -> None:
    assert is_bundle({"content-type": "Application/X-NDJSON; charset=utf-8"})


def test_a_line_break_at_the_end_is_no_line() -> None:
    for data in (b"a\nb", b"a\nb\n"):
        assert lines_of(data) == [b"a", b"b"]
        assert count_lines(data) == 2


@given(st.binary(max_size=50))
def test_lines_are_counted_as_they_are_split(data: bytes) -> None:
    assert count_lines(data) == len(lines_of(data))


def test_a_smaller_limit_makes_smaller_bundles() -> None:
    assert [data for data, _ in bundled([b"aa", b"bb", b"cc"], limit_bytes=5)] == [b"aa\nbb", b"cc"]
