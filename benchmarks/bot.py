"""A bot in a process of its own, as in life: `python -m benchmarks.bot BROKER-URL OUTBOX NAME FILE…`, a file a round.

It says `ready` once the files are read; for each number of a round that it is told, it publishes that round's facts
in portions, waits for their receipts, and says how many are missing.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import structlog

from ledger.publisher import Bot

PORTION = 500
PATIENCE_SECONDS = 120.0


def main() -> None:
    """Publish rounds until the input ends."""
    url, outbox, name, *files = sys.argv[1:]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    rounds = [[json.loads(line) for line in Path(file).read_text().splitlines()] for file in files]
    with Bot(name, nats_url=url, outbox_dir=outbox) as bot:
        _say("ready")
        for line in sys.stdin:
            facts = rounds[int(line)]
            for start in range(0, len(facts), PORTION):
                bot.publish(facts[start : start + PORTION])
            _say(str(bot.flush(PATIENCE_SECONDS)))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
