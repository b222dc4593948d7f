"""The oracle: every table of the books from a set of facts, the naive way; imports nothing of ours.

Handled are voids and the types of `BOT_TYPES` and `MARKET_TYPES`; facts of other types are ignored. Log positions are
written as (subject, id), so the books do not depend on the order of arrival.
"""

from collections.abc import Sequence

from tests.oracle_book import Book, fold, portfolio
from tests.oracle_facts import (
    BOT_TYPES,
    MARKET_TYPES,
    ONE_DAY,
    Fact,
    Identity,
    Row,
    at,
    bot_of,
    canonical,
    identity,
    kind_of,
    moment,
    number,
    ordered,
    standing,
    thing,
)
from tests.oracle_settings import Settings, by_operator, facts_about, own_facts, settings_of, stated
from tests.oracle_voids import heard, void_flags
from tests.oracle_worth import standing_bars, worth_rows

__all__ = ["Fact", "books"]

Books = dict[str, list[Row]]
KEYS = {
    "bots": ("name",),
    "trades": ("id",),
    "lots": ("bot_name", "symbol", "currency", "opened_at", "opened_by"),
    "lot_matches": ("bot_name", "symbol", "currency", "closed_at", "closed_by", "opened_by"),
    "cash_movements": ("bot_name", "at", "fact", "kind", "currency"),
    "run_logs": ("bot_name", "run"),
    "historic_data": ("symbol", "interval", "timestamp"),
    "portfolio_worth": ("bot_name", "date"),
    "flags": ("kind", "fact", "bot_name", "symbol"),
}


def books(facts: Sequence[Fact]) -> Books:
    """Every table of the books, its rows by column name, sorted by `KEYS`."""
    known = ordered([fact for fact in heard(facts) if kind_of(fact) in BOT_TYPES | MARKET_TYPES])
    names = sorted({bot_of(fact) for fact in known if kind_of(fact) in BOT_TYPES and not by_operator(fact)})
    stated = {bot_of(fact) for fact in known if kind_of(fact) == "statement"}
    folded = {name: fold(name, known) for name in names}
    strangers = [fold(name, known) for name in sorted(stated.difference(names))]
    tables: Books = {
        "bots": [bot_row(book, known) for book in folded.values()],
        "trades": [row for book in folded.values() for row in book.trades],
        "lots": [row for book in folded.values() for row in lot_rows(book)],
        "lot_matches": [row for book in folded.values() for row in book.matches],
        "cash_movements": [row for book in folded.values() for row in book.movements],
        "run_logs": [row for name in names for row in run_rows(name, known)],
        "historic_data": bar_rows(known),
        "portfolio_worth": [row for name in names for row in worth_rows(name, known)],
    }
    tables["flags"] = void_flags(facts) + market_flags(known)
    for book in [*folded.values(), *strangers]:
        tables["flags"] += flags_of_facts(book, known)
    for book in folded.values():
        tables["flags"] += flags_of_book(book, known, tables["portfolio_worth"])
    return {table: finished(rows, KEYS[table]) for table, rows in tables.items()}


def finished(rows: list[Row], key: tuple[str, ...]) -> list[Row]:
    """The rows in canonical form, sorted (None, which only a flag's bot can be, comes first)."""
    cells = [{column: canonical(value) for column, value in row.items()} for row in rows]
    return sorted(cells, key=lambda row: [(row[part] is not None, row[part]) for part in key])


def bot_row(book: Book, facts: Sequence[Fact]) -> Row:
    own = own_facts(book.bot, facts)
    description = None
    for fact in own:
        if kind_of(fact) == "bot_registered":
            description = fact.message.get("description", description)
    return {
        "name": book.bot,
        "description": description,
        "portfolio": portfolio(book),
        "created_at": at(own[0]),
        "updated_at": at(own[-1]),
    }


def lot_rows(book: Book) -> list[Row]:
    return [
        {
            "bot_name": book.bot,
            "symbol": symbol,
            "currency": currency,
            "opened_by": lot.opened_by,
            "opened_at": lot.opened_at,
            "quantity": lot.quantity,
            "cost_basis": lot.cost,
        }
        for (symbol, currency), lots in book.lots.items()
        for lot in lots
    ]


def run_rows(bot: str, facts: Sequence[Fact]) -> list[Row]:
    about_runs = [fact for fact in own_facts(bot, facts) if kind_of(fact) in ("run_started", "run_finished")]
    rows = []
    for run in sorted({fact.message["run"] for fact in about_runs}):
        starts = [fact for fact in about_runs if fact.message["run"] == run and kind_of(fact) == "run_started"]
        ends = [fact for fact in about_runs if fact.message["run"] == run and kind_of(fact) == "run_finished"]
        rows.append(run_row(bot, run, starts, ends))
    return rows


def run_row(bot: str, run: str, starts: list[Fact], ends: list[Fact]) -> Row:
    """One run, from its starts and its finishes in order."""
    end = ends[-1] if ends else None
    if starts:
        start_time, source = at(starts[0]), starts[0]
    else:
        assert end is not None
        start_time, source = moment(end.message.get("started_at", end.message["at"])), end
    return {
        "id": identity(source),
        "bot_name": bot,
        "start_time": start_time,
        "success": end.message["success"] if end else False,
        "result": end.message.get("result") if end else None,
        "end_time": at(end) if end else None,
        "run": run,
        "attempts": len(starts),
    }


def bar_rows(facts: Sequence[Fact]) -> list[Row]:
    rows: list[Row] = []
    for (symbol, interval, start), (_, bar) in standing_bars(facts).items():
        row: Row = {"symbol": symbol, "interval": interval, "timestamp": start}
        for column, text in zip(("open", "high", "low", "close", "volume"), bar[1:], strict=True):
            row[column] = number(text)
        rows.append(row)
    return rows


def flag(kind: str, fact: Identity, bot: str | None, symbol: str = "") -> Row:
    return {"kind": kind, "fact": fact, "bot_name": bot, "symbol": symbol}


def market_flags(facts: Sequence[Fact]) -> list[Row]:
    """Future dates of market facts, and the split or dividend that stands where others say something else."""
    flags = [flag("future_date", identity(f), None) for f in facts if kind_of(f) in MARKET_TYPES and is_future(f)]
    for kind in ("split", "dividend"):
        for stands in standing(facts, kind):
            reported = [fact for fact in facts if kind_of(fact) == kind and thing(fact) == thing(stands)]
            if any(says(fact) != says(stands) for fact in reported):
                flags.append(flag("disputed", identity(stands), None, stands.message["symbol"]))
    return flags


def says(fact: Fact) -> object:
    """What a split or dividend says of the thing it is about."""
    if kind_of(fact) == "split":
        return (fact.message["new"], fact.message["old"])
    return number(fact.message["per_share"])


def is_future(fact: Fact) -> bool:
    return at(fact) - fact.recorded_at > ONE_DAY


def flags_of_facts(book: Book, facts: Sequence[Fact]) -> list[Row]:
    """What is odd about single facts of a bot, and about what operators state of it."""
    bot = book.bot
    told = own_facts(bot, facts) + facts_about(bot, facts)
    flags = [flag("future_date", identity(fact), bot) for fact in told if is_future(fact)]
    flags += [flag("oversold", fact, bot, symbol) for fact, symbol in book.oversold]
    flags += [flag("overdrawn", fact, bot, currency) for fact, currency in book.overdrawn]
    flags += [flag(kind, fact, bot, name) for fact, kind, name in book.misstated]
    return flags + [flag("registered_twice", identity(fact), bot) for fact in registered_twice(bot, facts)]


def flags_of_book(book: Book, facts: Sequence[Fact], worth: Sequence[Row]) -> list[Row]:
    """What is odd about a bot as a whole: these hang on its first fact."""
    first = identity(own_facts(book.bot, facts)[0])
    flags = [] if book.settings.registration else [flag("unregistered", first, book.bot)]
    unpriced: set[str] = set()
    for row in worth:
        if row["bot_name"] == book.bot:
            listed = row["unpriced"]
            assert isinstance(listed, list)
            unpriced |= set(listed)
    return flags + [flag("unpriced", first, book.bot, symbol) for symbol in sorted(unpriced)]


def registered_twice(bot: str, facts: Sequence[Fact]) -> list[Fact]:
    """Later registrations that say outright something else than the first."""
    first = settings_of(bot, facts)
    registrations = [fact for fact in own_facts(bot, facts) if kind_of(fact) == "bot_registered"]
    return [fact for fact in registrations[1:] if contradicts(first, fact)]


def contradicts(first: Settings, later: Fact) -> bool:
    fields = ("base_currency", "opening", "holdings", "cost_basis", "allow_short", "mode", "account", "expected_every")
    said = stated(later)
    return any(name in later.message and getattr(said, name) != getattr(first, name) for name in fields)
