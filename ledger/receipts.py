"""Receipts: the ledger's answer for each message, given after the commit, and their wire form."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

Status = Literal["recorded", "duplicate", "conflict", "rejected", "parked", "unconfirmed"]
RECEIPT_BYTES = 512 * 1024


class Receipt(NamedTuple):
    """What became of one message; only this lets a bot forget a fact.

    `position`, `hash` and `digest` are those of the recorded fact, for a duplicate or a conflict those of
    the first under this identity; `position` and `hash` are None where nothing is recorded.
    """

    subject: str
    id: str
    status: Status
    position: int | None = None
    hash: bytes | None = None
    digest: bytes | None = None
    reason: str | None = None

    def fields(self) -> dict[str, object]:
        """The receipt as JSON fields; hash and digest in hexadecimal, what is None left out."""
        found: dict[str, object] = {"subject": self.subject, "id": self.id, "status": self.status}
        if self.position is not None:
            found["position"] = self.position
        if self.hash is not None:
            found["hash"] = self.hash.hex()
        if self.digest is not None:
            found["digest"] = self.digest.hex()
        if self.reason is not None:
            found["reason"] = self.reason
        return found


def encode_receipts(receipts: Iterable[Receipt]) -> Iterator[bytes]:
    """Messages with these receipts, each small enough for the broker."""
    batch: list[str] = []
    size = 0
    for receipt in receipts:
        text = json.dumps(receipt.fields())
        if batch and size + len(text) > RECEIPT_BYTES:
            yield _message(batch)
            batch, size = [], 0
        batch.append(text)
        size += len(text)
    if batch:
        yield _message(batch)


def decode_receipts(data: bytes) -> tuple[Receipt, ...]:
    """The receipts in one message of the ledger.

    Raises: ValueError where the bytes are not a list of receipts.
    """
    try:
        return tuple(_receipt(fields) for fields in json.loads(data)["receipts"])
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"not a message of receipts: {error!r}") from error


def _message(texts: list[str]) -> bytes:
    return ('{"receipts":[' + ",".join(texts) + "]}").encode()


def _receipt(fields: Mapping[str, Any]) -> Receipt:
    return Receipt(
        subject=fields["subject"],
        id=fields["id"],
        status=fields["status"],
        position=fields.get("position"),
        hash=bytes.fromhex(fields["hash"]) if "hash" in fields else None,
        digest=bytes.fromhex(fields["digest"]) if "digest" in fields else None,
        reason=fields.get("reason"),
    )
