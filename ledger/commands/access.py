"""Who may write what: keys for bots, feeds, sources and operators, and the users of the broker's configuration."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ledger.access import SERVICE, check_name
from ledger.broker_process import log_size, wait_for_reload
from ledger.commands.columns import Column
from ledger.commands.options import json_flag, with_settings
from ledger.commands.output import say, show, write
from ledger.embedded import reload_broker
from ledger.errors import Refused, SetupError
from ledger.keyring import USERS_FILE, access_directory, add_users, is_set_up, list_users, revoke_users, seed_path
from ledger.lock import is_served
from ledger.settings import Settings

_COLUMNS = (Column("name", "name"), Column("key", "public key"))


@click.group(
    epilog="""\b
Examples:
  botledger access add bots.RSIBot market.yahoo ops.anna
  botledger access list
  botledger access revoke bots.RSIBot
  botledger access add bots.RSIBot --config /etc/nats/ledger

\b
A broker of your own reads the file users.conf of --config DIR, where its nats.conf says so:
  authorization { include "ledger/users.conf" }
and takes up every change by `nats-server --signal reload`. A bot finds its seed by
LEDGER_NATS_SEED_FILE, the service its own, DIR/service.seed, in the same way."""
)
def access() -> None:
    """Who may write what: a key for each name, which speaks as itself and hears its own receipts, and no more.

    The embedded broker of a data directory asks for its token until the first key is made, then for keys only;
    bots and commands on the directory find theirs there.
    """


def _names(context: click.Context, argument: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    for name in given:
        try:
            check_name(name)
        except Refused as error:
            raise click.BadParameter(f"{name!r}: {error}; for example bots.RSIBot") from error
    return tuple(dict.fromkeys(given))


def _with_directory(function: Callable[..., None]) -> Callable[..., None]:
    flag = click.option(
        "--config",
        metavar="DIR",
        type=click.Path(path_type=Path, file_okay=False),
        help="Keys and users of a broker of your own: the directory that its configuration includes.",
    )
    return flag(with_settings()(function))


@access.command()
@click.argument("names", metavar="NAME…", nargs=-1, required=True, callback=_names)
@_with_directory
def add(settings: Settings, *, names: tuple[str, ...], config: Path | None) -> None:
    """Give each NAME (bots.RSIBot, market.yahoo, actions.yahoo, ops.anna) a key, unless it has one."""
    directory = _directory(settings, config)
    logged = _logged(settings, config)
    new = {user.name for user in add_users(directory, names, beside_data=config is None)}
    for user in list_users(directory):
        if user.name in new or user.name in names:
            where = user.seed_file or "not here any more; for a new one revoke its key first"
            write(f"{user.name} {'has a key' if user.name in new else 'had a key already'}, its seed is {where}")
    _put_in_force(settings, config, logged)


@access.command()
@click.argument("names", metavar="NAME…", nargs=-1, required=True, callback=_names)
@_with_directory
def revoke(settings: Settings, *, names: tuple[str, ...], config: Path | None) -> None:
    """Take the key of each NAME away; who is connected with it is disconnected. `service` gets a new key at once."""
    directory = _directory(settings, config)
    logged = _logged(settings, config)
    revoke_users(directory, names)
    for name in names:
        if name == SERVICE:
            write(f"{name} has a new key in the place of its old one, its seed is {seed_path(directory, name)}")
        else:
            write(f"{name} may not speak any more")
    _put_in_force(settings, config, logged)


@access.command(name="list")
@_with_directory
@json_flag
def list_(settings: Settings, *, config: Path | None, as_json: bool) -> None:
    """Who may speak, with the public half of each key."""
    directory = _directory(settings, config)
    rows: list[dict[str, Any]] = [
        {"name": user.name, "key": user.key, "seed_file": None if user.seed_file is None else str(user.seed_file)}
        for user in list_users(directory)
    ]
    nothing = "nobody may speak" if is_set_up(directory) else "nobody has a key: the broker asks for its token"
    show(rows, _COLUMNS, as_json=as_json, nothing=nothing)


def _directory(settings: Settings, config: Path | None) -> Path:
    """Raises: click.UsageError where the broker is not that of a data directory, and nothing else is named."""
    if config is not None:
        return config.absolute()
    if settings.data_dir is None or settings.nats_url is not None:
        raise click.UsageError("the broker is your own: give --config DIR, the directory that its nats.conf includes")
    return access_directory(settings.data_dir)


def _logged(settings: Settings, config: Path | None) -> int:
    """How far the embedded broker's log goes, before something is changed."""
    return 0 if config is not None or settings.data_dir is None else log_size(settings.data_dir)


def _put_in_force(settings: Settings, config: Path | None, logged: int) -> None:
    """Raises: SetupError where a service holds the directory and its broker keeps its old users."""
    if config is not None:
        file = config.absolute() / USERS_FILE
        say(f"botledger: let nats.conf include {file} in its authorization block, then: nats-server --signal reload")
        return
    directory = settings.data_dir
    assert directory is not None
    if not reload_broker(directory):
        if not is_served(directory):
            say("botledger: the broker takes it up when `botledger serve` starts")
            return
        try:
            wait_for_reload(directory, logged)  # By its service, from another container for example.
        except SetupError as error:
            raise SetupError(
                f"it is written, but not in force: {directory} is held by a process whose broker cannot be seen from "
                f"here ({error}); until it starts again the broker may know the old keys, and not the new ones"
            ) from error
    say("botledger: the running broker has taken it up")
