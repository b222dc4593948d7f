"""The wire form: subject and bytes ⇄ fact. Every refusal of shape is here, its words in `refusals`.

A message is one JSON object in UTF-8, of bounded size, without duplicate keys or unknown fields. Its
canonical form (keys sorted, no spaces) is the payload in the log: two messages are the same fact when
their payloads are equal.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from pydantic import TypeAdapter, ValidationError

from ledger.errors import Refused
from ledger.events import EVENT_TYPES, Event, FactVoided, StatementIssued
from ledger.fields import EXPECTED, EXT_BYTES, ID_PATTERN, NESTING, SUBJECT_PATTERN, TYPE_PATTERN, Id, Time
from ledger.message_size import DIGITS_LIMIT, check_entries, check_size
from ledger.refusals import place, refused, shown, unknown_field

SUBJECT_PREFIX = "ledger."
VERSIONS = dict.fromkeys(EVENT_TYPES, 1)

_SUBJECT = re.compile(SUBJECT_PATTERN[:-1] + r"\Z")
_IDENTITY = re.compile(ID_PATTERN[:-1] + r"\Z")
_TYPE = re.compile(TYPE_PATTERN[:-1] + r"\Z")
_SURROGATE = re.compile("[\ud800-\udfff]")
_FIELDS = {name: model.model_fields.keys() for name, model in EVENT_TYPES.items()}
_id_adapter: TypeAdapter[str] = TypeAdapter(Id)
_time_adapter: TypeAdapter[Any] = TypeAdapter(Time)


@dataclass(frozen=True, slots=True)
class Fact:
    """A well-formed message that is not yet recorded. `payload` is its canonical form in UTF-8."""

    subject: str
    event: Event
    payload: bytes

    @property
    def id(self) -> str:
        """The id that its publisher chose."""
        return self.event.id

    @property
    def digest(self) -> bytes:
        """What the fact is, in 32 bytes: subject and content."""
        return digest(self.subject, self.payload)


@dataclass(frozen=True, slots=True)
class Unknown:
    """A well-formed message of a type or version that this release does not know: to be parked."""

    subject: str
    id: str
    type: str
    version: int
    payload: bytes

    @property
    def digest(self) -> bytes:
        """What the message is, in 32 bytes: subject and content."""
        return digest(self.subject, self.payload)


def digest(subject: str, payload: bytes) -> bytes:
    """SHA-256 over subject and payload, each with its length as 4 bytes big-endian before it."""
    name = subject.encode()
    return hashlib.sha256(len(name).to_bytes(4, "big") + name + len(payload).to_bytes(4, "big") + payload).digest()


def decode(subject: str, data: bytes) -> Fact | Unknown:
    """The fact that these bytes carry, spoken on `bots.<bot>`, `market.<feed>`, `actions.<source>` or `ops.<operator>`.

    Raises: Refused, naming the field, what it was and what it should be.
    """
    kind = check_subject(subject)
    check_size(data)
    return _decode(subject, kind, data, _DECODER)


def decode_recorded(subject: str, payload: bytes) -> Fact | Unknown:
    """The fact that a payload of the log is, however much in it an earlier build has taken.

    Raises: Refused where it is none.
    """
    return _decode(subject, check_subject(subject), payload, _RECORDED)


def _decode(subject: str, kind: str, data: bytes, decoder: json.JSONDecoder) -> Fact | Unknown:
    try:
        message = _parse(data, decoder)
        payload = _canonical(message)
        type_, version = _envelope(message)
    except RecursionError as error:
        raise Refused("message", "is nested too deeply") from error
    if VERSIONS.get(type_) != version:
        return _unknown(subject, message, payload, type_=type_, version=version)
    model = EVENT_TYPES[type_]
    if kind not in model.kinds:
        places = " or ".join(f"{SUBJECT_PREFIX}{found}.<name>" for found in model.kinds)
        raise Refused("type", f"{type_} is published on {places}, not on {subject}")
    if not message.keys() <= _FIELDS[type_]:
        raise unknown_field(message, _FIELDS[type_])
    if decoder is _DECODER:
        check_entries(message)
    try:
        event = model.model_validate_json(payload)
    except ValidationError as error:
        raise refused(error) from error
    if isinstance(event, FactVoided | StatementIssued):
        event.check_speaker(subject)
    return Fact(subject, event, payload)


def encode(fields: Mapping[str, object]) -> bytes:
    """The bytes of a message with these fields, in canonical form; those that are None are left out.

    Raises: Refused where a field cannot be written as JSON.
    """
    try:
        return _canonical({name: value for name, value in fields.items() if value is not None})
    except (TypeError, ValueError, RecursionError) as error:
        raise Refused("message", f"cannot be written as JSON: {error}") from error


def check_subject(subject: str) -> str:
    """The kind of speaker (`bots`, `market`, `actions`, `ops`) of a subject.

    Raises: Refused where the subject is not a kind, a dot and a name.
    """
    match = _SUBJECT.match(subject)
    if match is None:
        raise Refused(
            "subject",
            f"{shown(subject)} is not {EXPECTED[SUBJECT_PATTERN]}",
        )
    return match[1]


def identity_of(data: bytes) -> str:
    """The id that a refused message seems to carry, for the answer to its publisher.

    Empty where none can be read, and where the message is too large to be read at all.
    """
    try:
        check_size(data)
        message = _ID_DECODER.decode(data.decode())
    except (Refused, ValueError, RecursionError):
        return ""
    found = message.get("id") if isinstance(message, dict) else None
    return found if isinstance(found, str) and _IDENTITY.match(found) else ""


def _parse(data: bytes, decoder: json.JSONDecoder) -> dict[str, Any]:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused("message", f"is not UTF-8: byte {error.start} is {data[error.start]:#04x}") from error
    if text.startswith("\ufeff"):
        raise Refused("message", "begins with a byte order mark: send UTF-8 without one")
    try:
        message = decoder.decode(text)
    except json.JSONDecodeError as error:
        raise Refused("message", f"is not JSON: {error.msg} at character {error.pos}") from error
    except RecursionError as error:
        raise Refused("message", "is nested too deeply") from error
    if not isinstance(message, dict):
        raise Refused("message", f"must be a JSON object, not {shown(message)}")
    return message


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Refused(place(_first_twice(pairs)), "stands twice in one object; it must stand once")
    return found


def _first_twice(pairs: list[tuple[str, Any]]) -> str:
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            return name
        seen.add(name)
    raise AssertionError("every name stands once")


def _no_constant(name: str) -> NoReturn:
    raise Refused("message", f"{name} is not JSON: send a finite number")


def _finite(text: str) -> float | int:
    """A number of `ext` (no other field takes one): equal values have one form, as in RFC 8785."""
    number = float(text)
    if not math.isfinite(number):
        raise Refused("message", f"the number {text[:40]} is out of range")
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def _whole(text: str) -> int:
    if len(text) > DIGITS_LIMIT:
        raise Refused("message", f"the number {text[:40]}… has {len(text)} digits; at most {DIGITS_LIMIT} are taken")
    return int(text)


def _nothing(text: str) -> None:
    """No number is an id, and a long one takes long to read."""


_FORM: dict[str, Any] = {"object_pairs_hook": _unique, "parse_constant": _no_constant, "parse_float": _finite}
_DECODER = json.JSONDecoder(parse_int=_whole, **_FORM)
_RECORDED = json.JSONDecoder(**_FORM)
_ID_DECODER = json.JSONDecoder(parse_int=_nothing, parse_float=_nothing)
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _canonical(message: Mapping[str, Any]) -> bytes:
    text = _ENCODER.encode(message)
    if "\\u0000" in text:
        _refuse_text(message)
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        _refuse_text(message)
        raise


def _refuse_text(value: object, *path: str) -> None:
    """Name the text that no database could keep."""
    match value:
        case str() if "\0" in value:
            raise Refused(place(*path), "has a NUL character, which no text may have")
        case str() if _SURROGATE.search(value):
            raise Refused(place(*path), "has a lone surrogate (\\ud800 to \\udfff), which is no character")
        case dict():
            for name, inner in value.items():
                _refuse_text(name, *path)
                _refuse_text(inner, *path, name)
        case list():
            for number, inner in enumerate(value):
                _refuse_text(inner, *path, str(number))


def _is_deep(value: object) -> bool:
    """Whether objects and lists stand more than `NESTING` deep in one another, whatever the stack has left."""
    level = [value]
    for _ in range(NESTING + 1):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return True


def _envelope(message: Mapping[str, Any]) -> tuple[str, int]:
    type_ = message.get("type")
    if not isinstance(type_, str) or not _TYPE.match(type_):
        was = f"is {shown(type_)}" if "type" in message else "is missing"
        raise Refused("type", f"{was}; it must be one of {', '.join(EVENT_TYPES)}")
    version = message.get("v", 1)
    if type(version) is not int or not 1 <= version < 2**31:
        raise Refused("v", f"is {shown(version)}; it must be a whole number from 1")
    extension = message.get("ext")
    if extension is not None:
        if _is_deep(extension):
            raise Refused("ext", f"is nested more than {NESTING} levels deep")
        size = len(_ENCODER.encode(extension).encode())
        if size > EXT_BYTES:
            raise Refused("ext", f"has {size} bytes; it must have at most {EXT_BYTES}")
    return type_, version


def _unknown(subject: str, message: Mapping[str, Any], payload: bytes, *, type_: str, version: int) -> Unknown:
    """Parked is only what a later release could take: its envelope has to be right."""
    for field, adapter in (("id", _id_adapter), ("at", _time_adapter)):
        if field not in message:
            raise Refused(field, "is missing")
        try:
            adapter.validate_python(message[field], strict=True)
        except ValidationError as error:
            raise refused(error, field) from error
    if _is_deep(message):
        raise Refused("message", f"is nested more than {NESTING} levels deep")
    return Unknown(subject, message["id"], type_, version, payload)
