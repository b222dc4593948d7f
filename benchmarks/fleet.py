"""The fleet whose facts are measured: bots that trade a few of fifty symbols over 750 days, the same at each run.

Facts come in the order of time, so that many bots speak in each batch, as they do in life.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice

BOTS = 1_000
SYMBOLS = tuple(f"SYM{number:02}" for number in range(50))
SYMBOLS_A_BOT = 5
DAYS = 750
BARS_A_MESSAGE = 250
START = datetime(2023, 10, 2, tzinfo=UTC)
_SEED = 7
_RUN_EVERY, _DEPOSIT_EVERY = 20, 50

Message = tuple[str, bytes]
"""The subject of a fact, and its message."""


def messages(facts: int, *, bots: int = BOTS) -> Iterator[Message]:
    """So many facts: the market's bars, the registrations, then trades with fees, some runs, some deposits."""
    market = _market()
    bars = list(_bars(market))
    yield from bars
    yield from islice(_bots(facts - len(bars), bots, market), facts - len(bars))


def trades(count: int, *, bots: int = BOTS) -> Iterator[Message]:
    """So many facts of bots alone, the registrations first."""
    return islice(_bots(count, bots, _market()), count)


def market_bars() -> Iterator[Message]:
    """The market's bars of all days."""
    return _bars(_market())


def symbols_of_first_bot() -> list[str]:
    """What the first bot trades, whatever else there is."""
    return _traders(1, random.Random(_SEED + 1))[0].symbols


def live_trades(count: int, *, bots: int, round_: int) -> Iterator[Message]:
    """So many facts of a day behind the last bar, the bots registered in round 0; each round has a day of its own."""
    return islice(_bots(count, bots, _market(), first_day=DAYS + round_, days=1, round_=round_), count)


@dataclass(slots=True)
class _Trader:
    """What a bot remembers, so that it sells only what it has."""

    name: str
    symbols: list[str]
    held: dict[str, int] = field(default_factory=dict)
    spoken: int = 0


def _market() -> dict[str, list[int]]:
    """A walk of daily closes in cents for each symbol."""
    walk = random.Random(_SEED)
    closes: dict[str, list[int]] = {}
    for symbol in SYMBOLS:
        close = walk.randrange(2_000, 40_000)
        closes[symbol] = [close := max(100, close + walk.randrange(-close // 50, close // 48)) for _ in range(DAYS)]
    return closes


def _bars(market: dict[str, list[int]]) -> Iterator[Message]:
    for first in range(0, DAYS, BARS_A_MESSAGE):
        for symbol, closes in market.items():
            days = range(first, min(first + BARS_A_MESSAGE, DAYS))
            bars = ",".join(_bar(START + timedelta(days=day), closes[day]) for day in days)
            at = START + timedelta(days=days[-1] + 1)
            yield (
                "market.bench",
                f'{{"at":"{at:%Y-%m-%dT%H:%M:%SZ}","bars":[{bars}],"id":"{symbol}.{first}","interval":"1d",'
                f'"symbol":"{symbol}","type":"bars"}}'.encode(),
            )


def _bar(start: datetime, close: int) -> str:
    numbers = ",".join(f'"{_price(close + more)}"' for more in (-3, 40, -37, 0))
    return f'["{start:%Y-%m-%dT00:00:00Z}",{numbers},"{close * 31}"]'


def _bots(
    count: int, bots: int, market: dict[str, list[int]], *, first_day: int = 0, days: int = DAYS, round_: int = 0
) -> Iterator[Message]:
    """What the bots say over so many days from the first one on."""
    chance = random.Random(_SEED + 1)
    traders = _traders(bots, chance)
    since = START + timedelta(days=first_day)
    moment = f"{since:%Y-%m-%dT00:00:00Z}"
    for trader in traders if round_ == 0 else ():
        yield (
            f"bots.{trader.name}",
            f'{{"at":"{moment}","id":"registered","opening":{{"USD":"1000000"}},"type":"bot_registered"}}'.encode(),
        )
    steps = -(-count // bots)
    for trader in traders:
        trader.spoken = round_ * steps
    for step in range(steps):
        for number, trader in enumerate(traders):
            at = since + timedelta(days=(step + 0.5) * days / steps, seconds=number / bots)
            yield f"bots.{trader.name}", _speak(trader, at, market, chance).encode()


def _traders(count: int, chance: random.Random) -> list[_Trader]:
    return [_Trader(f"Bot{number:04}", chance.sample(SYMBOLS, SYMBOLS_A_BOT)) for number in range(count)]


def _speak(trader: _Trader, at: datetime, market: dict[str, list[int]], chance: random.Random) -> str:
    """The next fact of a bot: mostly a trade, now and then a deposit, or the start or the end of a run."""
    trader.spoken += 1
    number = trader.spoken
    moment = f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond:06}Z"
    run = f"run-{number // _RUN_EVERY:06}"
    if number % _DEPOSIT_EVERY == 0:
        return f'{{"amount":"250.00","at":"{moment}","id":"{number:06}","type":"deposit"}}'
    if number % _RUN_EVERY == 1:
        return f'{{"at":"{moment}","id":"{number:06}","run":"{run}","type":"run_started"}}'
    if number % _RUN_EVERY == _RUN_EVERY - 1:
        return f'{{"at":"{moment}","id":"{number:06}","run":"{run}","success":true,"type":"run_finished"}}'
    symbol = chance.choice(trader.symbols)
    held = trader.held.get(symbol, 0)
    sells = held > 0 and chance.random() < 0.5
    quantity = chance.randrange(1, held + 1) if sells else chance.randrange(1, 40)
    trader.held[symbol] = held + (-quantity if sells else quantity)
    close = market[symbol][min((at - START).days, DAYS - 1)]
    return (
        f'{{"at":"{moment}","fee":"0.{chance.randrange(10, 99)}","id":"{number:06}","price":"{_price(close)}",'
        f'"quantity":"{quantity}","run":"{run}","side":"{"sell" if sells else "buy"}","symbol":"{symbol}",'
        f'"type":"trade"}}'
    )


def _price(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02}"
