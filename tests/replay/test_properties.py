"""What holds for any log, at up to 30 decimals: one truth however it arrives, and money is neither made nor lost."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ledger.events import Recorded
from projections.folding import BotRows, fold
from projections.market_rows import take_in
from projections.projector import Projector
from projections.rebuild import rebuild
from tests.oracle import books as books_of_the_oracle
from tests.oracle_facts import currency_of, kind_of, number, ordered, share, standing
from tests.oracle_settings import own_facts, settings_of
from tests.replay.conftest import assert_whole
from tests.replay.outcome import assert_same, total
from tests.replay.ways import RECORDED_AT, Message, commons_of, decoded, folded_in_memory, live_books, record
from tests.replay.worlds import Fresh, World
from tests.strategies import as_facts, logs, numbered, registrations, trades, with_ratio

ALWAYS: dict[str, Any] = {
    "deadline": None,
    "database": None,
    "print_blob": True,
    "derandomize": True,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
}
METHODS = ("fifo", "lifo", "hifo", "average")
Key = tuple[str, str]


@dataclass(frozen=True)
class Arrival:
    """A log, and how it comes: in which pieces, some of it again; how many facts a step takes."""

    messages: list[Message]
    pieces: list[list[Message]]
    facts_a_step: int


@st.composite
def arrivals(draw: st.DrawFn) -> Arrival:
    """Any order, any duplicates, any borders."""
    messages = draw(logs())
    coming = draw(st.permutations(messages))
    for again in draw(st.lists(st.sampled_from(messages), max_size=4)):
        coming.insert(draw(st.integers(0, len(coming))), again)
    borders = sorted(draw(st.sets(st.integers(1, len(coming)), max_size=6)) | {len(coming)})
    pieces = [coming[start:end] for start, end in zip([0, *borders], borders, strict=False)]
    return Arrival(messages, pieces, draw(st.sampled_from((1, 2, 5, 1_000))))


@given(logs())
@settings(max_examples=200, **ALWAYS)
def test_the_fold_is_what_the_oracle_says(messages: list[Message]) -> None:
    assert_same(folded_in_memory(messages), books_of_the_oracle(as_facts(messages)), way="in memory, by the oracle")


@given(arrival=arrivals())
@settings(max_examples=25, **ALWAYS)
def test_any_arrival_gives_the_same_books_on_sqlite(fresh_sqlite: Fresh, arrival: Arrival) -> None:
    with fresh_sqlite() as world:
        assert_same_on_any_way(world, arrival)


@given(arrival=arrivals())
@settings(max_examples=4, **ALWAYS)
def test_any_arrival_gives_the_same_books_on_postgresql(fresh_postgres: Fresh, arrival: Arrival) -> None:
    with fresh_postgres() as world:
        assert_same_on_any_way(world, arrival)


def assert_same_on_any_way(world: World, arrival: Arrival) -> None:
    """Followed piece by piece and rebuilt, the books are those that are folded in memory."""
    expected = folded_in_memory(arrival.messages)
    projector = Projector(world.database, generation=world.live, facts_a_step=arrival.facts_a_step)
    for piece in arrival.pieces:
        record(world.database, piece)
        projector.catch_up()
    assert_same(live_books(world.database), expected, way="followed")
    assert_whole(world.database)
    rebuild(world.database)
    assert_same(live_books(world.database), expected, way="rebuilt")


@given(logs())
@settings(max_examples=60, **ALWAYS)
def test_the_cash_is_what_the_messages_moved(messages: list[Message]) -> None:
    for bot, rows in folded(messages).items():
        expected = moved_by(bot, messages)
        assert rows.bot is not None
        assert rows.bot.cash == {currency: amount for currency, amount in expected.items() if amount}
        for currency in rows.bot.cash.keys() | expected.keys():
            movements = [row for row in rows.movements if row.currency == currency]
            assert total(movements, "amount") == expected.get(currency, 0)


def moved_by(bot: str, messages: Sequence[Message]) -> dict[str, Fraction]:
    """Opening + deposits − withdrawals + sales − purchases − fees − charges + dividends, from the messages alone."""
    cash: dict[str, Fraction] = {}
    held: dict[Key, Fraction] = {}

    def move(currency: str, amount: Fraction) -> None:
        cash[currency] = cash.get(currency, Fraction(0)) + amount

    facts = as_facts(messages)
    terms = settings_of(bot, facts)
    for fact in ordered(own_facts(bot, facts) + standing(facts, "split") + standing(facts, "dividend")):
        said = fact.message
        match kind_of(fact):
            case "bot_registered" if fact is terms.registration:
                for currency, amount in terms.opening.items():
                    move(currency, amount)
                for symbol, (quantity, _, currency) in terms.holdings.items():
                    held[symbol, currency] = held.get((symbol, currency), Fraction(0)) + quantity
            case "deposit":
                move(currency_of(said), number(said["amount"]))
            case "withdrawal" | "charge":
                move(currency_of(said), -number(said["amount"]))
            case "trade":
                key = said["symbol"], currency_of(said)
                held[key] = held.get(key, Fraction(0)) + signed(said)
                move(currency_of(said), -signed(said) * number(said["price"]))
                move(said.get("fee_currency", currency_of(said)), -number(said.get("fee", "0")))
            case "split":
                for key in held:
                    held[key] = share(held[key], said["new"], said["old"]) if key[0] == said["symbol"] else held[key]
            case "dividend":
                quantity = sum((q for (symbol, _), q in held.items() if symbol == said["symbol"]), Fraction(0))
                move(currency_of(said), quantity * number(said["per_share"]))
    return cash


@given(logs())
@settings(max_examples=60, **ALWAYS)
def test_what_came_in_is_in_the_matches_or_still_open(messages: list[Message]) -> None:
    for bot, rows in folded(messages).items():
        oversold = {flag.symbol for flag in rows.flags if flag.kind == "oversold"}
        shorts = settings_of(bot, as_facts(messages)).allow_short
        for key, (spent, came_in) in values_of(bot, messages).items():
            still_open = total([row for row in rows.lots.new if (row.symbol, row.currency) == key], "cost_basis")
            matches = [row for row in rows.matches if (row.symbol, row.currency) == key]
            # Signed, a purchase costs and a sale brings: this holds for longs, shorts and what goes through zero.
            assert total(matches, "profit") == still_open - spent
            if not shorts and key[0] not in oversold:
                assert total(matches, "cost") + still_open == came_in


def values_of(bot: str, messages: Sequence[Message]) -> dict[Key, tuple[Fraction, Fraction]]:
    """By symbol and currency: what all fills and openings cost, sales negative; and what purchases and openings did."""
    facts = as_facts(messages)
    found: dict[Key, tuple[Fraction, Fraction]] = {}

    def add(key: Key, value: Fraction, *, comes_in: bool) -> None:
        spent, came_in = found.get(key, (Fraction(0), Fraction(0)))
        found[key] = spent + value, came_in + (value if comes_in else 0)

    for symbol, (_, cost, currency) in settings_of(bot, facts).holdings.items():
        add((symbol, currency), cost, comes_in=True)
    for fact in own_facts(bot, facts):
        said = fact.message
        if kind_of(fact) == "trade":
            in_its_currency = said.get("fee_currency", currency_of(said)) == currency_of(said)
            fee = number(said.get("fee", "0")) if in_its_currency else Fraction(0)
            value = signed(said) * number(said["price"]) + fee
            add((said["symbol"], currency_of(said)), value, comes_in=said["side"] == "buy")
    return found


@given(logs(), st.sampled_from(((2, 1), (3, 2), (1, 3), (7, 3), (1, 1_000_000))))
@settings(max_examples=40, **ALWAYS)
def test_a_split_changes_no_cost_and_rounds_the_sum_once(messages: list[Message], ratio: tuple[int, int]) -> None:
    later = {"id": "later", "type": "split", "at": "2027-01-01T00:00:00Z", "symbol": "QQQ", "ratio": ratio}
    after = folded([*messages, ("actions.exchange", with_ratio(later))])
    for bot, before in folded(messages).items():
        for key in {(row.symbol, row.currency) for row in before.lots.new}:
            old, new = ([r for r in rows.lots.new if (r.symbol, r.currency) == key] for rows in (before, after[bot]))
            assert total(new, "cost_basis") == total(old, "cost_basis")
            factor = ratio if key[0] == "QQQ" else (1, 1)
            assert total(new, "quantity") == share(total(old, "quantity"), *factor)


@given(st.lists(trades(("QQQ", "BTC")), min_size=2, max_size=8), registrations(("QQQ", "BTC")))
@settings(max_examples=40, **ALWAYS)
def test_once_all_is_closed_every_method_has_realised_the_same(
    drawn: list[dict[str, Any]], registration: dict[str, Any]
) -> None:
    first = {**registration, "at": "2026-01-01T00:00:00Z"}
    halved = {"id": "s", "type": "split", "at": "2026-01-08T00:00:00Z", "symbol": "QQQ", "ratio": (3, 7)}
    realised = []
    for method in METHODS:
        messages = numbered("bots.RSIBot", [{**first, "cost_basis": method}, *drawn], "a")
        messages.append(("actions.exchange", with_ratio(halved)))
        (open_,) = folded(messages).values()
        closing = {
            key: total([r for r in open_.lots.new if (r.symbol, r.currency) == key], "quantity") for key in keys(open_)
        }
        assume(all(closing.values()))
        messages += [closing_trade(*key, quantity) for key, quantity in closing.items()]
        (rows,) = folded(messages).values()
        assert rows.lots.new == []
        assert rows.bot is not None
        realised.append(rows.bot.realised_profit)
    assert realised[1:] == realised[:1] * 3


def keys(rows: BotRows) -> set[Key]:
    return {(row.symbol, row.currency) for row in rows.lots.new}


def closing_trade(symbol: str, currency: str, quantity: Fraction) -> Message:
    """The trade that leaves nothing of this."""
    digits = f"{abs(quantity.numerator * 10**30 // quantity.denominator):031d}"
    said = {
        "id": f"close.{symbol}.{currency}",
        "type": "trade",
        "at": "2027-01-01T00:00:00Z",
        "symbol": symbol,
        "currency": currency,
        "side": "sell" if quantity > 0 else "buy",
        "quantity": f"{int(digits[:-30])}.{digits[-30:]}",
        "price": "123.456789",
        "fee": "0.07",
    }
    return "bots.RSIBot", said


def signed(trade: dict[str, Any]) -> Fraction:
    """The quantity of a trade, negative for a sale."""
    return number(trade["quantity"]) * (1 if trade["side"] == "buy" else -1)


def folded(messages: Sequence[Message]) -> dict[str, BotRows]:
    """Every bot's rows with all their columns, from the pure fold."""
    facts = [Recorded(n, fact.subject, fact.event, RECORDED_AT) for n, fact in enumerate(decoded(messages), start=1)]
    commons = commons_of(facts)
    take_in(commons, facts)
    subjects = sorted({fact.subject for fact in facts if fact.subject.startswith("bots.")})
    return {
        subject.removeprefix("bots."): fold(
            subject.removeprefix("bots."), [fact for fact in facts if fact.subject == subject], commons.market
        )[1]
        for subject in subjects
    }
