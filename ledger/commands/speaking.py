"""Facts that a command speaks itself: through the broker where there is one, else straight into the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import click

from ledger.broker import read_url
from ledger.commands.books import bring_up, recording
from ledger.commands.delivery import Delivery
from ledger.errors import Conflict, Refused, Unconfirmed
from ledger.fields import format_time
from ledger.ids import void_id
from ledger.intake import record_entries
from ledger.lock import is_served
from ledger.messages import Fact, decode, encode
from ledger.receipts import Receipt
from ledger.settings import Settings

RECEIPT_SECONDS = 10.0


def fact_of(subject: str, fields: Mapping[str, object]) -> Fact:
    """The fact that these fields are, spoken by this subject.

    Raises: click.UsageError where a value is not well-formed.
    """
    try:
        found = decode(subject, encode(fields))
    except Refused as error:
        raise click.UsageError(str(error)) from error
    if not isinstance(found, Fact):
        raise click.UsageError(f"this release does not know {found.type} in version {found.version}")
    return found


def void_of(speaker: str, subject: str, target: str, reason: str) -> Fact:
    """The void of a fact, as this speaker says it now.

    Raises: click.UsageError where it is not well-formed.
    """
    said = {"type": "void", "subject": subject, "target": target, "reason": reason}
    return fact_of(speaker, said | {"id": void_id(subject, target), "at": format_time(datetime.now(UTC))})


def speak(settings: Settings, facts: Sequence[Fact], *, what: str) -> tuple[Receipt, ...]:
    """What the ledger answers to each of these facts, recorded in their order; one speaker's, for the broker's sake.

    Without a service the books are brought up before it returns. `what` names the facts for people.

    Raises: Unconfirmed where the broker gives no receipt.
    """
    assert len({fact.subject for fact in facts}) == 1
    return _through_broker(settings, facts, what) if _has_broker(settings) else _into_log(settings, facts)


def check(receipt: Receipt) -> None:
    """Raises: Conflict or Refused where the ledger did not take the fact."""
    if receipt.status == "conflict":
        raise Conflict(
            f"the id {receipt.id} of {receipt.subject} is another fact's, at position {receipt.position}",
            subject=receipt.subject,
            id=receipt.id,
        )
    if receipt.status not in ("recorded", "duplicate"):
        raise Refused(receipt.subject, receipt.reason or receipt.status)


def _has_broker(settings: Settings) -> bool:
    """Whether a broker is named, or a service runs on the directory."""
    if settings.nats_url is not None:
        return True
    directory = settings.data_dir
    return directory is not None and directory.is_dir() and is_served(directory) and read_url(directory) is not None


def _through_broker(settings: Settings, facts: Sequence[Fact], what: str) -> tuple[Receipt, ...]:
    found: dict[int, Receipt] = {}

    def take(receipt: Receipt, number: int) -> None:
        found[number] = receipt

    with Delivery(settings, timeout_seconds=RECEIPT_SECONDS, take=take) as delivery:
        delivery.send(list(enumerate(facts)))
        delivery.finish()
    receipts = tuple(found[number] for number in range(len(facts)))
    waiting = sum(receipt.status == "unconfirmed" for receipt in receipts)
    if waiting:
        raise Unconfirmed(f"{what} has no receipt ({delivery.problem}): call it again", waiting=waiting)
    return receipts


def _into_log(settings: Settings, facts: Sequence[Fact]) -> tuple[Receipt, ...]:
    with recording(settings.database):
        receipts = record_entries(settings.database, facts)
        bring_up(settings.database)
    return receipts
