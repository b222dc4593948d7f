"""Everything that can go wrong, by what the caller would do about it.

LedgerError
├── Refused               for ever: the message is not well-formed; publish a corrected one
├── Unreachable           try again: a server did not answer
│   └── Unconfirmed       facts are kept in the outbox, their receipts are missing
├── SetupError            fix the set-up: a path, a URL, a schema
├── Conflict              the id is used up by another fact
├── Stale                 the run must not start: something newer has been recorded, or another process is at it
├── RunFinished           the run is done: there is nothing left to do
├── UnknownName           no such bot, symbol or row
└── Corrupt               the log is not what was written
"""

from __future__ import annotations


class LedgerError(Exception):
    """The root of all errors of botledger: one readable sentence that says what to do."""


class Refused(LedgerError):
    """The message is not well-formed.

    `field` names the place (`price`, `bars.3.close`, or `message` for the whole), `reason` is a short
    stable word for programs, the text is for people.
    """

    def __init__(self, field: str, problem: str, *, reason: str = "malformed") -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem
        self.reason = reason


class Unreachable(LedgerError):
    """A server could not be reached, or did not answer in time."""


class Unconfirmed(Unreachable):
    """Receipts are missing; `waiting` facts stay in the outbox and go out with the next run."""

    def __init__(self, message: str, *, waiting: int) -> None:
        super().__init__(message)
        self.waiting = waiting


class SetupError(LedgerError):
    """A setting, a path, a port or a schema is not as it has to be."""


class Conflict(LedgerError):
    """The ledger holds another fact under this id."""

    def __init__(self, message: str, *, subject: str, id: str) -> None:  # noqa: A002 - the field's own name
        super().__init__(message)
        self.subject = subject
        self.id = id


class Stale(LedgerError):
    """Something newer of this bot has been recorded since the position that it acted on."""


class RunFinished(LedgerError):
    """A run with this key has finished well; `result` is what it said."""

    def __init__(self, message: str, *, key: str, result: str | None) -> None:
        super().__init__(message)
        self.key = key
        self.result = result


class UnknownName(LedgerError):
    """What was asked for does not exist."""


class Corrupt(LedgerError):
    """The log is not what was written; `position` is the first bad one."""

    def __init__(self, position: int, problem: str) -> None:
        super().__init__(f"position {position}: {problem}")
        self.position = position
        self.problem = problem
