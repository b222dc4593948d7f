"""Whether the file of the log is sound: what SQLite says of its pages, which no hash of a fact knows.

PostgreSQL checks its own (`data_checksums`, `pg_amcheck`): nothing is asked of it here.
"""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from ledger.errors import Corrupt


def check_file(session: Session, *, thorough: bool) -> None:
    """Have SQLite look at every page, and where it is to be thorough also hold the indices against their tables.

    Raises: Corrupt, saying what SQLite has found and what to do.
    """
    if session.get_bind().dialect.name != "sqlite":
        return
    try:
        said = session.scalar(text(f"PRAGMA {'integrity_check' if thorough else 'quick_check'}(1)"))
    except DBAPIError as error:
        if not is_damage(error):
            raise
        raise damaged(str(error.orig)) from error
    if said != "ok":
        raise damaged(str(said))


def is_damage(error: DBAPIError) -> bool:
    """Whether SQLite has stopped at a page that is not what it has to be."""
    return "disk image is malformed" in str(error.orig)


def damaged(found: str) -> Corrupt:
    """The error for a file that is damaged, with what SQLite has found in it."""
    return Corrupt(
        0,
        f"the file is damaged ({found.splitlines()[-1]}). Stop what writes to it, and restore an older backup: "
        "`botledger restore BACKUP --replace`",
    )
