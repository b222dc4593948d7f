"""What became of many messages: counted, each refusal told, and the exit code that follows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import click

from ledger.commands.failures import FAILED
from ledger.commands.output import write_json
from ledger.receipts import Receipt

_REFUSED = ("conflict", "rejected", "parked")


class Tally:
    """Counts receipts; writes each as JSON, or tells those of what was not recorded."""

    def __init__(self, *, as_json: bool, say: Callable[[str], None]) -> None:
        self._as_json = as_json
        self._say = say
        self._counts: Counter[str] = Counter()

    def take(self, receipt: Receipt, *, line: int) -> None:
        """One receipt, for the message of this line."""
        self._counts[receipt.status] += 1
        if self._as_json:
            write_json(receipt.fields() | {"line": line})
        elif receipt.status not in ("recorded", "duplicate"):
            name = " ".join(part for part in (receipt.subject, receipt.id) if part)
            reason = f": {receipt.reason}" if receipt.reason else ""
            self._say(f"line {line}: {name}: {receipt.status}{reason}")

    @property
    def total(self) -> int:
        """How many there were."""
        return self._counts.total()

    @property
    def unconfirmed(self) -> int:
        """How many have no receipt of the ledger."""
        return self._counts["unconfirmed"]

    def summary(self) -> str:
        """The counts in words."""
        told = [f"{count:,} {status}" for status, count in sorted(self._counts.items())]
        return f"{self.total:,} messages" + (": " + ", ".join(told) if told else "")

    def check(self) -> None:
        """Raises: click's Exit where anything was refused or parked."""
        if any(self._counts[status] for status in _REFUSED):
            raise click.exceptions.Exit(FAILED)
