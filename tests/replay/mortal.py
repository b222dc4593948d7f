"""A process that dies in the middle: `python -m tests.replay.mortal rebuild|follow`, on its environment's database.

For each number on standard input a child of it does the work and kills itself at the nth call that our code makes
(0: never); what became of it is told on standard output: `killed`, `failed`, or `ended` and the number of calls.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from ledger.settings import Database, load_settings
from projections.projector import Projector
from projections.rebuild import rebuild

ROOT = Path(__file__).parents[2]
_OURS = (str(ROOT / "ledger"), str(ROOT / "projections"))
FACTS_A_STEP = 7


class Mortal:
    """The process, seen from a test."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def calls(self) -> int:
        """How many calls the work takes that nobody interrupts."""
        word, _, number = self._tell(0).partition(" ")
        assert word == "ended"
        return int(number)

    def die_at(self, call: int) -> bool:
        """Do the work up to this call; whether it came so far."""
        answer = self._tell(call)
        assert not answer.startswith("failed"), "the child has failed by itself: its traceback is on standard error"
        return answer == "killed"

    def _tell(self, call: int) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{call}\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()


@contextmanager
def mortal(work: str, database: Database) -> Iterator[Mortal]:
    """Such a process, until the block ends."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LEDGER_")}
    where = {"LEDGER_DATA_DIR": str(database.directory)} if database.is_sqlite else {}
    if database.url is not None:
        where = {"LEDGER_DATABASE_URL": database.url}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.replay.mortal", work],
        cwd=ROOT,
        env={**kept, "PYTHONPATH": str(ROOT), **where},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Mortal(process)
        assert process.stdin is not None
        process.stdin.close()


def _rebuild(database: Database) -> None:
    rebuild(database)


def _follow(database: Database) -> None:
    Projector(database, facts_a_step=FACTS_A_STEP).catch_up()


_WORK: dict[str, Callable[[Database], None]] = {"rebuild": _rebuild, "follow": _follow}


def main() -> None:
    work = _WORK[sys.argv[1]]
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                _live(work, int(line))
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        if status:
            word = "killed" if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL else "failed"
            print(word, flush=True)  # noqa: T201 - this is how it answers


def _live(work: Callable[[Database], None], last: int) -> None:
    """Work and die, or work and tell."""
    calls = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls
        if event in ("call", "c_call") and frame.f_code.co_filename.startswith(_OURS):
            calls += 1
            if calls == last:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(count)
    try:
        work(load_settings().database)
    except Exception:
        traceback.print_exc()
        raise
    finally:
        sys.setprofile(None)
    print("ended", calls, flush=True)  # noqa: T201 - this is how it answers
    os._exit(0)


if __name__ == "__main__":
    main()
