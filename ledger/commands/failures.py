"""From an error to an exit code and one line that says what to do: the one place where that is decided."""

from __future__ import annotations

from ledger.errors import Corrupt, LedgerError, UnknownName, Unreachable

FAILED = 1
WRONG_USE = 2
DIFFERENT = 3
UNREACHABLE = 4

_DRIVERS = ("sqlite3", "psycopg")
_NOT_A_LEDGER = ("no such table", "does not exist", "not a database", "no such column", "could not decode")
_DAMAGED = "disk image is malformed"
_LOCKED = ("locked", "busy", "lock timeout", "not available")
_NOT_WRITABLE = ("readonly", "read-only", "unable to open", "permission denied")


def explained(error: Exception) -> tuple[int, str] | None:
    """Exit code and line for an error; None for one that is our own mistake, whose traceback is wanted."""
    match error:
        case UnknownName():
            return WRONG_USE, one_line(str(error))
        case Unreachable():
            return UNREACHABLE, one_line(str(error))
        case Corrupt():
            return FAILED, one_line(f"the log is not what was written: {error}")
        case LedgerError():
            return FAILED, one_line(str(error))
        case OSError():
            place = f"{error.filename}: " if error.filename is not None else ""
            return FAILED, one_line(f"{place}{error.strerror or error}")
    from pydantic import ValidationError
    from sqlalchemy.exc import DBAPIError

    if isinstance(error, ValidationError):
        return FAILED, "the log holds a fact that cannot be read: `botledger verify` names it"
    # Where a bulk path speaks to a driver itself, SQLAlchemy has not wrapped its errors.
    if isinstance(error, DBAPIError) or type(error).__module__.partition(".")[0] in _DRIVERS:
        return _of_a_database(error)
    return None


def one_line(text: str) -> str:
    """The text in one line, whatever a bot has put into it."""
    return visible(" ".join(text.split("\n")).strip())


def visible(text: str) -> str:
    """The text with its control characters, and others that do not show, written out as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def _of_a_database(error: Exception) -> tuple[int, str]:
    original = getattr(error, "orig", None) or error
    reason = (str(original).strip().splitlines() or [type(original).__name__])[0]
    said = reason.lower()
    if _DAMAGED in said:
        return FAILED, one_line(
            f"the file of log or books is damaged ({reason}): `botledger db check` says whether it is the log's; then "
            "`botledger restore BACKUP --replace` puts a backup in its place. `botledger rebuild` makes the books anew"
        )
    if any(word in said for word in _NOT_A_LEDGER):
        return FAILED, one_line(
            f"log or books cannot be read ({reason}): `botledger db check` and `verify` look at the log, "
            "`rebuild` makes the books anew"
        )
    if any(word in said for word in _LOCKED):
        return UNREACHABLE, one_line(f"the database is held by another process ({reason}): try again")
    if any(word in said for word in _NOT_WRITABLE):
        return FAILED, one_line(f"the database cannot be opened or written ({reason}): look at owner and permissions")
    if type(original).__name__ == "OperationalError" and "full" not in said:
        return UNREACHABLE, one_line(f"the database does not answer: {reason}")
    return FAILED, one_line(f"the database refuses: {reason}")
