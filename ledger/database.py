"""Sessions on log and books, and the two databases' settings.

    with get_db_session() as session:
        session.query(Bot).all()

The log is the schema `ledger`, the books the schema `books`, on both databases; what stands behind the
names (a PostgreSQL schema `books_7`, a SQLite file) is decided when a session begins.

A commit to the log waits for the disk. One to the books does not: what a power cut undoes there is whole
transactions with their checkpoint, and the projector does them again.
"""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Literal

import structlog
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool, QueuePool

from ledger.columns import exact_json
from ledger.errors import SetupError, Unreachable
from ledger.heartbeat import kept_awake
from ledger.settings import Database, load_settings

BOOKS = "books"
BUSY_SECONDS = 30
LOCK_SECONDS = 5
IDLE_SECONDS = 5
"""How long a writer may be silent inside its transaction. One that folds a large book gives signs of life."""
CONNECT_SECONDS = 10
_VANISHED = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10_000}
"""A server that vanishes without a word is noticed after about ten seconds, not after the system's two hours."""
POINTER = "books.generations"
_GENERATION_FILE = re.compile(r"books-(\d+)\.sqlite")

Role = Literal["read", "books", "log"]
_log = structlog.get_logger(__name__)
_engines: dict[tuple[Database, Role, int | None], Engine] = {}
_engines_lock = threading.Lock()


@contextmanager
def get_db_session(
    database: Database | None = None, *, writes: bool = False, generation: int | None = None
) -> Iterator[Session]:
    """A session on the log and on the books that are live at this moment.

    Commits when the block ends well; rolls back, logs and re-raises when it does not; always closes and
    never tries again by itself. Objects stay readable afterwards. Nothing can be written unless `writes`
    is asked for, which is the projector's: the books of that generation, never the log.

    Raises: SetupError where there is no ledger or no books yet, Unreachable where the database does not answer.
    """
    database = database or load_settings().database
    number = generation if generation is not None else live_generation(database)
    if number is None:
        raise SetupError(f"there are no books in {database} yet: start `botledger serve`, or run `botledger rebuild`")
    engine = _engine(database, "books" if writes else "read", number if database.is_sqlite else None)
    target = None if database.is_sqlite else f"books_{number}"
    keeping = kept_awake if writes and not database.is_sqlite else nullcontext
    with _session(engine, {BOOKS: target}) as session, keeping(session):
        yield session


@contextmanager
def get_log_session(database: Database, *, writes: bool = False) -> Iterator[Session]:
    """A session on the log alone: `writes` is for the door (append, quarantine), in one short transaction.

    Raises: SetupError where there is no ledger, Unreachable where the database does not answer.
    """
    if database.is_sqlite and not database.log_file.exists():
        raise SetupError(
            f"there is no ledger in {database}: `botledger serve`, `import`, `register` or `demo` make one there"
        )
    engine = _engine(database, "log" if writes else "read", None)
    with _session(engine, {"ledger": None} if database.is_sqlite else {}) as session:
        yield session


def live_generation(database: Database) -> int | None:
    """The number of the books that readers see, or None where none have been built."""
    if database.is_sqlite:
        link = database.books_link
        found = _GENERATION_FILE.fullmatch(link.readlink().name) if link.is_symlink() and link.exists() else None
        return None if found is None else int(found[1])
    with _translated(database), _engine(database, "read", None).connect() as connection:
        if connection.scalar(text(f"SELECT to_regclass('{POINTER}')")) is None:
            return None
        number: int | None = connection.scalar(text(f"SELECT number FROM {POINTER} WHERE live"))
        return number


def connect(database: Database, role: Role = "read") -> Engine:
    """The engine for statements that are not a session's: migrations, the building of books."""
    return _engine(database, role, None)


def dispose(database: Database, *, generation: int | None = None) -> None:
    """Close every connection to this database, or to one generation's file, that the process keeps open."""
    with _engines_lock:
        for key in [key for key in _engines if key[0] == database and generation in (None, key[2])]:
            _engines.pop(key).dispose()


def sqlite_connection(
    path: Path,
    *,
    mode: Literal["ro", "rw", "rwc"],
    log: Path | None = None,
    checkpoints: bool = False,
    durable: bool = True,
) -> sqlite3.Connection:
    """An open SQLite file; `log` is attached read-only as the schema `ledger`.

    `checkpoints`: whether this connection may move the write-ahead log back into the file. `durable`: whether a
    commit waits for the disk; without it a power cut may undo the last ones, whole.
    """
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        if mode == "rwc":
            connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        connection.execute(f"PRAGMA wal_autocheckpoint={1000 if checkpoints else 0}")
        connection.execute("PRAGMA cache_size=-65536")
        connection.execute("PRAGMA temp_store=MEMORY")
        if log is not None:
            # Attached writable, BEGIN IMMEDIATE on the books would lock the door out of the log.
            connection.execute("ATTACH ? AS ledger", (f"{log.absolute().as_uri()}?mode=ro",))
    except sqlite3.Error:
        connection.close()
        raise
    return connection


@contextmanager
def _session(engine: Engine, names: dict[str, str | None]) -> Iterator[Session]:
    bind = engine.execution_options(schema_translate_map=names)
    session = Session(bind=bind, expire_on_commit=False, autoflush=False)
    try:
        yield session
        session.commit()
    except Exception as error:  # whatever went wrong in the block: nothing of it is kept, and it goes on upwards
        session.rollback()
        _log.error("session rolled back", error=type(error).__name__, text=_without_parameters(error))
        raise
    finally:
        session.close()


@contextmanager
def _translated(database: Database) -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        raise unreachable(database, error) from error


def unreachable(database: Database, error: DBAPIError) -> Unreachable:
    """The error for a database that does not answer, in one line."""
    reason = str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else type(error.orig).__name__
    return Unreachable(f"the database ({database}) does not answer: {reason}")


def _without_parameters(error: Exception) -> str:
    # PostgreSQL's further lines (DETAIL, CONTEXT) repeat keys and whole rows.
    return str(error.orig).partition("\n")[0] if isinstance(error, DBAPIError) else str(error)


def _engine(database: Database, role: Role, generation: int | None) -> Engine:
    key = (database, role, generation)
    with _engines_lock:
        if key not in _engines:
            make = _sqlite_engine if database.is_sqlite else _postgres_engine
            _engines[key] = make(database, role, generation)
        return _engines[key]


def _sqlite_engine(database: Database, role: Role, generation: int | None) -> Engine:
    match role:
        case "log":
            creator = partial(sqlite_connection, database.log_file, mode="rw", checkpoints=True)
        case "books":
            assert generation is not None
            creator = partial(
                sqlite_connection,
                database.books_file(generation),
                mode="rwc",
                log=database.log_file,
                checkpoints=True,
                durable=False,
            )
        case "read":
            books = database.log_file if generation is None else database.books_file(generation)
            log = None if generation is None else database.log_file
            creator = partial(sqlite_connection, books, mode="ro", log=log)
    engine = create_engine(
        "sqlite://",
        creator=creator,
        hide_parameters=True,
        **({"poolclass": NullPool} if role == "read" else {"poolclass": QueuePool, "pool_size": 2}),
    )
    begin = "BEGIN" if role == "read" else "BEGIN IMMEDIATE"
    event.listen(engine, "begin", partial(_begin, statement=begin))
    return engine


def _begin(connection: Connection, *, statement: str) -> None:
    connection.exec_driver_sql(statement)


def _postgres_engine(database: Database, role: Role, generation: int | None) -> Engine:
    assert database.url is not None
    options = ["-c timezone=UTC", "-c search_path=pg_catalog", "-c client_encoding=UTF8"]
    if role == "read":
        options.append("-c default_transaction_read_only=on")
    else:
        options += [
            f"-c lock_timeout={LOCK_SECONDS}s",
            f"-c idle_in_transaction_session_timeout={IDLE_SECONDS}s",
        ]
    if role == "books":
        options.append("-c synchronous_commit=off")
    arguments: dict[str, Any] = {
        "connect_timeout": CONNECT_SECONDS,
        **_VANISHED,
        "options": " ".join(options),
        "application_name": f"botledger {role}",
    }
    # Amounts come as JSON text already, and their digits have to come back as they are.
    json_texts: dict[str, Any] = {"json_serializer": str, "json_deserializer": exact_json}
    pool: dict[str, Any] = {"poolclass": NullPool}
    if role != "read":
        pool = {"pool_size": 2, "max_overflow": 2, "pool_pre_ping": False}
    try:
        return create_engine(database.url, connect_args=arguments, hide_parameters=True, **json_texts, **pool)
    except ModuleNotFoundError as error:
        raise SetupError("PostgreSQL needs its driver: pip install 'botledger[postgres]'") from error


def execute_many(session: Session, statement: str, rows: Sequence[Sequence[object]]) -> None:
    """One driver statement over many rows, in the session's transaction."""
    if rows:
        session.connection().exec_driver_sql(statement, [tuple(row) for row in rows])
