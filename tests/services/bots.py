"""What the tests of bots look at: the log's ids, what an outbox holds, a bot that crashes."""

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeAlias

from sqlalchemy import select

from ledger.database import get_log_session
from ledger.outbox import Outbox
from ledger.publisher import Bot
from ledger.schema import events
from ledger.service import Service
from ledger.settings import Database
from tests.services.desk import recorded

RUN = "2026-01-05T15:30"
NOBODY = "nats://127.0.0.1:9"
SOON = 0.3
Ledger: TypeAlias = Callable[[], AbstractContextManager[Service]]
MakeBot: TypeAlias = Callable[..., Bot]
_DEPOSITING = """
import sys
from ledger.publisher import Bot

with Bot("RSIBot", nats_url=sys.argv[1], outbox_dir=sys.argv[2], require_receipts=True) as bot:
    for number in range(int(sys.argv[4])):
        bot.deposit(1, id=f"{sys.argv[3]}-{number:02}")
"""
_CRASHING = """
import os, signal, sys
from ledger.publisher import Bot

bot = Bot("RSIBot", nats_url=sys.argv[1], outbox_dir=sys.argv[2])
bot.deposit("100", id="first")
run = bot.run("2026-01-05T15:30")
run.__enter__()
run.buy("QQQ", "3", price="412.10")
run.buy("QQQ", "4", price="412.20")
if sys.argv[3] == "delivered":
    assert bot.flush(20) == 0
os.kill(os.getpid(), signal.SIGKILL)
"""


def ids(database: Database) -> list[str]:
    """The ids in the log that bots chose or that follow from a run: not the attempts' own, not the random ones."""
    found = [id_ for _, _, id_ in recorded(database)]
    return [id_ for id_ in found if ".started." not in id_ and ".finished." not in id_]


def waiting(directory: Path, subject: str = "bots.RSIBot") -> int:
    """How many facts are in an outbox that nobody else looks at now."""
    outbox = Outbox(directory, subject)
    try:
        return outbox.count_waiting(through=outbox.last_sequence())
    finally:
        outbox.close()


def depositor(url: str, outbox: Path, name: str, *, count: int) -> subprocess.Popen[bytes]:
    """A process of the bot that publishes deposits with ids of its own, and needs their receipts."""
    return subprocess.Popen([sys.executable, "-c", _DEPOSITING, url, str(outbox), name, str(count)])


def crash(url: str, outbox: Path, fate: str) -> None:
    """A bot that is killed in the middle of its run."""
    process = subprocess.run([sys.executable, "-c", _CRASHING, url, str(outbox), fate], check=False, timeout=60)
    assert process.returncode == -9


def payloads(database: Database) -> list[dict[str, Any]]:
    """Every fact in the log, as its publisher sent it."""
    query = select(events.c.payload).order_by(events.c.position)
    with get_log_session(database) as session:
        return [json.loads(payload) for payload in session.scalars(query)]
