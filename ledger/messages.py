"""The wire form: subject and bytes ⇄ fact. Every refusal of shape is here.

A message is one JSON object in UTF-8, at most 256 KiB, without duplicate keys or unknown fields. Its
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
from pydantic_core import ErrorDetails

from ledger.errors import Refused
from ledger.events import EVENT_TYPES, Event
from ledger.fields import EXPECTED, EXT_BYTES, ID_PATTERN, NAME_PATTERN, TEXT_LENGTH, TYPE_PATTERN, Id, Time

MESSAGE_BYTES = 256 * 1024
SUBJECT_PREFIX = "ledger."
KINDS = ("bots", "market", "actions", "ops")
VERSIONS = dict.fromkeys(EVENT_TYPES, 1)

_SUBJECT = re.compile(rf"({'|'.join(KINDS)})\.({NAME_PATTERN[1:-1]})\Z")
_IDENTITY = re.compile(ID_PATTERN[:-1] + r"\Z")
_TYPE = re.compile(TYPE_PATTERN[:-1] + r"\Z")
_SHOWN = 120
_id_adapter: TypeAdapter[str] = TypeAdapter(Id)
_time_adapter: TypeAdapter[Any] = TypeAdapter(Time)


@dataclass(frozen=True, slots=True)
class Fact:
    """A well-formed message that is not yet recorded. `payload` is its canonical form in UTF-8."""

    subject: str
    event: Event
    payload: bytes

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
    message = _parse(data)
    payload = _canonical(message)
    type_, version = _envelope(message)
    if VERSIONS.get(type_) != version:
        return _unknown(subject, message, payload, type_=type_, version=version)
    model = EVENT_TYPES[type_]
    if model.kind != kind:
        raise Refused("type", f"a {type_} is published on {SUBJECT_PREFIX}{model.kind}.<name>, not on {subject}")
    try:
        event = model.model_validate_json(payload)
    except ValidationError as error:
        _refuse(error)
    return Fact(subject, event, payload)


def encode(fields: Mapping[str, object]) -> bytes:
    """The bytes of a message with these fields, in canonical form; those that are None are left out.

    Raises: Refused where a field cannot be written as JSON.
    """
    try:
        return _canonical({name: value for name, value in fields.items() if value is not None})
    except (TypeError, RecursionError) as error:
        raise Refused("message", f"cannot be written as JSON: {error}") from error


def check_subject(subject: str) -> str:
    """The kind of speaker (`bots`, `market`, `actions`, `ops`) of a subject.

    Raises: Refused where the subject is not a kind, a dot and a name.
    """
    match = _SUBJECT.match(subject)
    if match is None:
        raise Refused(
            "subject",
            f"{_shown(subject)} is not <kind>.<name>, with bots, market, actions or ops as the kind and "
            "a name of 1 to 63 of A-Z a-z 0-9 _ -, a letter or digit first",
        )
    return match[1]


def identity_of(data: bytes) -> str:
    """The id that a refused message seems to carry, for the answer to its publisher; empty where none can be read."""
    try:
        message = json.loads(data[:MESSAGE_BYTES])
    except (ValueError, RecursionError):
        return ""
    found = message.get("id") if isinstance(message, dict) else None
    return found if isinstance(found, str) and _IDENTITY.match(found) else ""


def _parse(data: bytes) -> dict[str, Any]:
    if len(data) > MESSAGE_BYTES:
        raise Refused("message", f"has {len(data)} bytes; at most {MESSAGE_BYTES} are taken: split it")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused("message", f"is not UTF-8: byte {error.start} is {data[error.start]:#04x}") from error
    if text.startswith("\ufeff"):
        raise Refused("message", "begins with a byte order mark: send UTF-8 without one")
    try:
        message = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite)
    except json.JSONDecodeError as error:
        raise Refused("message", f"is not JSON: {error.msg} at character {error.pos}") from error
    except RecursionError as error:
        raise Refused("message", "is nested too deeply") from error
    except ValueError as error:  # int() refuses more than 4,300 digits
        raise Refused("message", f"has a number that is too long: {str(error)[:_SHOWN]}") from error
    if not isinstance(message, dict):
        raise Refused("message", f"must be a JSON object, not {_shown(message)}")
    return message


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Refused(_shown(twice), "stands twice in one object: send each key once")
    return found


def _no_constant(name: str) -> NoReturn:
    raise Refused("message", f"{name} is not JSON: send a finite number")


def _finite(text: str) -> float | int:
    """A number of `ext` (no other field takes one): equal values have one form, as in RFC 8785."""
    number = float(text)
    if not math.isfinite(number):
        raise Refused("message", f"the number {text[:_SHOWN]} is out of range")
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def _canonical(message: Mapping[str, Any]) -> bytes:
    text = json.dumps(message, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    if "\\u0000" in text:
        _refuse_nul(message, "message")
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise Refused("message", "has a lone surrogate (\\ud800 to \\udfff), which is no character") from error


def _refuse_nul(value: object, field: str) -> None:
    match value:
        case str() if "\0" in value:
            raise Refused(field, "has a NUL character, which no text may have")
        case dict():
            for name, inner in value.items():
                _refuse_nul(name, field)
                _refuse_nul(inner, str(name))
        case list():
            for inner in value:
                _refuse_nul(inner, field)


def _envelope(message: Mapping[str, Any]) -> tuple[str, int]:
    type_ = message.get("type")
    if not isinstance(type_, str) or not _TYPE.match(type_):
        raise Refused("type", f"is {_shown(type_)}; it must be one of {', '.join(EVENT_TYPES)}")
    version = message.get("v", 1)
    if type(version) is not int or not 1 <= version < 2**31:
        raise Refused("v", f"is {_shown(version)}; it must be a whole number from 1")
    extension = message.get("ext")
    if extension is not None and len(json.dumps(extension, ensure_ascii=False).encode()) > EXT_BYTES:
        raise Refused("ext", f"is larger than {EXT_BYTES} bytes")
    return type_, version


def _unknown(subject: str, message: Mapping[str, Any], payload: bytes, *, type_: str, version: int) -> Unknown:
    """Parked is only what a later release could take: its envelope has to be right."""
    for field, adapter in (("id", _id_adapter), ("at", _time_adapter)):
        if field not in message:
            raise Refused(field, "is missing")
        try:
            adapter.validate_python(message[field], strict=True)
        except ValidationError as error:
            _refuse(error, field)
    return Unknown(subject, message["id"], type_, version, payload)


def _refuse(error: ValidationError, field: str = "") -> NoReturn:
    first: ErrorDetails = error.errors(include_url=False)[0]
    name = ".".join(str(part) for part in first["loc"] if part != "[key]") or field or "message"
    raise Refused(name, _problem(first)) from error


def _problem(details: ErrorDetails) -> str:
    """What was wrong, in words: what the field was and what it should be."""
    given = _shown(details["input"])
    context = details.get("ctx", {})
    match details["type"]:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return "is no field of this type; remove it, or keep it in ext"
        case "string_type" if isinstance(details["input"], int | float) and not isinstance(details["input"], bool):
            return f'is the number {given}; send it as a string: "{given}"'
        case "string_type":
            return f"is {given}; it must be a string"
        case "string_pattern_mismatch":
            return f"is {given}; it must be {EXPECTED[context['pattern']]}"
        case "string_too_long":
            return f"has more than {TEXT_LENGTH} characters"
        case "amount" | "time" | "symbol" | "bars":
            return f"is {given}; {details['msg']}" if details["type"] in ("amount", "time") else details["msg"]
        case _:
            return f"is {given}; {details['msg'][0].lower()}{details['msg'][1:]}"


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=True, default=str)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
