"""Where things are: read once, from flags, then environment, then files, then defaults."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ledger.errors import SetupError

DEFAULT_DATA_DIR = Path("botledger-data")
SCRUB_SECONDS = 10.0
"""How much time a service leaves for each bot whose books it holds against the log; 0: it does not."""
DEFAULT_NATS_URL = "nats://127.0.0.1:4222"


@dataclass(frozen=True, slots=True)
class Database:
    """Where log and books lie: a directory with SQLite files, or a PostgreSQL URL; never both.

    `books_schema` is the PostgreSQL schema that shows the books under their fixed names.
    """

    directory: Path | None = None
    url: str | None = None
    books_schema: str = "public"

    @property
    def is_sqlite(self) -> bool:
        """Whether log and books are files in a directory."""
        return self.directory is not None

    @property
    def log_file(self) -> Path:
        """The SQLite file of the log."""
        assert self.directory is not None
        return self.directory / "ledger.sqlite"

    @property
    def books_link(self) -> Path:
        """The fixed name of the live SQLite books."""
        assert self.directory is not None
        return self.directory / "books.sqlite"

    def books_file(self, generation: int) -> Path:
        """The SQLite file of one generation of the books."""
        assert self.directory is not None
        return self.directory / f"books-{generation}.sqlite"

    def fields(self) -> dict[str, str | None]:
        """As JSON fields, for another process; the URL may hold a password, so it goes through no command line."""
        directory = None if self.directory is None else str(self.directory)
        return {"directory": directory, "url": self.url, "books_schema": self.books_schema}

    def __str__(self) -> str:
        if self.directory is not None:
            return str(self.directory)
        return "PostgreSQL at " + (self.url or "").rpartition("@")[2].partition("?")[0]


def database_of(fields: Mapping[str, str | None]) -> Database:
    """The database whose `fields` these are."""
    directory = fields["directory"]
    return Database(None if directory is None else Path(directory), fields["url"], fields["books_schema"] or "public")


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that a command or a bot has to know about its surroundings."""

    database: Database
    data_dir: Path | None
    nats_url: str | None
    nats_seed_file: Path | None = None
    outbox_dir: Path | None = None
    http: str | None = None
    scrub_seconds: float = SCRUB_SECONDS


def load_settings(
    *,
    data_dir: Path | None = None,
    database_url: str | None = None,
    nats_url: str | None = None,
    books_schema: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """The settings, each from its flag, else `LEDGER_…`, else the file that `LEDGER_…_FILE` names, else the default.

    Raises: SetupError where both a directory and a database URL are given, or a secret's file cannot be read.
    """
    env = os.environ if environment is None else environment
    if data_dir is None and database_url is None:
        database_url = _value(env, "LEDGER_DATABASE_URL")
        directory = env.get("LEDGER_DATA_DIR")
        if directory and database_url:
            raise SetupError("both LEDGER_DATA_DIR and LEDGER_DATABASE_URL are set: unset one of them")
        data_dir = Path(directory) if directory else None
    elif data_dir is not None and database_url is not None:
        raise SetupError("give --data-dir or --database, not both")
    if database_url is None:
        data_dir = (data_dir or DEFAULT_DATA_DIR).absolute()
    return Settings(
        database=_database(data_dir, database_url, books_schema or env.get("LEDGER_BOOKS_SCHEMA") or "public"),
        data_dir=data_dir,
        nats_url=nats_url or _value(env, "LEDGER_NATS_URL"),
        nats_seed_file=_path(env, "LEDGER_NATS_SEED_FILE"),
        outbox_dir=_path(env, "LEDGER_OUTBOX_DIR"),
        http=env.get("LEDGER_HTTP") or None,
        scrub_seconds=_seconds(env, "LEDGER_SCRUB_SECONDS", SCRUB_SECONDS),
    )


def _database(directory: Path | None, url: str | None, books_schema: str) -> Database:
    if url is None:
        return Database(directory=directory)
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in ("postgresql", "postgres", "postgresql+psycopg"):
        raise SetupError(
            f"the database URL begins with {scheme[:40]!r}; it must begin with postgresql:// "
            "(for SQLite give a directory: --data-dir DIR)"
        )
    return Database(url=f"postgresql+psycopg://{rest}", books_schema=books_schema)


def _value(env: Mapping[str, str], name: str) -> str | None:
    if env.get(name):
        return env[name]
    path = _path(env, f"{name}_FILE")
    if path is None:
        return None
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SetupError(f"{name}_FILE names {path}, which cannot be read: {error.strerror}") from error


def _path(env: Mapping[str, str], name: str) -> Path | None:
    value = env.get(name)
    return Path(value) if value else None


def _seconds(env: Mapping[str, str], name: str, default: float) -> float:
    value = env.get(name)
    if not value:
        return default
    if not value.isascii() or not value.isdecimal() or len(value) > 6:
        raise SetupError(f"{name} is {value[:40]!r}; it must be a whole number of seconds, or 0")
    return float(value)
