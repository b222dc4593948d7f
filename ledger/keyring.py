"""The keys of those who may speak, in one directory: beside the data, or beside the configuration of one's own broker.

users.conf       for the broker: each user's public key and permissions; which users there are stands here alone
NAME.seed        the secret half of a key, for whoever speaks under that name; it may be moved to where that is
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from ledger.access import SERVICE, check_name, read_users, users_text
from ledger.atomic import PUBLIC, write_whole
from ledger.errors import Refused, SetupError, UnknownName
from ledger.lock import held

ACCESS_DIR = "access"
USERS_FILE = "users.conf"
_LOCK_FILE = "lock"


@dataclass(frozen=True, slots=True)
class User:
    """Who may speak; `seed_file` is None where the secret has been moved away."""

    name: str
    key: str
    seed_file: Path | None


def access_directory(data_dir: Path) -> Path:
    """Where the keys of a data directory lie."""
    return data_dir / ACCESS_DIR


def is_set_up(directory: Path) -> bool:
    """Whether there are users, so that the broker asks for their keys."""
    return (directory / USERS_FILE).exists()


def seed_path(directory: Path, name: str) -> Path:
    """Where the seed of this name lies, as long as nobody moves it."""
    return directory / f"{check_name(name)}.seed"


def list_users(directory: Path) -> tuple[User, ...]:
    """Who may speak, the service first.

    Raises: SetupError where the file of users cannot be read.
    """
    users = _read(directory)
    names = sorted(users, key=lambda name: (name != SERVICE, name))
    return tuple(_user(directory, name, users[name]) for name in names)


def add_users(directory: Path, names: Sequence[str], *, beside_data: bool) -> tuple[User, ...]:
    """Give these names a key, and the service, where they have none; those that had none, all or nobody.

    A seed that lies there already is taken as it is. `beside_data`: the directory is closed to others, and the
    service finds its seed here, so a lost one is replaced.

    Raises: Refused where a name is not well-formed, SetupError where keys cannot be made or written.
    """
    wanted = dict.fromkeys((SERVICE, *map(check_name, names)))
    _make(directory, beside_data=beside_data)
    with held(directory / _LOCK_FILE, taken=None):
        users = _read(directory)
        if beside_data and not seed_path(directory, SERVICE).exists():
            users.pop(SERVICE, None)
        new = [name for name in wanted if name not in users]
        for name in new:
            users[name] = _new_key(directory, name, users)
        _write(directory, users)
    return tuple(_user(directory, name, users[name]) for name in new)


def revoke_users(directory: Path, names: Sequence[str]) -> None:
    """Take the keys of these names away, all or none, and their seeds where they lie here.

    The service gets a new key at once: without any user the broker would ask for nothing, and let everybody in.

    Raises: UnknownName where one has none, SetupError where keys cannot be made or written.
    """
    wanted = [check_name(name) for name in names]
    users = _read(directory)
    missing = [name for name in wanted if name not in users]
    if missing:
        raise UnknownName(f"{missing[0]} has no access in {directory}: `botledger access list` shows who has")
    with held(directory / _LOCK_FILE, taken=None):
        users = {name: key for name, key in _read(directory).items() if name not in wanted}
        if SERVICE in wanted:
            seed_path(directory, SERVICE).unlink(missing_ok=True)
            users[SERVICE] = _new_key(directory, SERVICE, users)
        _write(directory, users)
        for name in wanted:
            if name not in users:
                seed_path(directory, name).unlink(missing_ok=True)


def refresh_users(directory: Path) -> None:
    """Write the users with the permissions that this release gives them."""
    with held(directory / _LOCK_FILE, taken=None):
        _write(directory, _read(directory))


def _make(directory: Path, *, beside_data: bool) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if beside_data:
            directory.chmod(0o700)
    except OSError as error:
        raise SetupError(f"{directory} cannot be written: {error.strerror}") from error


def _user(directory: Path, name: str, key: str) -> User:
    path = seed_path(directory, name)
    return User(name, key, path if path.exists() else None)


def _read(directory: Path) -> dict[str, str]:
    path = directory / USERS_FILE
    try:
        return read_users(path.read_text(encoding="ascii"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, Refused, SetupError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise SetupError(
            f"{path} cannot be used: {reason}; correct it, or remove it and add all users again"
        ) from error


def _write(directory: Path, users: Mapping[str, str]) -> None:
    write_whole(directory / USERS_FILE, users_text(users), mode=PUBLIC)  # The broker may run as another user.


def _new_key(directory: Path, name: str, users: Mapping[str, str]) -> str:
    """The public key of a new seed, or of the seed that lies there."""
    path = seed_path(directory, name)
    nkeys = _nkeys()
    if not path.exists():
        write_whole(path, nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER).decode() + "\n")
    try:
        pair = nkeys.from_seed(bytearray(path.read_bytes().strip()))
        key: str = pair.public_key.decode()
    except OSError as error:
        raise SetupError(f"{path} cannot be read: {error.strerror}") from error
    except Exception as error:  # nkeys and PyNaCl raise many kinds, all of them for one cause
        raise SetupError(f"{path} holds no nkey seed: remove it, and add {name} again") from error
    if not key.startswith("U"):
        raise SetupError(f"{path} holds the seed of no user: remove it, and add {name} again")
    if key in users.values():
        raise SetupError(f"{path} is another user's seed: remove it, and add {name} again")
    return key


def _nkeys() -> Any:
    try:
        return import_module("nkeys")
    except ModuleNotFoundError as error:
        raise SetupError("making keys needs the package nkeys: pip install 'botledger[nkeys]'") from error
