"""The service's hold on the scrubber, each round of which is a process of its own: `ledger.scrubbing`."""

from __future__ import annotations

import json
import os
import secrets
import string
import subprocess
import sys
import threading
import time
from contextlib import suppress

import structlog

from ledger.metrics import Metrics
from ledger.scrubbing import Order
from ledger.settings import Database

BOTS_A_ROUND = 6
REST = 20.0
"""How many times as long as a round took is waited before the next, so that it never takes much of a processor."""
NICENESS = 19
_JOIN_SECONDS = 3.0
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_log = structlog.get_logger(__name__)


class Scrubber:
    """Holds a few bots after the other against the log, for ever: the one that was looked at longest ago is next.

    Where that begins is left to chance, so that services that never live for long reach all bots as well.
    """

    def __init__(
        self,
        database: Database,
        metrics: Metrics,
        *,
        seconds_a_bot: float,
        rest: float = REST,
        niceness: int = NICENESS,
    ) -> None:
        self._database = database
        self._metrics = metrics
        self._seconds_a_bot = seconds_a_bot
        self._rest = rest
        self._program = f"import os; os.nice({niceness}); from ledger.scrubbing import main; main()"
        self._after = secrets.choice(string.ascii_letters + string.digits)  # What a name may begin with.
        self._position = 0
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._attend, name="scrubber", daemon=True)

    def start(self) -> None:
        """Begin, a while from now."""
        if self._seconds_a_bot > 0:
            self._thread.start()

    def close(self) -> None:
        """End it at once; what it has in hand is undone by the database."""
        self._stop.set()
        with self._lock:
            if self._process is not None:
                self._process.kill()
        if self._thread.ident is not None:
            self._thread.join(_JOIN_SECONDS)

    def _attend(self) -> None:
        pause = self._seconds_a_bot
        while not self._stop.wait(pause):
            began = time.monotonic()
            try:
                self._run_round()
            except Exception as error:  # noqa: BLE001 - the outermost loop: the next round comes
                _log.warning("books cannot be scrubbed", error=type(error).__name__, text=str(error))
            pause = max(BOTS_A_ROUND * self._seconds_a_bot, self._rest * (time.monotonic() - began))

    def _run_round(self) -> None:
        process = self._begin()
        if process is None:
            return
        counts = {"bots": 0, "left_out": 0, "bars": 0, "differences": 0}
        began = time.monotonic()
        with process:
            try:
                assert process.stdin is not None
                assert process.stdout is not None
                with suppress(BrokenPipeError):  # It has died at once, which its exit code tells.
                    process.stdin.write(Order(self._database, self._after, BOTS_A_ROUND, self._position).line())
                    process.stdin.flush()
                for line in process.stdout:
                    self._hear(json.loads(line), counts)
            except BaseException:
                process.kill()
                raise
        if self._stop.is_set():
            return
        if process.returncode != 0:
            _log.warning("the scrubber has ended", exit_code=process.returncode)
        _log.info("books scrubbed", **counts, seconds=round(time.monotonic() - began, 3))

    def _begin(self) -> subprocess.Popen[str] | None:
        """A process, running the code that runs here; None once it is not wanted any more."""
        with self._lock:
            if self._stop.is_set():
                return None
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", self._program],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                process_group=0,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
            return self._process

    def _hear(self, message: dict[str, object], counts: dict[str, int]) -> None:
        match message:
            case {"scrubbed": str(name), "left_out": left_out}:
                self._after = name
                counts["left_out" if left_out else "bots"] += 1
                if not left_out:
                    self._metrics.scrubbed(1)
            case {"bars": int(bars), "through": int(position)}:
                self._position = position
                counts["bars"] += bars
            case {"differs": str(name), "table": str(table), "values": int(values), "columns": columns, "rows": rows}:
                counts["differences"] += values
                self._metrics.differs(table, values)
                _log.error("books differ from the log", bot=name, table=table, columns=columns, rows=rows)
            case {"healed": name}:
                self._metrics.healed()
                _log.warning("books of a bot are made anew", bot=name)
            case {"not_healed": name}:
                _log.warning("books of a bot are busy, and made anew next time", bot=name)
            case {"log": str(level), "event": str(event), **fields}:
                _log.log(_LEVELS[level], event, **fields)
            case _:
                raise AssertionError(message)
