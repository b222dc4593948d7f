"""The ledger's answers to a bot: its portfolio as frozen values, and errors as errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NoReturn

from pydantic import JsonValue

from ledger.errors import LedgerError, Refused, UnknownName, Unreachable
from ledger.fields import parse_time

Answer = Mapping[str, Any]
MAX_OVERLAP_SECONDS = 31 * 86_400.0


@dataclass(frozen=True, slots=True)
class Holding:
    """What a bot holds of one symbol, negative for a short.

    Units: cost basis, price and value in `currency`; with lots in several currencies `cost_basis` and
    `currency` are None, and `lots` lists them. Without a price `price`, `market_value` and
    `unrealised_profit` are None.
    """

    quantity: Decimal
    cost_basis: Decimal | None = None
    currency: str | None = None
    price: Decimal | None = None
    price_at: datetime | None = None
    market_value: Decimal | None = None
    unrealised_profit: Decimal | None = None
    lots: JsonValue = None


@dataclass(frozen=True, slots=True)
class Portfolio:
    """A bot's books, complete up to `position` of the log.

    Units: `cash`, `realised_profit` and `fees` by currency; `worth` in `base_currency`, without what is `unpriced`.
    """

    bot: str
    position: int
    base_currency: str
    cash: Mapping[str, Decimal]
    holdings: Mapping[str, Holding]
    realised_profit: Mapping[str, Decimal]
    fees: Mapping[str, Decimal]
    worth: Decimal | None
    as_of: datetime | None = None
    unpriced: tuple[JsonValue, ...] = ()
    flags: tuple[JsonValue, ...] = ()


@dataclass(frozen=True, slots=True)
class RunState:
    """What the books know of a run, complete up to `position` of the log: how it ended, if it did.

    `open`: the ids of the bot's starts without a finish, where they were asked for; None of a ledger that cannot tell.
    """

    position: int
    success: bool
    result: str | None
    open: tuple[str, ...] | None = None


def is_late(answer: Answer) -> bool:
    """Whether the ledger asks to be asked again."""
    return answer.get("reason") == "timeout" and "error" in answer


def read_portfolio(answer: Answer) -> Portfolio:
    """The portfolio in an answer.

    Raises: UnknownName where there is no such bot, Unreachable where the books were late, Refused where the
    question was wrong, LedgerError where the answer is of a release that this one does not understand.
    """
    if "error" in answer:
        _raise(answer)
    try:
        return _portfolio(answer)
    except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise LedgerError(f"the ledger's answer is not understood ({error!r}): is it of another release?") from error


def read_run_state(answer: Answer) -> RunState:
    """What an answer says of a run.

    Raises: as of `read_portfolio`.
    """
    if "error" in answer:
        _raise(answer)
    try:
        run = answer["run"] or {}
        found = None if answer.get("open") is None else tuple(map(str, answer["open"]))
        return RunState(int(answer["position"]), run.get("success") is True, run.get("result"), found)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise LedgerError(f"the ledger's answer is not understood ({error!r}): is it of another release?") from error


def _portfolio(answer: Answer) -> Portfolio:
    base = answer["base_currency"]
    cash = {base: Decimal(0)} | _amounts(answer["cash"])
    return Portfolio(
        bot=answer["bot"],
        position=int(answer["position"]),
        base_currency=base,
        cash=cash,
        holdings={symbol: _holding(fields) for symbol, fields in answer["holdings"].items()},
        realised_profit=_amounts(answer.get("realised_profit") or {}),
        fees=_amounts(answer.get("fees") or {}),
        worth=_amount(answer.get("worth")),
        as_of=_time(answer.get("as_of")),
        unpriced=tuple(answer.get("unpriced") or ()),
        flags=tuple(answer.get("flags") or ()),
    )


def _holding(fields: Answer) -> Holding:
    return Holding(
        quantity=Decimal(fields["quantity"]),
        cost_basis=_amount(fields.get("cost_basis")),
        currency=fields.get("currency"),
        price=_amount(fields.get("price")),
        price_at=_time(fields.get("price_at")),
        market_value=_amount(fields.get("market_value")),
        unrealised_profit=_amount(fields.get("unrealised_profit")),
        lots=fields.get("lots"),
    )


def _amounts(found: Answer) -> dict[str, Decimal]:
    return {name: Decimal(text) for name, text in found.items()}


def _amount(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _time(text: str | None) -> datetime | None:
    return None if text is None else parse_time(text)


def _raise(answer: Answer) -> NoReturn:
    problem = str(answer["error"])
    match answer.get("reason"):
        case "unknown":
            raise UnknownName(problem)
        case "timeout":
            raise Unreachable(problem)
        case "malformed":
            raise Refused("query", problem)
        case _:
            raise LedgerError(problem)
