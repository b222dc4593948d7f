"""What `doctor` looks at in the database: schema, durability, clock, log, what is kept beside it, books."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError

from ledger import migrations
from ledger.commands.doctor_place import SettingsCheck
from ledger.commands.findings import Finding, ok, problem, warning
from ledger.database import connect, get_db_session, get_log_session, live_generation
from ledger.errors import Corrupt, SetupError
from ledger.guards import missing_guards
from ledger.log import position_hash, read_head
from ledger.schema import REVISION, events, parked, rejected
from ledger.settings import Database, Settings
from ledger.soundness import check_file
from ledger.witness import WITNESS_FILE, check_witness, read_witness
from projections import queries
from projections.generations import CHECKPOINT
from projections.tables import PROJECTOR_VERSION, Checkpoint

_SKEW = timedelta(seconds=2)
_LARGE_SKEW = timedelta(minutes=1)
_RECENT = timedelta(days=7)
_BEHIND = 10_000
_MAY_NOT = "42501"
"""What PostgreSQL calls insufficient_privilege."""
_UPGRADE = "botledger db upgrade"
_RESTORE = "restore an older backup: botledger restore BACKUP --replace"
_QUICK_BYTES = 1024**3
"""SQLite looks at 200 MB a second where they are in memory already; a check of the doctor has fifteen seconds."""


def answers(settings: Settings) -> Iterator[Finding]:
    """Whether the database answers and has a log of this release."""
    database = settings.database
    try:
        revision = migrations.current_revision(database)
        if revision is not None:
            migrations.refuse_newer(revision, database)
    except SetupError as error:
        yield problem(str(error), "use the release that wrote it, or restore a backup: botledger restore BACKUP")
        return
    if revision is None:
        makes = "botledger serve" if database.is_sqlite else _UPGRADE
        yield problem(f"there is no ledger in {database}", f"{makes} makes one; or name the right one")
    elif revision != REVISION:
        yield problem(f"schema {revision}, this release needs {REVISION}", _UPGRADE)
    else:
        yield ok(f"{database}: schema {revision}")


def witness(settings: Settings) -> Iterator[Finding]:
    """Whether the log has what was committed to it; on one that has not, every command refuses."""
    directory = settings.database.directory
    if directory is None:
        yield ok("PostgreSQL has none: `botledger anchor` writes the head elsewhere")
        return
    try:
        check_witness(settings.database)
    except SetupError as error:
        yield problem(
            str(error), "botledger restore BACKUP --replace; where there is none, botledger db accept-loss goes on"
        )
        return
    found = read_witness(directory)
    if found is not None:
        yield ok(f"the log has position {found.position}, as it was committed")
        return
    count = _count(settings.database)
    if not count:
        yield ok("there is none yet")
        return
    yield warning(
        f"there is none, though the log has {count:,} facts: somebody has deleted {WITNESS_FILE}, and that the log was "
        "cut or replaced since would not be noticed",
        "see that nothing is lost: botledger verify with receipts or anchors; the next fact writes it anew, or, with "
        "the service stopped, botledger db accept-loss",
    )


def _count(database: Database) -> int:
    """The facts that there are; none where there is no log of this release."""
    if migrations.current_revision(database) != REVISION:
        return 0
    with get_log_session(database) as session:
        return session.scalar(select(func.count()).select_from(events)) or 0


def _durability(settings: Settings) -> Iterator[Finding]:
    database = settings.database
    if not database.is_sqlite:
        try:
            migrations.check_durability(database)
        except SetupError as error:
            yield problem(str(error), "set it to on, then restart the service")
            return
        yield ok("fsync and synchronous_commit are on")
        return
    with connect(database, "read").connect() as connection:
        mode = connection.scalar(text("PRAGMA journal_mode"))
    if mode == "wal":
        yield ok("SQLite writes ahead (WAL), and each commit to the log waits for the disk (synchronous=FULL)")
    else:
        yield warning(f"SQLite's journal is {mode}, not wal", "start the service once: it sets it")


def _clock(settings: Settings) -> Iterator[Finding]:
    now = datetime.now(UTC)
    with get_log_session(settings.database) as session:
        head = read_head(session)
        theirs = now if settings.database.is_sqlite else session.scalar(select(func.clock_timestamp()))
    assert isinstance(theirs, datetime)
    yield from skew("the database's clock", theirs, now)
    if head.recorded_at - now > _SKEW:
        yield problem(
            f"the last fact was recorded at {head.recorded_at.isoformat()}, which is in the future",
            "a clock went back, or ran ahead: set up NTP; until then new facts get this time too",
        )


def skew(whose: str, theirs: datetime, ours: datetime) -> Iterator[Finding]:
    """How far another clock is from ours."""
    apart = abs(theirs - ours)
    told = f"{whose} and ours are {apart.total_seconds():.1f} s apart"
    if apart > _LARGE_SKEW:
        yield problem(told, "set up NTP on both machines: `--known-at` and silence go by these clocks")
    elif apart > _SKEW:
        yield warning(told, "set up NTP on both machines")
    else:
        yield ok(told)


def _log(settings: Settings) -> Iterator[Finding]:
    with get_log_session(settings.database) as session:
        head = read_head(session)
        count = session.scalar(select(func.count()).select_from(events).where(events.c.position <= head.position)) or 0
        last = session.scalar(select(func.max(events.c.position))) or 0
        hash_ = position_hash(session, head.position)
    remedy = "botledger verify names the first bad position; restore a backup: botledger restore BACKUP --replace"
    if count != head.position:
        yield problem(f"the log has {count} facts, its head says {head.position}", remedy)
    elif last < head.position or hash_ != head.hash:
        yield problem(f"the head of the log, {head.position}, is not its last fact", remedy)
    else:
        yield ok(
            f"{count:,} facts, head {head.position}, hash {head.hash.hex()} (quick look; `botledger verify` proves it)"
        )


def _file(settings: Settings) -> Iterator[Finding]:
    """What SQLite says of the pages of its file (a quick look: `verify` holds its indices against the tables too)."""
    database = settings.database
    if not database.is_sqlite:
        yield ok("PostgreSQL looks after its own: data_checksums, pg_amcheck")
        return
    size = database.log_file.stat().st_size
    if size > _QUICK_BYTES:
        yield ok(f"{size / 1024**3:.1f} GiB are too much for a quick look: `botledger verify` looks at all of it")
        return
    try:
        with get_log_session(database) as session:
            check_file(session, thorough=False)
    except Corrupt as error:
        yield problem(error.problem, _RESTORE)
    else:
        yield ok("SQLite finds it sound")


def _guards(settings: Settings) -> Iterator[Finding]:
    """Whether the database itself still refuses to change the log, or to hold a fact twice."""
    with get_log_session(settings.database) as session:
        missing = missing_guards(session)
    owner = "with the service stopped" if settings.database.is_sqlite else "as the owner of the log"
    for one in missing:
        yield problem(
            f"{one.what} is not as the schema makes it: the log can be changed, and nobody is told",
            f"see that it was not (botledger verify with receipts or anchors); then {owner}: {one.sql}",
        )
    if not missing:
        yield ok("triggers and unique keys of the log are as the schema makes them")


def _quarantine(settings: Settings) -> Iterator[Finding]:
    try:
        refused, waiting, newest = _in_quarantine(settings.database)
    except DBAPIError as error:
        if not may_not(error):
            raise
        yield ok("not looked at: this role of the database reads the log and no refused messages, as `db roles` has it")
        return
    if refused and newest is not None and datetime.now(UTC) - newest < _RECENT:
        yield warning(
            f"{refused} messages were refused, the last at {newest.isoformat()}", "botledger rejected says why"
        )
    if waiting:
        yield warning(
            f"{waiting} messages are of a type or version that this release does not know", "upgrade botledger"
        )
    yield ok(f"{refused} rejected, {waiting} parked")


def may_not(error: DBAPIError) -> bool:
    """Whether PostgreSQL refuses for the role that asks."""
    return getattr(error.orig, "sqlstate", None) == _MAY_NOT


def _in_quarantine(database: Database) -> tuple[int, int, datetime | None]:
    """How many messages are rejected and parked, and when the last was rejected."""
    with get_log_session(database) as session:
        refused, newest = session.execute(select(func.count(), func.max(rejected.c.received_at))).one()
        return refused, session.scalar(select(func.count()).select_from(parked)) or 0, newest


def _books(settings: Settings) -> Iterator[Finding]:
    generation = live_generation(settings.database)
    if generation is None:
        yield warning("there are no books yet", "botledger serve, or botledger rebuild")
        return
    with get_db_session(settings.database) as session:
        row = session.get(Checkpoint, CHECKPOINT)
        if row is None:
            yield problem("the books have lost their checkpoint", "botledger rebuild")
            return
        found = queries.progress(session)
        known = position_hash(session, row.position)
    told = f"generation {generation}, version {row.projector_version}, checkpoint {row.position}"
    if row.projector_version != PROJECTOR_VERSION:
        yield problem(
            f"{told}; this release tells version {PROJECTOR_VERSION}", "botledger serve, or botledger rebuild"
        )
    elif known != row.hash:
        yield problem(f"{told}; the log has another fact there", "botledger serve, or botledger rebuild")
    elif found.lag:
        behind = f"{told}; {found.head - found.checkpoint} facts and {found.notes} bots behind"
        grave = found.lag > _BEHIND
        yield (problem if grave else warning)(behind, "see that `botledger serve` runs, and what it logs")
    else:
        yield ok(f"{told}, nothing behind")


CHECKS: dict[str, SettingsCheck] = {
    "durability": _durability,
    "clock": _clock,
    "log": _log,
    "file": _file,
    "guards": _guards,
    "quarantine": _quarantine,
    "books": _books,
}
