"""The oracle's fold of one bot: cash, lots, matches, trades, and what was odd."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from fractions import Fraction

from tests.oracle_facts import (
    ZERO,
    Fact,
    Identity,
    Row,
    at,
    currency_of,
    identity,
    kind_of,
    number,
    ordered,
    standing,
)
from tests.oracle_lots import Lot, add, by_quantity, split_lots, take, to_close
from tests.oracle_settings import Settings, facts_about, own_facts, settings_of


@dataclass
class Book:
    """What the facts have led to; `brought` are units that came in or went out as a flow."""

    bot: str
    settings: Settings
    cash: dict[str, Fraction] = field(default_factory=dict)
    lots: dict[tuple[str, str], list[Lot]] = field(default_factory=dict)
    movements: list[Row] = field(default_factory=list)
    matches: list[Row] = field(default_factory=list)
    trades: list[Row] = field(default_factory=list)
    oversold: list[tuple[Identity, str]] = field(default_factory=list)
    overdrawn: list[tuple[Identity, str]] = field(default_factory=list)
    misstated: list[tuple[Identity, str, str]] = field(default_factory=list)
    brought: list[tuple[datetime, str, Fraction]] = field(default_factory=list)
    changed_days: set[date] = field(default_factory=set)


def fold(bot: str, facts: Sequence[Fact], until: datetime | None = None) -> Book:
    """The book of a bot after all facts of its own, about it, and of the market, with `at` before `until`."""
    book = Book(bot, settings_of(bot, facts))
    heard = own_facts(bot, facts) + facts_about(bot, facts) + standing(facts, "split") + standing(facts, "dividend")
    for fact in ordered(heard):
        if (until is None or at(fact) < until) and kind_of(fact) in EFFECTS:
            apply(book, fact)
    return book


def apply(book: Book, fact: Fact) -> None:
    cash_before = dict(book.cash)
    lots_before = repr(book.lots)
    movements_before = len(book.movements)
    EFFECTS[kind_of(fact)](book, fact)
    if len(book.movements) > movements_before or repr(book.lots) != lots_before:
        book.changed_days.add(at(fact).date())
    for currency, amount in book.cash.items():
        if amount < 0 <= cash_before.get(currency, ZERO):
            book.overdrawn.append((identity(fact), currency))


def holdings(book: Book) -> dict[str, Fraction]:
    """What is held of each symbol, over all lots and their currencies; zero left out."""
    held: dict[str, Fraction] = {}
    for (symbol, _), lots in book.lots.items():
        for lot in lots:
            held[symbol] = held.get(symbol, ZERO) + lot.quantity
    return {symbol: quantity for symbol, quantity in held.items() if quantity != 0}


def portfolio(book: Book) -> dict[str, Fraction]:
    """Cash and holdings added by name; zero left out, but for the base currency."""
    base = book.settings.base_currency
    both: dict[str, Fraction] = {base: ZERO}
    for amounts in (book.cash, holdings(book)):
        for name, amount in amounts.items():
            both[name] = both.get(name, ZERO) + amount
    return {name: amount for name, amount in both.items() if amount != 0 or name == base}


def move(book: Book, fact: Fact, *, kind: str, currency: str, amount: Fraction) -> None:
    if amount == 0:
        return
    book.cash[currency] = book.cash.get(currency, ZERO) + amount
    row = {"bot_name": book.bot, "fact": identity(fact), "kind": kind, "currency": currency, "amount": amount}
    book.movements.append({**row, "at": at(fact)})


def register(book: Book, fact: Fact) -> None:
    if fact is not book.settings.registration:
        return
    for currency, amount in book.settings.opening.items():
        move(book, fact, kind="opening", currency=currency, amount=amount)
    for symbol, holding in (fact.message.get("holdings") or {}).items():
        brought = {name: fact.message[name] for name in ("id", "at")} | {"symbol": symbol, **holding}
        adjust(book, replace(fact, message=brought))


def deposit(book: Book, fact: Fact) -> None:
    amount = number(fact.message["amount"])
    move(book, fact, kind="deposit", currency=currency_of(fact.message), amount=amount)


def withdraw(book: Book, fact: Fact) -> None:
    amount = number(fact.message["amount"])
    move(book, fact, kind="withdrawal", currency=currency_of(fact.message), amount=-amount)


def charge(book: Book, fact: Fact) -> None:
    amount = number(fact.message["amount"])
    move(book, fact, kind="charge", currency=currency_of(fact.message), amount=-amount)


def pay_dividend(book: Book, fact: Fact) -> None:
    held = holdings(book).get(fact.message["symbol"], ZERO)
    amount = number(fact.message["per_share"]) * held
    move(book, fact, kind="dividend", currency=currency_of(fact.message), amount=amount)


def split(book: Book, fact: Fact) -> None:
    for (symbol, _), lots in book.lots.items():
        if symbol == fact.message["symbol"] and lots:
            split_lots(lots, fact.message["new"], fact.message["old"])


def trade(book: Book, fact: Fact) -> None:
    message = fact.message
    buys = message["side"] == "buy"
    sign = 1 if buys else -1
    quantity, price, fee = number(message["quantity"]), number(message["price"]), number(message.get("fee", "0"))
    currency = currency_of(message)
    fee_currency = message.get("fee_currency", currency)
    fee_in_price = fee if fee_currency == currency else ZERO
    move(book, fact, kind="purchase" if buys else "sale", currency=currency, amount=-sign * quantity * price)
    move(book, fact, kind="fee", currency=fee_currency, amount=-fee)
    profits = fill(book, fact, quantity=sign * quantity, price=price, fee=fee_in_price)
    book.trades.append(
        {
            "id": identity(fact),
            "bot_name": book.bot,
            "symbol": message["symbol"],
            "isBuy": buys,
            "quantity": quantity,
            "price": price,
            "timestamp": at(fact),
            "profit": sum(profits, ZERO) if profits else None,
            "proceeds": -sign * quantity * price - fee_in_price,
            "fee": fee,
            "currency": currency,
            "event_id": message["id"],
            "run": message.get("run"),
        }
    )


def fill(book: Book, fact: Fact, *, quantity: Fraction, price: Fraction, fee: Fraction) -> list[Fraction]:
    """Close lots of the other sign, in order, open a lot of what is left; the profits of what was closed."""
    closed, left = to_close(lots_of(book, fact), quantity, book.settings.cost_basis)
    fees = by_quantity(fee, [*(piece for _, piece in closed), *([left] if left > 0 else [])], abs(quantity))
    profits = []
    for (lot, piece), fee_share in zip(closed, fees, strict=False):
        if lot.is_long:
            profits.append(matched(book, fact, lot, piece, proceeds=piece * price - fee_share, cost=take(lot, piece)))
        else:
            profits.append(matched(book, fact, lot, piece, proceeds=-take(lot, piece), cost=piece * price + fee_share))
    signed_left = left if quantity > 0 else -left
    finish(book, fact, closed=closed, left=signed_left, cost=signed_left * price + fees[-1])
    return profits


def adjust(book: Book, fact: Fact) -> None:
    """Units that come or go without a trade: what is closed leaves at cost, what is left opens at its share."""
    message = fact.message
    quantity = number(message["quantity"])
    if "cost" in message:
        book.brought.append((at(fact), message["symbol"], quantity))
    closed, left = to_close(lots_of(book, fact), quantity, book.settings.cost_basis)
    pieces = [*(piece for _, piece in closed), *([left] if left > 0 else [])]
    costs = by_quantity(number(message.get("cost", "0")), pieces, abs(quantity))
    for lot, piece in closed:
        sign = 1 if lot.is_long else -1
        cost = sign * take(lot, piece)
        matched(book, fact, lot, piece, proceeds=cost, cost=cost)
    sign = 1 if quantity > 0 else -1
    finish(book, fact, closed=closed, left=sign * left, cost=sign * costs[-1])


def lots_of(book: Book, fact: Fact) -> list[Lot]:
    return book.lots.setdefault((fact.message["symbol"], currency_of(fact.message)), [])


def matched(book: Book, fact: Fact, lot: Lot, piece: Fraction, *, proceeds: Fraction, cost: Fraction) -> Fraction:
    """Tell of a piece that was taken out of a lot; its profit."""
    book.matches.append(
        {
            "bot_name": book.bot,
            "symbol": fact.message["symbol"],
            "currency": currency_of(fact.message),
            "closed_by": identity(fact),
            "opened_by": lot.opened_by,
            "closed_at": at(fact),
            "quantity": piece,
            "proceeds": proceeds,
            "cost": cost,
            "profit": proceeds - cost,
        }
    )
    return proceeds - cost


def finish(book: Book, fact: Fact, *, closed: Sequence[tuple[Lot, Fraction]], left: Fraction, cost: Fraction) -> None:
    """Remove the lots that were closed to the last digit, and open what is left; a short without leave is flagged."""
    lots = lots_of(book, fact)
    gone = [lot for lot, _ in closed if lot.quantity == 0]
    lots[:] = [lot for lot in lots if not any(lot is other for other in gone)]
    if left != 0:
        add(lots, Lot(identity(fact), at(fact), left, cost), book.settings.cost_basis)
        if left < 0 and not book.settings.allow_short:
            book.oversold.append((identity(fact), fact.message["symbol"]))


def compare(book: Book, fact: Fact) -> None:
    """What a statement says otherwise than the book; what it does not name is stated to be zero."""
    for what, ours in (("cash", book.cash), ("holding", holdings(book))):
        stated = fact.message["cash" if what == "cash" else "holdings"]
        for name in {*ours, *stated}:
            if number(stated.get(name, "0")) != ours.get(name, ZERO):
                book.misstated.append((identity(fact), f"statement_{what}", name))


EFFECTS: dict[str, Callable[[Book, Fact], None]] = {
    "bot_registered": register,
    "trade": trade,
    "adjustment": adjust,
    "deposit": deposit,
    "withdrawal": withdraw,
    "charge": charge,
    "split": split,
    "dividend": pay_dividend,
    "statement": compare,
}
