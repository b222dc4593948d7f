"""PostgreSQL's roles as `db roles` makes them: each does its work, and is refused what it must not do."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from ledger.commands.books import bring_up
from ledger.database import dispose, get_db_session, get_log_session
from ledger.errors import SetupError
from ledger.intake import record
from ledger.messages import SUBJECT_PREFIX
from ledger.roles import BOOKS_TABLES, PARTS, roles_sql
from ledger.service import running_service
from ledger.settings import Database, Settings, load_settings
from projections.rebuild import rebuild
from projections.tables import Base, Bot
from tests.facts import BOT, fact, recorded
from tests.servers import NatsServer, PostgresTemplates, wait_until
from tests.services.calls import call


class Roles:
    """A ledger in PostgreSQL with its roles, and a reader, anna."""

    def __init__(self, owners: Database) -> None:
        assert owners.url is not None
        self.owners = owners
        self.name = make_url(owners.url).database

    @property
    def names(self) -> list[str]:
        """Every role there is."""
        return [*(f"{self.name}_{part}" for part in PARTS), f"{self.name}_anna"]

    def database(self, part: str) -> Database:
        """The ledger, as one of its roles opens it."""
        assert self.owners.url is not None
        url = make_url(self.owners.url).set(username=f"{self.name}_{part}")
        return load_settings(database_url=url.render_as_string(hide_password=False), environment={}).database

    @contextmanager
    def connection(self, part: str | None = None) -> Iterator[psycopg.Connection]:
        """A connection as a role, or as the superuser."""
        assert self.owners.url is not None
        url = make_url(self.owners.url).set(drivername="postgresql")
        if part is not None:
            url = url.set(username=f"{self.name}_{part}")
        with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
            yield connection


@pytest.fixture(scope="module")
def roles(postgres_templates: PostgresTemplates) -> Iterator[Roles]:
    """Made by the printed SQL, which is run twice, over books that were there before."""
    with postgres_templates.clone() as url:
        found = Roles(load_settings(database_url=url, environment={}).database)
        recorded(found.owners, fact("first"))
        rebuild(found.owners)
        with found.connection() as connection:
            printed = call("db", "roles", "--database", url)
            assert printed.code == 0
            connection.execute(printed.out.encode())
            connection.execute(printed.out.encode())
            for part in ("writer", "projector"):
                connection.execute(f'ALTER ROLE "{found.name}_{part}" LOGIN'.encode())
            connection.execute(f'CREATE ROLE "{found.name}_anna" LOGIN IN ROLE "{found.name}_reader"'.encode())
        yield found
        for part in (*PARTS, "anna"):
            dispose(found.database(part))
        dispose(found.owners)
        with found.connection() as connection:
            for name in reversed(found.names):
                connection.execute(f'DROP OWNED BY "{name}" CASCADE'.encode())
                connection.execute(f'DROP ROLE "{name}"'.encode())


CHANGES_OF_THE_LOG = (
    "UPDATE ledger.events SET subject = 'bots.x'",
    "DELETE FROM ledger.events",
    "TRUNCATE ledger.events",
    "ALTER TABLE ledger.events DISABLE TRIGGER ALL",
    "DROP TRIGGER events_unchangeable ON ledger.events",
    "ALTER TABLE ledger.events DROP CONSTRAINT events_identity",
    "DROP TABLE ledger.events CASCADE",
    "CREATE OR REPLACE FUNCTION ledger.refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "CREATE TABLE ledger.mine (id int)",
    "DELETE FROM ledger.log_head",
    "UPDATE ledger.log_head SET single = 1",
    "TRUNCATE ledger.log_head",
    "DELETE FROM ledger.stream_seen",
    "UPDATE ledger.stream_seen SET single = 2",
    "UPDATE ledger.rejected SET reason = 'x'",
    "UPDATE ledger.parked SET type = 'x'",
    "UPDATE ledger.alembic_version SET version_num = '9999'",
    "SET session_replication_role = replica",
    "DROP SCHEMA ledger CASCADE",
    "SET ROLE {name}_owner",
)
WRITING = (
    "INSERT INTO ledger.events SELECT 99, subject, 'x', type, version, at, recorded_at, payload, digest, hash "
    "FROM ledger.events LIMIT 1",
    "UPDATE ledger.log_head SET position = 0",
    "UPDATE ledger.stream_seen SET through = 0",
    "SELECT * FROM ledger.log_head FOR UPDATE",
    "INSERT INTO ledger.rejected (digest) VALUES ('')",
    "DELETE FROM ledger.rejected",
    "DELETE FROM ledger.parked",
)
CHANGES_OF_THE_BOOKS = (
    "UPDATE public.bots SET description = 'x'",
    "DELETE FROM public.trades",
    "UPDATE books.generations SET live = false",
    "CREATE SCHEMA mine",
    "CREATE VIEW public.mine AS SELECT 1",
    "CREATE OR REPLACE VIEW public.bots AS SELECT 1",
)
REFUSED = [
    *((part, statement) for part in ("service", "writer", "projector", "anna") for statement in CHANGES_OF_THE_LOG),
    *((part, statement) for part in ("projector", "anna") for statement in WRITING),
    *((part, statement) for part in ("writer", "anna") for statement in CHANGES_OF_THE_BOOKS),
    *(("writer", f"SELECT * FROM {table}") for table in ("public.bots", "books.generations")),
    *(("anna", f"SELECT * FROM ledger.{table}") for table in ("rejected", "parked")),
]


@pytest.mark.parametrize(("part", "statement"), REFUSED, ids=[f"{part}: {said[:40]}" for part, said in REFUSED])
def test_a_role_is_refused_what_it_must_not_do(roles: Roles, part: str, statement: str) -> None:
    with roles.connection(part) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement.replace("{name}", str(roles.name)).encode())


def test_the_service_works_with_its_role_and_readers_read_what_it_makes(roles: Roles, broker: NatsServer) -> None:
    service = roles.database("service")
    with running_service(Settings(service, None, broker.url)):
        record(service, [(SUBJECT_PREFIX + BOT, fact("door").payload), (SUBJECT_PREFIX + BOT, b"refused")])
        wait_until(lambda: knows(service, BOT.partition(".")[2]), what="the bot is in the books")
        anna_asks = call("doctor", "--json", "--database", str(roles.database("anna").url), "--nats", broker.url)
        assert [row for row in anna_asks.rows if "permission" in row["what"]] == []
        assert [row["check"] for row in anna_asks.rows if "not looked at" in row["what"]] == ["quarantine", "broker"]
    anna = roles.database("anna")
    for _ in range(2):
        rebuild(service)
        with roles.connection("anna") as connection:
            assert connection.execute("SELECT name FROM public.bots").fetchall() == [("RSIBot",)]
            for table in BOOKS_TABLES:
                connection.execute(f"SELECT * FROM public.{table}".encode())
        assert knows(anna, "RSIBot")
    for words in (["verify", "--books"], ["portfolio", "RSIBot"], ["rebuild", "--check"], ["db", "check"]):
        assert call(*words, "--database", str(anna.url)).code == 0


def knows(database: Database, bot: str) -> bool:
    try:
        with get_db_session(database) as session:
            return session.get(Bot, bot) is not None
    except SetupError:
        return False


def test_the_owner_upgrades_and_the_writer_appends(roles: Roles) -> None:
    assert call("db", "upgrade", "--database", str(roles.database("owner").url)).code == 0
    writer = roles.database("writer")
    assert [receipt.status for receipt in recorded(writer, fact("writer"), fact("writer"))] == [
        "recorded",
        "duplicate",
    ]
    with get_log_session(writer) as session:
        assert session.connection().exec_driver_sql("SELECT count(*) FROM ledger.rejected").scalar() is not None


def test_a_projector_alone_can_make_the_books_of_a_new_ledger(postgres_templates: PostgresTemplates) -> None:
    with postgres_templates.clone() as url:
        found = Roles(load_settings(database_url=url, environment={}).database)
        recorded(found.owners, fact("first"))
        with found.connection() as connection:
            connection.execute(roles_sql(found.owners).encode())
            connection.execute(f'ALTER ROLE "{found.name}_projector" LOGIN'.encode())
        projector = found.database("projector")
        bring_up(projector)
        rebuild(projector)
        assert knows(projector, "RSIBot")
        dispose(projector)
        with found.connection() as connection:
            for name in found.names[:-1]:
                connection.execute(f'DROP OWNED BY "{name}" CASCADE'.encode())
                connection.execute(f'DROP ROLE "{name}"'.encode())


def test_what_a_reader_must_not_read_is_no_problem_of_the_doctors(roles: Roles) -> None:
    answer = call("doctor", "--json", "--database", str(roles.database("anna").url))
    [found] = [row for row in answer.rows if row["check"] == "quarantine"]
    assert (found["level"], found["what"].startswith("not looked at: ")) == ("ok", True)
    troubled = {row["check"]: row["what"] for row in answer.rows if "permission" in row["what"]}
    assert troubled == {}


def test_a_readers_own_grants_and_views_survive_a_rebuild(roles: Roles) -> None:
    service = roles.database("service")
    bring_up(service)
    with roles.connection() as connection:
        connection.execute(f'CREATE SCHEMA annas AUTHORIZATION "{roles.name}_anna"'.encode())
    with roles.connection("anna") as connection:
        connection.execute("CREATE VIEW annas.cash AS SELECT name, portfolio->>'USD' AS usd FROM public.bots")
        before = connection.execute("SELECT * FROM annas.cash").fetchall()
        assert before
        rebuild(service)
        rebuild(service)
        assert connection.execute("SELECT * FROM annas.cash").fetchall() == before


def test_the_script_knows_every_table_of_the_books() -> None:
    assert {table.name for table in Base.metadata.sorted_tables} == set(BOOKS_TABLES)


def test_files_have_no_roles_and_a_name_may_be_too_long(tmp_path: Path) -> None:
    assert call("db", "roles", "--data-dir", str(tmp_path)).code == 1
    for name in ("x" * 60, "it's", "a%b"):
        with pytest.raises(SetupError):
            roles_sql(Database(url=f"postgresql+psycopg://u@h/{name}"))
