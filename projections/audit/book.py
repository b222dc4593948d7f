"""The auditor's fold of one bot: cash, lots, matches, trades, and what was odd."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from fractions import Fraction

from projections.audit.facts import (
    ZERO,
    Fact,
    Row,
    at,
    currency_of,
    identity,
    kind_of,
    number,
    ordered,
    said,
    standing,
)
from projections.audit.lots import Lot, add, by_quantity, split_lots, take, to_close
from projections.audit.settings import Settings, facts_about, own_facts, settings_of

FLOW_KINDS = ("opening", "deposit", "withdrawal")


@dataclass(frozen=True)
class Flow:
    """Money (or a holding, where `symbol` is set) that came in or went out, not earned."""

    at: datetime
    amount: Fraction
    currency: str | None = None
    symbol: str | None = None


@dataclass
class Book:
    """What the facts have led to; `traded` is the last trade of each symbol: when, in what currency, at what price."""

    bot: str
    settings: Settings
    cash: dict[str, Fraction] = field(default_factory=dict)
    lots: dict[tuple[str, str], list[Lot]] = field(default_factory=dict)
    movements: list[Row] = field(default_factory=list)
    matches: list[Row] = field(default_factory=list)
    trades: list[Row] = field(default_factory=list)
    realised: dict[str, Fraction] = field(default_factory=dict)
    fees: dict[str, Fraction] = field(default_factory=dict)
    oversold: list[tuple[Fact, str]] = field(default_factory=list)
    overdrawn: list[tuple[Fact, str]] = field(default_factory=list)
    misstated: list[tuple[Fact, str, str]] = field(default_factory=list)
    flows: list[Flow] = field(default_factory=list)
    traded: dict[str, tuple[datetime, str, Fraction]] = field(default_factory=dict)
    changed_days: set[date] = field(default_factory=set)


def fold(bot: str, facts: Sequence[Fact], until: datetime | None = None) -> Book:
    """The book of a bot after all facts of its own, about it, and of the market, with `at` before `until`."""
    book = Book(bot, settings_of(bot, facts))
    for fact in entered(bot, facts):
        if until is None or at(fact) < until:
            apply(book, fact)
    return book


def entered(bot: str, facts: Sequence[Fact]) -> list[Fact]:
    """What is entered into a bot's book, in order: what it says and what is stated of it, splits and dividends."""
    actions = standing(facts, "split") + standing(facts, "dividend")
    told = own_facts(bot, facts) + facts_about(bot, facts)
    return ordered(fact for fact in told + actions if kind_of(fact) in EFFECTS)


def apply(book: Book, fact: Fact) -> None:
    """Enter the next fact."""
    cash_before = dict(book.cash)
    EFFECTS[kind_of(fact)](book, fact)
    for currency, amount in book.cash.items():
        if amount < 0 <= cash_before.get(currency, ZERO):
            book.overdrawn.append((fact, currency))


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


def changed(book: Book, fact: Fact) -> None:
    """Note that cash or holdings have changed on the day of this fact."""
    book.changed_days.add(at(fact).date())


def move(book: Book, fact: Fact, *, kind: str, currency: str, amount: Fraction) -> None:
    """Change the cash."""
    if amount == 0:
        return
    changed(book, fact)
    book.cash[currency] = book.cash.get(currency, ZERO) + amount
    row = {"bot_name": book.bot, "fact": identity(fact), "kind": kind, "currency": currency, "amount": amount}
    book.movements.append({**row, "at": at(fact)})
    if kind in FLOW_KINDS:
        book.flows.append(Flow(at(fact), amount, currency=currency))


def register(book: Book, fact: Fact) -> None:
    """Cash and holdings to begin with; later registrations change nothing."""
    if fact is not book.settings.registration:
        return
    for currency, amount in book.settings.opening.items():
        move(book, fact, kind="opening", currency=currency, amount=amount)
    for symbol, holding in said(fact.message, "holdings", {}).items():
        brought = {name: fact.message[name] for name in ("id", "at")} | {"symbol": symbol, **holding}
        adjust(book, replace(fact, message=brought))


def deposit(book: Book, fact: Fact) -> None:
    """Cash came in."""
    amount = number(fact.message["amount"])
    move(book, fact, kind="deposit", currency=currency_of(fact.message), amount=amount)


def withdraw(book: Book, fact: Fact) -> None:
    """Cash went out."""
    amount = number(fact.message["amount"])
    move(book, fact, kind="withdrawal", currency=currency_of(fact.message), amount=-amount)


def charge(book: Book, fact: Fact) -> None:
    """Interest, funding, a fee."""
    amount = number(fact.message["amount"])
    move(book, fact, kind="charge", currency=currency_of(fact.message), amount=-amount)


def pay_dividend(book: Book, fact: Fact) -> None:
    """Whoever holds is paid, whoever is short pays."""
    held = holdings(book).get(fact.message["symbol"], ZERO)
    amount = number(fact.message["per_share"]) * held
    move(book, fact, kind="dividend", currency=currency_of(fact.message), amount=amount)


def split(book: Book, fact: Fact) -> None:
    """The lots of the symbol become others."""
    for (symbol, _), lots in book.lots.items():
        if symbol == fact.message["symbol"] and any(lot.quantity for lot in lots):
            split_lots(lots, fact.message["new"], fact.message["old"])
            if fact.message["new"] != fact.message["old"]:
                changed(book, fact)


def trade(book: Book, fact: Fact) -> None:
    """A purchase or a sale."""
    message = fact.message
    buys = message["side"] == "buy"
    sign = 1 if buys else -1
    quantity, price, fee = number(message["quantity"]), number(message["price"]), number(said(message, "fee", "0"))
    currency = currency_of(message)
    fee_currency = said(message, "fee_currency", currency)
    fee_in_price = fee if fee_currency == currency else ZERO
    move(book, fact, kind="purchase" if buys else "sale", currency=currency, amount=-sign * quantity * price)
    move(book, fact, kind="fee", currency=fee_currency, amount=-fee)
    book.fees[fee_currency] = book.fees.get(fee_currency, ZERO) + fee
    profits = fill(book, fact, quantity=sign * quantity, price=price, fee=fee_in_price)
    if profits:
        book.realised[currency] = book.realised.get(currency, ZERO) + sum(profits, ZERO)
    book.traded[message["symbol"]] = (at(fact), currency, price)
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
    if said(message, "cost") is not None:
        book.flows.append(Flow(at(fact), quantity, symbol=message["symbol"]))
    closed, left = to_close(lots_of(book, fact), quantity, book.settings.cost_basis)
    pieces = [*(piece for _, piece in closed), *([left] if left > 0 else [])]
    costs = by_quantity(number(said(message, "cost", "0")), pieces, abs(quantity))
    for lot, piece in closed:
        sign = 1 if lot.is_long else -1
        cost = sign * take(lot, piece)
        matched(book, fact, lot, piece, proceeds=cost, cost=cost)
    sign = 1 if quantity > 0 else -1
    finish(book, fact, closed=closed, left=sign * left, cost=sign * costs[-1])


def lots_of(book: Book, fact: Fact) -> list[Lot]:
    """The lots of the symbol and currency that a fact speaks of."""
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
    changed(book, fact)
    lots = lots_of(book, fact)
    gone = {id(lot) for lot, _ in closed if lot.quantity == 0}
    lots[:] = [lot for lot in lots if id(lot) not in gone]
    if left != 0:
        add(lots, Lot(identity(fact), at(fact), left, cost), book.settings.cost_basis)
        if left < 0 and not book.settings.allow_short:
            book.oversold.append((fact, fact.message["symbol"]))


def compare(book: Book, fact: Fact) -> None:
    """What a statement says otherwise than the book; what it does not name is stated to be zero."""
    for what, ours in (("cash", book.cash), ("holding", holdings(book))):
        stated = fact.message["cash" if what == "cash" else "holdings"]
        for name in {*ours, *stated}:
            if number(stated.get(name, "0")) != ours.get(name, ZERO):
                book.misstated.append((fact, f"statement_{what}", name))


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
