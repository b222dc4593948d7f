"""What earlier attempts of a run have booked: as the outbox remembers it, and as the ledger knows it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from ledger.answers import is_late
from ledger.errors import LedgerError, Unreachable
from ledger.events import ChargeApplied, Event, TradeExecuted
from ledger.ids import REGISTERED
from ledger.messages import encode
from ledger.outbox import SetAside
from ledger.speaker import ASK_AGAIN_SECONDS, Published, Speaker, earlier_fact

RECORDED_SECONDS = 2.0
REGISTRATIONS = "@registrations"
"""Registrations are kept in the outbox beside the runs' facts, under a name that no run can have."""
_log = structlog.get_logger(__name__)


def recorded_by_earlier_attempts(speaker: Speaker, run: str, *, surely: bool) -> tuple[Published, ...]:
    """What is booked of a run; what still waits in the outbox is as good as booked.

    The ledger's answer, where it comes within a short time, stands above the outbox: the outbox may have been
    lost, or may hold what an earlier attempt got refused. `surely`: never without that answer.

    Raises: Unreachable where it has to be sure, and the ledger does not tell in the speaker's time.
    """
    kept = {
        fact.id: earlier_fact(speaker.subject, fact.payload, fact.position) for fact in speaker.outbox.recorded(run)
    }
    if not surely:
        return tuple((kept | (_ask(speaker, run) or {})).values())
    try:
        found = _read(speaker, run, timeout_seconds=speaker.timeout_seconds, patient=True)
    except (LedgerError, KeyError, TypeError, ValueError) as error:
        raise Unreachable(f"the ledger does not tell what is booked of the run {run}: {error}") from error
    return tuple((kept | _fills(found, run)).values())


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
    """The registration with this id as the log has it, where the outbox that published it is lost."""
    if any(fact.id == id_ for fact in speaker.outbox.recorded(REGISTRATIONS)):
        return None
    return (_recorded(speaker, REGISTERED, timeout_seconds=RECORDED_SECONDS) or {}).get(id_)


def _ask(speaker: Speaker, run: str, *, timeout_seconds: float = RECORDED_SECONDS) -> dict[str, Published] | None:
    """The trades and charges of a run in the log, by id; None where the ledger does not tell in a short time."""
    found = _recorded(speaker, run, timeout_seconds=timeout_seconds)
    if found is None:
        return None
    return _fills(found, run)


def _fills(found: Mapping[str, Published], run: str) -> dict[str, Published]:
    return {
        id_: fact
        for id_, fact in found.items()
        if isinstance(fact.event, TradeExecuted | ChargeApplied) and fact.event.run == run
    }


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
        answer = speaker.ask(query, timeout_seconds=deadline - time.monotonic(), patient=patient)
        if is_late(answer) and deadline - time.monotonic() > ASK_AGAIN_SECONDS:
            time.sleep(ASK_AGAIN_SECONDS)
            continue
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
