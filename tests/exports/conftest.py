"""`directory`: files that the commands have exported from books with every kind of value."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from ledger.commands.export_rows import TABLES
from ledger.database import dispose
from ledger.settings import Database
from tests.services.calls import call, jsonl, where
from tests.services.exporting import LINES


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Every table and the facts, as parquet and as JSON lines."""
    found = tmp_path_factory.mktemp("exported")
    database = Database(directory=found / "data")
    assert call("import", "-", *where(database), stdin=jsonl(LINES)).code == 0
    for what in (*TABLES, "events"):
        for format_ in ("parquet", "jsonl"):
            file = found / f"{what}.{format_}"
            assert call("export", format_, what, "-o", str(file), *where(database)).code == 0
    yield found
    dispose(database)
    structlog.reset_defaults()
