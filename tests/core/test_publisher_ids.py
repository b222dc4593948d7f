"""Ids that a publisher makes: rising, and alike in every attempt of a run."""

import re
import threading
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from ledger.fields import ID_PATTERN, RUN_PATTERN, SYMBOL_PATTERN
from ledger.ids import attempt_id, id_part, run_fact_id, uuid7


def test_a_uuid7_says_its_version_and_variant() -> None:
    found = UUID(uuid7())
    assert found.version == 7
    assert found.variant == "specified in RFC 4122"


def test_uuids_rise_strictly_however_fast_they_are_made() -> None:
    made = [uuid7() for _ in range(20_000)]
    assert made == sorted(set(made))


def test_uuids_of_several_threads_differ() -> None:
    made: list[str] = []
    threads = [threading.Thread(target=lambda: made.extend([uuid7() for _ in range(2_000)])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 8_000


def test_the_first_purchase_of_a_run_has_the_id_of_the_design() -> None:
    found = run_fact_id("2026-01-05T15:30", "QQQ", number=1, side="buy")
    assert found == "2026-01-05T15:30.QQQ.0001-buy"


def test_a_symbol_that_does_not_fit_an_id_is_told_apart_by_its_hash() -> None:
    assert id_part("BRK.B") == "BRK.B"
    assert id_part("EURUSD=X") == "EURUSD_X-edb0"
    assert id_part("EURUSD^X") != id_part("EURUSD=X")


@given(
    run=st.from_regex(RUN_PATTERN[:-1] + r"\Z"),
    symbol=st.from_regex(SYMBOL_PATTERN[:-1] + r"\Z"),
    number=st.integers(1, 99_999),
)
def test_every_id_of_a_run_is_well_formed(run: str, symbol: str, number: int) -> None:
    assert re.match(ID_PATTERN, run_fact_id(run, symbol, number=number, side="charge"))
    assert re.match(ID_PATTERN, attempt_id(run, "finished"))


def test_no_two_runs_make_one_id() -> None:
    one = run_fact_id("daily.BRK", "B", number=1, side="buy")
    other = run_fact_id("daily", "BRK.B", number=1, side="buy")
    assert one != other
    assert re.match(ID_PATTERN, other)
