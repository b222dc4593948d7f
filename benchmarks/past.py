"""What the past costs: a fact that comes late, a portfolio as of a time, the worth of every day in one pass."""

from __future__ import annotations

import gc
import json
import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from statistics import median

from sqlalchemy.orm import Session

from benchmarks.fleet import DAYS, START, messages, symbols_of_first_bot
from benchmarks.report import Line, Report, milliseconds, rate, tell
from benchmarks.stage import Stage, fill
from ledger.amounts import exact
from ledger.database import get_db_session, get_log_session
from ledger.events import Recorded
from ledger.fields import format_time
from ledger.intake import record
from ledger.log import read_head
from ledger.settings import Database
from projections import history
from projections.book import Book, first_registration, with_actions
from projections.bookkeeping import apply, close_day
from projections.history import History, point_of
from projections.market import Market
from projections.points import read_moment
from projections.projector import Projector
from projections.rebuild import rebuild
from projections.recall import recall
from projections.sources import bot_facts, bot_subjects, load_commons
from projections.worth import Carry, value_book

FACTS_A_BOT = 10_000
FEW_BOTS = 2
BOT = "Bot0000"
TRIES = 25
MARKET_MESSAGES = 150
LATENESS = {"a day": timedelta(days=1), "eight weeks": timedelta(weeks=8), "half of its life": timedelta(days=DAYS / 2)}
_LAST = START + timedelta(days=DAYS)
_SEED = 11


@dataclass(frozen=True, slots=True)
class _Worths:
    """How long folding took, and valuing, and how many rows of worth it gave."""

    folding: float
    valuing: float
    rows: int


def measure_past(stage: Stage, report: Report) -> None:
    """Add the lines of late facts, as-of answers and daily worth, on each database."""
    for kind in stage.kinds:
        with stage.ledger(kind) as database:
            tell(f"making {FEW_BOTS} bots of {FACTS_A_BOT:,} facts, {kind}")
            fill((database,), messages(FEW_BOTS * FACTS_A_BOT + MARKET_MESSAGES, bots=FEW_BOTS))
            rebuild(database)
            _measure_as_of(report, kind, database)
            _measure_late(report, kind, database)
        with stage.ledger(kind) as database:
            tell(f"making 1,000 bots of 100 facts, {kind}")
            fill((database,), messages(100_000))
            _measure_worth(report, kind, database)


def _measure_late(report: Report, kind: str, database: Database) -> None:
    """One fact on time and late ones take turns, each appended and followed; in a process that has begun to follow.

    All are purchases of a symbol that the bot trades, so that its fills behind them close other lots.
    """
    projector = Projector(database)
    symbol = symbols_of_first_bot()[0]
    numbers = iter(range(1_000_000))

    def told(late: timedelta) -> float:
        number = next(numbers)
        at = _LAST + timedelta(seconds=number) - late
        begun = time.perf_counter()
        record(database, [(f"ledger.bots.{BOT}", _trade(number, format_time(at), symbol))])
        projector.catch_up()
        return time.perf_counter() - begun

    told(timedelta())
    gc.collect()
    gc.freeze()  # As the service's projector does after its first step.
    seconds: dict[str, list[float]] = {name: [] for name in ("on time", *LATENESS)}
    for _ in range(TRIES):
        for name, late in {"on time": timedelta(), **LATENESS}.items():
            seconds[name].append(told(late))
    projector.close()
    on_time = median(seconds["on time"])
    for name in LATENESS:
        ours = median(seconds[name])
        report.add(
            Line(
                f"late.{name}.{kind}",
                f"a fact {name} late into a bot of {FACTS_A_BOT:,}",
                kind,
                milliseconds(ours),
                "one on time",
                milliseconds(on_time),
                ours / on_time,
            )
        )


def _measure_as_of(report: Report, kind: str, database: Database) -> None:
    """A portfolio as of a day, from a snapshot and folded from its first fact, take turns."""
    chance = random.Random(_SEED)
    quick: list[float] = []
    slow: list[float] = []
    for day in chance.sample(range(DAYS // 4, DAYS), TRIES):
        moment = read_moment((START + timedelta(days=day)).date().isoformat())
        with _timed(database, quick) as session:
            found = recall(session, BOT, moment)
        with _timed(database, slow) as session:
            again = history.portfolio(History(session, point_of(session, as_of=moment)).view(BOT))
        assert found == again
    report.add(
        Line(
            f"asof.{kind}",
            f"portfolio as of a day, of a bot of {FACTS_A_BOT:,}",
            kind,
            milliseconds(median(quick)),
            "folded from its first fact",
            milliseconds(median(slow)),
            median(slow) / median(quick),
        )
    )


@contextmanager
def _timed(database: Database, seconds: list[float]) -> Iterator[Session]:
    with get_db_session(database) as session:
        begun = time.perf_counter()
        yield session
        seconds.append(time.perf_counter() - begun)


def _measure_worth(report: Report, kind: str, database: Database) -> None:
    found = _worths(database)
    report.add(
        Line(
            f"worth.{kind}",
            f"daily worth of 1,000 bots, {found.rows:,} rows in one pass",
            kind,
            rate(found.rows / found.valuing, "rows"),
            f"folding their facts ({milliseconds(found.folding)})",
            milliseconds(found.valuing),
            found.valuing / found.folding,
        )
    )


def _worths(database: Database) -> _Worths:
    """Fold every bot, then value every day of it, each timed by itself."""
    folding = valuing = 0.0
    rows = 0
    with get_log_session(database) as session, exact():
        through = read_head(session).position
        commons = load_commons(session, through=through)
        for subject in bot_subjects(session, commons, through=through):
            facts = bot_facts(session, commons, subject, through=through)
            begun = time.perf_counter()
            book = _folded(subject, facts, commons.market)
            between = time.perf_counter()
            valued = value_book(subject, book.base_currency, book.days, commons.market, Carry())
            valuing += time.perf_counter() - between
            folding += between - begun
            rows += len(valued.rows)
    return _Worths(folding, valuing, rows)


def _folded(name: str, facts: Sequence[Recorded], market: Market) -> Book:
    book = Book(name, registration=first_registration(facts))
    for fact in with_actions(facts, market):
        apply(book, fact)
    close_day(book)
    return book


def _trade(number: int, at: str, symbol: str) -> bytes:
    said = {"id": f"late-{number}", "type": "trade", "at": at, "symbol": symbol, "side": "buy", "quantity": "1"}
    return json.dumps({**said, "price": "100.00", "fee": "0.10"}).encode()
