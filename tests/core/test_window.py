"""The window of the sender: how much is on its way, and what goes out again."""

from ledger.messages import digest
from ledger.outbox_rows import Kept
from ledger.receipts import Receipt, Status
from ledger.window import AGAIN_LIMIT_SECONDS, AGAIN_SECONDS, IDLE_SECONDS, WINDOW_BYTES, WINDOW_FACTS, Window

_BOT = "bots.RSIBot"


def _fact(sequence: int, payload: bytes = b"{}") -> Kept:
    return Kept(sequence, f"id-{sequence}", payload, None, booked=False, position=None)


def _receipt(id_: str, payload: bytes = b"{}", status: Status = "recorded") -> Receipt:
    return Receipt(_BOT, id_, status, digest=digest(_BOT, payload))


def test_a_window_has_room_until_it_is_full_and_again_when_receipts_come() -> None:
    window = Window()
    for sequence in range(1, WINDOW_FACTS + 1):
        assert window.room() == WINDOW_FACTS - sequence + 1
        window.sent(_fact(sequence), now=0)
    assert (window.room(), window.cursor) == (0, WINDOW_FACTS)
    window.settled([_receipt(id_) for id_ in ("id-3", "id-4", "id-4", "somebody-elses")])
    assert window.room() == 2


def test_a_window_is_bounded_in_bytes_too() -> None:
    window = Window()
    window.sent(_fact(1, b"x" * WINDOW_BYTES), now=0)
    assert window.room() == 0
    window.settled([_receipt("id-1", b"x" * WINDOW_BYTES)])
    assert window.room() == WINDOW_FACTS


def test_what_has_no_receipt_goes_out_again_less_and_less_often() -> None:
    window = Window()
    window.sent(_fact(1, b"fact"), now=0)
    assert window.seconds_to_next(0) == AGAIN_SECONDS
    moments = [second for second in range(120) if list(window.overdue(second))]
    assert moments == [2, 6, 14, 30, 60, 90]
    assert moments[-1] - moments[-2] == AGAIN_LIMIT_SECONDS


def test_what_has_its_receipt_does_not_go_out_again() -> None:
    window = Window()
    window.sent(_fact(1), now=0)
    window.settled([_receipt("id-1")])
    assert list(window.overdue(1_000)) == []
    assert window.seconds_to_next(1_000) == IDLE_SECONDS


def test_a_receipt_for_what_another_process_said_under_the_id_does_not_keep_a_fact_from_going_out_again() -> None:
    window = Window()
    window.sent(_fact(1, b"mine"), now=0)
    window.settled([_receipt("id-1", b"another's"), _receipt("id-1", b"mine", "conflict")])
    assert list(window.overdue(AGAIN_SECONDS)) == [b"mine"]
    window.settled([_receipt("id-1", b"another's", "conflict")])
    assert list(window.overdue(1_000)) == []
    assert window.room() == WINDOW_FACTS


def test_whoever_waits_makes_late_facts_go_out_at_once_but_not_those_just_sent() -> None:
    window = Window()
    window.sent(_fact(1, b"late"), now=0)
    for second in (2, 6, 14):
        assert list(window.overdue(second)) == [b"late"]
    window.sent(_fact(2, b"new"), now=20)
    assert list(window.overdue(20)) == []
    window.hurry()
    assert list(window.overdue(20)) == [b"late"]
    assert list(window.overdue(20)) == []


def test_what_is_in_the_outbox_no_more_is_forgotten_once_it_is_late() -> None:
    window = Window()
    window.sent(_fact(1, b"x" * WINDOW_BYTES), now=0)
    window.sent(_fact(2), now=1)
    assert window.late(AGAIN_SECONDS - 1) == ()
    assert window.late(AGAIN_SECONDS) == ("id-1",)
    window.forget({"id-1", "somebody-elses"})
    assert window.room() == WINDOW_FACTS - 1
    assert list(window.overdue(1_000)) == [b"{}"]
