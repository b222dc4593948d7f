"""Messages from a file through the broker, with receipts."""

from __future__ import annotations

from typing import BinaryIO

import click

from ledger.commands.delivery import Delivery
from ledger.commands.lines import read_batches
from ledger.commands.options import receipts_flag, with_settings
from ledger.commands.output import say
from ledger.commands.tally import Tally
from ledger.errors import Unconfirmed
from ledger.quarantine import Refusal
from ledger.receipts import Receipt
from ledger.settings import Settings


@click.command(
    epilog="""\b
Examples:
  botledger publish facts.jsonl
  echo '{"subject": "bots.RSIBot", "id": "d1", "type": "deposit", "at": "2026-01-05T15:30:00Z",
         "amount": "100"}' | tr -d '\\n' | botledger publish - --json
A line is one message plus its "subject", who speaks, as for `botledger import`. A void or a
statement has a subject itself, of whom it speaks, so its line keeps the two apart:
  {"subject": "ops.anna", "payload": {"subject": "bots.RSIBot", "id": "v1", "type": "void", …}}"""
)
@click.argument("file", metavar="FILE.jsonl|-", type=click.File("rb"))
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(min=0.1),
    default=60.0,
    show_default=True,
    help="Give up when no receipt has come for so long.",
)
@receipts_flag
@with_settings()
def publish(settings: Settings, *, file: BinaryIO, timeout: float, as_json: bool) -> None:
    """Send messages from a file through the broker, and wait for the ledger's receipts.

    Nothing is kept between two calls: what has no receipt at the end is told as `unconfirmed`, and the command
    exits 4. Send the same file again then; what is recorded by that time is a duplicate, and changes nothing.
    """
    tally = Tally(as_json=as_json, say=say)

    def take(receipt: Receipt, line: int) -> None:
        tally.take(receipt, line=line)

    with Delivery(settings, timeout_seconds=timeout, take=take) as delivery:
        for batch in read_batches(file):
            for line in batch:
                if isinstance(line.entry, Refusal):
                    tally.take(_refused(line.entry), line=line.number)
            delivery.send([(line.number, line.entry) for line in batch if not isinstance(line.entry, Refusal)])
        delivery.finish()
    say(f"botledger: {tally.summary()}")
    if tally.unconfirmed:
        raise Unconfirmed(
            f"{tally.unconfirmed} messages have no receipt ({delivery.problem}): send them again",
            waiting=tally.unconfirmed,
        )
    tally.check()


def _refused(refusal: Refusal) -> Receipt:
    """The answer for a line that is not even sent."""
    return Receipt(refusal.subject, refusal.id, "rejected", digest=refusal.digest, reason=refusal.detail)
