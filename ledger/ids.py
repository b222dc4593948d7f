"""The ids that a publisher chooses: made again alike after a crash where there is a run, else rising with time."""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
import time
from collections.abc import Mapping

from ledger.messages import encode

ID_LENGTH = 128
REGISTERED = "registered"
"""What the ids of registrations begin with."""
_NOT_OF_AN_ID = re.compile(r"[^A-Za-z0-9._:-]")
_NOT_BETWEEN_DOTS = re.compile(r"[^A-Za-z0-9_:-]")
_RANDOM_BITS = 74
_STEP_BITS = 32
_HASH_DIGITS = 16


class _Rising:
    """UUIDv7s, each greater than the one before it, whatever the clock does."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def __call__(self) -> str:
        """A UUIDv7 as text: 48 bits of milliseconds, then random bits."""
        milliseconds = time.time_ns() // 1_000_000
        candidate = milliseconds << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
        with self._lock:
            if candidate <= self._last:
                # A random step, not one: after a fork two processes must not count through the same ids.
                candidate = self._last + 1 + secrets.randbits(_STEP_BITS)
            self._last = candidate
        return _uuid(candidate)


uuid7 = _Rising()


def run_fact_id(run: str, name: str, *, number: int, side: str) -> str:
    """`<run>.<name>.<0001>-<side>`: the nth fact of this symbol (or currency) and side in the run.

    A dot in the symbol is replaced as well: a run may have dots, and no two runs may make one id.
    """
    return f"{run}.{_replaced(name, _NOT_BETWEEN_DOTS)}.{number:04}-{side}"


def attempt_id(run: str, step: str) -> str:
    """The id of a run's start or finish, another one for each attempt."""
    return f"{run}.{step}.{uuid7()}"


def id_part(symbol: str) -> str:
    """The symbol in the characters of an id; where one is replaced, digits of the symbol's hash keep it apart."""
    return _replaced(symbol, _NOT_OF_AN_ID)


def void_id(subject: str, target: str) -> str:
    """The id of a void of this fact: whoever has said it says it again under the same id."""
    return fitting(f"void.{subject}.{target}")


def successor_id(id_: str, number: int) -> str:
    """`<id>.<number>`: of what is said in place of a fact, whose id stays used; numbers begin with 2."""
    return fitting(id_, end=f".{number}")


def fitting(text: str, *, end: str = "") -> str:
    """The text as an id; where it is too long its end gives way to digits of its hash. `end` stays whole."""
    if len(text) + len(end) <= ID_LENGTH:
        return text + end
    kept = text[: ID_LENGTH - len(end) - _HASH_DIGITS - 1]
    return f"{kept}-{hashlib.sha256(text.encode()).hexdigest()[:_HASH_DIGITS]}{end}"


def _replaced(symbol: str, unfit: re.Pattern[str]) -> str:
    part = unfit.sub("_", symbol)
    return part if part == symbol else f"{part}-{hashlib.sha256(symbol.encode()).hexdigest()[:4]}"


def _uuid(value: int) -> str:
    """A number of 122 bits as the text of a UUID, version 7 and variant 2 put in between."""
    high, low = value >> 62, value & (1 << 62) - 1
    whole = (high >> 12) << 80 | 0x7 << 76 | (high & 0xFFF) << 64 | 0b10 << 62 | low
    text = f"{whole:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def registration_id(fields: Mapping[str, object]) -> str:
    """The id of a registration that says this (without its `at`): said again, it is the same fact."""
    return f"{REGISTERED}.{hashlib.sha256(encode(fields)).hexdigest()[:16]}"
