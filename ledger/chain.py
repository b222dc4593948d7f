"""The hash chain: each fact's hash holds everything before it.

    digest = SHA-256(len4(subject) subject len4(payload) payload)
    hash   = SHA-256("botledger-1" previous_hash position8 recorded_at8 digest)

Numbers are 8 bytes big-endian (times in microseconds since 1970, signed), lengths 4 bytes big-endian;
the hash before position 1 is 32 zero bytes. `docs/log.md` has a test vector.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Protocol

GENESIS = bytes(32)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TAG = b"botledger-1"
_MICROSECOND = timedelta(microseconds=1)


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970-01-01T00:00:00Z, negative before."""
    return (moment - EPOCH) // _MICROSECOND


def link(previous: bytes, *, position: int, recorded_at: datetime, digest: bytes) -> bytes:
    """The hash, 32 bytes, of the fact at this position on top of the hash before it."""
    return links(recorded_at)(previous, position=position, digest=digest)


def links(recorded_at: datetime) -> Link:
    """The same for many facts that are recorded at one moment: a function of the hash before, position and digest."""
    moment = microseconds(recorded_at).to_bytes(8, "big", signed=True)

    def link(previous: bytes, *, position: int, digest: bytes) -> bytes:
        return hashlib.sha256(_TAG + previous + position.to_bytes(8, "big") + moment + digest).digest()

    return link


class Link(Protocol):
    """Hash before, position and digest of a fact → its hash."""

    def __call__(self, previous: bytes, *, position: int, digest: bytes) -> bytes: ...
