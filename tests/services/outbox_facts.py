"""Facts for outboxes, and the receipts that come for them."""

import json

from ledger.messages import Fact, decode
from ledger.outbox import Outbox
from ledger.receipts import Receipt, Status

BOT = "bots.RSIBot"
RUN = "2026-01-05T15:30"


def deposit(id: str, amount: str = "1", **fields: str) -> Fact:  # noqa: A002 - the field's own name
    """A fact of the bot."""
    message = {"id": id, "type": "deposit", "at": "2026-01-05T15:30:00Z", "amount": amount} | fields
    found = decode(BOT, json.dumps(message).encode())
    assert isinstance(found, Fact)
    return found


def receipt(fact: Fact, status: Status = "recorded", *, position: int | None = 1, reason: str | None = None) -> Receipt:
    """The ledger's answer for a fact."""
    digest = deposit(fact.event.id, "999").digest if status == "conflict" else fact.digest
    return Receipt(BOT, fact.event.id, status, position, None, digest, reason)


def waiting(outbox: Outbox) -> list[str]:
    """The ids without receipt, in order."""
    return [fact.id for fact in outbox.waiting(after=0, limit=10_000, limit_bytes=2**30)]
