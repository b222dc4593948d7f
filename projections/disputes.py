"""Pure: one split or dividend told by several, who do not agree; the last in the total order stands and is flagged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ledger.amounts import plain
from ledger.events import Recorded
from ledger.market_events import DividendDeclared, SharesSplit
from projections.rows import FlagRow

TOLD = 5
"""How many of the values are told in a flag."""
ActionKey = tuple[str, datetime, str]
"""One split or dividend, whoever reports it: symbol, moment, `split` or the dividend's currency."""


def action_key(event: SharesSplit | DividendDeclared) -> ActionKey:
    """What a report of a split or dividend is about."""
    return (event.symbol, event.at, "split" if isinstance(event, SharesSplit) else event.currency)


@dataclass(frozen=True, slots=True)
class Dispute:
    """What is flagged of the reports of one split or dividend; the flags at `positions` are replaced by it."""

    key: ActionKey
    positions: tuple[int, ...]
    flag: FlagRow | None


def dispute(key: ActionKey, reports: Sequence[Recorded]) -> Dispute:
    """What is to be flagged of these reports of one split or dividend, given in the total order."""
    standing = reports[-1]
    positions = tuple(report.position for report in reports)
    told = {_told(report.event) for report in reports}
    if len(told) == 1:
        return Dispute(key, positions, None)
    event = standing.event
    assert isinstance(event, SharesSplit | DividendDeclared)
    detail = f"{len(reports)} reports differ: {', '.join(sorted(told)[:TOLD])}; this one stands"
    return Dispute(key, positions, FlagRow("disputed", standing.position, event.symbol, None, event.at, detail))


def _told(event: object) -> str:
    match event:
        case SharesSplit():
            return f"{event.new}:{event.old}"
        case DividendDeclared():
            return plain(event.per_share)
        case _:
            raise AssertionError(event)
