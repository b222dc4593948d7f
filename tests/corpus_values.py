"""The part of the corpus with a value that is no amount, no time or no name."""

from tests.corpus_messages import BOT, SQL, Case, encoded, identity, message, refusal, trade, trade_fields

BAD_AMOUNTS = {
    "NaN": "NaN",
    "Infinity": "Infinity",
    "minus Infinity": "-Infinity",
    "1e400": "1e400",
    "1E+999999999": "1E+999999999",
    "400 digits": "9" * 400,
    "100,000 digits": "9" * 100_000,
    "21 digits": "1" + "0" * 20,
    "31 decimals": "0." + "0" * 30 + "1",
    "minus zero": "-0",
    "minus zero with decimals": "-0.00",
    "underscores": "1_000",
    "spaces": " 1 ",
    "a line break at the end": "1\n",
    "Arabic digits": "١٢",
    "full-width digits": "１２",
    "a thousands separator": "1,000",
    "a plus": "+1",
    "a leading zero": "01",
    "no digit before the point": ".5",
    "no digit behind the point": "5.",
    "hexadecimal": "0x10",
    "a real minus sign": "−1",
    "nothing": "",
    "a currency": "$1",
}
WRONG_TYPES: dict[str, object] = {"true": True, "a list": ["1"], "an object": {"amount": "1"}, "null": None}
BAD_TIMES = {
    "naive": "2026-01-05T15:30:00",
    "a date": "2026-01-05",
    "a leap second": "2016-12-31T23:59:60Z",
    "after the year 9999 in UTC": "9999-12-31T23:59:59-01:00",
    "before the year 1 in UTC": "0001-01-01T00:00:00+01:00",
    "the year 0": "0000-01-01T00:00:00Z",
    "the 30th of February": "2026-02-30T00:00:00Z",
    "the 29th of February in a common year": "2026-02-29T00:00:00Z",
    "month 13": "2026-13-01T00:00:00Z",
    "hour 24": "2026-01-05T24:00:00Z",
    "minute 60": "2026-01-05T15:60:00Z",
    "an offset of 24 hours": "2026-01-05T15:30:00+24:00",
    "an offset of 99 minutes": "2026-01-05T15:30:00+05:99",
    "an offset without a colon": "2026-01-05T15:30:00+0500",
    "a space for the T": "2026-01-05 15:30:00Z",
    "a comma before the fraction": "2026-01-05T15:30:00,5Z",
    "a fraction without digits": "2026-01-05T15:30:00.Z",
    "the basic format": "20260105T153000Z",
    "a week date": "2026-W02-1T15:30:00Z",
    "the name of a zone": "2026-01-05T15:30:00 Europe/Berlin",
    "Arabic digits": "٢٠٢٦-01-05T15:30:00Z",
    "seconds since 1970 as text": "1767627000",
    "a line break at the end": "2026-01-05T15:30:00Z\n",
    "five digits of year": "12026-01-05T15:30:00Z",
}
BAD_NAMES = {
    "nothing": "",
    "a Cyrillic look-alike": "RSIB\u043et",
    "a zero-width character": "RSI\u200bBot",
    "a dot": ".",
    "two words": "RSIBot.x",
    "a star": "*",
    "the rest wildcard": ">",
    "a way up": "../x",
    "a slash": "a/b",
    "a space": "RSI Bot",
    "a line break": "RSIBot\n",
    "NUL": "RSIBot\0",
    "64 characters": "a" * 64,
    "10 kB": "a" * 10_240,
    "a dash first": "-a",
    "a lone surrogate": "\ud800",
    "an ANSI escape": "\x1b[2J",
}


def malformed_amounts() -> tuple[Case, ...]:
    """Refused for their amounts."""
    return (
        *(trade(f"a price of {name}", "rejected", "price", price=text) for name, text in BAD_AMOUNTS.items()),
        *(trade(f"a price that is {name}", "rejected", "price", price=value) for name, value in WRONG_TYPES.items()),
        trade("a price that is a number", "rejected", "price", price=412.1),
        trade("a price that is a whole number", "rejected", "price", price=412),
        trade("a quantity of zero", "rejected", "quantity", quantity="0"),
        trade("a quantity of 0.00", "rejected", "quantity", quantity="0.00"),
        trade("a quantity below zero", "rejected", "quantity", quantity="-1"),
        trade("a price below zero", "rejected", "price", price="-0.01"),
        trade("a fee of minus zero", "rejected", "fee", fee="-0"),
        trade("a reference price below zero", "rejected", "reference_price", reference_price="-1"),
        refusal("a deposit of zero", "amount", type="deposit", amount="0"),
        refusal("a withdrawal below zero", "amount", type="withdrawal", amount="-5"),
        refusal("an opening below zero", "opening.USD", type="bot_registered", opening={"USD": "-1"}),
        refusal("an opening as a number", "opening.USD", type="bot_registered", opening={"USD": 1}),
        refusal("an opening of a bad currency", "opening.usd", type="bot_registered", opening={"usd": "1"}),
        _holding("a holding of zero", "holdings.QQQ.quantity", {"quantity": "0", "cost": "1"}),
        _holding("a holding that cost less than nothing", "holdings.QQQ.cost", {"quantity": "1", "cost": "-1"}),
        _holding("a holding without a cost", "holdings.QQQ.cost", {"quantity": "1"}),
        _holding("a holding with an extra key", "holdings.QQQ.price", {"quantity": "1", "cost": "1", "price": "1"}),
        _holding("a holding that is an amount", "holdings.QQQ", "1"),
        _holding("a holding of its own currency", "holdings.QQQ", {"quantity": "1", "cost": "1", "currency": "QQQ"}),
    )


def malformed_times() -> tuple[Case, ...]:
    """Refused for their times."""
    return (
        *(trade(f"a time that is {name}", "rejected", "at", at=text) for name, text in BAD_TIMES.items()),
        trade("a time that is a number", "rejected", "at", at=1767627000),
        refusal(
            "a naive started_at", "started_at", type="run_finished", run="r", success=True, started_at="2026-01-05"
        ),
        Case(
            "an unknown type with a naive time",
            BOT,
            encoded({**message("naive-unknown", type="audited"), "at": "2026-01-05T15:30:00"}),
            "rejected",
            "at",
        ),
    )


def malformed_names() -> tuple[Case, ...]:
    """Refused for their names."""
    kinds = (
        "trades.RSIBot",
        "RSIBot",
        "bots",
        "bots.",
        "Bots.RSIBot",
        "ledger.bots.RSIBot",
        "",
        "receipts.bots.RSIBot",
    )
    return (
        *(
            Case(
                f"a bot named {name}",
                f"bots.{text}",
                encoded(trade_fields(identity(f"bot {name}"))),
                "rejected",
                "subject",
            )
            for name, text in BAD_NAMES.items()
        ),
        *(
            Case(f"the subject {kind!r}", kind, encoded(trade_fields("subject")), "rejected", "subject")
            for kind in kinds
        ),
        trade("an id of 129 characters", "rejected", "id", id="a" * 129),
        trade("an empty id", "rejected", "id", id=""),
        trade("an id with a space", "rejected", "id", id="a b"),
        trade("an id with a look-alike", "rejected", "id", id="\u0430"),
        trade("an id with a line break at the end", "rejected", "id", id="a\n"),
        trade("an id that is a number", "rejected", "id", id=7),
        trade("an empty run", "rejected", "run", run=""),
        trade("a run of 65 characters", "rejected", "run", run="a" * 65),
        trade("SQL for a run", "rejected", "run", run=SQL),
        trade("SQL for an id", "rejected", "id", id=SQL),
        trade("SQL for an order", "rejected", "order", order=SQL),
        trade("SQL for a symbol", "rejected", "symbol", symbol=SQL),
        trade("SQL for a side", "rejected", "side", side=SQL),
        trade("SQL for a currency", "rejected", "currency", currency=SQL),
        trade("SQL for an amount", "rejected", "quantity", quantity=SQL),
        trade("SQL for a time", "rejected", "at", at=SQL),
        trade("SQL for a type", "rejected", "type", type=SQL),
        *(
            trade(f"the symbol {s!r}", "rejected", "symbol", symbol=s)
            for s in ("", "A B", "A'", 'A"', "A\\", "A\n", "é")
        ),
        trade("a symbol of 33 characters", "rejected", "symbol", symbol="A" * 33),
        trade("a symbol that is its own currency", "rejected", "symbol", symbol="EUR", currency="EUR"),
        trade("a symbol that is the default currency", "rejected", "symbol", symbol="USD"),
        *(
            trade(f"the currency {c!r}", "rejected", "currency", currency=c)
            for c in ("usd", "US", "1USD", "A" * 11, "")
        ),
    )


def _holding(name: str, field: str, holding: object) -> Case:
    return refusal(name, field, type="bot_registered", holdings={"QQQ": holding})
