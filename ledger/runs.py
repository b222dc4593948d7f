"""One execution of a bot: its start, its fills, its end, with ids that a second attempt makes again alike."""

from __future__ import annotations

from collections import Counter
from types import TracebackType
from typing import Self, Unpack

import structlog

from ledger.earlier import recorded_by_earlier_attempts, warn_where_different
from ledger.errors import LedgerError, Stale, Unreachable
from ledger.ids import attempt_id, run_fact_id
from ledger.inputs import AmountInput, TimeInput, TradeDetails, charge_fields, short_text, trade_fields
from ledger.speaker import Published, Speaker
from ledger.turns import STARTS, Turn

_log = structlog.get_logger(__name__)


class Run:
    """One attempt at a run; made by `Bot.run`.

    `result` is what the log of runs will say. `recorded` are the facts that earlier attempts have booked: a
    call that makes the same id publishes nothing and gives that fact back.
    """

    def __init__(
        self,
        speaker: Speaker,
        key: str,
        *,
        code_version: str | None,
        after: int | None,
        exclusive: bool,
        overlap_seconds: float = 0.0,
    ) -> None:
        self.key = key
        self.result: str | None = None
        self.recorded: tuple[Published, ...] = ()
        self._speaker = speaker
        self._code_version = code_version
        self._after = after
        self._turn = Turn(speaker, key, overlap_seconds=overlap_seconds) if exclusive else None
        self._booked: dict[str, Published] = {}
        self._numbers: Counter[tuple[str, str]] = Counter()
        self._started_at = ""

    def __enter__(self) -> Self:
        """Publish `run_started`; with `after`, wait until the ledger has taken it.

        Raises: Stale where something newer than `after` is recorded, or another process is at an exclusive run;
        RunFinished where an exclusive run has finished well; Unreachable where no receipt comes; SetupError where the
        file of its turn cannot be written.
        """
        if self._turn is None:
            return self._start()
        known = self._turn.take()
        try:
            # Before the start, which the ledger takes only if nothing came after this: where it cannot tell, nothing
            # is left behind.
            if self._remember(surely=True):
                # What the ledger had lost is recorded again, behind what was known.
                known = self._turn.ask()
                self._remember(surely=True)
            self._after = known if self._after is None else min(known, self._after)
            return self._start()
        except BaseException:
            self._turn.leave()
            raise

    def _start(self) -> Self:
        self._started_at = self._speaker.moment()
        started = self._speaker.publish(
            {
                "type": "run_started",
                "id": attempt_id(self.key, "started"),
                "at": self._started_at,
                "run": self.key,
                "after": self._after,
                "code_version": self._code_version,
            },
            run=None if self._after is None else STARTS,
        )
        if self._after is not None:
            self._await_start(started)
        if self._turn is None:
            self._remember(surely=False)
        return self

    def _remember(self, *, surely: bool) -> bool:
        """Take up what earlier attempts have booked; whether the ledger had lost any of it, which goes out again."""
        self.recorded, lost = recorded_by_earlier_attempts(self._speaker, self.key, surely=surely)
        self._booked = {fact.id: fact for fact in self.recorded}
        return lost

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Publish `run_finished`, also when the block has raised."""
        try:
            self._finish(error)
        except LedgerError as problem:
            if error is None:
                raise
            _log.error("run_finished not published", run=self.key, problem=str(problem))
        finally:
            if self._turn is not None:
                self._turn.leave()

    def buy(
        self,
        symbol: str,
        quantity: AmountInput,
        *,
        price: AmountInput,
        fee: AmountInput = 0,
        at: TimeInput | None = None,
        id: str | None = None,  # noqa: A002 - the field's own name
        **more: Unpack[TradeDetails],
    ) -> Published:
        """A purchase that happened in this run; units as of `Bot.buy`."""
        fields = trade_fields("buy", symbol, quantity, price=price, fee=fee, **more)
        return self._publish(fields, name=symbol, side="buy", at=at, id=id)

    def sell(
        self,
        symbol: str,
        quantity: AmountInput,
        *,
        price: AmountInput,
        fee: AmountInput = 0,
        at: TimeInput | None = None,
        id: str | None = None,  # noqa: A002 - the field's own name
        **more: Unpack[TradeDetails],
    ) -> Published:
        """A sale that happened in this run; units as of `Bot.buy`."""
        fields = trade_fields("sell", symbol, quantity, price=price, fee=fee, **more)
        return self._publish(fields, name=symbol, side="sell", at=at, id=id)

    def charge(
        self,
        amount: AmountInput,
        *,
        reason: str,
        currency: str | None = None,
        at: TimeInput | None = None,
        id: str | None = None,  # noqa: A002 - the field's own name
    ) -> Published:
        """Interest, borrowing, funding or a fee outside a trade, in this run; a credit is negative."""
        fields = charge_fields(amount, reason=reason, currency=currency)
        return self._publish(fields, name=currency or "USD", side="charge", at=at, id=id)

    def _publish(
        self,
        fields: dict[str, object],
        *,
        name: str,
        side: str,
        at: TimeInput | None,
        id: str | None,  # noqa: A002 - the field's own name
    ) -> Published:
        """Publish under the id that the nth fact of this name and side has in every attempt, unless one is given."""
        number = self._numbers[name, side] + (id is None)
        chosen = id or run_fact_id(self.key, name, number=number, side=side)
        fact = self._speaker.check(fields | {"id": chosen, "at": self._speaker.moment(at), "run": self.key})
        published = self._booked.get(chosen) or self._speaker.send([fact], run=self.key)[0]
        self._numbers[name, side] = number
        if published.earlier:
            warn_where_different(self.key, fact.event, published.event)
        return published

    def _await_start(self, started: Published) -> None:
        """Go on only once the ledger has taken the start; where that stays open, the run is finished at once."""
        try:
            self._speaker.wait(self._speaker.timeout_seconds)
            is_recorded = self._speaker.is_recorded(started.id)
        except Unreachable as error:
            self._finish(error)
            raise
        if not is_recorded:
            raise Stale(f"the run {self.key} does not start: something newer than position {self._after} is recorded")

    def _finish(self, error: BaseException | None) -> None:
        result = self.result if error is None else f"{type(error).__name__}: {error}"
        self._speaker.publish(
            {
                "type": "run_finished",
                "id": attempt_id(self.key, "finished"),
                "run": self.key,
                "success": error is None,
                "result": None if result is None else short_text(result),
                "started_at": self._started_at,
            }
        )
