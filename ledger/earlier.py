"""What earlier attempts of a run have booked: as the outbox remembers it, and as the ledger knows it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from ledger.errors import LedgerError, Unreachable
from ledger.events import ChargeApplied, Event, TradeExecuted
from ledger.ids import REGISTERED
from ledger.messages import encode
from ledger.outbox_rows import Kept, SetAside
from ledger.speaker import Published, Speaker, earlier_fact

RECORDED_SECONDS = 2.0
REGISTRATIONS = "@registrations"
"""Registrations are kept in the outbox beside the runs' facts, under a name that no run can have."""
_log = structlog.get_logger(__name__)


def recorded_by_earlier_attempts(speaker: Speaker, run: str, *, surely: bool) -> tuple[tuple[Published, ...], bool]:
    """What is booked of a run, and whether any of it was lost; what waits in the outbox is as good as booked.

    The ledger's answer, where it comes within a short time, stands above the outbox: the outbox may have been
    lost, or may remember what the ledger has lost. `surely`: never without that answer.

    Raises: Unreachable where it has to be sure, and the ledger does not tell in the speaker's time.
    """
    kept = speaker.outbox.recorded(run)  # Before the ledger is asked, so that its answer has all that is booked here.
    found = _surely_recorded(speaker, run) if surely else _recorded(speaker, run, timeout_seconds=RECORDED_SECONDS)
    lost = False
    if found is not None:
        lost = _reconcile(speaker, run, kept, found)
        kept = speaker.outbox.recorded(run)
    remembered = {fact.id: earlier_fact(speaker.subject, fact.payload, fact.position) for fact in kept}
    return tuple((remembered | _fills(found or {}, run)).values()), lost


def _reconcile(speaker: Speaker, head: str, kept: Sequence[Kept], found: Mapping[str, Published]) -> bool:
    """Reconcile the outbox's memory with the whole of the ledger's newer answer; whether the ledger has lost any.

    What had its receipt before the ledger was asked, and is not in the answer though it would have to be, the ledger
    has lost: an older log was put back, or a new one begun. It is sent as it was, and its id makes that harmless.
    """
    lost = [one for one in kept if one.position is not None and one.id not in found and _is_told(speaker, head, one)]
    count = speaker.send_again(lost) if lost else 0
    if count:
        _log.warning(
            "the ledger has lost what it had recorded, the outbox has it sent again",
            subject=speaker.subject,
            run=lost[0].run,
            facts=count,
        )
    return bool(lost)


def _is_told(speaker: Speaker, head: str, one: Kept) -> bool:
    """Whether the ledger's answer has what holds this id, wherever the log has it."""
    if one.id.startswith(f"{head}."):
        return True
    # Under an id of the bot's own there may be another run's fact, where this one was refused.
    return not one.taken and _is_fill(earlier_fact(speaker.subject, one.payload, None).event, head)


def booked_earlier(speaker: Speaker, refused: Sequence[SetAside], *, timeout_seconds: float) -> list[SetAside]:
    """Which refusals say no more than that an earlier attempt of their run has booked this; told as warnings.

    The ledger is asked once for each run, and all together no longer than that time.
    """
    deadline = time.monotonic() + min(timeout_seconds, RECORDED_SECONDS)
    booked: dict[str, dict[str, Published] | None] = {}
    found: list[SetAside] = []
    for one in refused:
        if one.status != "conflict" or one.run is None:
            continue
        if one.run not in booked:
            booked[one.run] = _ask(speaker, one.run, timeout_seconds=deadline - time.monotonic())
        if _is_booked(speaker, one, booked[one.run]):
            found.append(one)
    return found


def _is_booked(speaker: Speaker, refused: SetAside, booked: Mapping[str, Published] | None) -> bool:
    if refused.run is None or (booked is not None and refused.id not in booked):
        return False
    mine = earlier_fact(speaker.subject, refused.payload, None).event
    warn_where_different(refused.run, mine, None if booked is None else booked[refused.id].event)
    return True


def warn_where_different(run: str, mine: Event, booked: Event | None) -> None:
    """Warn where what an earlier attempt has booked under this id is not, or may not be, what is now said."""
    if booked is None or _compared(booked) != _compared(mine):
        _log.warning("an earlier attempt of the run has booked this id otherwise; that stands", run=run, id=mine.id)


def _compared(event: Event) -> tuple[object, ...]:
    match event:
        case TradeExecuted():
            return (event.symbol, event.side, event.quantity, event.price, event.currency)
        case ChargeApplied():
            return (event.amount, event.currency)
        case _:
            return (event,)


def booked_registration(speaker: Speaker, id_: str) -> Published | None:
    """The registration with this id as the log has it; None where it has none, or the ledger does not tell."""
    kept = speaker.outbox.recorded(REGISTRATIONS)
    found = _recorded(speaker, REGISTERED, timeout_seconds=RECORDED_SECONDS)
    if found is None:
        return None
    _reconcile(speaker, REGISTERED, kept, found)
    return found.get(id_)


def _ask(speaker: Speaker, run: str, *, timeout_seconds: float = RECORDED_SECONDS) -> dict[str, Published] | None:
    """The trades and charges of a run in the log, by id; None where the ledger does not tell in a short time."""
    found = _recorded(speaker, run, timeout_seconds=timeout_seconds)
    if found is None:
        return None
    return _fills(found, run)


def _fills(found: Mapping[str, Published], run: str) -> dict[str, Published]:
    return {id_: fact for id_, fact in found.items() if _is_fill(fact.event, run)}


def _is_fill(event: Event, run: str) -> bool:
    return isinstance(event, TradeExecuted | ChargeApplied) and event.run == run


def _surely_recorded(speaker: Speaker, run: str) -> dict[str, Published]:
    try:
        return _read(speaker, run, timeout_seconds=speaker.timeout_seconds, patient=True)
    except (LedgerError, KeyError, TypeError, ValueError) as error:
        raise Unreachable(f"the ledger does not tell what is booked of the run {run}: {error}") from error


def _recorded(speaker: Speaker, head: str, *, timeout_seconds: float) -> dict[str, Published] | None:
    """As `_read`; None where the ledger does not tell in a short time."""
    try:
        return _read(speaker, head, timeout_seconds=timeout_seconds, patient=False)
    except (LedgerError, KeyError, TypeError, ValueError):
        return None  # The outbox alone has to tell.


def _read(speaker: Speaker, head: str, *, timeout_seconds: float, patient: bool) -> dict[str, Published]:
    """The facts in the log that name this run, or whose ids begin with this and a dot; page by page.

    A ledger that is busy is asked again.
    """
    deadline = time.monotonic() + timeout_seconds
    found: dict[str, Published] = {}
    after = 0
    while True:
        query = {"query": "recorded", "run": head, "after": after}
        answer = speaker.ask_again(query, timeout_seconds=deadline - time.monotonic(), patient=patient)
        if "error" in answer:
            raise Unreachable(str(answer["error"]))
        page = [_booked(speaker.subject, fields) for fields in answer["facts"]]
        found |= {fact.id: fact for fact in page}
        if not answer.get("more"):
            return found
        after = max(fact.position or 0 for fact in page)


def _booked(subject: str, fields: Mapping[str, Any]) -> Published:
    payload = fields["payload"]
    data = payload.encode() if isinstance(payload, str) else encode(payload)
    return earlier_fact(subject, data, int(fields["position"]))
