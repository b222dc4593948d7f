"""Books that somebody has changed: noticed, told, counted and made anew, while facts keep arriving."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import psycopg
import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from ledger.database import get_db_session, live_generation
from ledger.follower import Follower
from ledger.metrics import Metrics
from ledger.scrubber import Scrubber
from ledger.scrubbing import Order
from ledger.service import running_service
from ledger.settings import Database, Settings
from projections.compare import check
from projections.projector import Projector
from projections.queries import progress
from projections.scrub import heal, scrub
from projections.tables import Checkpoint
from tests.replay.crowds import books_of_the_owner, crowd
from tests.replay.given import buy, close, deposit, run_finished, run_started, told
from tests.replay.ways import record
from tests.servers import NatsServer, wait_until
from tests.services.pages import series

SOON = 0.05
LATER = "2026-01-20"
"""After all that the bots have done: whoever goes on from a book that is kept in memory tells nothing anew."""
DAMAGE = {
    "a trade's profit": ("trades", "profit", "UPDATE {b}trades SET profit = '7' WHERE bot_name = 'Bot01'"),
    "a lot": ("lots", "quantity", "UPDATE {b}lots SET quantity = '99' WHERE bot_name = 'Bot01'"),
    "a day's worth": (
        "portfolio_worth",
        "portfolio_worth",
        "UPDATE {b}portfolio_worth SET portfolio_worth = '1' WHERE bot_name = 'Bot01' AND date < '2026-01-07'",
    ),
    "the cash": ("bots", "cash", "UPDATE {b}bots SET cash = '{{\"USD\": 5}}' WHERE name = 'Bot01'"),
    "a run that never was": (
        "run_logs",
        "(surplus)",
        "INSERT INTO {b}run_logs VALUES (99999, 'Bot01', '2026-01-06T10:00:00.000000Z', {true}, NULL, NULL, 'x', 1)",
    ),
    "a trade of another's": ("trades", "(missing)", "UPDATE {b}trades SET bot_name = 'Bot03' WHERE bot_name = 'Bot01'"),
    "a row that is gone": ("cash_movements", "(missing)", "DELETE FROM {b}cash_movements WHERE bot_name = 'Bot01'"),
    "a bot that never was": (
        "bots",
        "(surplus)",
        "INSERT INTO {b}bots SELECT 'Ghost', description, portfolio, created_at, updated_at, base_currency, cost_basis,"
        " registered, mode, cash, realised_profit, fees, worth, unpriced FROM {b}bots WHERE name = 'Bot01'",
    ),
}


@pytest.fixture
def fleet(database: Database) -> Database:
    """Four bots of three days, one with a run, followed."""
    runs = told([run_started("r", bot="Bot01", id="s"), run_finished("r", bot="Bot01", id="f")])
    record(database, [*crowd(4, days=3), *runs])
    with closing(Projector(database)) as projector:
        projector.catch_up()
    return database


@pytest.mark.parametrize("name", DAMAGE)
def test_what_somebody_has_changed_is_told_and_made_anew(fleet: Database, name: str) -> None:
    table, column, statement = DAMAGE[name]
    projector = Projector(fleet)
    record(fleet, told([deposit("1", bot="Bot01", at=LATER, id="before")]))
    projector.catch_up()  # It has the book in memory now, and would go on from that.
    damage(fleet, statement)
    assert check(fleet).differences
    found = [scrubbed for scrubbed in scrub(fleet, after="", bots=9, seconds=60) if scrubbed.differences]
    assert (table, column) in [(one.table, one.column or kind(one)) for each in found for one in each.differences]
    before = checkpoint(fleet)
    assert all(heal(fleet, scrubbed) for scrubbed in found)
    assert checkpoint(fleet) == (before[0], before[1] + len(found)), "whoever follows forgets what it has kept"
    record(fleet, told([deposit("2", bot="Bot01", at=LATER, id="after")]))
    projector.catch_up()
    assert check(fleet).differences == ()
    assert not [scrubbed for scrubbed in scrub(fleet, after="", bots=9, seconds=60) if scrubbed.differences]


def test_a_service_notices_it_counts_it_and_heals_it_while_facts_arrive(fleet: Database) -> None:
    with ExitStack() as stack:
        logs = stack.enter_context(capture_logs())
        metrics = stack.enter_context(keeping_up(fleet))
        stack.enter_context(arriving(fleet))
        for statement in (DAMAGE["a trade's profit"][2], DAMAGE["the cash"][2]):
            damage(fleet, statement)
        wait_until(lambda: counted(metrics, "botledger_scrub_healed_total"), what="the bot is healed", seconds=60)
        wait_until(lambda: not differs(fleet), what="its books are right", seconds=60)
        seen = counted(metrics, "botledger_scrubbed_total")
        wait_until(
            lambda: counted(metrics, "botledger_scrubbed_total") >= seen + 8, what="all are looked at again", seconds=60
        )
        assert counted(metrics, "botledger_scrub_healed_total") == 1
    told_of = [log for log in logs if log["event"] == "books differ from the log"]
    assert {log["bot"] for log in told_of} == {"Bot01"}
    assert ("trades", ["profit"]) in [(log["table"], log["columns"]) for log in told_of]
    assert not [value for log in told_of for value in log.values() if value in ("7", "5")]
    assert counted(metrics, 'botledger_scrub_differences_total{table="trades"}') == 6
    assert [log["bot"] for log in logs if log["event"] == "books of a bot are made anew"] == ["Bot01"]


def test_serve_has_it_beside_the_projector_and_leaves_without_waiting_for_it(
    fleet: Database, broker: NatsServer
) -> None:
    served = Settings(fleet, fleet.directory, broker.url, http="127.0.0.1:0", scrub_seconds=SOON)
    with running_service(served) as service:
        wait_until(
            lambda: series(service.http_url)["botledger_scrubbed_total"] >= 4, what="all are looked at", seconds=60
        )
        began = time.monotonic()
    assert time.monotonic() - began < 3


def test_a_round_that_hangs_ends_with_the_service(postgres_database: Database) -> None:
    Projector(postgres_database).catch_up()
    assert postgres_database.url is not None
    program = [sys.executable, "-c", "from ledger.scrubbing import main; main()"]
    with (
        psycopg.connect(postgres_database.url.replace("+psycopg", "")) as holder,
        subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process,
    ):
        holder.execute(f"LOCK TABLE books_{live_generation(postgres_database)}.checkpoints IN ACCESS EXCLUSIVE MODE")
        assert process.stdin is not None
        process.stdin.write(Order(postgres_database, "", 1).line())
        process.stdin.flush()
        with psycopg.connect(postgres_database.url.replace("+psycopg", ""), autocommit=True) as looker:
            waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            wait_until(lambda: looker.execute(waits).fetchone(), what="it hangs")
        assert process.poll() is None
        process.stdin.close()
        assert process.wait(60) == 0


def test_an_untouched_fleet_is_never_healed_whatever_arrives(fleet: Database) -> None:
    stop = threading.Event()

    def follow() -> None:
        with closing(Projector(fleet, facts_a_step=3)) as projector:
            while projector.step() or not stop.wait(SOON / 10):
                pass

    follower = threading.Thread(target=follow)
    follower.start()
    try:
        looked = 0
        for number in range(25):
            record(fleet, mixed(number))
            for scrubbed in scrub(fleet, after="Bot02", bots=4, seconds=60):
                assert scrubbed.differences == ()
                looked += not scrubbed.left_out
    finally:
        stop.set()
        follower.join()
    assert looked >= 25
    assert check(fleet).differences == ()


def test_a_bot_with_a_note_is_left_out_for_its_rows_are_not_meant_to_be_right(fleet: Database) -> None:
    record(fleet, told([close("QQQ", "2026-01-06", "140", at="2026-01-12T00:00:00Z", id="changed")]))
    with closing(Projector(fleet)) as projector:
        assert projector.step()
        found = list(scrub(fleet, after="", bots=9, seconds=60))
        assert [scrubbed.left_out for scrubbed in found] == [True] * 4
        assert not [scrubbed for scrubbed in found if scrubbed.differences]
        projector.catch_up()
    assert [scrubbed.left_out for scrubbed in scrub(fleet, after="", bots=9, seconds=60)] == [False] * 4


def test_it_goes_round_all_bots_the_one_of_longest_ago_first(fleet: Database) -> None:
    names = [f"Bot{number:02d}" for number in range(4)]
    seen: list[str] = []
    for _ in range(4):
        seen += [scrubbed.name for scrubbed in scrub(fleet, after=seen[-1] if seen else "", bots=3, seconds=60)]
    assert seen == names * 3
    assert [scrubbed.name for scrubbed in scrub(fleet, after="Bot01", bots=9, seconds=60)] == [*names[2:], *names[:2]]
    assert [scrubbed.name for scrubbed in scrub(fleet, after="Bot01", bots=9, seconds=0)] == ["Bot02"]


def test_books_that_will_be_made_anew_as_a_whole_are_not_looked_at(fleet: Database) -> None:
    damage(fleet, "UPDATE {b}checkpoints SET projector_version = projector_version - 1")
    assert list(scrub(fleet, after="", bots=9, seconds=60)) == []


def test_a_database_that_has_no_books_yet_is_left_alone(database: Database) -> None:
    assert list(scrub(database, after="", bots=9, seconds=60)) == []


def kind(one: Any) -> str:
    """What is wrong with a whole row, as the log tells it."""
    return "(missing)" if one.live is None else "(surplus)"


def checkpoint(database: Database) -> tuple[int, int]:
    """Position, and how often somebody has healed."""
    with get_db_session(database) as session:
        row = session.scalars(select(Checkpoint)).one()
        return row.position, row.healed


def damage(database: Database, statement: str) -> None:
    """Change the live books behind the projector's back."""
    where = "" if database.is_sqlite else f"books_{live_generation(database)}."
    with books_of_the_owner(database) as connection:
        filled = statement.format(b=where, true="1" if database.is_sqlite else "true")
        connection.exec_driver_sql(filled)


def differs(database: Database) -> bool:
    """Whether the live books are not right, or not finished."""
    with get_db_session(database) as session:
        notes = progress(session).notes
    return bool(notes or check(database).differences)


def mixed(number: int) -> list[Any]:
    """Facts on time and late ones of some bots, a price that all are valued at, now and then one that changes."""
    bots = [f"Bot{(number + more) % 4:02d}" for more in range(2)]
    facts = [buy("QQQ", "1", price="110", bot=bots[0], at="2026-01-09", id=f"t{number}")]
    facts.append(buy("QQQ", "2", price="90", bot=bots[1], at="2026-01-06T17:00:00Z", id=f"l{number}"))
    facts.append(close("QQQ", f"2026-01-{6 + number % 5:02d}", f"{100 + number}", id=f"p{number}"))
    return told(facts)


@contextmanager
def arriving(database: Database) -> Iterator[None]:
    """Facts that keep coming while the block runs."""
    stop = threading.Event()

    def publish() -> None:
        number = 0
        while not stop.is_set():
            record(database, told([deposit("1", bot=f"Bot{number % 4:02d}", at=LATER, id=f"d{number}")]))
            number += 1
            stop.wait(SOON)

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextmanager
def keeping_up(database: Database) -> Iterator[Metrics]:
    """A projector and a scrubber, each in its process, as the service has them."""
    metrics = Metrics()
    with (
        closing(Follower(database, on_moved=lambda: None, idle_seconds=SOON)) as follower,
        closing(Scrubber(database, metrics, seconds_a_bot=SOON, rest=0, niceness=0)) as scrubber,
    ):
        follower.start()
        scrubber.start()
        yield metrics


def counted(metrics: Metrics, name: str) -> float:
    """The value of a series, 0 where there is none yet."""
    lines = metrics.render(lambda: ())[0].splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.rpartition(" ")[0] == name), 0.0)
