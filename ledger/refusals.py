"""The words of a refusal: which field, what it was, and what it should be."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ledger.amounts import parse_amount, plain
from ledger.errors import Refused
from ledger.fields import BARS_IN_A_MESSAGE, EXPECTED, TEXT_LENGTH
from ledger.market_events import Bar

_SHOWN = 120
_BAR = f"a bar is [{', '.join(Bar._fields)}]"
_KINDS = {
    "bool_type": "true or false",
    "dict_type": "an object",
    "int_type": "a whole number",
    "model_type": "an object",
    "string_type": "a string",
}


def refused(error: ValidationError, field: str = "") -> Refused:
    """The refusal that tells the first problem of a message; `field` is the one that was checked alone."""
    first: ErrorDetails = error.errors(include_url=False)[0]
    path = [str(part) for part in first["loc"] if part != "[key]"]
    if len(path) == 3 and path[0] == "bars":
        path[2] = Bar._fields[int(path[2])]
    told = first.get("ctx", {}).get("field") or ".".join(path) or field
    return Refused(place(told), _problem(first, path))


def unknown_field(message: Mapping[str, object], known: Collection[str]) -> Refused:
    """The refusal of a message that has a field beyond those of its type."""
    name = next(name for name in message if name not in known)
    return Refused(
        place(name), f"is no field of {message['type']}, which has {', '.join(known)}: remove it, or keep it in ext"
    )


def place(*path: str) -> str:
    """The name of a field as it can be shown: short and printable, whatever was sent."""
    name = ".".join(path) or "message"
    return name if len(name) <= _SHOWN and name.isascii() and name.isprintable() else shown(name)


def shown(value: object) -> str:
    """A value as it can be shown: JSON in ASCII, cut where it is long."""
    text = json.dumps(value, ensure_ascii=True, default=str)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def _problem(details: ErrorDetails, path: Sequence[str]) -> str:
    """What the field was and what it should be."""
    value = details["input"]
    match details["type"]:
        case "missing":
            return f"is missing; {_BAR}" if path[0] == "bars" else "is missing"
        case "extra_forbidden":
            return "is no field of this object; remove it"
        case "json_invalid":  # the message was JSON, so this is the parser's own limit
            return "is nested too deeply"
        case "whole":
            return details["msg"]
        case "string_type" if isinstance(value, int | float) and not isinstance(value, bool):
            return f"is the number {shown(value)}; it must be a string{_as_text(value)}"
        case "string_too_long":
            return f"has {len(value)} characters; it must have at most {TEXT_LENGTH}"
        case "too_short" | "too_long" if len(path) == 1:
            return f"has {len(value)} bars; it must have 1 to {BARS_IN_A_MESSAGE}"
        case _:
            return f"is {shown(value)}; {_expected(details)}"


def _expected(details: ErrorDetails) -> str:
    """What a value should have been."""
    context = details.get("ctx", {})
    match details["type"]:
        case "string_pattern_mismatch":
            return f"it must be {EXPECTED[context['pattern']]}"
        case "literal_error":
            return f"it must be {context['expected']}"
        case "greater_than_equal":
            return f"it must be at least {context['ge']}"
        case "less_than_equal":
            return f"it must be at most {context['le']}"
        case "tuple_type" | "too_long":
            return f"it must be a list; {_BAR}"
        case kind if kind in _KINDS:
            return f"it must be {_KINDS[kind]}"
        case _:
            return details["msg"]


def _as_text(number: float) -> str:
    """The string to send in place of a JSON number, where it is an amount."""
    text = plain(Decimal(str(number)))
    try:
        parse_amount(text)
    except ValueError:
        return ""
    return f': "{text}"'
