"""Where a bot finds its broker, and where its outbox lies."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ledger.access import SERVICE
from ledger.broker import broker_url
from ledger.connection import checked_url
from ledger.errors import SetupError, Unreachable
from ledger.keyring import access_directory, is_set_up, seed_path
from ledger.settings import DEFAULT_NATS_URL, Settings, load_settings

OUTBOX_DIR = "outbox"
_NOT_OF_A_FILE_NAME = re.compile(r"[^A-Za-z0-9._-]")


@dataclass(frozen=True, slots=True)
class Broker:
    """How to reach the broker; the URLs may carry credentials, so they are never shown."""

    urls: tuple[str, ...]
    seed_file: Path | None = None

    def __str__(self) -> str:
        return ", ".join(_place(url) for url in self.urls)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a bot was told about its surroundings; environment and files are read again at each look."""

    nats_url: str | None = None
    data_dir: Path | None = None
    outbox_dir: Path | None = None

    def broker(self, subject: str) -> Broker:
        """The broker as it is known now to this speaker: the URL given, else the data directory's, else the default.

        Raises: Unreachable where the directory's service has not started yet, SetupError where the URL is
        not one, or the speaker's seed is missing or cannot be read.
        """
        settings = self._settings()
        url = broker_url(settings)
        if url is None and settings.data_dir is not None:
            raise Unreachable(f"no service has run in {settings.data_dir}: start `botledger serve` there")
        return Broker(_split(url or DEFAULT_NATS_URL), seed_file_of(settings, subject))

    def has_seeds_by_name(self) -> bool:
        """Whether each speaker has a seed of its own, or all share their credentials."""
        return seed_directory(self._settings()) is not None

    def outbox_directory(self) -> Path:
        """Where the outboxes lie, one place for each ledger, so that one's leftovers never reach another.

        A data directory counts where it was named, or where no broker was: beside the URL of a broker, a
        directory that happens to lie here may be another ledger's.
        """
        settings = self._settings()
        if self.outbox_dir is not None:
            return self.outbox_dir.absolute()
        named = self.data_dir is not None or bool(os.environ.get("LEDGER_DATA_DIR"))
        if settings.data_dir is not None and (named or (settings.nats_url is None and settings.data_dir.is_dir())):
            return settings.data_dir / OUTBOX_DIR
        if settings.outbox_dir is not None:
            return settings.outbox_dir.absolute()
        if settings.data_dir is not None and settings.nats_url is None:
            return settings.data_dir / OUTBOX_DIR
        state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
        place = _place(_split(settings.nats_url or DEFAULT_NATS_URL)[0])
        return Path(state) / "botledger" / OUTBOX_DIR / _NOT_OF_A_FILE_NAME.sub("-", place)

    def _settings(self) -> Settings:
        return load_settings(data_dir=self.data_dir, nats_url=self.nats_url)


def seed_file_of(settings: Settings, name: str) -> Path | None:
    """The seed of this speaker: the one that is named, else that of its name; None where no broker asks for keys.

    Raises: SetupError where it is missing or cannot be read.
    """
    directory = seed_directory(settings)
    if directory is not None:
        return seed_in(directory, name)
    if settings.nats_seed_file is not None and not os.access(settings.nats_seed_file, os.R_OK):
        raise SetupError(f"LEDGER_NATS_SEED_FILE names {settings.nats_seed_file}, which cannot be read")
    return settings.nats_seed_file


def service_seed_of(settings: Settings) -> Path | None:
    """The seed of the service; with the broker of its own directory, always the directory's.

    Raises: SetupError where it is missing or cannot be read.
    """
    directory = settings.database.directory
    if directory is None or settings.nats_url is not None:
        return seed_file_of(settings, SERVICE)
    keys = access_directory(directory)
    return seed_in(keys, SERVICE) if is_set_up(keys) else None


def seed_directory(settings: Settings) -> Path | None:
    """Where each speaker has a seed under its name: named by LEDGER_NATS_SEED_FILE, else of the data directory."""
    if settings.nats_seed_file is not None:
        return settings.nats_seed_file if settings.nats_seed_file.is_dir() else None
    if settings.nats_url is not None or settings.data_dir is None:
        return None
    directory = access_directory(settings.data_dir)
    return directory if is_set_up(directory) else None


def seed_in(directory: Path, name: str) -> Path:
    """The seed of this name in a directory of keys.

    Raises: SetupError where there is none.
    """
    found = seed_path(directory, name)
    if not os.access(found, os.R_OK):
        raise SetupError(
            f"the broker asks for keys, and {name} has none in {directory}: `botledger access add {name}` gives it "
            "one, or name another by LEDGER_NATS_SEED_FILE"
        )
    return found


def _split(urls: str) -> tuple[str, ...]:
    return tuple(checked_url(url.strip()) for url in urls.split(","))


def _place(url: str) -> str:
    """`host:port` of a broker's URL."""
    parts = urlsplit(url if "://" in url else f"nats://{url}")
    return f"{parts.hostname}:{parts.port or 4222}"
