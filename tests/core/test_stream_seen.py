"""Which sequence numbers of the stream are decided: a set in few words, never more than there is."""

from hypothesis import given
from hypothesis import strategies as st

from ledger.stream_seen import SPANS_LIMIT, Delivered, Seen, Span


def numbers(seen: Seen) -> set[int]:
    """What it says, number by number."""
    return set(range(1, seen.through + 1)).union(*(range(first, last + 1) for first, last in seen.beyond))


@st.composite
def spans(draw: st.DrawFn) -> Span:
    """A few numbers in a row."""
    first = draw(st.integers(1, 60))
    return first, first + draw(st.integers(0, 6))


@given(st.lists(st.lists(spans(), max_size=4), max_size=8))
def test_whatever_order_they_come_in_all_are_in_it_and_nothing_else(batches: list[list[Span]]) -> None:
    seen = Seen("a stream", 0)
    expected: set[int] = set()
    for batch in batches:
        seen = seen.with_spans(batch)
        expected.update(*(range(first, last + 1) for first, last in batch))
    assert numbers(seen) == expected
    assert seen.last == max(expected, default=0)
    assert seen.through + 1 not in expected
    assert all(first > seen.through + 1 for first, _ in seen.beyond)


@given(st.lists(spans(), max_size=8), st.integers(0, 70))
def test_what_is_open_is_counted_and_what_is_cut_is_gone(drawn: list[Span], border: int) -> None:
    seen = Seen("a stream", 0).with_spans(drawn)
    assert seen.count_open(border) == len(set(range(1, border + 1)) - numbers(seen))
    assert numbers(seen.cut(border)) == {number for number in numbers(seen) if number <= border}


def test_too_many_gaps_are_forgotten_from_above_so_that_what_is_there_comes_again() -> None:
    seen = Seen("a stream", 0).with_spans((number, number) for number in range(2, 4 * SPANS_LIMIT, 2))
    assert len(seen.beyond) == SPANS_LIMIT
    assert (seen.through, seen.beyond[0]) == (0, (2, 2))


def test_an_entry_has_the_number_of_the_message_that_holds_it() -> None:
    assert [Delivered("a stream", (4, 7)).sequence_of(place) for place in range(2)] == [4, 7]
    bundles = Delivered("a stream", (4, 7, 8, 9), entries=(2, 0, 1, 3))
    assert [bundles.sequence_of(place) for place in range(6)] == [4, 4, 8, 9, 9, 9]
    assert bundles.only(2) == Delivered("a stream", (8,))


def test_what_is_decided_before_stays_noted_and_goes_with_the_end_of_the_stream() -> None:
    seen = Seen("a stream", 2, acknowledged=9)
    assert seen.with_spans([(3, 5)]).acknowledged == 9
    assert (seen.cut(12).acknowledged, seen.cut(6).acknowledged) == (9, 6)
