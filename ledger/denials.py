"""What the broker refuses to a speaker, in words that say what to do."""

from __future__ import annotations

from ledger.access import inbox_prefix
from ledger.broker import queries_subject
from ledger.errors import SetupError

_NOT_PERMITTED = "permissions violation"
_UNAUTHORIZED = "authorization violation"


def denial(subject: str, text: str) -> SetupError | None:
    """The error for what the broker says to this speaker; None where it is no denial."""
    said = text.lower()
    if _UNAUTHORIZED in said:
        return SetupError(
            f"the broker refuses the credentials of {subject}: its password, token or key is wrong or was revoked, "
            "or a token was given and the broker asks for keys by now; correct LEDGER_NATS_URL or "
            f"LEDGER_NATS_SEED_FILE (`botledger access add {subject}` makes a key)"
        )
    if _NOT_PERMITTED in said:
        return SetupError(
            f"the broker does not let {subject} do this: {text}; grant it there, or let it use its own key "
            f"(`botledger access add {subject}`)"
        )
    return None


def concerns_answers(subject: str, text: str) -> bool:
    """Whether no more than questions is denied: facts and receipts may go their way all the same."""
    said = text.lower()
    ways = (f'"{queries_subject(subject)}"', f'"{inbox_prefix(subject)}.')
    return _NOT_PERMITTED in said and any(way.lower() in said for way in ways)
