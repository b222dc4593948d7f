"""What a bot needs: publish what happened, and read back what it holds.

    with Bot("RSIBot") as bot:
        with bot.run("2026-01-05T15:30") as run:
            if bot.portfolio().cash["USD"] > 1500:
                run.buy("QQQ", quantity="3", price="412.10", fee="0.35")
            run.result = "RSI 27, bought"

Publishing writes to the bot's own outbox and returns; a thread delivers. Leaving the block waits for the
ledger's receipts, up to a time limit; what is left goes out with the next run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Unpack

from ledger.answers import MAX_OVERLAP_SECONDS, Holding, Portfolio, read_portfolio
from ledger.earlier import REGISTRATIONS, booked_earlier, booked_registration
from ledger.errors import Refused
from ledger.events import CostBasis
from ledger.feeds import Actions, Feed
from ledger.ids import registration_id
from ledger.inputs import AmountInput, TimeInput, TradeDetails, amount_text, charge_fields, trade_fields
from ledger.outbox_rows import SetAside
from ledger.runs import Run
from ledger.speaker import Published
from ledger.turns import stale_starts
from ledger.voice import Voice

__all__ = ["Actions", "Bot", "Feed", "Holding", "Portfolio", "Published", "Run"]


class Bot(Voice):
    """One bot's voice to the ledger; arguments as of `Voice`."""

    kind = "bots"

    def register(
        self,
        *,
        description: str | None = None,
        base_currency: str | None = None,
        opening: Mapping[str, AmountInput] | None = None,
        holdings: Mapping[str, Mapping[str, AmountInput]] | None = None,
        cost_basis: CostBasis | None = None,
        allow_short: bool | None = None,
        mode: Literal["live", "paper"] | None = None,
        account: str | None = None,
        expected_every: str | None = None,
        at: TimeInput | None = None,
        id: str | None = None,  # noqa: A002 - the field's own name
    ) -> Published:
        """Register the bot, with what it has to begin with; the same again publishes nothing that the ledger has."""
        fields = {
            "type": "bot_registered",
            "description": description,
            "base_currency": base_currency,
            "opening": None if opening is None else _amounts(opening, "opening"),
            "holdings": None if holdings is None else {name: _holding(held) for name, held in holdings.items()},
            "cost_basis": cost_basis,
            "allow_short": allow_short,
            "mode": mode,
            "account": account,
            "expected_every": expected_every,
        }
        chosen = id or registration_id(fields)
        whole = fields | {"id": chosen, "at": self._speaker.moment(at)}
        booked = booked_registration(self._speaker, chosen) if id is None else None
        if booked is not None:
            return booked
        return self._speaker.publish(whole, run=REGISTRATIONS if id is None else None)

    def buy(
        self,
        symbol: str,
        quantity: AmountInput,
        *,
        price: AmountInput,
        fee: AmountInput = 0,
        at: TimeInput | None = None,
        id: str | None = None,  # noqa: A002
        **more: Unpack[TradeDetails],
    ) -> Published:
        """A purchase that happened outside any run.

        Units: price a unit, in `currency`; a negative fee is a rebate.
        """
        return self._publish(trade_fields("buy", symbol, quantity, price=price, fee=fee, **more), at=at, id=id)

    def sell(
        self,
        symbol: str,
        quantity: AmountInput,
        *,
        price: AmountInput,
        fee: AmountInput = 0,
        at: TimeInput | None = None,
        id: str | None = None,  # noqa: A002
        **more: Unpack[TradeDetails],
    ) -> Published:
        """A sale that happened outside any run; units as of `buy`."""
        return self._publish(trade_fields("sell", symbol, quantity, price=price, fee=fee, **more), at=at, id=id)

    def deposit(
        self,
        amount: AmountInput,
        *,
        currency: str | None = None,
        note: str | None = None,
        at: TimeInput | None = None,
        id: str | None = None,  # noqa: A002
    ) -> Published:
        """Cash came in from outside."""
        return self._publish(_flow("deposit", amount, currency=currency, note=note), at=at, id=id)

    def withdraw(
        self,
        amount: AmountInput,
        *,
        currency: str | None = None,
        note: str | None = None,
        at: TimeInput | None = None,
        id: str | None = None,  # noqa: A002
    ) -> Published:
        """Cash went out."""
        return self._publish(_flow("withdrawal", amount, currency=currency, note=note), at=at, id=id)

    def charge(
        self,
        amount: AmountInput,
        *,
        reason: str,
        currency: str | None = None,
        at: TimeInput | None = None,
        id: str | None = None,  # noqa: A002
    ) -> Published:
        """Interest, borrowing, funding or a fee outside a trade; a credit is negative."""
        return self._publish(charge_fields(amount, reason=reason, currency=currency), at=at, id=id)

    def adjust(
        self,
        symbol: str,
        quantity: AmountInput,
        *,
        reason: str,
        cost: AmountInput | None = None,
        currency: str | None = None,
        at: TimeInput | None = None,
        id: str | None = None,  # noqa: A002
    ) -> Published:
        """Units came or went without a trade: an airdrop, staking, a residue; what goes, goes at cost.

        Units: `cost` of all the units together, in `currency`; with it they count as brought in or taken out.
        """
        fields = {
            "type": "adjustment",
            "symbol": symbol,
            "quantity": amount_text(quantity, "quantity"),
            "cost": None if cost is None else amount_text(cost, "cost"),
            "currency": currency,
            "reason": reason,
        }
        return self._publish(fields, at=at, id=id)

    def statement(
        self,
        *,
        cash: Mapping[str, AmountInput],
        holdings: Mapping[str, AmountInput],
        at: TimeInput | None = None,
        id: str | None = None,  # noqa: A002
    ) -> Published:
        """What the broker says that this bot has at `at`: compared with the books, never booked.

        Shape: all of it, cash by currency and quantities by symbol; what is not named is stated as zero.
        """
        fields = {
            "type": "statement",
            "subject": self._speaker.subject,
            "cash": _amounts(cash, "cash"),
            "holdings": _amounts(holdings, "holdings"),
        }
        return self._publish(fields, at=at, id=id)

    def publish(self, facts: Sequence[Mapping[str, object]]) -> tuple[Published, ...]:
        """Publish facts in their wire form, all or none in one durable step: the fast way for many."""
        return self._speaker.send([self._speaker.check(fields) for fields in facts])

    def run(
        self,
        key: str,
        *,
        code_version: str | None = None,
        after: int | None = None,
        exclusive: bool = False,
        overlap_seconds: float = 0.0,
    ) -> Run:
        """One execution of the bot, as a `with` block; the same key again is the same run, tried once more.

        `after`: start only if nothing newer of this bot is recorded than this position. `exclusive`: start only if
        no other process of the bot is at an exclusive run on this machine, no other machine begins at the same time,
        and this run has not finished well. A machine that is in the middle of a run is noticed only with
        `overlap_seconds`: a start elsewhere within so many seconds that has not finished keeps this one from starting,
        also where its process has died. The block raises Stale or RunFinished before its first line, Unreachable
        where the ledger cannot tell.

        Raises: Refused where `overlap_seconds` is no such time, or stands without `exclusive`.
        """
        if overlap_seconds and not exclusive:
            raise Refused("overlap_seconds", "needs exclusive=True")
        if not isinstance(overlap_seconds, int | float) or not 0 <= overlap_seconds <= MAX_OVERLAP_SECONDS:
            wanted = f"a number from 0 to {MAX_OVERLAP_SECONDS:g}"
            raise Refused("overlap_seconds", f"is {overlap_seconds!r:.60}; it must be {wanted}")
        return Run(
            self._speaker,
            key,
            code_version=code_version,
            after=after,
            exclusive=exclusive,
            overlap_seconds=overlap_seconds,
        )

    def portfolio(self, *, timeout_seconds: float | None = None) -> Portfolio:
        """What the bot holds, all that it has published included.

        Raises: Unreachable where the ledger does not answer in time, UnknownName where it does not know the bot.
        """
        limit = self._speaker.timeout_seconds if timeout_seconds is None else timeout_seconds
        return read_portfolio(self._speaker.ask_books({"query": "portfolio"}, timeout_seconds=limit))

    def _publish(self, fields: Mapping[str, object], *, at: TimeInput | None, id: str | None) -> Published:  # noqa: A002
        return self._speaker.publish({**fields, "id": id, "at": self._speaker.moment(at)})

    def _excuses(self, refused: Sequence[SetAside], timeout_seconds: float) -> Sequence[SetAside]:
        registrations = [one for one in refused if one.run == REGISTRATIONS]
        others = [one for one in refused if one.run != REGISTRATIONS]
        known = [one for one in registrations if one.status == "conflict"]
        return known + stale_starts(others) + booked_earlier(self._speaker, others, timeout_seconds=timeout_seconds)


def _flow(kind: str, amount: AmountInput, *, currency: str | None, note: str | None) -> dict[str, object]:
    return {"type": kind, "amount": amount_text(amount, "amount"), "currency": currency, "note": note}


def _amounts(amounts: Mapping[str, AmountInput], field: str) -> dict[str, str]:
    return {name: amount_text(amount, f"{field}.{name}") for name, amount in amounts.items()}


def _holding(held: Mapping[str, AmountInput]) -> dict[str, str]:
    return {name: str(value) if name == "currency" else amount_text(value, name) for name, value in held.items()}
