"""The example of docs/books.md: its facts make what its tables say, in every way in which books can be made."""

from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple

from ledger.amounts import ZERO, exact
from ledger.events import Recorded
from projections.book import Book, traded
from projections.market import Market
from projections.market_rows import take_in
from projections.profit import Question, profits
from projections.standing import NEWEST
from projections.steps import Step, steps
from projections.voids import standing_facts
from projections.worth import mark
from tests.pages import Table, files, messages, shown, tables
from tests.replay.conftest import Replay
from tests.replay.ways import Books, Message, Row, commons_of, folded_in_memory, recorded

PAGE = "books.md"
TABLES = tables(PAGE)
CONFLICT = ("bots.Late", "l1")
BOTS = ("Basis", "Short", "Split", "World", "Late", "Stray")


class Account(NamedTuple):
    """What a bot has in one currency, and where it came from."""

    currency: str
    cash: Decimal
    lots: Decimal
    flows: Decimal
    profit: Decimal


def facts() -> list[Message]:
    """What the page's two files record: all of their lines but the last one, which is a conflict."""
    *found, (subject, said) = messages(line for file in files(PAGE) for line in file)
    assert (subject, said["id"]) == CONFLICT
    return found


@cache
def books() -> Books:
    """The tables that the facts make, by the pure fold."""
    return folded_in_memory(facts())


SAID: dict[str, dict[str, Any]] = {said["id"]: said for _, said in facts()}


def test_the_books_of_the_page_come_out_the_same_in_every_way(replay: Replay) -> None:
    then = replay(*facts())
    assert [bot.name for bot in then.bots] == sorted(BOTS)


def test_splits_dividends_and_cash_are_those_of_the_page() -> None:
    splits, _ = TABLES["Splits and dividends"]
    assert list(lots_after_splits("Split")) == splits
    assert list(cash("World")) == TABLES["Cash and currencies"][0]


def test_the_worth_and_the_flows_of_each_day_are_those_of_the_page() -> None:
    (days,) = TABLES["The worth of a day"]
    found = [row for row in books()["portfolio_worth"] if row["bot_name"] == "World"]
    assert [(row["day"], row["worth"], row["net_flow"]) for row in days] == [
        (str(row["date"].date()), shown(row["portfolio_worth"]), shown(row["net_flow"])) for row in found
    ]
    assert {name for row in found for name in row["unpriced"]} == {"CHF"}


def test_just_what_the_page_says_is_flagged() -> None:
    (table,) = TABLES["Flags"]
    found: dict[str, list[str]] = {}
    for flag in sorted(books()["flags"], key=lambda flag: flag["fact"]):
        found.setdefault(flag["kind"], []).append(f"{flag['fact'][1]} {flag['symbol']}".strip())
    told = {row["flag"]: row["in the example"] for row in table}
    assert {kind: ", ".join(one) for kind, one in found.items()} == {kind: one for kind, one in told.items() if one}


def test_each_fact_of_the_page_closes_and_opens_what_it_says() -> None:
    lots, _ = TABLES["Lots"]
    (coins,) = TABLES["Adjustments"]
    told = (("Basis", "ACME"), ("Short", "OIL"), ("Short", "DUST"), ("Short", "GOLD"))
    assert [row for bot, symbol in told for row in entered(bot, symbol)] == lots
    assert entered("World", "COIN") == coins


def test_in_each_currency_what_is_there_is_what_flowed_and_what_was_made() -> None:
    _, identity = TABLES["Where the profit came from"]
    assert [list(row.values()) for row in identity] == [
        [one.currency, *map(shown, (one.cash, one.lots, one.flows, one.profit))] for one in accounts("World")
    ]
    for one in [one for bot in BOTS for one in accounts(bot)]:
        with exact():
            assert one.cash + one.lots == one.flows + one.profit


def test_every_table_of_the_page_is_compared_here_or_with_the_commands() -> None:
    assert {heading: len(inside) for heading, inside in TABLES.items()} == {
        "Lots": 2,
        "Splits and dividends": 2,
        "Cash and currencies": 1,
        "Adjustments": 1,
        "The worth of a day": 1,
        "Voids, corrections, and two times": 1,
        "Statements": 1,
        "Where the profit came from": 2,
        "What changed between two points": 2,
        "Flags": 1,
    }


def lots_after_splits(bot: str) -> Iterator[dict[str, str]]:
    """A bot's open lots, what split them, and the dividends on them, told with the first lot of their symbol."""
    split = {said["symbol"]: said for said in SAID.values() if said["type"] == "split"}
    paid = {SAID[row["fact"][1]]["symbol"]: row for row in movements(bot) if row["kind"] == "dividend"}
    lots = [row for row in books()["lots"] if row["bot_name"] == bot]
    for lot in sorted(lots, key=lambda row: (row["symbol"], row["opened_at"])):
        trade, ratio = SAID[lot["opened_by"][1]], split[lot["symbol"]]
        is_before = trade["at"] < ratio["at"]
        dividend = paid.pop(lot["symbol"], None)
        yield {
            "lot": trade["id"],
            "symbol": lot["symbol"],
            "before": ("" if trade["side"] == "buy" else "-") + trade["quantity"] if is_before else "",
            "split": f"{ratio['new']}:{ratio['old']}" if is_before else "",
            "after": shown(lot["quantity"]),
            "cost": shown(lot["cost_basis"]),
            "a share": "" if dividend is None else SAID[dividend["fact"][1]]["per_share"],
            "paid": "" if dividend is None else shown(dividend["amount"]),
        }


def cash(bot: str) -> Iterator[dict[str, str]]:
    """A bot's cash by currency, as the sum of its movements."""
    for currency in ("USD", "EUR", "GBP", "CHF"):
        amounts = [row["amount"] for row in movements(bot) if row["currency"] == currency]
        told = "".join(f" {'-' if amount < 0 else '+'} {shown(abs(amount))}" for amount in amounts)
        yield {"in": currency, "movements of cash": told.removeprefix(" + "), "cash": shown(sum(amounts, ZERO))}


def movements(bot: str) -> list[Row]:
    """A bot's movements of cash in their order, a trade's fee behind what it moved."""
    found = [row for row in books()["cash_movements"] if row["bot_name"] == bot]
    return sorted(found, key=lambda row: (row["at"], row["kind"] == "fee"))


def market_and_facts(bot: str) -> tuple[Market, list[Recorded]]:
    """The market, and the facts of a bot that stand, splits and dividends too, in the total order."""
    everything = recorded(facts())
    commons = commons_of(everything)
    take_in(commons, everything)
    subject = f"bots.{bot}"
    own = standing_facts([*(fact for fact in everything if fact.subject == subject), *commons.about(subject)])
    own += commons.market.actions(traded(own), after=None)
    return commons.market, sorted(own, key=lambda fact: fact.order)


def entered(bot: str, symbol: str) -> Table:
    """The facts about a symbol, one after the other: what each closed and opened, and what is held then."""
    _, own = market_and_facts(bot)
    ids = {fact.position: fact.event.id for fact in own}
    with exact():
        return [row for step in steps(bot, own, None) for row in told_of(step, symbol, ids)]


def told_of(step: Step, symbol: str, ids: dict[int, str]) -> Iterator[dict[str, str]]:
    """A fact as the tables of lots tell it, where it is about the symbol."""
    said = SAID[step.fact.event.id]
    if symbol != said.get("symbol") and symbol not in said.get("holdings", ()):
        return
    lots = [lot for (held, _), inside in step.book.lots.items() if held == symbol for lot in inside]
    opened = [lot for lot in lots if lot.opened_by == step.fact.position]
    closed = step.entries.matches
    yield {
        "fact": said["id"],
        "what": what(said, symbol),
        "closes: brings - cost": ", ".join(
            f"{shown(match.quantity)} of {ids[match.opened_by]}: {shown(match.proceeds)} - {shown(match.cost)}"
            for match in closed
        ),
        "realised": shown(sum((match.profit for match in closed), ZERO)) if closed else "",
        "opens": ", ".join(f"{shown(lot.quantity)} for {shown(lot.cost)}" for lot in opened),
        "held": shown(step.book.holdings[symbol]),
        "cost of all that is open": shown(sum((lot.cost for lot in lots), ZERO)),
    }


def what(said: dict[str, Any], symbol: str) -> str:
    """What a fact says, in the words of the page."""
    match said["type"]:
        case "trade":
            fee = f", fee {said['fee']}" if "fee" in said else ""
            return f"{said['side']} {said['quantity']} {symbol} at {said['price']}{fee}"
        case "adjustment":
            return f"{said['quantity']} {symbol}, {said['reason']}"
        case "dividend":
            return f"dividend {said['per_share']} a share"
        case "bot_registered":
            return f"held {said['holdings'][symbol]['quantity']} {symbol} for {said['holdings'][symbol]['cost']}"
        case _:
            return str(said["type"])


def accounts(bot: str) -> Iterator[Account]:
    """What a bot has in each currency, cash and lots at the newest price, beside its flows and its profit."""
    market, own = market_and_facts(bot)
    with exact():
        book = list(steps(bot, own, None))[-1].book
        made = profits(bot, own, market, Question("symbol"))
        for currency in sorted(book.cash):
            rows = [row for row in made if row.currency == currency]
            yield Account(
                currency,
                book.cash[currency],
                lots_at_their_price(book, market, currency),
                sum((row.flows for row in rows), ZERO),
                sum((row.profit for row in rows), ZERO),
            )


def lots_at_their_price(book: Book, market: Market, currency: str) -> Decimal:
    """What a book's open lots of one currency are worth in it."""
    found = ZERO
    for symbol, lots in ((symbol, lots) for (symbol, in_), lots in book.lots.items() if in_ == currency):
        price = mark(symbol, book.own_prices.get(symbol), currency, NEWEST, market)
        assert price is not None
        assert price.value is not None
        found += sum((lot.quantity for lot in lots), ZERO) * price.value
    return found
