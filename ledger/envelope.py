"""What all facts have, whatever they say."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticCustomError

from ledger.fields import Extension, Id, Time


class Envelope(BaseModel):
    """What all facts have: an id that its publisher chose, and when it happened."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    kinds: ClassVar[tuple[str, ...]]
    rank: ClassVar[int] = 4

    id: Id
    at: Time
    v: Literal[1] = 1
    ext: Extension | None = None


def apart(field: str, symbol: str, currency: str) -> None:
    """Refuse a symbol that is the currency that it is paid in."""
    if symbol == currency:
        raise between_fields(field, f"is {symbol}; a symbol must not be the currency that it is paid in")


def between_fields(field: str, problem: str) -> PydanticCustomError:
    """What is wrong between fields, told of the one that the publisher would correct."""
    return PydanticCustomError("whole", "{problem}", {"field": field, "problem": problem})
