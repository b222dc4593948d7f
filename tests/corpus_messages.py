"""Messages for the corpus: a good one of each type, changed at one place, and their bytes."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

Outcome = Literal["recorded", "rejected", "parked"]

BOT = "bots.RSIBot"
FEED = "market.yahoo"
SOURCE = "actions.exchange"
OPERATOR = "ops.anna"
TEN_MEGABYTES = 10 * 1024 * 1024
SQL = "'); DROP TABLE ledger.events; --"
HOSTILE_TEXTS = {
    "ANSI escapes": "\x1b[2J\x1b[31mred\x07",
    "other control characters": "\x01\x08\t\r\n\x7f\x85\u2028",
    "rich markup": "[bold red]x[/] [link=file:///etc/passwd]here[/link]",
    "a spreadsheet formula": "=cmd|' /C calc'!A0",
    "SQL": SQL,
    "format strings": "%s %(x)s {0} {x} :name ?",
    "a byte order mark inside": "a\ufeffb",
    "right-to-left and astral characters": "\u202egnp.exe \U0001f680 é e\u0301",
    "the JSON escape of NUL, escaped": "\\u0000",
}
MIDNIGHT = "2026-01-05T00:00:00Z"
IDS: dict[str, int] = {}


class Case(NamedTuple):
    """One message: `field` is the place that a refusal names, empty where there is none."""

    name: str
    subject: str
    data: bytes
    outcome: Outcome
    field: str = ""


def trade(name: str, outcome: Outcome = "recorded", field: str = "", **changed: Any) -> Case:
    """A trade with these fields changed; `...` leaves one out."""
    return Case(name, BOT, encoded(trade_fields(identity(name), **changed)), outcome, field)


def refusal(name: str, field: str, subject: str = BOT, /, **fields: object) -> Case:
    """A message that is refused for this field."""
    return Case(name, subject, encoded(message(identity(name), **fields)), "rejected", field)


def identity(name: str) -> str:
    """The name as an id: what ids may not hold becomes a dash, and a number keeps two of them apart."""
    number = IDS.setdefault(name, len(IDS))
    return "".join(c if c.isascii() and (c.isalnum() or c in "._:-") else "-" for c in name)[:100] + f".{number}"


def message(identity: str, /, **fields: object) -> dict[str, Any]:
    return {"id": identity, "type": "trade", "at": "2026-01-05T15:30:00Z", **fields}


def trade_fields(identity: str, /, **changed: Any) -> dict[str, Any]:
    """A trade with these fields changed; `...` leaves one out."""
    fields = {**message(identity, symbol="QQQ", side="buy", quantity="3", price="412.10"), **changed}
    return {name: value for name, value in fields.items() if value is not ...}


def split_fields(identity: str, /, **changed: object) -> dict[str, Any]:
    return message(identity, type="split", **{"at": MIDNIGHT, "symbol": "QQQ", "new": 2, "old": 1, **changed})


def dividend_fields(identity: str, /, **changed: object) -> dict[str, Any]:
    return message(identity, type="dividend", **{"at": MIDNIGHT, "symbol": "QQQ", "per_share": "1", **changed})


def bars_fields(rows: object, interval: object = "1m") -> dict[str, Any]:
    return {"type": "bars", "at": "2026-01-05T23:00:00Z", "symbol": "QQQ", "interval": interval, "bars": rows}


def bar(minute: int, price: str = "412.10") -> list[Any]:
    start = datetime(2026, 1, 5, tzinfo=UTC) + timedelta(minutes=minute)
    return bar_at(start.isoformat().replace("+00:00", "Z"), price)


def bar_at(start: str, price: str = "412.10") -> list[Any]:
    return [start, price, price, price, price, "1000.5"]


def encoded(fields: dict[str, Any], *, ascii_only: bool = True) -> bytes:
    return json.dumps(fields, ensure_ascii=ascii_only).encode("utf-8")


def encoded_with(fields: dict[str, Any], more: str) -> bytes:
    """The message with this raw JSON added at its end."""
    return f"{json.dumps(fields)[:-1]},{more}}}".encode()


def many_keys(count: int, last: str) -> bytes:
    """So many keys, and one more."""
    keys = [f'"a{n}":0' for n in range(count)]
    return ("{" + ",".join([*keys, f'"{last}":0']) + "}").encode()


def many(value: str, *, limit: int = 256 * 1024) -> bytes:
    """A message with as many of this value in a list as there is room for."""
    begun = b'{"type":"audited","id":"many","at":"2026-01-05T15:30:00Z","x":['
    room = (limit - len(begun) - 2) // (len(value) + 1)
    return begun + ",".join([value] * room).encode() + b"]}"


def nested(depth: int, wrap: Callable[[object], object]) -> object:
    value: object = "x"
    for _ in range(depth):
        value = wrap(value)
    return value


def nested_object(depth: int) -> object:
    return nested(depth, lambda inner: {"a": inner})


def nested_list(depth: int) -> object:
    return nested(depth, lambda inner: [inner])
