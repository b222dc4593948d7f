"""The columns of a table, as the commands name them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Row = Mapping[str, Any]
Kind = Literal["text", "number", "profit", "time"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table for people: the name in the row, what stands above it, how it is written.

    `width` is the least that it takes, so that tables which follow one another stay in line.
    """

    name: str
    header: str
    kind: Kind = "text"
    width: int | None = None
