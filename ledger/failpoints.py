"""Places where a process can be made to fail, so that the tests can prove what becomes of its facts.

    LEDGER_FAILPOINT=append.committed:2:kill:/tmp/fired     the second time that this place is reached, once only

A fault is `kill` (the process ends at once, as by SIGKILL), `raise` (an error that nobody foresaw), `lost` (the
database's connection ends, so that the outcome of what went before is unknown) or `stop` (SIGSTOP: it goes on from
here when somebody wakes it). The file is made when it happens, and
while it is there it does not happen again, in no process. Without the variable a place costs one look at a name.
"""

from __future__ import annotations

import os
import signal
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from ledger.errors import SetupError

VARIABLE = "LEDGER_FAILPOINT"
FAULTS = ("kill", "raise", "lost")
STOP = "stop"
PLACES = {
    "door": (
        "intake.taken",
        "append.locked",
        "append.inserted",
        "append.moved",
        "append.done",
        "append.marked",
        "append.committed",
        "receipts.begun",
        "receipts.sent",
        "acknowledge.sent",
        "acknowledge.done",
    ),
    "projector": (
        "fold.locked",
        "fold.read",
        "fold.folded",
        "fold.saved",
        "fold.moved",
        "fold.committed",
        "notes.taken",
        "notes.folded",
    ),
    "rebuild": (
        "rebuild.cleared",
        "rebuild.created",
        "rebuild.market",
        "rebuild.chunk",
        "rebuild.written",
        "rebuild.completed",
        "rebuild.caught_up",
        "swap.begun",
        "swap.made",
        "swap.switched",
        "swap.published",
    ),
    "outbox": (
        "outbox.begun",
        "outbox.inserted",
        "outbox.added",
        "sender.begun",
        "sender.sent",
        "settle.begun",
        "settle.changed",
        "settle.done",
    ),
}
"""Every place, by who reaches it."""


@dataclass(slots=True)
class _Plan:
    place: str
    hit: int
    fault: str
    fired: Path
    count: int = field(default=0)

    def reach(self, place: str) -> None:
        if place != self.place:
            return
        self.count += 1
        if self.count != self.hit or not _claim(self.fired):
            return
        if self.fault == STOP:
            os.kill(os.getpid(), signal.SIGSTOP)
            return
        self.fail()

    def fail(self) -> NoReturn:
        if self.fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fault == "lost":
            raise _lost(self.place)
        raise RuntimeError(f"failpoint {self.place}")


def reach(place: str) -> None:
    """Fail here, where the environment asks for it."""
    if _plan is not None:
        _plan.reach(place)


def plan(text: str | None) -> None:
    """Plan this fault in place of the environment's, or none.

    Raises: SetupError where it is not `PLACE:HIT:FAULT:FILE`.
    """
    global _plan
    _plan = None if not text else _read(text)


def _read(text: str) -> _Plan:
    place, _, rest = text.partition(":")
    hit, _, rest = rest.partition(":")
    fault, _, fired = rest.partition(":")
    known = any(place in places for places in PLACES.values())
    if not known or not hit.isdecimal() or fault not in (*FAULTS, STOP) or not fired:
        raise SetupError(f"{VARIABLE} is {text!r}; it must be PLACE:HIT:FAULT:FILE, or unset outside of tests")
    return _Plan(place, int(hit), fault, Path(fired))


def _claim(path: Path) -> bool:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return False
    return True


def _lost(place: str) -> Exception:
    """What the driver raises when its connection ends: of the outbox sqlite3's own, else as SQLAlchemy wraps it."""
    cause = sqlite3.OperationalError(f"failpoint {place}: the connection was lost")
    if place.partition(".")[0] in ("outbox", "settle"):
        return cause
    if place.partition(".")[0] in ("sender", "receipts", "acknowledge", "intake"):
        return ConnectionResetError(f"failpoint {place}: the connection was lost")
    from sqlalchemy.exc import OperationalError  # Only here: a bot never loads SQLAlchemy.

    return OperationalError("failpoint", {}, cause)


_plan: _Plan | None = None
plan(os.environ.get(VARIABLE))
