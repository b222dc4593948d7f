"""Health, readiness and metrics of a whole service: well, and with its database, broker or projector away."""

import asyncio
import json
import sys
import time
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url
from structlog.testing import capture_logs

from ledger.errors import SetupError
from ledger.intake import record
from ledger.outbox import Outbox
from ledger.service import Service, running_service
from ledger.settings import Database, Settings, load_settings
from tests.facts import fact
from tests.servers import NatsServer, wait_until
from tests.services.calls import call
from tests.services.desk import desk, trade
from tests.services.pages import failing, page, readiness, series

ANY_PORT = "127.0.0.1:0"


def test_a_service_that_is_well_says_so_and_counts_what_became_of_each_message(
    broker: NatsServer, database: Database
) -> None:
    with running_service(settings(database, broker)) as service:
        asyncio.run(publish(service))
        wait_until(lambda: series(service.http_url)["botledger_lag_facts"] == 0, what="the books have it")
        assert page(service.http_url, "/healthz") == (200, "ok\n")
        assert readiness(service.http_url)[0] == 200
        found = series(service.http_url)
    outcomes = {name: found[f'botledger_facts_total{{outcome="{name}"}}'] for name in ("recorded", "duplicate")}
    assert outcomes == {"recorded": 3, "duplicate": 1}
    assert [found[f'botledger_facts_total{{outcome="{name}"}}'] for name in ("conflict", "rejected", "parked")] == [
        1
    ] * 3
    assert found["botledger_batch_facts_sum"] == 7
    assert 1 <= found["botledger_append_seconds_count"] == found["botledger_batch_facts_count"]
    assert found["botledger_append_seconds_sum"] > 0
    assert found["botledger_fold_seconds_count"] >= 1
    assert (found["botledger_head_position"], found["botledger_checkpoint_position"]) == (3, 3)
    assert (found["botledger_lag_notes"], found["botledger_lag_seconds"]) == (0, 0)
    assert (found["botledger_rejected_rows"], found["botledger_parked_rows"]) == (2, 1)
    assert (found["botledger_database_up"], found["botledger_broker_connected"]) == (1, 1)
    finished = 'botledger_bot_last_run_timestamp_seconds{bot="RSIBot"}'
    assert found[finished] == found[finished.replace("run", "success")] + 3_600


def test_two_services_in_one_process_count_each_for_itself(broker: NatsServer, tmp_path: Path) -> None:
    first = load_settings(data_dir=tmp_path / "first", environment={"LEDGER_HTTP": ANY_PORT})
    second = load_settings(data_dir=tmp_path / "second", environment={"LEDGER_HTTP": ANY_PORT})
    with running_service(first) as one, running_service(second) as other:
        asyncio.run(publish(one))
        assert series(one.http_url)['botledger_facts_total{outcome="recorded"}'] == 3
        assert series(other.http_url)['botledger_facts_total{outcome="recorded"}'] == 0


def test_a_broker_that_is_away_is_why_it_is_not_ready(broker: NatsServer, sqlite_database: Database) -> None:
    with running_service(settings(sqlite_database, broker)) as service:
        broker.kill()
        wait_until(lambda: failing(service.http_url) == ["broker"], what="the broker is missed")
        assert page(service.http_url, "/healthz")[0] == 200
        assert series(service.http_url)["botledger_broker_connected"] == 0
        broker.start()
        wait_until(lambda: not failing(service.http_url), what="the broker is found again")


def test_a_projector_that_hangs_is_why_it_is_not_ready(
    broker: NatsServer, postgres_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.monitor.LAG_SECONDS", 0.2)
    assert postgres_database.url is not None
    with (
        running_service(settings(postgres_database, broker)) as service,
        psycopg.connect(postgres_database.url.replace("+psycopg", "")) as holder,
    ):
        holder.execute("SELECT * FROM books_1.checkpoints FOR UPDATE")
        record(postgres_database, [("ledger.bots.RSIBot", trade("t1"))])
        wait_until(lambda: failing(service.http_url) == ["lag"], what="the books lag")
        found = series(service.http_url)
        assert found["botledger_lag_facts"] == 1
        assert found["botledger_lag_seconds"] > 0.2
        holder.rollback()
        wait_until(lambda: not failing(service.http_url), what="the books have caught up", seconds=40)


def test_a_database_that_hangs_or_refuses_holds_up_no_page(
    broker: NatsServer, postgres_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ledger.monitor._OLD_SECONDS", 0.5)
    assert postgres_database.url is not None
    with running_service(settings(postgres_database, broker)) as service:
        assert failing(service.http_url) == []
        with psycopg.connect(postgres_database.url.replace("+psycopg", "")) as holder:
            holder.execute("LOCK TABLE ledger.log_head IN ACCESS EXCLUSIVE MODE")
            wait_until(lambda: silent_for(service) > 2, what="the database is missed")
            assert series(service.http_url)["botledger_database_up"] == 0
            assert page(service.http_url, "/healthz")[0] == 200
        wait_until(lambda: not failing(service.http_url), what="it answers again", seconds=40)


def test_what_a_database_says_of_itself_stands_in_the_log_and_on_no_page(
    broker: NatsServer, postgres_database: Database
) -> None:
    assert postgres_database.url is not None
    url = make_url(postgres_database.url.replace("+psycopg", ""))
    others = url.set(database="postgres").render_as_string(hide_password=False)
    with (
        capture_logs() as logs,
        running_service(settings(postgres_database, broker)) as service,
        psycopg.connect(others, autocommit=True) as owner,
    ):
        owner.execute(f'ALTER DATABASE "{url.database}" ALLOW_CONNECTIONS false')
        try:
            owner.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [url.database])
            said = "the database does not answer, or refuses: the log of the service says why"
            wait_until(lambda: readiness(service.http_url)[1]["database"].get("why"), what="the database is missed")
            assert readiness(service.http_url)[1]["database"] == {"ok": False, "why": said}
        finally:
            owner.execute(f'ALTER DATABASE "{url.database}" ALLOW_CONNECTIONS true')
        wait_until(lambda: not failing(service.http_url), what="it answers again", seconds=40)
    [told, *_] = [entry["error"] for entry in logs if entry["event"] == "the database does not tell how far it is"]
    assert "connection" in told


def test_a_loop_that_does_not_turn_is_no_health(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.monitor._TURN_SECONDS", 0.2)
    with running_service(load_settings(data_dir=tmp_path, environment={"LEDGER_HTTP": ANY_PORT})) as service:
        assert page(service.http_url, "/healthz")[0] == 200
        monkeypatch.setattr("asyncio.BaseEventLoop.call_soon_threadsafe", lambda *arguments: None)
        status, body = page(service.http_url, "/healthz")
        monkeypatch.undo()
    assert (status, body) == (503, "the event loop has not turned for 0.2 s\n")


def test_what_waits_in_the_outboxes_of_the_directory_is_told_and_no_file_of_theirs_is_touched(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox", "bots.RSIBot")
    outbox.add([fact(1), fact(2)])
    outbox.close()
    Outbox(tmp_path / "outbox", "bots.MACDBot").close()
    (tmp_path / "outbox" / "bots.Broken.sqlite").write_text("no outbox" * 1_000)
    before = sorted((path.name, path.stat().st_mtime_ns) for path in (tmp_path / "outbox").iterdir())
    with running_service(load_settings(data_dir=tmp_path, environment={"LEDGER_HTTP": ANY_PORT})) as service:
        found = series(service.http_url)
    assert found["botledger_outbox_waiting"] == 2
    assert {name: value for name, value in found.items() if "waiting_of" in name} == {
        'botledger_outbox_waiting_of{subject="bots.RSIBot"}': 2
    }
    assert found["botledger_outbox_oldest_seconds"] > 0
    assert found["botledger_outboxes_unreadable"] == 1
    assert sorted((path.name, path.stat().st_mtime_ns) for path in (tmp_path / "outbox").iterdir()) == before


def test_without_the_package_the_metrics_say_what_to_install_and_all_else_works(
    broker: NatsServer, sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with running_service(settings(sqlite_database, broker)) as service:
        asyncio.run(publish(service))
        assert page(service.http_url, "/metrics") == (
            501,
            "metrics need the package prometheus-client: pip install 'botledger[metrics]'\n",
        )
        assert readiness(service.http_url)[0] == 200


def test_the_address_stands_in_the_directory_while_it_is_served(tmp_path: Path) -> None:
    with running_service(load_settings(data_dir=tmp_path, environment={})) as service:
        assert (tmp_path / "http.url").read_text() == f"{service.http_url}\n"
        with running_service(load_settings(data_dir=tmp_path / "other", environment={})) as other:
            assert other.http_url != service.http_url
            assert page(other.http_url, "/healthz")[0] == 200
    assert not (tmp_path / "http.url").exists()


def test_it_can_be_left_out(tmp_path: Path) -> None:
    with running_service(load_settings(data_dir=tmp_path, environment={"LEDGER_HTTP": "off"})) as service:
        assert service.http_url is None
        assert not (tmp_path / "http.url").exists()


@pytest.mark.parametrize(("form", "begins"), [("json", '{"'), ("console", "timestamp='")])
def test_an_address_that_is_taken_is_a_fault_of_the_set_up(form: str, begins: str, tmp_path: Path) -> None:
    with running_service(load_settings(data_dir=tmp_path / "one", environment={"LEDGER_HTTP": ANY_PORT})) as service:
        assert service.http_url is not None
        taken = service.http_url.removeprefix("http://")
        other = ("--data-dir", str(tmp_path / "other"), "--log-format", form)
        answer = call("serve", *other, "--http", taken)
    assert answer.code == 1
    logged, told = answer.err.splitlines()
    assert told.startswith(f"botledger: {taken} cannot be listened on (Address already in use): choose another")
    assert logged.startswith(begins) and "broker started" in logged


@pytest.mark.parametrize(
    "told", ["8224", "nowhere", "127.0.0.1:", ":8224", "127.0.0.1:99999", "::1:8224", "127.0.0.1:x", f"h:{'9' * 5_000}"]
)
def test_what_is_no_address_is_told_in_one_line(told: str, tmp_path: Path) -> None:
    answer = call("serve", "--data-dir", str(tmp_path), LEDGER_HTTP=told)
    assert answer.code == 1
    assert (answer.err.startswith("botledger: "), answer.err.count("\n")) == (True, 1), "no broker was started"
    flag = call("serve", "--data-dir", str(tmp_path), "--http", told)
    assert (flag.code, flag.err.count("\n")) == (2, 1)
    assert "Invalid value for '--http'" in flag.err
    assert list(tmp_path.iterdir()) == []


def test_the_time_for_each_bot_of_the_scrubber_is_a_number_of_seconds(tmp_path: Path) -> None:
    assert load_settings(data_dir=tmp_path, environment={"LEDGER_SCRUB_SECONDS": "0"}).scrub_seconds == 0
    with pytest.raises(SetupError, match="LEDGER_SCRUB_SECONDS is 'soon'; it must be a whole number of seconds, or 0"):
        load_settings(data_dir=tmp_path, environment={"LEDGER_SCRUB_SECONDS": "soon"})
    with pytest.raises(SetupError, match=r"LEDGER_SCRUB_SECONDS is '0\.1'; it must be a whole number of seconds"):
        load_settings(data_dir=tmp_path, environment={"LEDGER_SCRUB_SECONDS": "0.1"})


def settings(database: Database, broker: NatsServer) -> Settings:
    """A service on any free port."""
    return Settings(database, database.directory, broker.url, http=ANY_PORT)


def silent_for(service: Service) -> float:
    """How many seconds the database has not answered, by the answer of a service that itself answers soon."""
    began = time.monotonic()
    why = readiness(service.http_url)[1]["database"].get("why", "for 0 s")
    assert time.monotonic() - began < 4
    return float(why.split()[-2])


async def publish(service: Service) -> None:
    """Seven messages: three to be recorded, and one of each other outcome and more."""
    hour = "2026-01-05T16:30:00Z"
    finished = {"id": "f1", "type": "run_finished", "at": "2026-01-05T15:30:00Z", "run": "r1", "success": True}
    failed = {**finished, "id": "f2", "at": hour, "run": "r2", "success": False}
    messages = [trade("t1"), json.dumps(finished).encode(), json.dumps(failed).encode()]
    others = [trade("t1"), trade("t1", price="1"), b"{", trade("t9", v=99)]
    async with desk(service.nats_url) as bot:
        for message in [*messages, *others]:
            await bot.ask(message)
