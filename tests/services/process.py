"""A service in a process of its own, that can be killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers import wait_until
from tests.services.calls import command, surroundings

_PROGRAM = """
from ledger.service import serve
from ledger.settings import load_settings
serve(load_settings(), on_ready=lambda service: print("ready", flush=True))
"""
ROOT = Path(__file__).parents[2]


class ServeProcess:
    """`serve`, as a child."""

    def __init__(self, log: Path, **environment: str) -> None:
        self._log = log.open("ab")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LEDGER_")}
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM],
            env={**kept, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path[1:]]), **environment},
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Until messages are taken."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line == b"ready\n":
                return
        raise AssertionError(f"serve ended with {self._process.wait()}: {Path(self._log.name).read_text()}")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def wait(self, seconds: float) -> int:
        """The exit code."""
        return self._process.wait(seconds)

    def close(self) -> None:
        """End it, whatever it does."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._log.close()


@contextmanager
def serving(log: Path, **environment: str) -> Iterator[ServeProcess]:
    """A serve process that is ready."""
    process = ServeProcess(log, **environment)
    try:
        process.wait_until_ready()
        yield process
    finally:
        process.close()


@contextmanager
def serving_command(log: Path, *flags: str) -> Iterator[subprocess.Popen[bytes]]:
    """`botledger serve` as a process that is ready; what it tells on standard error is in `log`."""
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command("serve", *flags), env=surroundings(), stdout=subprocess.PIPE, stderr=errors, start_new_session=True
        )
    try:
        wait_until(lambda: b"listens on" in log.read_bytes() or process.poll() is not None, what="serve is ready")
        assert process.poll() is None, log.read_text()
        yield process
    finally:
        process.kill()
        process.communicate()
