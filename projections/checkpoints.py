"""Whether the books that stand can be carried on: they are of this log, and told as this release tells them."""

from __future__ import annotations

from sqlalchemy.orm import Session

from ledger.errors import LedgerError, SetupError
from ledger.log import position_hash
from projections.tables import PROJECTOR_VERSION, Checkpoint


class Outdated(LedgerError):
    """The books are not of this log or of this release's telling; they have to be made anew."""


def check_books(session: Session, row: Checkpoint) -> None:
    """Raises: Outdated where the books have to be made anew, SetupError where a newer release has made them."""
    if row.projector_version > PROJECTOR_VERSION:
        raise SetupError("the books were made by a newer release of botledger: upgrade this one")
    if row.projector_version < PROJECTOR_VERSION:
        raise Outdated("the books were made by an older release")
    if position_hash(session, row.position) != row.hash:
        raise Outdated(f"the log has no position {row.position} with the books' hash: an older one was restored")
