"""What bots may send, well-formed and not, and what has to become of it; for `decode`, the door and the JSON Schema.

Ids are unique, so that all cases can go through one door in any order without meeting one another.
"""

from typing import Any

from tests.corpus_corrections import (
    malformed_adjustments,
    malformed_statements,
    malformed_voids,
    well_formed_corrections,
)
from tests.corpus_malformed import malformed_json, malformed_shapes
from tests.corpus_market import malformed_market
from tests.corpus_messages import (
    BOT,
    FEED,
    HOSTILE_TEXTS,
    OPERATOR,
    SOURCE,
    Case,
    bar,
    bar_at,
    bars_fields,
    encoded,
    encoded_with,
    identity,
    many,
    message,
    nested_object,
    refusal,
    split_fields,
    trade,
    trade_fields,
)
from tests.corpus_values import malformed_amounts, malformed_names, malformed_times

ODD_SYMBOLS = ("EURUSD=X", "^XAU", "GC=F", "M&M.NS", "BTC/USDT:USDT", "=cmd|x", "--", "%00", "A" * 32)
HOLDING = {"quantity": "1", "cost": "412.10", "currency": "USD"}
ODD_TIMES = (
    "2026-01-05t15:30:00z",
    "2026-01-05T15:30:00.123456789012Z",
    "2026-01-05T15:30:00-00:00",
    "2026-01-05T15:30:00+23:59",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999Z",
    "2024-02-29T00:00:00Z",
    "1969-12-31T23:59:59Z",
)


def corpus() -> tuple[Case, ...]:
    """Every case, the well-formed ones first."""
    return (
        *well_formed(),
        *unknown(),
        *too_many(),
        *malformed_json(),
        *malformed_shapes(),
        *malformed_amounts(),
        *malformed_times(),
        *malformed_names(),
        *malformed_market(),
        *malformed_adjustments(),
        *malformed_voids(),
        *malformed_statements(),
    )


def well_formed() -> tuple[Case, ...]:
    """Messages that are recorded, however odd."""
    return (
        *(_recorded(f"the smallest {fields['type']}", subject, **fields) for subject, fields in _smallest()),
        *(_recorded(f"the fullest {fields['type']}", subject, **fields) for subject, fields in _fullest()),
        *(trade(f"symbol {symbol}", symbol=symbol) for symbol in ODD_SYMBOLS),
        *(trade(f"text with {name}", note=text) for name, text in HOSTILE_TEXTS.items()),
        *(trade(f"at {at}", at=at) for at in ODD_TIMES),
        *(trade(f"price {price}", price=price) for price in ("0", "0.00", "9" * 20 + "." + "9" * 30)),
        *(trade(f"fee {fee}", fee=fee) for fee in ("-0.2", "-" + "9" * 20, "0.0")),
        trade("the smallest quantity", quantity="0." + "0" * 29 + "1"),
        trade("the longest text", note="x" * 16_384),
        trade("the longest text of astral characters", note="\U0001f680" * 16_384),
        trade("the longest text of commas", note="," * 16_384),
        trade("the longest text of quotes and commas", note='",' * 8_192),
        trade("the longest text of backslashes and brackets", note="\\[" * 8_192),
        trade("the largest ext", ext={"a": "x" * 4_088}),
        trade("ext nested as deep as it may be", ext=nested_object(32)),
        trade("ext with every kind of JSON value", ext={"a": [1, -0.5, 1e300, True, None, "x", {"b": {}}]}),
        trade("null for an optional field", run=None, ext=None),
        _raw("ext with a long whole number", BOT, encoded_with(trade_fields("long"), '"ext":{"n":%s}' % ("9" * 308))),
        _raw("white space around everything", BOT, b"\r\n\t " + encoded(trade_fields("white-space")) + b"\n"),
        _raw("a whole number as 2.0", SOURCE, encoded(split_fields("two-point-zero", new=2.0))),
        Case("the longest name", "bots." + "a" * 63, encoded(trade_fields("longest-name")), "recorded"),
        _raw("the widest split", SOURCE, encoded(split_fields("widest-split", new=1_000_000, old=1_000_000))),
        _recorded("bars of the longest interval", FEED, **bars_fields([bar(0)], "999999wk")),
        _recorded("bars at a price below zero", FEED, **bars_fields([bar(0, "-37.63")])),
        _recorded("a thousand bars", FEED, **bars_fields([bar(n) for n in range(1_000)])),
        _raw(
            "an opening of 1,000 symbols",
            BOT,
            encoded(message("a-thousand", type="bot_registered", holdings=dict.fromkeys(_symbols(1_000), HOLDING))),
        ),
        _recorded(
            "a thousand bars and the largest ext",
            FEED,
            **bars_fields([bar(n) for n in range(1_000)]),
            ext={"a": [0] * 2_040},
        ),
        _recorded(
            "a 1d bar at 00:00Z, told with an offset", FEED, **bars_fields([bar_at("2026-01-05T01:00:00+01:00")], "1d")
        ),
        *well_formed_corrections(),
    )


def unknown() -> tuple[Case, ...]:
    """Messages that a later release may know."""
    later = ("adjustment", "void", "statement")
    return (
        *(Case(f"a later {name}", BOT, encoded(message(f"later-{name}", type=name, v=2)), "parked") for name in later),
        Case("a type not known", BOT, encoded(trade_fields("unknown-type", type="exercised")), "parked"),
        Case("a version not known", BOT, encoded(trade_fields("unknown-version", v=99)), "parked"),
        Case("an operator's unknown type", OPERATOR, encoded(message("unknown-ops", type="audited", x=[{}])), "parked"),
        Case("as many numbers of 308 digits as there is room for", BOT, many("9" * 308), "parked"),
        Case("10,000 values of an unknown type", BOT, _audited(9_996), "parked"),
    )


def too_many() -> tuple[Case, ...]:
    """Messages that are refused for how much is in them."""
    return (
        Case("10,001 values of an unknown type", BOT, _audited(9_997), "rejected", "message"),
        refusal(
            "an opening of 1,001 symbols",
            "holdings",
            type="bot_registered",
            holdings=dict.fromkeys(_symbols(1_001), HOLDING),
        ),
        refusal(
            "an opening of 1,000 bad symbols",
            "holdings.S0.quantity",
            type="bot_registered",
            holdings={symbol: {"a": 1, "b": 2, "c": 3} for symbol in _symbols(1_000)},
        ),
        refusal(
            "an opening of 1,001 currencies",
            "opening",
            type="bot_registered",
            opening=dict.fromkeys(_symbols(1_001), "1"),
        ),
    )


def _audited(values: int) -> bytes:
    return encoded(message(f"audited-{values}", type="audited", x=[0] * values))


def _symbols(count: int) -> list[str]:
    return [f"S{n}" for n in range(count)]


def well_formed_messages() -> list[tuple[str, dict[str, Any]]]:
    """Subject and fields of one small and one full message of each type."""
    return [(subject, {"id": f"m{n}", **fields}) for n, (subject, fields) in enumerate(_smallest() + _fullest())]


def _smallest() -> list[tuple[str, dict[str, Any]]]:
    moment = {"at": "2026-01-05T15:30:00Z"}
    midnight = {"at": "2026-01-05T00:00:00Z"}
    return [
        (BOT, {"type": "bot_registered", **moment}),
        (BOT, {"type": "trade", **moment, "symbol": "QQQ", "side": "buy", "quantity": "3", "price": "412.10"}),
        (BOT, {"type": "run_started", **moment, "run": "r"}),
        (BOT, {"type": "run_finished", **moment, "run": "r", "success": False}),
        (BOT, {"type": "deposit", **moment, "amount": "1"}),
        (BOT, {"type": "withdrawal", **moment, "amount": "1"}),
        (BOT, {"type": "charge", **moment, "amount": "-1", "reason": "interest"}),
        (BOT, {"type": "adjustment", **moment, "symbol": "QQQ", "quantity": "-1", "reason": "residue"}),
        (BOT, {"type": "void", **moment, "subject": BOT, "target": "t", "reason": "booked twice"}),
        (BOT, {"type": "statement", **moment, "subject": BOT, "cash": {}, "holdings": {}}),
        (FEED, bars_fields([bar(0)])),
        (SOURCE, {"type": "split", **midnight, "symbol": "QQQ", "new": 3, "old": 2}),
        (SOURCE, {"type": "dividend", **midnight, "symbol": "QQQ", "per_share": "0"}),
    ]


def _fullest() -> list[tuple[str, dict[str, Any]]]:
    held = {"QQQ": {"quantity": "12.5", "cost": "5100", "currency": "EUR"}, "^XAU": {"quantity": "1", "cost": "0"}}
    more: dict[str, dict[str, Any]] = {
        "bot_registered": {
            "description": "buys low",
            "base_currency": "EUR",
            "opening": {"USD": "10000", "EUR": "0"},
            "holdings": held,
            "cost_basis": "average",
            "allow_short": True,
            "mode": "paper",
            "account": "U-1",
            "expected_every": "26h",
        },
        "trade": {
            "fee": "-0.35",
            "currency": "EUR",
            "fee_currency": "BNB",
            "run": "2026-01-05T15:30",
            "order": "o-1",
            "reference_price": "412",
            "note": "RSI 27",
        },
        "run_started": {"after": 2**62, "code_version": "1.2"},
        "run_finished": {"result": "bought", "started_at": "2026-01-05T15:00:00Z"},
        "deposit": {"currency": "EUR", "note": "more"},
        "withdrawal": {"currency": "EUR", "note": "less"},
        "charge": {"currency": "EUR", "run": "r"},
        "adjustment": {"cost": "0", "currency": "EUR"},
        "void": {},
        "statement": {"cash": {"USD": "-5.25", "EUR": "0"}, "holdings": {"QQQ": "-3", "^XAU": "0.5"}},
        "bars": {"currency": "EUR", "adjusted_through": "2026-01-05T15:30:00Z"},
        "split": {},
        "dividend": {"currency": "EUR"},
    }
    return [(who, {**said, "v": 1, "ext": {"broker": "x"}, **more[said["type"]]}) for who, said in _smallest()]


def _recorded(name: str, subject: str, /, **fields: object) -> Case:
    return Case(name, subject, encoded({"id": identity(name), **fields}), "recorded")


def _raw(name: str, subject: str, data: bytes) -> Case:
    return Case(name, subject, data, "recorded")
