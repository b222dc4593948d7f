"""The scrubber's process: it holds a few bots' books against the log, says what it found, and ends.

    in      a line of JSON, the `Order`
    out     lines of JSON: {"scrubbed": BOT, "left_out": …}, {"bars": …, "through": POSITION}, {"healed": BOT} or
            {"not_healed": BOT}, {"differs": BOT, "table": …, "columns": …, "rows": …, "values": …}, and
            {"log": LEVEL, "event": …} for the service's log; the bars' BOT is `MARKET`

`ledger.scrubber` starts it, at the lowest priority: it takes what processor the others leave. What it has in memory
goes with it. It ends at once when its input does.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from collections import defaultdict
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any, NoReturn

import structlog

from ledger.settings import Database, database_of
from projections.compare import Difference
from projections.scrub import Scrubbed, heal, scrub
from projections.scrub_market import heal_bars, scrub_bars

SECONDS = 5.0
LAST_SECONDS = 300.0
MARKET = "(market)"
_TRIES = 3
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Order:
    """Behind which name to begin, how many bots to look at, and behind which position the bars to look at are told."""

    database: Database
    after: str
    bots: int
    position: int = 0

    def line(self) -> str:
        """As the process reads it."""
        return (
            json.dumps({**self.database.fields(), "after": self.after, "bots": self.bots, "position": self.position})
            + "\n"
        )


def read_order(line: str) -> Order:
    """The order that `Order.line` wrote."""
    found = json.loads(line)
    return Order(database_of(found), found["after"], found["bots"], found["position"])


def main() -> None:
    """One round."""
    line = sys.stdin.readline()
    if not line:
        return
    structlog.configure(processors=[_tell_event], wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    threading.Thread(target=_end_with_input, name="listener", daemon=True).start()
    last = threading.Timer(LAST_SECONDS, os._exit, [1])
    last.daemon = True
    last.start()
    try:
        run(read_order(line))
    except BrokenPipeError:
        os._exit(0)  # The service is gone.


def run(order: Order) -> None:
    """Look, tell, and have made anew what differs."""
    for scrubbed in scrub(order.database, after=order.after, bots=order.bots, seconds=SECONDS):
        _tell(scrubbed=scrubbed.name, left_out=scrubbed.left_out)
        if scrubbed.differences:
            _tell_differences(scrubbed)
            done = any(heal(order.database, scrubbed) for _ in range(_TRIES))
            _tell(**{"healed" if done else "not_healed": scrubbed.name})
    stretch = scrub_bars(order.database, after=order.position)
    if stretch is None:
        return
    _tell(bars=stretch.bars, through=stretch.through)
    if stretch.differing:
        count = len(stretch.differing)
        _tell(differs=MARKET, table="historic_data", columns=stretch.columns, rows=count, values=count)
        _tell(**{"healed" if heal_bars(order.database, stretch) else "not_healed": MARKET})


def _tell_differences(scrubbed: Scrubbed) -> None:
    """By table, without values: whoever reads the log need not know amounts."""
    by_table: dict[str, list[Difference]] = defaultdict(list)
    for difference in scrubbed.differences:
        by_table[difference.table].append(difference)
    for table, found in by_table.items():
        columns = sorted({difference.column or _kind(difference) for difference in found})
        rows = len({difference.key for difference in found})
        _tell(differs=scrubbed.name, table=table, columns=columns, rows=rows, values=len(found))


def _kind(difference: Difference) -> str:
    """What is wrong with a whole row."""
    if not difference.key:
        return "(unreadable)"
    return "(missing)" if difference.live is None else "(surplus)"


def _end_with_input() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(0)


def _tell_event(logger: object, method: str, event: MutableMapping[str, Any]) -> NoReturn:
    _tell(log=method, **event)
    raise structlog.DropEvent


def _tell(**message: object) -> None:
    sys.stdout.write(json.dumps(message, default=str) + "\n")
    sys.stdout.flush()
