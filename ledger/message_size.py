"""How large a message may be, in bytes and in values: what keeps deciding it short, whatever was sent.

A quarter of a megabyte of `{},{},{},…` takes ten times as long to read as one of text. So the values are counted
before anything is read, and once they are known to be too many nothing is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import islice

from ledger.errors import Refused
from ledger.refusals import place

MESSAGE_BYTES = 256 * 1024
VALUES_LIMIT = 10_000
"""How many values a message's objects and lists may hold together: a thousand bars are 7,000, `ext` up to 2,000."""
ENTRIES_LIMIT = 1_000
"""How many symbols or currencies one field may name, or bars it may have."""
DIGITS_LIMIT = 308
"""How many digits a whole number may have: as many as the largest of the other numbers."""
_BEGINS_A_VALUE = (b",", b"[", b"{")
# Up to what begins a value, or to the end; a text is passed over whole. Possessive, so that nothing is read twice.
_NEXT_VALUE = re.compile(rb'(?:[^",\[{]++|"[^"\\]*+(?:\\.[^"\\]*+)*+"?)*+(?:[,\[{]|\Z)', re.DOTALL)


def check_size(data: bytes) -> None:
    """Raises: Refused where a message has too many bytes, or values."""
    if len(data) > MESSAGE_BYTES:
        raise Refused("message", f"has {len(data)} bytes; at most {MESSAGE_BYTES} are taken: split it")
    if sum(map(data.count, _BEGINS_A_VALUE)) > VALUES_LIMIT and _has_too_many_values(data):
        raise Refused(
            "message", f"has more than {VALUES_LIMIT} values in its objects and lists: split it, or send less in it"
        )


def check_entries(message: Mapping[str, object]) -> None:
    """Raises: Refused where a field has too many entries."""
    for name, value in message.items():
        if isinstance(value, dict | list) and len(value) > ENTRIES_LIMIT and name != "ext":
            raise Refused(place(name), f"has {len(value)} entries; it must have at most {ENTRIES_LIMIT}")


def _has_too_many_values(data: bytes) -> bool:
    """Whether so many remain once texts, which may hold any character, are left out."""
    enough = VALUES_LIMIT + 1
    found = islice(_NEXT_VALUE.finditer(data), enough)
    return sum(match.end() < len(data) for match in found) == enough
