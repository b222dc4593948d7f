"""What each speaker of a soak has to say: its nth fact, the same whenever and by whomever it is asked for."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

SYMBOLS = ("QQQ", "BTC", "GLD", "TSLA", "BRK.B")
START = datetime(2026, 1, 5, tzinfo=UTC)
DAYS = 20
_EVERY_CONFLICT = 40
Fields = dict[str, Any]


def utterance(kind: str, seed: int, number: int) -> tuple[str, Fields]:
    """The subject's kind and the fields of the nth fact of a process of this kind (`bots` or `market`)."""
    chance = Random(f"{kind}.{seed}.{number}")
    if kind == "market":
        return _of_the_market(chance, seed, number)
    if number == 0:
        opening = {"USD": "100000"}
        return "bots", {"type": "bot_registered", "id": "registered", "at": _moment(timedelta()), "opening": opening}
    if number % _EVERY_CONFLICT == 0:
        # An id that was used long ago for something else: the first stays, this one is refused.
        return "bots", _flow(chance, f"{number // 2:06}") | {"note": "a conflict"}
    return "bots", _of_a_bot(chance, f"{number:06}", number)


def _of_a_bot(chance: Random, id_: str, number: int) -> Fields:
    match number % 20:
        case 1:
            run = f"run-{number // 20:04}"
            return {"type": "run_started", "id": id_, "at": _any_moment(chance), "run": run}
        case 19:
            run = f"run-{number // 20:04}"
            return {"type": "run_finished", "id": id_, "at": _any_moment(chance), "run": run, "success": True}
        case 7 | 13:
            return _flow(chance, id_)
        case _:
            return _trade(chance, id_)


def _flow(chance: Random, id_: str) -> Fields:
    kind = chance.choice(("deposit", "withdrawal"))
    return {"type": kind, "id": id_, "at": _any_moment(chance), "amount": str(chance.randrange(1, 500))}


def _trade(chance: Random, id_: str) -> Fields:
    return {
        "type": "trade",
        "id": id_,
        "at": _any_moment(chance),
        "symbol": chance.choice(SYMBOLS),
        "side": chance.choice(("buy", "buy", "sell")),
        "quantity": f"{chance.randrange(1, 40)}.{chance.randrange(1, 999_999):06}",
        "price": f"{chance.randrange(5, 400)}.{chance.randrange(1, 99):02}",
        "fee": f"0.{chance.randrange(10, 99)}",
    }


def _of_the_market(chance: Random, seed: int, number: int) -> tuple[str, Fields]:
    symbol = chance.choice(SYMBOLS)
    day = START + timedelta(days=chance.randrange(DAYS))
    usual: Fields = {"id": f"{seed}.{number:06}", "symbol": symbol}
    if number % 25 == 24:
        split = {"type": "split", "at": f"{day:%Y-%m-%dT00:00:00Z}", "new": chance.randrange(1, 5), "old": 2}
        return "actions", usual | split
    if number % 10 == 9:
        dividend = {
            "type": "dividend",
            "at": f"{day:%Y-%m-%dT00:00:00Z}",
            "per_share": f"0.{chance.randrange(1, 99):02}",
        }
        return "actions", usual | dividend
    low = chance.randrange(5, 400)
    bar = [f"{day:%Y-%m-%dT00:00:00Z}", *(f"{low + more}.5" for more in (1, 3, 0, 2)), "1000"]
    at = f"{day + timedelta(days=1, microseconds=number):%Y-%m-%dT%H:%M:%S.%fZ}"
    return "market", usual | {"type": "bars", "at": at, "interval": "1d", "bars": [bar]}


def _any_moment(chance: Random) -> str:
    """Anywhere in the days of the soak: most facts come late, and split days in two."""
    return _moment(timedelta(seconds=chance.randrange(DAYS * 24 * 3600)))


def _moment(since: timedelta) -> str:
    return f"{START + since:%Y-%m-%dT%H:%M:%S}Z"
