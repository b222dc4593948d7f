"""Pure: names and texts in the forms that beancount takes, no two names the same.

A name that is not of the form, or looks like one that was changed, is changed to fit and gets eight hex digits of its
own SHA-256. The same name is the same in every journal, so that the journals of a fleet can be included in one.
"""

from __future__ import annotations

import re
from hashlib import sha256

COMMODITY_LENGTH = 24
_DIGITS = 8

_BOT = re.compile(r"[A-Z0-9][A-Za-z0-9-]*")
_NOT_BOT = re.compile(r"[^A-Za-z0-9-]")
_HOLDING = re.compile(r"[A-Z0-9][A-Z0-9-]*")
_NOT_HOLDING = re.compile(r"[^A-Z0-9-]")
_COMMODITY = re.compile(rf"[A-Z]([A-Z0-9._-]{{0,{COMMODITY_LENGTH - 2}}}[A-Z0-9])?")
_NOT_COMMODITY = re.compile(r"[^A-Z0-9._-]")
_CHANGED = re.compile(rf"-[0-9A-F]{{{_DIGITS}}}\Z")
_WORDS = frozenset({"TRUE", "FALSE", "NULL"})
"""What beancount reads as a value, never as a commodity."""


def bot_part(bot: str) -> str:
    """A bot's name as one part of the name of an account."""
    if _BOT.fullmatch(bot) and not _CHANGED.search(bot):
        return bot
    return f"{bot[0].upper()}{_NOT_BOT.sub('-', bot[1:])}-{_own_digits(bot)}"


def holding_part(symbol: str) -> str:
    """A symbol as one part of the name of an account; without small letters, unlike the accounts that all bots have."""
    if _HOLDING.fullmatch(symbol) and not _CHANGED.search(symbol):
        return symbol
    stem = _NOT_HOLDING.sub("-", symbol.upper())
    return f"{'X' if stem[0] == '-' else ''}{stem}-{_own_digits(symbol)}"


def commodity(name: str) -> str:
    """A symbol or currency as a commodity; a symbol that is called like a currency is one with it."""
    if _COMMODITY.fullmatch(name) and not _CHANGED.search(name) and name not in _WORDS:
        return name
    stem = _NOT_COMMODITY.sub("-", name.upper())
    whole = stem if stem[0].isalpha() else f"X{stem}"
    return f"{whole[: COMMODITY_LENGTH - _DIGITS - 1]}-{_own_digits(name)}"


def quoted(text: str) -> str:
    """A text in quotes and in one line, what does not show written out as escapes."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return '"' + shown.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _own_digits(name: str) -> str:
    return sha256(name.encode()).hexdigest()[:_DIGITS].upper()
