"""What an earlier release has parked, taken up by the first start of one that knows its type and version.

A message leaves `parked` in the transaction that records or refuses it: killed in between, it is still there.
"""

from __future__ import annotations

from collections import Counter

from ledger.database import get_log_session
from ledger.intake import entry_of
from ledger.log import append, lock_head
from ledger.messages import VERSIONS
from ledger.quarantine import find_parked, forget_parked
from ledger.settings import Database

MESSAGES_A_BATCH = 200


def take_up(database: Database) -> Counter[str]:
    """Record or refuse whatever is parked and known by now; how many ended how, by the status of a receipt."""
    found: Counter[str] = Counter()
    after = 0
    while _is_any(database, after):
        after = _take_batch(database, after, found)
    return found


def summary(found: Counter[str]) -> str:
    """What became of the messages, in words."""
    told = ", ".join(f"{count:,} {status}" for status, count in sorted(found.items()))
    return f"{found.total():,} messages that an earlier release had parked are taken up: {told}"


def _is_any(database: Database, after: int) -> bool:
    """Whether there is more, without a lock: at most starts there is nothing, and the door is not held up."""
    with get_log_session(database) as session:
        return bool(find_parked(session, VERSIONS, after=after, limit=1))


def _take_batch(database: Database, after: int, found: Counter[str]) -> int:
    """Take up the next messages in one transaction; the number of the last."""
    with get_log_session(database, writes=True) as session:
        lock_head(session)  # Another instance that starts as well waits here, and then sees nothing parked.
        batch = find_parked(session, VERSIONS, after=after, limit=MESSAGES_A_BATCH)
        if not batch:
            return after
        receipts = append(session, [entry_of(message.subject, message.payload) for message in batch])
        forget_parked(session, [message.number for message in batch])
    found.update(receipt.status for receipt in receipts)
    return batch[-1].number
