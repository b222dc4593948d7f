"""Hypothesis strategies that draw logs: lists of (subject, message), every message valid by DESIGN section 2.

What DESIGN leaves open is not drawn.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from hypothesis import HealthCheck
from hypothesis import strategies as st

from projections.audit.facts import Fact, moment
from tests.strategies_corrections import adjustments, operators_statements, statements, voids
from tests.strategies_fields import (
    CURRENCIES,
    DAYS,
    Message,
    amounts,
    day_text,
    days,
    fees,
    message,
    signed_amounts,
    times,
)
from tests.strategies_fields import Drawn as Drawn

ALWAYS: dict[str, Any] = {
    "deadline": None,
    "database": None,
    "print_blob": True,
    "derandomize": True,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
}
"""Settings of a property: the same examples every time, told so that a failure can be run again."""
RECORDED_AT = datetime(2026, 2, 1, tzinfo=UTC)
BOTS = ("RSIBot", "MACDBot", "bot_3")
SYMBOLS = ("QQQ", "BTC/USDT:USDT", "EUR")
FEEDS = ("market.yahoo", "market.binance")
SOURCES = ("actions.exchange", "actions.vendor")
RATES = ("EURUSD=X", "USDEUR=X")
RATIOS = ((2, 1), (3, 2), (1, 3), (1, 20), (7, 3))
ID_HEADS = ("a", "B", "-", "_", ".", ":", "7")
RUNS = ("2026-01-05T15:30", "r2")
INTERVALS = {
    "1m": (timedelta(minutes=1), ("00:00", "15:29", "23:59")),
    "1h": (timedelta(hours=1), ("00:00", "15:00", "23:00")),
    "1d": (timedelta(days=1), ("00:00",)),
    "1wk": (timedelta(weeks=1), ("00:00",)),
}


@cache
def trades(symbols: Sequence[str]) -> Any:
    needed = {
        "symbol": st.sampled_from((*symbols, symbols[0])),
        "side": st.sampled_from(("buy", "buy", "sell")),
        "quantity": amounts(above_zero=True),
        "price": amounts(),
    }
    optional = {
        "fee": fees(),
        "currency": st.sampled_from(CURRENCIES),
        "fee_currency": st.sampled_from(CURRENCIES),
        "run": st.sampled_from(RUNS),
        "order": st.just("o-1"),
        "reference_price": amounts(),
        "note": st.just("RSI 27"),
    }
    return message("trade", needed, **optional).filter(lambda drawn: drawn["symbol"] != drawn.get("currency", "USD"))


@cache
def registrations(symbols: Sequence[str]) -> Any:
    holding = st.fixed_dictionaries(
        {"quantity": amounts(above_zero=True), "cost": amounts()},
        optional={"currency": st.sampled_from(("USD", "EUR"))},
    )
    return message(
        "bot_registered",
        {"cost_basis": st.sampled_from(("fifo", "lifo", "hifo", "average"))},
        description=st.sampled_from(("buys low", "sells high")),
        base_currency=st.sampled_from(("USD", "USD", "EUR")),
        opening=st.dictionaries(st.sampled_from(("USD", "EUR")), amounts(above_zero=True), min_size=1),
        holdings=st.dictionaries(st.sampled_from(symbols), holding, min_size=1, max_size=2).map(in_other_currency),
        allow_short=st.booleans(),
        mode=st.just("paper"),
        account=st.just("U-1"),
        expected_every=st.just("2h"),
    )


def in_other_currency(holdings: dict[str, Message]) -> dict[str, Message]:
    """No symbol is its own currency."""
    return {
        symbol: {**holding, "currency": "USD"} if symbol == holding.get("currency") else holding
        for symbol, holding in holdings.items()
    }


@cache
def money_and_runs() -> Any:
    """Deposits, withdrawals, charges and runs."""
    currency = st.sampled_from(CURRENCIES)
    run = {"run": st.sampled_from(RUNS)}
    return st.one_of(
        message("deposit", {"amount": amounts(above_zero=True)}, currency=currency, note=st.just("more")),
        message("withdrawal", {"amount": amounts(above_zero=True)}, currency=currency),
        message(
            "charge", {"amount": signed_amounts() | st.just("0"), "reason": st.just("interest")}, currency=currency
        ),
        message("run_started", run, code_version=st.just("1.2")),
        message("run_finished", {**run, "success": st.booleans()}, result=st.just("bought"), started_at=times()),
    )


@st.composite
def bot_messages(draw: st.DrawFn, symbols: Sequence[str]) -> list[Message]:
    """One bot's messages: registered once, twice or never, at any time."""
    drawn: list[Message] = draw(st.lists(trades(symbols), min_size=1, max_size=7))
    drawn += draw(st.lists(adjustments(symbols), max_size=3))
    drawn += draw(st.lists(money_and_runs(), max_size=4))
    for said in draw(st.lists(st.sampled_from(drawn), max_size=2)):
        drawn += draw(opposites(said))
    how_often = draw(st.sampled_from((1, 1, 1, 0, 2)))
    if how_often:
        first: Message = draw(registrations(symbols))
        if draw(st.booleans()):
            first["at"] = f"{day_text(0)}T00:00:00Z"
        drawn.append(first)
        if how_often == 2:
            again: Message = draw(st.just(first) | registrations(symbols))
            drawn.append({**again, "at": draw(times())})
    return drawn


@st.composite
def opposites(draw: st.DrawFn, said: Message) -> list[Message]:
    """What undoes a message, at its time or another, a trade perhaps in another currency; nothing for some types."""
    when = draw(st.sampled_from((said["at"], draw(times()))))
    match said["type"]:
        case "trade":
            currencies = [name for name in (said.get("currency", "USD"), *CURRENCIES) if name != said["symbol"]]
            side = "sell" if said["side"] == "buy" else "buy"
            changed = {"side": side, "currency": draw(st.sampled_from(currencies)), "price": draw(amounts())}
        case "adjustment":
            changed = {"quantity": said["quantity"][1:] if said["quantity"][0] == "-" else f"-{said['quantity']}"}
        case "deposit" | "withdrawal":
            changed = {"type": "withdrawal" if said["type"] == "deposit" else "deposit"}
        case _:
            return []
    return [{name: value for name, value in said.items() if name != "note"} | {"at": when, **changed}]


@cache
def bars(symbols: Sequence[str]) -> Any:
    """Up to three bars in a row; small pools of starts make later messages revise earlier ones."""
    needed = {
        "symbol": st.sampled_from((*symbols, symbols[0], *RATES)),
        "interval": st.sampled_from(("1d", "1d", "1d", "1h", "1m", "1wk")),
        "day": days(),
        "clock": st.integers(0, 2),
        "closes": st.lists(closes(), min_size=1, max_size=3),
    }
    optional = {"currency": st.sampled_from(CURRENCIES), "adjusted_through": times()}
    return message("bars", needed, **optional).map(with_bars)


def with_bars(drawn: Message) -> Message:
    length, clocks = INTERVALS[drawn["interval"]]
    start = moment(f"{drawn['day']}T{clocks[drawn['clock'] % len(clocks)]}:00Z")
    rows = [bar(start + length * step, close) for step, close in enumerate(drawn["closes"])]
    return {**{k: v for k, v in drawn.items() if k not in ("day", "clock", "closes")}, "bars": rows}


def closes() -> st.SearchStrategy[str]:
    """Prices of bars: may be zero or below."""
    common = st.sampled_from(("1.08", "0.92", "412.10", "100", "0.00001", "7", "0", "-37.63"))
    return common | amounts(above_zero=True)


def bar(start: datetime, close: str) -> list[str]:
    return [start.isoformat().replace("+00:00", "Z"), close, close, close, close, "1000.50"]


@cache
def actions(symbols: Sequence[str]) -> Any:
    """Splits and dividends; the small pool of days makes several of one moment common."""
    symbol = st.sampled_from((*symbols, symbols[0]))
    ex_date = st.sampled_from(DAYS[1:8]).map(lambda day: f"{day_text(day)}T00:00:00Z")
    split = message("split", {"symbol": symbol, "at": ex_date, "ratio": st.sampled_from(RATIOS)}).map(with_ratio)
    dividend = message(
        "dividend", {"symbol": symbol, "at": ex_date, "per_share": amounts()}, currency=st.sampled_from(CURRENCIES)
    )
    return split | dividend


def with_ratio(drawn: Message) -> Message:
    new, old = drawn["ratio"]
    return {**{name: value for name, value in drawn.items() if name != "ratio"}, "new": new, "old": old}


@st.composite
def facts_of_everyone(draw: st.DrawFn) -> list[Drawn]:
    """What one to three bots, two feeds, two sources and an operator say without a void, in no particular order."""
    symbols = SYMBOLS[: draw(st.integers(2, 3))]
    drawn: list[Drawn] = []
    for bot in BOTS[: draw(st.sampled_from((1, 1, 2, 3)))]:
        own = draw(bot_messages(symbols)) + draw(st.lists(statements(f"bots.{bot}", symbols), max_size=1))
        drawn += numbered(f"bots.{bot}", own, draw(st.sampled_from(ID_HEADS)))
    for feed in FEEDS:
        drawn += numbered(feed, draw(st.lists(bars(symbols), max_size=5)), draw(st.sampled_from(ID_HEADS)))
    for source in SOURCES:
        drawn += numbered(source, draw(st.lists(actions(symbols), max_size=3)), draw(st.sampled_from(ID_HEADS)))
    about = [f"bots.{bot}" for bot in BOTS]
    stated = draw(st.lists(operators_statements(about, symbols), max_size=2))
    return drawn + numbered("ops.desk", stated, draw(st.sampled_from(ID_HEADS)))


@st.composite
def logs(draw: st.DrawFn) -> list[Drawn]:
    """What everyone says and voids, in no particular order, ids unique per subject."""
    drawn: list[Drawn] = draw(facts_of_everyone())
    return drawn + draw(voids(drawn))


def numbered(subject: str, messages: Sequence[Message], head: str) -> list[Drawn]:
    """Give ids that are unique within the subject, may be equal across subjects, and sort against their number."""
    return [(subject, {"id": f"{head}{len(messages) - n}", **drawn}) for n, drawn in enumerate(messages)]


def as_facts(drawn: Sequence[Drawn], recorded_at: datetime = RECORDED_AT) -> list[Fact]:
    """The drawn messages as the auditor reads them, recorded in this order."""
    return [Fact(n, subject, recorded_at, said) for n, (subject, said) in enumerate(drawn, start=1)]
