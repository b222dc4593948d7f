"""Calls of the command line: in this process where only the answer counts, as a process where the process does."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from ledger.commands.main import cli
from ledger.settings import Database

ROOT = Path(__file__).parents[2]
PROCESS_SECONDS = 30
BOT = "bots.RSIBot"
_BYTECODE = Path(tempfile.gettempdir()) / "botledger-tests-bytecode"
_UNSET = (
    "LEDGER_DATA_DIR",
    "LEDGER_DATABASE_URL",
    "LEDGER_NATS_URL",
    "LEDGER_NATS_SEED_FILE",
    "LEDGER_BOOKS_SCHEMA",
    "LEDGER_OUTBOX_DIR",
    "LEDGER_OPERATOR",
)


@dataclass(frozen=True)
class Answer:
    """What a call wrote, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The JSON objects of the answer."""
        return [json.loads(line) for line in self.out.splitlines()]


def call(*arguments: str, stdin: bytes = b"", **environment: str) -> Answer:
    """A call in this process; an error that is no clean end of a command is raised."""
    env: dict[str, str | None] = {**dict.fromkeys(_UNSET), "COLUMNS": "80", **environment}
    result = CliRunner().invoke(cli, list(arguments), input=stdin, env=env, prog_name="botledger")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Answer(result.exit_code, result.stdout, result.stderr)


def run(*arguments: str, stdin: bytes = b"", **environment: str) -> Answer:
    """A call as a process that ends by itself."""
    done = subprocess.run(
        command(*arguments),
        input=stdin,
        capture_output=True,
        env=surroundings(**environment),
        timeout=PROCESS_SECONDS,
        check=False,
    )
    return Answer(done.returncode, done.stdout.decode(), done.stderr.decode())


def command(*arguments: str) -> list[str]:
    """The command line of a process."""
    return [sys.executable, "-m", "ledger.commands.main", *arguments]


def surroundings(**environment: str) -> dict[str, str]:
    """The environment of a process: ours without any setting of a ledger."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LEDGER_")}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": str(_BYTECODE), "COLUMNS": "80", **environment}


def where(database: Database) -> tuple[str, str]:
    """The flag that names a database."""
    if database.directory is not None:
        return "--data-dir", str(database.directory)
    assert database.url is not None
    return "--database", database.url


def line(identity: str, *, subject: str = BOT, **fields: Any) -> dict[str, Any]:
    """A message plus its subject, a deposit unless said otherwise."""
    usual: dict[str, Any] = {"id": identity, "type": "deposit", "at": "2026-01-05T15:30:00Z"}
    if "type" not in fields:
        usual["amount"] = "1"
    return {"subject": subject, **usual, **fields}


def trade(identity: str, side: str, quantity: str, *, price: str, at: str, **fields: Any) -> dict[str, Any]:
    """A trade in QQQ, as a line."""
    return line(identity, type="trade", at=at, symbol="QQQ", side=side, quantity=quantity, price=price, **fields)


def jsonl(lines: Sequence[dict[str, Any] | bytes]) -> bytes:
    """The bytes of a file of these lines."""
    return b"".join((one if isinstance(one, bytes) else json.dumps(one).encode()) + b"\n" for one in lines)


DAY = (
    line("r1", type="bot_registered", at="2026-01-05T09:00:00Z", description="[bold]buys[/] \x1b[31mlow"),
    line(
        "b1",
        subject="market.yahoo",
        type="bars",
        at="2026-01-06T00:00:00Z",
        symbol="QQQ",
        interval="1d",
        bars=[["2026-01-05T00:00:00Z", "410", "420", "400", "415.50", "1000"]],
    ),
    line("s1", type="run_started", at="2026-01-05T15:29:00Z", run="r-1"),
    trade("t1", "buy", "3", price="412.10", at="2026-01-05T15:30:00Z", fee="0.30", run="r-1"),
    trade("t2", "sell", "1", price="414.20", at="2026-01-05T15:40:00Z", run="r-1"),
    line(
        "s2",
        type="run_finished",
        at="2026-01-05T15:41:00Z",
        run="r-1",
        success=True,
        result="RSI 27 \x1b[2J\n[red]bought[/] \u202eold",
    ),
)
"""A day of one bot: 3 QQQ bought, 1 sold, the rest worth 415.50 each."""
