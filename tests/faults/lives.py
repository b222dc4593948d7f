"""Processes that are killed, stopped, filled and started again, by their own ids and nobody else's."""

import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]
LEAVE_SECONDS = 15.0


class Life:
    """One process and its next lives; what it says goes to a file.

    `is_wanted`: whether it is to be started again where it has ended, as whoever keeps services does.
    """

    def __init__(self, name: str, command: list[str], log: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self.is_wanted = False
        self._command = command
        self._log = log
        kept = {key: value for key, value in os.environ.items() if not key.startswith("LEDGER_")}
        self._environment = {**kept, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path[1:]]), **environment}
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.RLock()

    @property
    def pid(self) -> int | None:
        """The process, where it lives."""
        return None if self._process is None or self._process.poll() is not None else self._process.pid

    def begin(self) -> None:
        """Start it, unless it lives."""
        with self._lock:
            self.is_wanted = True
            if self.pid is not None:
                return
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    self._command,
                    cwd=ROOT,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )

    def keep(self) -> bool:
        """Start it again where it has ended by itself; whether it had."""
        with self._lock:
            if not self.is_wanted or self.pid is not None:
                return False
            self.begin()
            return True

    def send(self, number: signal.Signals) -> bool:
        """Send a signal; whether anybody was there to get it."""
        pid = self.pid
        if pid is not None:
            os.kill(pid, number)
        return pid is not None

    def kill(self) -> bool:
        """End it at once, and keep it ended until `begin`."""
        with self._lock:
            self.is_wanted = False
        was_there = self.send(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()
        return was_there

    def ask_to_leave(self) -> None:
        """SIGTERM; it is not started again."""
        with self._lock:
            self.is_wanted = False
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)

    def leave(self) -> int:
        """Ask it to end and wait for that; its exit code, or that of the kill where it does not."""
        self.ask_to_leave()
        if self._process is None:
            return 0
        try:
            return self._process.wait(LEAVE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def wait(self, seconds: float) -> int:
        """The exit code.

        Raises: subprocess.TimeoutExpired.
        """
        assert self._process is not None
        return self._process.wait(seconds)

    def wait_or_kill(self, seconds: float = 60.0) -> None:
        """Wait for its end, however it ends; one that does not is killed."""
        try:
            self.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def limit_files(self, size: int | None) -> bool:
        """Let no file of it grow beyond this size, as on a full disk; None: lift it."""
        pid = self.pid
        return pid is not None and limit_files(pid, size)


def limit_files(pid: int, size: int | None) -> bool:
    """Let no file of a process grow beyond this size, as on a full disk; None: lift it."""
    soft = resource.RLIM_INFINITY if size is None else size
    try:
        owner = Path(f"/proc/{pid}").stat().st_uid
    except OSError:
        return False
    if owner == os.getuid():
        return _limit(pid, soft)
    # Even root needs a right of its own to limit another user's process, which its user may.
    limit = f"--fsize={'unlimited' if size is None else size}:"
    command = ["prlimit", "--pid", str(pid), limit]
    done = subprocess.run(command, user=owner, check=False, capture_output=True)
    return done.returncode == 0


def _limit(pid: int, soft: int) -> bool:
    try:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, resource.RLIM_INFINITY))
    except (ProcessLookupError, PermissionError):
        return False
    return True


def children(pid: int | None) -> list[int]:
    """The processes that this one has started, their own included."""
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [int(child), *children(int(child))]
    return found


def signalled(pids: list[int], number: signal.Signals) -> int:
    """Send a signal to each of these; how many were there to get it."""
    reached = 0
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
            reached += 1
    return reached


@contextmanager
def ended(lives: Callable[[], list[Life]]) -> Iterator[None]:
    """Whatever happens in the block, these are ended afterwards, with what they have started."""
    try:
        yield
    finally:
        for life in lives():
            below = children(life.pid)
            life.kill()
            signalled(below, signal.SIGKILL)
