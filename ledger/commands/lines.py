"""Messages from a file: one JSON object a line, a message plus its "subject".

Flat: `{"subject": "bots.RSIBot", "id": "d1", "type": "deposit", "at": "2026-01-05T15:30:00Z", "amount": "100"}`.
Or the message apart, as `events --json` writes it: `{"subject": "bots.RSIBot", "payload": {"id": "d1", …}}`; a message
that has a subject itself, a void or a statement, needs this form.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from ledger.errors import Refused
from ledger.events import EVENT_TYPES
from ledger.intake import entry_of
from ledger.log import Entry
from ledger.messages import check_subject, identity_of
from ledger.quarantine import Refusal

LINE_BYTES = 2 * 1024 * 1024
NO_SUBJECT = "unknown"
LINES_A_BATCH = 1_000
BYTES_A_BATCH = 8 * 1024 * 1024
_SKIP_BYTES = 64 * 1024
_WITH_A_SUBJECT = frozenset(name for name, model in EVENT_TYPES.items() if "subject" in model.model_fields)


@dataclass(frozen=True, slots=True)
class Line:
    """What one line of a file is: a fact, an unknown, or a refusal with its reason; `end` is its end in the file."""

    number: int
    entry: Entry
    end: int


def read_batches(file: BinaryIO) -> Iterator[list[Line]]:
    """The lines that are not blank, in batches bounded in number and in bytes."""
    batch: list[Line] = []
    size = 0
    for line in read_lines(file):
        batch.append(line)
        size += len(line.entry.payload)
        if len(batch) >= LINES_A_BATCH or size >= BYTES_A_BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def read_lines(file: BinaryIO) -> Iterator[Line]:
    """The lines that are not blank; none is held longer, or larger, than it has to be."""
    number = end = 0
    while raw := file.readline(LINE_BYTES):
        number += 1
        end += len(raw)
        whole = raw.endswith(b"\n") or len(raw) < LINE_BYTES
        if not whole:
            end += _skip(file)
            yield Line(number, _refusal(raw, Refused("line", f"has more than {LINE_BYTES} bytes")), end)
        elif raw.strip():
            yield Line(number, _entry(raw.strip()), end)


def _skip(file: BinaryIO) -> int:
    """Pass over what is left of a line; its length."""
    skipped = 0
    while rest := file.readline(_SKIP_BYTES):
        skipped += len(rest)
        if rest.endswith(b"\n"):
            break
    return skipped


def _entry(raw: bytes) -> Entry:
    try:
        subject, fields = _split(raw)
    except Refused as error:
        return _refusal(raw, error)
    payload = fields.get("payload")
    if isinstance(payload, dict):
        return entry_of(subject, _bytes(payload))
    type_, message = fields.get("type"), _bytes(fields)
    if isinstance(type_, str) and type_ in _WITH_A_SUBJECT:
        return _refusal(message, _two_subjects(type_), subject=subject)
    return entry_of(subject, message)


def _refusal(raw: bytes, error: Refused, *, subject: str = NO_SUBJECT) -> Refusal:
    return Refusal(subject, identity_of(raw), error.reason, str(error), raw)


def _two_subjects(type_: str) -> Refused:
    """The refusal of a flat line whose one subject cannot be both who speaks and of whom."""
    return Refused(
        "subject",
        f"is who speaks, but a {type_} has a subject itself, of whom it speaks: "
        'write the line as {"subject": SPEAKER, "payload": {…, "subject": OF_WHOM}}',
    )


def _split(raw: bytes) -> tuple[str, dict[str, Any]]:
    """Subject and other fields of a line.

    Raises: Refused where no subject can be read in it.
    """
    try:
        fields = json.loads(raw, object_pairs_hook=_unique)
    except RecursionError as error:
        raise Refused("line", "is nested too deeply") from error
    except UnicodeDecodeError as error:
        raise Refused("line", f"is not UTF-8: {error.reason}") from error
    except ValueError as error:
        raise Refused("line", f"is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise Refused("line", "is no JSON object")
    subject = fields.pop("subject", None)
    if not isinstance(subject, str):
        raise Refused("subject", 'is missing: a line is one message plus its "subject", such as "bots.RSIBot"')
    check_subject(subject)
    return subject, fields


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Refused("line", "has a field twice in one object")
    return found


def _bytes(message: dict[str, Any]) -> bytes:
    try:
        return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(message, separators=(",", ":")).encode()  # A lone surrogate, for the door to refuse by name.
