"""Who may write what: each name's permissions at the broker, and the users of its configuration, as text.

The file that `botledger access` writes is meant to be included in an `authorization { }` block, or in an account:

    users: [
      { # bots.RSIBot
        nkey: UABC…
        permissions: { publish: […], subscribe: […] }
      }
    ]

What is not allowed is denied: there is no list of denials that could have a hole.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ledger.broker import CONSUMER, QUERIES_PREFIX, RECEIPTS_PREFIX, STREAM, queries_subject, receipts_subject
from ledger.connection import INBOX
from ledger.errors import SetupError
from ledger.fields import KINDS
from ledger.messages import SUBJECT_PREFIX, check_subject

SERVICE = "service"
INBOXES = f"{INBOX}."
_HEAD = """\
# Written by `botledger access`, which reads it again: change it with add and revoke.
# Include it in an authorization { } block, or in an account: include "users.conf"
"""
_NOBODY = """\
  { # Without any user the broker would ask for nothing. No password has this digest.
    user: nobody, password: "$2a$11$none", permissions: { publish: { deny: ">" }, subscribe: { deny: ">" } }
  }
"""
_USER = re.compile(r"^  \{ # (\S+)\n    nkey: (U[A-Z2-7]{55})$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Permissions:
    """The subjects that a user may publish and those that it may hear; no others."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]

    def text(self) -> str:
        """The block of the broker's configuration."""
        return f"permissions: {{ publish: {_list(self.publish)}, subscribe: {_list(self.subscribe)} }}"


def check_name(name: str) -> str:
    """The name, if a user can have it: that of a speaker such as `bots.RSIBot`, or the service's.

    Raises: Refused where it is not well-formed.
    """
    if name != SERVICE:
        check_subject(name)
    return name


def inbox_prefix(name: str) -> str:
    """Where this user hears answers, and nobody else."""
    return INBOXES + name


def is_inbox_of(name: str, subject: str) -> bool:
    """Whether an answer to this speaker may go to this subject.

    Without users of their own clients have an inbox of another form, which is nobody's by name; but it has to be
    an inbox. Else whoever asks could have the service write, with its own rights, wherever these reach.
    """
    if not subject.startswith(INBOXES):
        return False
    whose = subject.removeprefix(INBOXES).partition(".")[0]
    return whose not in (*KINDS, SERVICE) or subject.startswith(f"{inbox_prefix(name)}.")


def permissions(name: str) -> Permissions:
    """What the user of this name may do: speak as itself and hear its own answers, or be the service."""
    if name == SERVICE:
        return _service()
    kind = check_subject(name)
    questions = (queries_subject(name),) if kind == "bots" else ()
    return Permissions(
        publish=(SUBJECT_PREFIX + name, *questions),
        subscribe=(receipts_subject(name), f"{inbox_prefix(name)}.>"),
    )


def users_text(users: Mapping[str, str]) -> str:
    """The file of these users: public keys by name; where there are none, one that lets nobody in."""
    names = sorted(users, key=lambda name: (name != SERVICE, name))
    entries = (f"  {{ # {name}\n    nkey: {users[name]}\n    {permissions(name).text()}\n  }}\n" for name in names)
    return f"{_HEAD}users: [\n{''.join(entries) or _NOBODY}]\n"


def read_users(text: str) -> dict[str, str]:
    """The users in such a file: public keys by name.

    Raises: SetupError where it was not written here.
    """
    found = dict(_USER.findall(text))
    if len(found) != text.count("nkey:") or "users: [" not in text:
        raise SetupError("it was changed by hand: `botledger access` cannot read it")
    for name in found:
        check_name(name)
    return found


def _service() -> Permissions:
    """Make the stream, and the consumer anew, fetch, look, acknowledge, purge; give receipts and answers.

    It speaks as nobody, and removes or changes no stream.
    """
    api = "$JS.API."
    return Permissions(
        publish=(
            f"{RECEIPTS_PREFIX}*.*",
            f"{INBOXES}>",
            *(f"{api}STREAM.{what}.{STREAM}" for what in ("INFO", "CREATE", "PURGE", "MSG.GET")),
            *(f"{api}CONSUMER.{what}.{STREAM}.{CONSUMER}" for what in ("INFO", "CREATE", "DELETE", "MSG.NEXT")),
            f"$JS.ACK.{STREAM}.{CONSUMER}.>",
        ),
        subscribe=(f"{QUERIES_PREFIX}*.*", f"{inbox_prefix(SERVICE)}.>"),
    )


def _list(subjects: tuple[str, ...]) -> str:
    return "[" + ", ".join(f'"{subject}"' for subject in subjects) + "]"
