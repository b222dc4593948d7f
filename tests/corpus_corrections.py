"""The part of the corpus that sets books right: adjustments, voids and statements, the odd ones and the refused."""

from typing import Any

from tests.corpus_messages import (
    BOT,
    FEED,
    HOSTILE_TEXTS,
    OPERATOR,
    SOURCE,
    SQL,
    Case,
    Outcome,
    encoded,
    encoded_with,
    identity,
    message,
)
from tests.corpus_values import BAD_NAMES, WRONG_TYPES

OTHER = "bots.Other"
BAD_SUBJECTS: dict[str, object] = {
    "nothing": "",
    "no kind": "RSIBot",
    "no name": "bots.",
    "a kind alone": "bots",
    "a kind in capitals": "Bots.RSIBot",
    "a kind that is none": "trades.RSIBot",
    "a subject of NATS": "ledger.bots.RSIBot",
    "a subject of receipts": "receipts.bots.RSIBot",
    "a space first": " bots.RSIBot",
    "SQL": SQL,
    **{f"a bot named {name}": f"bots.{text}" for name, text in BAD_NAMES.items()},
}
OTHERS_FACTS = (
    (BOT, OTHER),
    (BOT, "bots.rsibot"),
    (BOT, "market.RSIBot"),
    (BOT, OPERATOR),
    (FEED, BOT),
    (FEED, "market.other"),
    (FEED, "actions.yahoo"),
    (FEED, OPERATOR),
    (SOURCE, BOT),
    (SOURCE, FEED),
    (SOURCE, "actions.other"),
    (SOURCE, "ops.exchange"),
)
BAD_IDS = {
    "nothing": "",
    "129 characters": "a" * 129,
    "a space": "a b",
    "a look-alike": "\u0430",
    "a line break at the end": "a\n",
    "SQL": SQL,
    "a number": 7,
    "a list": ["a", "b"],
    "null": None,
}
BAD_REASONS = {
    "a number": 1,
    "a list": ["x"],
    "null": None,
    "16,385 characters": "x" * 16_385,
    "NUL": "a\0b",
    "a lone surrogate": "\ud800",
}
BAD_QUANTITIES = {
    "zero": "0",
    "0.00": "0.00",
    "minus zero": "-0",
    "minus zero with decimals": "-0.00",
    "a number": 1,
    "a fraction as a number": -0.5,
    "the number zero": 0,
    "NaN": "NaN",
    "an exponent": "1e5",
    "21 digits": "-1" + "0" * 20,
    "31 decimals": "0." + "0" * 30 + "1",
    "a plus": "+1",
    **WRONG_TYPES,
}
BAD_BALANCES = {
    "a number": 100,
    "a fraction as a number": -0.5,
    "minus zero": "-0",
    "minus zero with decimals": "-0.0",
    "Infinity": "-Infinity",
    "an exponent": "1e5",
    "21 digits": "1" + "0" * 20,
    "31 decimals": "0." + "0" * 30 + "1",
    "a thousands separator": "1,000",
    "nothing": "",
    **WRONG_TYPES,
}


def well_formed_corrections() -> tuple[Case, ...]:
    """Recorded, however odd: what they say is judged by the books, if at all."""
    about = (BOT, FEED, SOURCE, "ops.bert", OPERATOR, "bots." + "a" * 63)
    own = identity("a void of its own id")
    return (
        *(_void(f"a void by {speaker} of its own fact", speaker) for speaker in (FEED, SOURCE)),
        *(_void(f"a void by {OPERATOR} of a fact of {subject}", OPERATOR, subject=subject) for subject in about),
        Case("a void of its own id", BOT, encoded(_void_fields(own, BOT, target=own)), "recorded"),
        _void("a void of the longest id", BOT, target="a" * 128),
        _void("a void of a fact of a run", BOT, target="2026-01-05T15:30.QQQ.0001-buy"),
        _void("a void in the year 9999", BOT, at="9999-12-31T23:59:59.999999Z"),
        *(_void(f"a void for a reason with {name}", BOT, reason=text) for name, text in HOSTILE_TEXTS.items()),
        _adjustment("units that came", quantity="0." + "0" * 29 + "1", cost="0"),
        _adjustment("units that were taken out at a price", quantity="-" + "9" * 20 + "." + "9" * 30, cost="1"),
        _adjustment("an adjustment of a symbol that is another's currency", symbol="EUR", currency="USD"),
        _statement("a statement by an operator about a bot", OPERATOR, subject=BOT),
        _statement("a statement by an operator about a bot that nobody knows", OPERATOR, subject="bots.Nobody"),
        _statement("a statement of less than nothing", BOT, cash={"USD": "-1"}, holdings={"QQQ": "-0.5"}),
        _statement("a statement of zeros", BOT, cash={"USD": "0", "EUR": "0.00"}, holdings={"QQQ": "0"}),
        _statement("a statement of one name as both", BOT, cash={"BTC": "1"}, holdings={"BTC": "2"}),
        _statement("a statement of odd symbols", BOT, holdings={"BTC/USDT:USDT": "1", "^XAU": "1", "A" * 32: "1"}),
        _statement("a statement of the longest currency", BOT, cash={"A" * 10: "9" * 20 + "." + "9" * 30}),
        _statement("a statement of 1,000 symbols", BOT, holdings={f"S{n}": "1" for n in range(1_000)}),
    )


def malformed_adjustments() -> tuple[Case, ...]:
    """Adjustments that are refused."""
    return (
        *(_adjustment(f"an adjustment without {f}", f, **{f: ...}) for f in ("symbol", "quantity", "reason", "at")),
        *(_adjustment(f"an adjustment by {name}", "quantity", quantity=q) for name, q in BAD_QUANTITIES.items()),
        *(_adjustment(f"an adjustment for {name}", "reason", reason=text) for name, text in BAD_REASONS.items()),
        _adjustment("an adjustment at a cost below zero", "cost", cost="-0.01"),
        _adjustment("an adjustment at a cost of minus zero", "cost", cost="-0"),
        _adjustment("an adjustment at a cost as a number", "cost", cost=5),
        _adjustment("an adjustment at a cost with an exponent", "cost", cost="1e5"),
        _adjustment("an adjustment of its own currency", "symbol", symbol="EUR", currency="EUR"),
        _adjustment("an adjustment of the default currency", "symbol", symbol="USD"),
        _adjustment("an adjustment of a bad symbol", "symbol", symbol="A B"),
        _adjustment("an adjustment in a bad currency", "currency", currency="usd"),
        _adjustment("an adjustment in no currency", "currency", currency=None),
        _adjustment("an adjustment in a run", "run", run="r"),
        *(_adjustment(f"an adjustment by {who}", "type", who) for who in (FEED, SOURCE, OPERATOR)),
    )


def malformed_voids() -> tuple[Case, ...]:
    """Voids that are refused; those of a bad subject are an operator's, who may void anybody's facts."""
    return (
        *(
            _void(f"a void of another's fact: by {who}, of {whose}", who, "subject", subject=whose)
            for who, whose in OTHERS_FACTS
        ),
        *(
            _void(f"a void of a fact of {name}", OPERATOR, "subject", subject=text)
            for name, text in (BAD_SUBJECTS | WRONG_TYPES).items()
        ),
        *(_void(f"a void without {f}", BOT, f, **{f: ...}) for f in ("subject", "target", "reason")),
        *(_void(f"a void of the id {name}", BOT, "target", target=text) for name, text in BAD_IDS.items()),
        *(_void(f"a void for {name}", BOT, "reason", reason=text) for name, text in BAD_REASONS.items()),
        _void("a void of a position", BOT, "position", position=7),
        _void("a void at a naive time", BOT, "at", at="2026-01-05T15:30:00"),
        _void("a void without an id", BOT, "id", id=...),
    )


def malformed_statements() -> tuple[Case, ...]:
    """Statements that are refused; those of a bad subject are an operator's, who may speak about any bot."""
    others = (
        (BOT, (OTHER, "bots.rsibot", "market.RSIBot", OPERATOR)),
        (OPERATOR, (FEED, SOURCE, OPERATOR)),
    )
    return (
        *(
            _statement(f"a statement about another: by {who}, about {whose}", who, "subject", subject=whose)
            for who, subjects in others
            for whose in subjects
        ),
        *(
            _statement(f"a statement about {name}", OPERATOR, "subject", subject=text)
            for name, text in (BAD_SUBJECTS | WRONG_TYPES).items()
        ),
        *(_statement(f"a statement by {who}", who, "type", subject=BOT) for who in (FEED, SOURCE)),
        *(_statement(f"a statement without {f}", BOT, f, **{f: ...}) for f in ("subject", "cash", "holdings")),
        _statement("a statement with prices", BOT, "prices", prices={"QQQ": "412.10"}),
        *_malformed_balances(),
    )


def _malformed_balances() -> tuple[Case, ...]:
    """Statements that are refused for what they state."""
    whole: dict[str, object] = {"null": None, "a list": [], "a text": "1", "a number": 1}
    no_cash = message("statement-twice", type="statement", subject=BOT, holdings={})
    currencies = ("usd", "US", "1USD", "A" * 11, "", "US D", "QQQ.X")
    return (
        *(_statement(f"a statement of cash that is {name}", BOT, "cash", cash=value) for name, value in whole.items()),
        *(
            _statement(f"a statement of holdings that are {name}", BOT, "holdings", holdings=value)
            for name, value in whole.items()
        ),
        *(_statement(f"a statement of cash by {n}", BOT, "cash.USD", cash={"USD": v}) for n, v in BAD_BALANCES.items()),
        *(
            _statement(f"a statement of a holding by {name}", BOT, "holdings.QQQ", holdings={"SPY": "1", "QQQ": value})
            for name, value in BAD_BALANCES.items()
        ),
        *(
            _statement(f"a statement in the currency {c!r}", BOT, f"cash.{c}", cash={"EUR": "1", c: "1"})
            for c in currencies
        ),
        *(
            _statement(f"a statement of the symbol {symbol!r}", BOT, f"holdings.{symbol}", holdings={symbol: "1"})
            for symbol in ("", "A B", "A'", "A" * 33)
        ),
        _statement("a statement of 1,001 symbols", BOT, "holdings", holdings={f"S{n}": "1" for n in range(1_001)}),
        _statement("a statement of 1,001 currencies", BOT, "cash", cash={f"S{n}": "1" for n in range(1_001)}),
        _statement(
            "a statement of 1,000 bad balances", BOT, "holdings.S0", holdings={f"S{n}": "x" for n in range(1_000)}
        ),
        _statement("a statement of the symbol of a line break", BOT, '"holdings.A\\n"', holdings={"A\n": "1"}),
        _statement("a statement of the symbol of another alphabet", BOT, '"holdings.\\u00e9"', holdings={"é": "1"}),
        Case(
            "a key that stands twice in a statement",
            BOT,
            encoded_with(no_cash, '"cash":{"USD":"1","USD":"1"}'),
            "rejected",
            "USD",
        ),
    )


def _case(name: str, speaker: str, fields: dict[str, Any], field: str) -> Case:
    """A case that is refused for this field, or recorded where there is none; `...` leaves a field out."""
    outcome: Outcome = "rejected" if field else "recorded"
    said = {key: value for key, value in fields.items() if value is not ...}
    return Case(name, speaker, encoded(said), outcome, field)


def _adjustment(name: str, field: str = "", speaker: str = BOT, /, **changed: Any) -> Case:
    """An adjustment with these fields changed."""
    fields = message(identity(name), type="adjustment", symbol="QQQ", quantity="-1", reason="residue")
    return _case(name, speaker, fields | changed, field)


def _void(name: str, speaker: str, field: str = "", /, **changed: Any) -> Case:
    return _case(name, speaker, _void_fields(identity(name), speaker, **changed), field)


def _void_fields(identity: str, speaker: str, /, **changed: Any) -> dict[str, Any]:
    """A void of the speaker's own fact, with these fields changed."""
    return message(identity, type="void", subject=speaker, target="t", reason="booked twice") | changed


def _statement(name: str, speaker: str, field: str = "", /, **changed: Any) -> Case:
    """A statement of the speaker about itself, with these fields changed."""
    fields = message(identity(name), type="statement", subject=speaker, cash={"USD": "1"}, holdings={"QQQ": "1"})
    return _case(name, speaker, fields | changed, field)
