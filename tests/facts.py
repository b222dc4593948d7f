"""Facts for tests of the log: a trade, a start of a run, a deposit, by number."""

from datetime import UTC, datetime
from typing import Any

from ledger.database import get_log_session
from ledger.log import Entry, append
from ledger.messages import Fact, decode, encode
from ledger.receipts import Receipt
from ledger.settings import Database

BOT = "bots.RSIBot"
OTHER = "bots.MACDBot"
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def fact(number: int | str, subject: str = BOT, /, **changed: Any) -> Fact:
    """A well-formed fact of this speaker, a deposit unless said otherwise; `number` becomes its id."""
    fields: dict[str, Any] = {"id": str(number), "type": "deposit", "at": "2026-01-05T15:30:00Z", "amount": "1"}
    if "type" in changed:
        del fields["amount"]
    found = decode(subject, encode({**fields, **changed}))
    assert isinstance(found, Fact)
    return found


def run_started(number: int | str, *, after: int | None, subject: str = BOT) -> Fact:
    """A start of a run that holds only if nothing newer of the bot is recorded than that position."""
    return fact(number, subject, type="run_started", run="r", after=after)


def recorded(database: Database, *entries: Entry, now: datetime = NOON) -> tuple[Receipt, ...]:
    """The receipts of entries appended in one transaction, which is committed."""
    with get_log_session(database, writes=True) as session:
        return append(session, entries, now=now)


def statuses(receipts: tuple[Receipt, ...]) -> list[tuple[str, int | None]]:
    """What became of each, and where it stands."""
    return [(receipt.status, receipt.position) for receipt in receipts]
