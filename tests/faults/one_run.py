"""A bot's job, an exclusive run, in a process that can be killed anywhere; and the books that it must have led to.

What is compared are the books of an undisturbed run, but for its attempts and the places in the log.
"""

import os
import signal
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from ledger.errors import LedgerError, RunFinished, Stale
from ledger.publisher import Bot
from ledger.settings import Database
from tests.faults.invariants import Journal, violations
from tests.faults.journal import Told, journal_all, read_journals
from tests.faults.parts import Part
from tests.faults.remains import Remains, read_remains
from tests.servers import wait_until

KEY = "2026-01-05T15:30"
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
OURS = ("ledger/runs.py", "ledger/turns.py")
LINES_LIMIT = 5_000
_OF_A_TRADE = ("symbol", "isBuy", "quantity", "price", "fee", "profit")
DONE, FAILED, STALE, FINISHED = 0, 1, 3, 4


def bot_process(name: str, url: str, outbox: str, last: int, told: str, journal: str, *, fixed: bool) -> None:
    """The bot's job; at the nth line that its thread executes, of its own code or of ours, it is killed."""
    lines = 0

    def count(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal lines
        if event == "call":
            path = frame.f_code.co_filename
            return count if path == __file__ or path.endswith(OURS) else None
        if event == "line":
            lines += 1
            if lines == last:
                os.kill(os.getpid(), signal.SIGKILL)
        return count

    sys.settrace(count)
    try:
        _job(name, url, outbox, journal, fixed=fixed)
        code = DONE
    except Stale:
        code = STALE
    except RunFinished:
        code = FINISHED
    except (LedgerError, RuntimeError):
        code = FAILED
    finally:
        sys.settrace(None)
    Path(told).write_text(str(lines))
    sys.exit(code)


def _job(name: str, url: str, outbox: str, journal: str, *, fixed: bool) -> None:
    clock = (lambda: NOON) if fixed else None
    with Bot(name, nats_url=url, outbox_dir=outbox, clock=clock, require_receipts=True) as bot:
        journal_all(bot._speaker, Path(journal))
        bot.register(opening={"USD": "10000"})
        with bot.run(KEY, exclusive=True) as run:
            run.buy("QQQ", "3", price="412.10", fee="0.35")
            run.buy("QQQ", "2", price="411")
            run.sell("QQQ", "4", price="413.5", fee="0.5")
            run.charge("1.25", reason="borrow")
            run.result = f"bought 5, sold 4, cash {bot.portfolio().cash['USD']}"


class World:
    """One ledger for all the bots of a test, and what each of them was to say."""

    def __init__(self, database: Database, url: str, directory: Path) -> None:
        self.database = database
        self._url = url
        self._directory = directory

    def start(
        self, name: str, *, last: int = 0, outbox: str = "outbox", planned: str | None = None, fixed: bool = True
    ) -> Part:
        """The bot's job in a process, to be killed at a line, or with a fault planned; `fixed`: its clock stands."""
        told, journal = (str(self._directory / f"{name}.{kind}") for kind in ("lines", "journal"))
        box = str(self._directory / outbox)
        work = partial(bot_process, fixed=fixed)
        return Part(work, name, self._url, box, last, told, journal, planned=planned)

    def told(self) -> Told:
        """What all the bots' processes have put down."""
        return read_journals(sorted(self._directory.glob("*.journal")))

    def lines(self, name: str) -> int:
        """How many lines the undisturbed job had."""
        return int((self._directory / f"{name}.lines").read_text())

    def remains(self) -> Remains:
        """What is in the database, once the books are at its end."""

        def rests() -> bool:
            found = read_remains(directory=self.database.directory, url=self.database.url)
            return bool(found.checkpoint and found.checkpoint["position"] == found.head["position"])

        wait_until(rests, what="the books are at the end of the log")
        return read_remains(directory=self.database.directory, url=self.database.url)


def check(world: World, names: list[str], *, fixed: bool = True) -> None:
    """Every bot has the books of the undisturbed one, but for times where its clock ran; and all invariants hold."""
    remains = world.remains()
    expected = _books(remains, "Undisturbed")
    assert len(expected["trades"]) == 3
    for name in names:
        found = _books(remains, name)
        if fixed:
            assert found == expected, name
        else:
            assert _traded(found) == _traded(expected), name
    assert problems(remains, world.told()) == []


def problems(remains: Remains, told: Told) -> list[str]:
    """What does not hold; what a kill kept out of the outbox may be in the log or not, all that was kept must be."""
    found = violations(remains, Journal(told.meant, told.receipts), drained=False)
    drained = violations(remains, Journal(told.kept, told.receipts), drained=True)
    return found + [one for one in drained if one not in found and not one.startswith("I7")]


def _traded(books: dict[str, list[dict[str, Any]]]) -> list[tuple[str, ...]]:
    return sorted(tuple(str(row[name]) for name in _OF_A_TRADE) for row in books["trades"])


def _books(remains: Remains, bot: str) -> dict[str, list[dict[str, Any]]]:
    """The rows of one bot, without its name, the places of its facts in the log, and the number of its attempts."""
    assert remains.books is not None
    own = {"bot_name", "name", "attempts"}
    found: dict[str, list[dict[str, Any]]] = {}
    for table, rows in remains.books.items():
        mine = [row for row in rows if bot in (row.get("bot_name"), row.get("name"))]
        found[table] = [
            {column: value for column, value in row.items() if column not in own and not isinstance(value, tuple)}
            for row in mine
        ]
        found[table].sort(key=str)
    return found
