"""Every table of the books as it follows from a set of facts; the log's positions are written as (subject, id).

Handled are voids and the types of `BOT_TYPES` and `MARKET_TYPES`; facts of other types are ignored. So written, the
tables do not depend on the order of arrival.
"""

from collections.abc import Iterable, Mapping, Sequence

from projections.audit.book import fold
from projections.audit.facts import (
    BOT_TYPES,
    MARKET_TYPES,
    Fact,
    Row,
    at,
    bot_of,
    by_operator,
    canonical,
    currency_of,
    identity,
    kind_of,
    moment,
    number,
    ordered,
    said,
)
from projections.audit.flags import flags_of_book, flags_of_facts, market_flags
from projections.audit.market import Bars, Market, market_of, standing_bars
from projections.audit.settings import own_facts
from projections.audit.standing import bot_row, holding_rows, lot_rows
from projections.audit.voids import heard, target, void_flags
from projections.audit.worth import worth_rows

Tables = dict[str, list[Row]]
KEYS = {
    "bots": ("name",),
    "trades": ("id",),
    "lots": ("bot_name", "symbol", "currency", "opened_at", "opened_by"),
    "holdings": ("bot_name", "symbol"),
    "lot_matches": ("bot_name", "symbol", "currency", "closed_at", "closed_by", "opened_by"),
    "cash_movements": ("bot_name", "at", "fact", "kind", "currency"),
    "run_logs": ("bot_name", "run"),
    "historic_data": ("symbol", "interval", "timestamp"),
    "portfolio_worth": ("bot_name", "date"),
    "flags": ("kind", "fact", "bot_name", "symbol"),
}
ACTIONS = ("split", "dividend")


def tables(facts: Sequence[Fact]) -> Tables:
    """Every table of the books, its rows by column name, sorted by `KEYS`."""
    common = Common([fact for fact in facts if not fact.subject.startswith("bots.")])
    by_bot: dict[str, list[Fact]] = {name: [] for name in common.bots}
    for fact in facts:
        if fact.subject.startswith("bots."):
            by_bot.setdefault(bot_of_subject(fact.subject), []).append(fact)
    found = tables_of_market(common)
    for bot, own in by_bot.items():
        for table, rows in tables_of_bot(bot, own, common).items():
            found[table] += rows
    return {table: finished(rows, KEYS[table]) for table, rows in found.items()}


class Common:
    """What all bots share: the market that stands, and what operators say about bots; `facts` are not of bots."""

    def __init__(self, facts: Sequence[Fact]) -> None:
        self.facts = facts
        self.heard = [fact for fact in heard(facts) if kind_of(fact) in BOT_TYPES | MARKET_TYPES]
        self.bars: Bars = standing_bars(self.heard)
        self.market: Market = market_of(self.heard, self.bars)
        self.actions = [fact for fact in self.heard if kind_of(fact) in ACTIONS]
        self.voids: dict[str, list[Fact]] = {}
        self.statements: dict[str, list[Fact]] = {}
        for fact in facts:
            if kind_of(fact) == "void" and target(fact)[0].startswith("bots."):
                self.voids.setdefault(bot_of_subject(target(fact)[0]), []).append(fact)
        for fact in self.heard:
            if kind_of(fact) == "statement" and by_operator(fact):
                self.statements.setdefault(bot_of(fact), []).append(fact)

    @property
    def bots(self) -> set[str]:
        """The bots that operators say anything about."""
        return {*self.voids, *self.statements}


def bot_of_subject(subject: str) -> str:
    """The name of the bot that speaks on a subject."""
    return subject.removeprefix("bots.")


def tables_of_market(common: Common) -> Tables:
    """What is nobody's: bars, and flags of what feeds, sources and operators say; the other tables are empty."""
    found: Tables = {table: [] for table in KEYS}
    found["historic_data"] = bar_rows(common.bars)
    elsewhere = [fact for fact in common.facts if kind_of(fact) != "void" or not target(fact)[0].startswith("bots.")]
    found["flags"] = void_flags(elsewhere, common.facts) + market_flags(common.heard)
    return found


def tables_of_bot(bot: str, own: Sequence[Fact], common: Common) -> Tables:
    """One bot's rows; `own` are all facts of its own subject, in any order, voids too."""
    told = [*own, *common.voids.get(bot, [])]
    facts = [fact for fact in heard(told) if kind_of(fact) in BOT_TYPES]
    spoken = ordered(facts)
    facts += [*common.statements.get(bot, []), *common.actions]
    book = fold(bot, facts)
    found: Tables = {"flags": void_flags(told, told) + flags_of_facts(book, facts)}
    if not spoken:
        return found
    worth = worth_rows(bot, facts, common.market)
    found["flags"] += flags_of_book(book, spoken, worth)
    return found | {
        "bots": [bot_row(book, spoken, common.market)],
        "trades": book.trades,
        "lots": lot_rows(book),
        "holdings": holding_rows(book, common.market),
        "lot_matches": book.matches,
        "cash_movements": book.movements,
        "run_logs": run_rows(bot, facts),
        "portfolio_worth": worth,
    }


def finished(rows: Iterable[Mapping[str, object]], key: tuple[str, ...]) -> list[Row]:
    """The rows in canonical form, sorted (None, which only a flag's bot can be, comes first)."""
    cells = [{column: canonical(value) for column, value in row.items()} for row in rows]
    return sorted(cells, key=lambda row: [(row[part] is not None, row[part]) for part in key])


def run_rows(bot: str, facts: Sequence[Fact]) -> list[Row]:
    """A bot's runs, over all their attempts."""
    runs: dict[str, tuple[list[Fact], list[Fact]]] = {}
    for fact in own_facts(bot, facts):
        if kind_of(fact) in ("run_started", "run_finished"):
            starts, ends = runs.setdefault(fact.message["run"], ([], []))
            (starts if kind_of(fact) == "run_started" else ends).append(fact)
    return [run_row(bot, run, starts, ends) for run, (starts, ends) in runs.items()]


def run_row(bot: str, run: str, starts: list[Fact], ends: list[Fact]) -> Row:
    """One run, from its starts and its finishes in order."""
    end = ends[-1] if ends else None
    if starts:
        start_time, source = at(starts[0]), starts[0]
    else:
        assert end is not None
        start_time, source = moment(said(end.message, "started_at", end.message["at"])), end
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


def bar_rows(bars: Bars) -> list[Row]:
    """The bars that stand, with the fact that tells each."""
    rows: list[Row] = []
    for (symbol, interval, start), (fact, bar) in bars.items():
        through = said(fact.message, "adjusted_through")
        row: Row = {"symbol": symbol, "interval": interval, "timestamp": start}
        for column, text in zip(("open", "high", "low", "close", "volume"), bar[1:], strict=True):
            row[column] = number(text)
        rows.append(
            row
            | {
                "currency": currency_of(fact.message),
                "position": identity(fact),
                "at": at(fact),
                "event_id": fact.message["id"],
                "subject": fact.subject,
                "adjusted_through": None if through is None else moment(through),
            }
        )
    return rows
