"""The oracle's fold of one bot: cash, lots, matches, trades, and what was odd."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
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
    share,
    standing,
)
from tests.oracle_settings import Settings, own_facts, settings_of


@dataclass
class Lot:
    """What is open of one fill; a short has a negative quantity and the negative of what it brought as cost."""

    opened_by: Identity
    opened_at: datetime
    quantity: Fraction
    cost: Fraction


@dataclass
class Book:
    bot: str
    settings: Settings
    cash: dict[str, Fraction] = field(default_factory=dict)
    lots: dict[tuple[str, str], list[Lot]] = field(default_factory=dict)
    movements: list[Row] = field(default_factory=list)
    matches: list[Row] = field(default_factory=list)
    trades: list[Row] = field(default_factory=list)
    oversold: list[tuple[Identity, str]] = field(default_factory=list)
    overdrawn: list[tuple[Identity, str]] = field(default_factory=list)
    changed_days: set[date] = field(default_factory=set)


def fold(bot: str, facts: Sequence[Fact], until: datetime | None = None) -> Book:
    """The book of a bot after all its facts, and the market's, with `at` before `until`."""
    book = Book(bot, settings_of(bot, facts))
    heard = own_facts(bot, facts) + standing(facts, "split") + standing(facts, "dividend")
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
    for symbol, (quantity, cost, currency) in book.settings.holdings.items():
        open_lot(book, (symbol, currency), Lot(identity(fact), at(fact), quantity, cost))


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
    new, old = fact.message["new"], fact.message["old"]
    for (symbol, _), lots in book.lots.items():
        if symbol != fact.message["symbol"] or not lots:
            continue
        quantities = split_quantities([lot.quantity for lot in lots], new, old)
        for lot, quantity in zip(lots, quantities, strict=True):
            lot.quantity = quantity
        lots[:] = without_empty(lots)


def without_empty(lots: list[Lot]) -> list[Lot]:
    """A lot that became nothing gives its cost to the next lot, the last ones to the one before; one is left."""
    kept: list[Lot] = []
    cost = ZERO
    for lot in lots:
        if lot.quantity == 0:
            cost += lot.cost
        else:
            lot.cost += cost
            cost = ZERO
            kept.append(lot)
    if not kept:
        kept = [lots[0]]
        kept[0].cost = ZERO
    kept[-1].cost += cost
    return kept


def split_quantities(quantities: list[Fraction], new: int, old: int) -> list[Fraction]:
    """Each lot's share of the split; the last takes the rest of the sum, or, if that turns its sign, one before it."""
    total = share(sum(quantities, ZERO), new, old)
    result = [share(quantity, new, old) for quantity in quantities]
    for last in reversed(range(len(quantities))):
        rest = total - sum(result[:last], ZERO)
        result[last] = rest
        if rest * quantities[last] >= 0:
            break
        result[last] = ZERO
    return result


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
    key = (fact.message["symbol"], currency_of(fact.message))
    sign = 1 if quantity > 0 else -1
    closed: list[tuple[Lot, Fraction]] = []
    left = abs(quantity)
    for lot in closing_order(book, key, sign):
        if left > 0:
            closed.append((lot, min(left, abs(lot.quantity))))
            left -= min(left, abs(lot.quantity))
    pieces = [piece for _, piece in closed] + ([left] if left > 0 else [])
    fees = fee_shares(fee, pieces, abs(quantity))
    profits = [
        close(book, fact, lot=lot, piece=piece, price=price, fee=fee_share)
        for (lot, piece), fee_share in zip(closed, fees, strict=False)
    ]
    gone = [lot for lot, _ in closed if lot.quantity == 0]
    book.lots[key] = [lot for lot in book.lots.get(key, []) if lot not in gone]
    if left > 0:
        open_lot(book, key, Lot(identity(fact), at(fact), sign * left, sign * left * price + fees[-1]))
        if sign < 0 and not book.settings.allow_short:
            book.oversold.append((identity(fact), key[0]))
    return profits


def closing_order(book: Book, key: tuple[str, str], sign: int) -> list[Lot]:
    others = [lot for lot in book.lots.get(key, []) if lot.quantity * sign < 0 or lot.quantity == 0]
    if len(others) == 1:
        return others
    match book.settings.cost_basis:
        case "lifo":
            return others[::-1]
        case "hifo":
            # A sell (sign −1) closes the highest cost a unit first, a buy the lowest proceeds; ties: oldest first.
            return sorted(others, key=lambda lot: sign * lot.cost / lot.quantity)
        case _:
            return others


def fee_shares(fee: Fraction, pieces: list[Fraction], whole: Fraction) -> list[Fraction]:
    """The fee shared by quantity; the last piece takes the rest."""
    shares = [share(fee, piece, whole) for piece in pieces[:-1]]
    return [*shares, fee - sum(shares, ZERO)]


def close(book: Book, fact: Fact, *, lot: Lot, piece: Fraction, price: Fraction, fee: Fraction) -> Fraction:
    """Take a piece out of a lot; its profit."""
    whole = abs(lot.quantity)
    cost_share = lot.cost if piece == whole else share(lot.cost, piece, whole)
    if lot.quantity > 0 or (whole == 0 and lot.cost >= 0):
        proceeds, cost = piece * price - fee, cost_share
        lot.quantity -= piece
    else:
        proceeds, cost = -cost_share, piece * price + fee
        lot.quantity += piece
    lot.cost -= cost_share
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


def open_lot(book: Book, key: tuple[str, str], lot: Lot) -> None:
    """Add a lot, or with `average` add it to the pool of its sign."""
    lots = book.lots.setdefault(key, [])
    if book.settings.cost_basis == "average":
        for pool in lots:
            if pool.quantity * lot.quantity > 0:
                pool.quantity += lot.quantity
                pool.cost += lot.cost
                return
    lots.append(lot)


EFFECTS: dict[str, Callable[[Book, Fact], None]] = {
    "bot_registered": register,
    "trade": trade,
    "deposit": deposit,
    "withdrawal": withdraw,
    "charge": charge,
    "split": split,
    "dividend": pay_dividend,
}
