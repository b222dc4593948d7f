"""`serve` under systemd."""

from __future__ import annotations

import os
import pwd
import sys
from pathlib import Path

import click

from ledger.commands.options import settings_of, with_flags
from ledger.commands.output import say, write
from ledger.errors import SetupError
from ledger.settings import Settings
from ledger.units import Unit, install

_FILES = ("LEDGER_DATABASE_URL_FILE", "LEDGER_NATS_URL_FILE", "LEDGER_NATS_SEED_FILE")
_NO_SECRETS = (
    "a unit can be read by everybody, so no URL with a secret goes into it: put {name}=… into a file of mode 0600 and "
    "give it with --environment-file, or name a file that holds the URL by {name}_FILE"
)


@click.command(
    epilog="""\b
Examples:
  botledger service install --user
  sudo botledger service install --data-dir /var/lib/botledger --run-as ledger
  sudo botledger service install --environment-file /etc/botledger.env --run-as ledger
  botledger service install --print

\b
The environment file has lines like LEDGER_DATABASE_URL=…, LEDGER_NATS_URL=…"""
)
@click.argument("action", metavar="install", type=click.Choice(["install"]))
@click.option("--user", "of_a_user", is_flag=True, help="For this user's own systemd, without root.")
@click.option("--run-as", metavar="USER", help="Who the service runs as, if not the owner of the directory.")
@click.option("--name", default="botledger", show_default=True, help="Name of the unit, for more than one.")
@click.option(
    "--environment-file", metavar="FILE", type=click.Path(path_type=Path), help="Its settings, read by systemd."
)
@click.option("--force", is_flag=True, help="Replace another unit of this name.")
@click.option("--print", "only_shows", is_flag=True, help="Show the unit, write nothing.")
@with_flags(shows_books_schema=True)
def service(
    *,
    action: str,
    of_a_user: bool,
    run_as: str | None,
    name: str,
    environment_file: Path | None,
    force: bool,
    only_shows: bool,
    data_dir: Path | None,
    database: str | None,
    nats: str | None,
    books_schema: str | None,
) -> None:
    """Write the unit by which systemd runs `serve`, starts it again when it fails, and lets it write only its data."""
    if not name or not all(sign.isascii() and (sign.isalnum() or sign in "-_.") for sign in name):
        raise click.UsageError("--name takes letters, digits and - _ .")
    if of_a_user and run_as is not None:
        raise click.UsageError("give --user or --run-as, not both")
    if environment_file is None:
        _refuse_secrets(database, nats)
    settings = settings_of(data_dir=data_dir, database=database, nats=nats, books_schema=books_schema)
    own = None if environment_file is not None and data_dir is None else settings.database.directory
    own = None if own is None else Path(os.path.normpath(own))
    flags = _flags(own, nats, books_schema)
    unit = Unit(
        command=(*_program(), "serve", *flags),
        writes=() if own is None else (own,),
        environment=_environment(),
        environment_file=_readable(environment_file),
        run_as=None if of_a_user else _runner(run_as, settings),
        of_a_user=of_a_user,
    )
    if only_shows:
        write(unit.text().rstrip("\n"))
        return
    if own is not None:
        _make(own, unit.run_as)
    path = _place(of_a_user=of_a_user) / f"{name}.service"
    new = install(path, unit.text(), replaces=force)
    write(f"{path}: {'written' if new else 'is there already, unchanged'}")
    _tell_next(name, of_a_user=of_a_user)


def _refuse_secrets(database: str | None, nats: str | None) -> None:
    urls = {
        "LEDGER_DATABASE_URL": database or os.environ.get("LEDGER_DATABASE_URL"),
        "LEDGER_NATS_URL": os.environ.get("LEDGER_NATS_URL") or (nats if nats and "@" in nats else None),
    }
    for name, url in urls.items():
        if url:
            raise click.UsageError(_NO_SECRETS.format(name=name))


def _flags(directory: Path | None, nats: str | None, books_schema: str | None) -> list[str]:
    flags = [] if directory is None else ["--data-dir", str(directory)]
    flags += [] if nats is None else ["--nats", nats]
    return flags + ([] if books_schema is None else ["--books-schema", books_schema])


def _program() -> tuple[str, ...]:
    """This very installation: its script where there is one, so that `systemctl status` shows a name."""
    script = Path(sys.executable).parent / "botledger"
    if script.is_file():
        return (str(script.absolute()),)
    return (str(Path(sys.executable).absolute()), "-m", "ledger.commands.main")


def _environment() -> dict[str, str]:
    """The settings of now that name files; what is in them stays there."""
    return {name: str(Path(os.environ[name]).absolute()) for name in _FILES if os.environ.get(name)}


def _readable(path: Path | None) -> Path | None:
    if path is None:
        return None
    if not path.is_file():
        raise SetupError(f"{path} is not there: write LEDGER_DATABASE_URL=… and LEDGER_NATS_URL=… into it, mode 0600")
    if path.stat().st_mode & 0o077:
        say(f"botledger: {path} can be read by others: chmod 600 {path}")
    return path.absolute()


def _runner(named: str | None, settings: Settings) -> str:
    """Who the service runs as: who was named, else the owner of the directory, else whoever calls; not root unasked."""
    if named is None:
        directory = settings.data_dir
        owner = directory.stat().st_uid if directory is not None and directory.is_dir() else os.getuid()
        if owner == 0:
            raise click.UsageError("name the user that the service runs as: --run-as USER (root is more than it needs)")
        return pwd.getpwuid(owner).pw_name
    try:
        return pwd.getpwnam(named).pw_name
    except KeyError as error:
        raise SetupError(f"there is no user {named}: useradd --system {named}") from error


def _make(directory: Path, owner: str | None) -> None:
    """The directory has to be there before systemd can let the service write in it."""
    if directory.is_dir():
        return
    try:
        directory.mkdir(parents=True, mode=0o700)
        if owner is not None and os.getuid() == 0:
            os.chown(directory, pwd.getpwnam(owner).pw_uid, pwd.getpwnam(owner).pw_gid)
    except OSError as error:
        raise SetupError(f"{directory} cannot be made: {error.strerror}") from error


def _place(*, of_a_user: bool) -> Path:
    if not of_a_user:
        return Path("/etc/systemd/system")
    configuration = os.environ.get("XDG_CONFIG_HOME")
    return (Path(configuration) if configuration else Path.home() / ".config") / "systemd" / "user"


def _tell_next(name: str, *, of_a_user: bool) -> None:
    flag = " --user" if of_a_user else ""
    say("botledger: next:")
    say(f"  systemctl{flag} daemon-reload")
    say(f"  systemctl{flag} enable --now {name}")
    say(f"  systemctl{flag} status {name}; journalctl{flag} -u {name} -f")
    if of_a_user:
        say("  loginctl enable-linger        (so that it runs while you are not logged in)")
