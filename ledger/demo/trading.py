"""The demo's days as they go by: the feed publishes prices, the bots run each week, three things go wrong.

python -m ledger.demo.trading DIR BOT WEEK     a bot's run that dies in its middle, for the demo's crash
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

from ledger.demo.history import SYMBOLS, History, load_history
from ledger.demo.strategies import STRATEGIES, Order, Strategy
from ledger.errors import LedgerError
from ledger.publisher import Actions, Bot, Feed, Run

CRASH_WEEK = 65
DUPLICATE_WEEK = 90
LATE_WEEK = 120
_CLOSE = time(21, 0, tzinfo=UTC)
_FEE_A_SHARE = Decimal("0.005")
_LEAST_FEE = Decimal("1.00")
_CENT = Decimal("0.01")
_SECONDS = 30.0


@dataclass(slots=True)
class Mishaps:
    """What went wrong on purpose, and what became of it; one line each."""

    lines: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Trader:
    """One bot of the demo with its strategy."""

    bot: Bot
    decide: Strategy
    history: History

    def run(self, week: int, day: date, *, dies: bool = False) -> int:
        """The run of a week, at the close of its last day; the number of facts that earlier attempts had booked."""
        with self.bot.run(f"{day.isoformat()}T21.00") as run:
            closes = {symbol: self.history.closes(symbol, day) for symbol in SYMBOLS}
            closes = {symbol: prices for symbol, prices in closes.items() if prices}
            orders = self.decide(week, closes, self.bot.portfolio(timeout_seconds=_SECONDS))
            for number, order in enumerate(orders):
                # One after the other: what is sold pays for what is bought.
                at = datetime.combine(day, _CLOSE) + timedelta(seconds=number)
                _trade(run, order, closes[order.symbol][-1], at)
                if dies:
                    self.bot.flush(_SECONDS)
                    os.kill(os.getpid(), signal.SIGKILL)
            run.result = f"{len(orders)} trades" if orders else "nothing to do"
            return len(run.recorded)


def trade_through(data_dir: Path, *, bots: int, on_week: Callable[[int, int], None] | None = None) -> Mishaps:
    """Four years of trading into the ledger that serves this directory.

    `on_week` is called with weeks done and weeks in all.
    """
    history = load_history()
    weeks = list(history.weeks())
    mishaps = Mishaps()
    clock = _Clock()
    with ExitStack() as stack:
        feed = stack.enter_context(Feed("exchange", data_dir=data_dir, clock=clock, timeout_seconds=_SECONDS))
        actions = stack.enter_context(Actions("exchange", data_dir=data_dir, clock=clock, timeout_seconds=_SECONDS))
        traders = [
            Trader(
                stack.enter_context(Bot(name, data_dir=data_dir, clock=clock, timeout_seconds=_SECONDS)),
                decide,
                history,
            )
            for name, _, decide in fleet(bots)
        ]
        clock.now = datetime.combine(weeks[0][0], time(9), tzinfo=UTC)
        for trader, (_, description, _) in zip(traders, fleet(bots), strict=True):
            trader.bot.register(description=description, opening={"USD": 10_000})
        pool = stack.enter_context(ThreadPoolExecutor(len(traders)))
        for number, week in enumerate(weeks):
            _publish_week(feed, actions, history, week)
            clock.now = datetime.combine(week[-1], _CLOSE)
            if number == CRASH_WEEK:
                mishaps.lines.append(_crash(data_dir, traders, number, week[-1]))
            for done in [pool.submit(trader.run, number, week[-1]) for trader in traders]:
                done.result()
            if number == DUPLICATE_WEEK:
                mishaps.lines.append(_duplicate(traders[0], week[-1]))
            if number == LATE_WEEK:
                mishaps.lines.append(_late(traders[-1], history, weeks[number - 8][-1]))
            if on_week is not None:
                on_week(number + 1, len(weeks))
    return mishaps


def fleet(bots: int) -> list[tuple[str, str, Strategy]]:
    """Names, descriptions and strategies of so many bots; the strategies come round again."""
    found = []
    for number in range(bots):
        name, description, decide = STRATEGIES[number % len(STRATEGIES)]
        round_ = number // len(STRATEGIES)
        found.append((f"{name}{round_ + 1}" if round_ else name, description, decide))
    return found


class _Clock:
    """The demo's own time."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


def _publish_week(feed: Feed, actions: Actions, history: History, week: list[date]) -> None:
    """What the market did in a week: its splits and dividends, then its prices."""
    for action in history.actions:
        if week[0] <= action.day <= week[-1]:
            if action.per_share is None:
                actions.split(action.symbol, action.day, new=action.new, old=action.old)
            else:
                actions.dividend(action.symbol, action.day, per_share=action.per_share)
    for symbol in SYMBOLS:
        rows = [bar.row for bar in history.by_symbol[symbol] if week[0] <= bar.day <= week[-1]]
        if rows:
            end = datetime.combine(week[-1], time(), tzinfo=UTC) + timedelta(days=1)
            feed.publish_bars(symbol, "1d", rows, at=end)
    for voice in (actions, feed):
        left = voice.flush(_SECONDS)
        if left:
            raise LedgerError(f"{left} facts of the market have no receipt after {_SECONDS:.0f} s")


def _trade(run: Run, order: Order, price: Decimal, at: datetime) -> None:
    fee = max(_LEAST_FEE, (abs(order.quantity) * _FEE_A_SHARE).quantize(_CENT))
    deal = run.buy if order.quantity > 0 else run.sell
    deal(order.symbol, abs(order.quantity), price=price, reference_price=price, fee=fee, at=at)


def _crash(data_dir: Path, traders: list[Trader], week: int, day: date) -> str:
    """A bot killed in the middle of its run, after a trade; the run is then tried again by the week as usual."""
    for trader in traders:
        program = "from ledger.demo.trading import die_in_a_run; die_in_a_run()"
        command = [sys.executable, "-c", program, str(data_dir), trader.bot.name, str(week)]
        ended = subprocess.run(command, check=False, timeout=60)
        if ended.returncode == -signal.SIGKILL:
            booked = trader.run(week, day)
            return f"{trader.bot.name} was killed in its run of {day} and run again: {booked} trade was booked already"
    return f"no bot traded in the week of {day}, so none was killed"


def _duplicate(trader: Trader, day: date) -> str:
    """One trade published twice under its own id."""
    fields = {
        "id": f"{day.isoformat()}.twice",
        "type": "trade",
        "at": f"{day.isoformat()}T20:59:00Z",
        "symbol": "IBM",
        "side": "buy",
        "quantity": "1",
        "price": "90.00",
        "reference_price": "90.00",
        "fee": "1.00",
    }
    trader.bot.publish([fields])
    trader.bot.flush(_SECONDS)
    trader.bot.publish([fields])
    trader.bot.flush(_SECONDS)
    return f"{trader.bot.name} published a trade of {day} twice: it is in the books once"


def _late(trader: Trader, history: History, day: date) -> str:
    """A trade that the ledger hears of eight weeks after it happened."""
    price = history.closes("IBM", day)[-1]
    at = datetime.combine(day, _CLOSE)
    trader.bot.buy("IBM", 5, price=price, reference_price=price, fee="1.00", at=at, id=f"{day.isoformat()}.late")
    trader.bot.flush(_SECONDS)
    return f"{trader.bot.name} told of a trade of {day} eight weeks late: its books since then were folded again"


def die_in_a_run() -> None:
    """A bot's run that kills its own process after the first trade; arguments: directory, bot, number of the week."""
    data_dir, name, week = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    history = load_history()
    day = list(history.weeks())[week][-1]
    clock = _Clock()
    clock.now = datetime.combine(day, _CLOSE)
    decide = next(strategy for known, _, strategy in fleet(1_000) if known == name)
    with Bot(name, data_dir=data_dir, clock=clock, timeout_seconds=_SECONDS) as bot:
        Trader(bot, decide, history).run(week, day, dies=True)
