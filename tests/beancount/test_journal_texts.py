"""What a journal says beside the numbers: names, texts, facts; who has one, and how several live together."""

from pathlib import Path

import pytest

from ledger.errors import Refused
from projections.beancount import journal, refuse_average
from tests.beancount.histories import void
from tests.beancount.reading import agreed, booked, facts_of, loader
from tests.replay.given import BOT, buy, charge, deposit, opening, register, sell, split

WRITTEN = """\
; What TestBot has done, by botledger. A label is the position of the fact that opened the lot.
; Dates are in UTC; within a day the order of this file counts.
option "title" "TestBot"
option "operating_currency" "USD"

2026-01-05 open Assets:TestBot:Cash
  bot: "TestBot"
2026-01-05 open Equity:TestBot:Opening
  bot: "TestBot"
2026-01-05 * "opening"
  id: "0001"
  position: 1
  at: "2026-01-05T15:30:00Z"
  Assets:TestBot:Cash  10000.00 USD
  Equity:TestBot:Opening  -10000.00 USD

2026-01-05 open Assets:TestBot:GC-F-652CC40D:USD GC-F-652CC40D "STRICT"
  bot: "TestBot"
  symbol: "GC=F"
2026-01-05 * "buy 3 GC=F"
  id: "0002"
  position: 2
  at: "2026-01-05T15:31:00Z"
  run: "r-1"
  Assets:TestBot:GC-F-652CC40D:USD  3 GC-F-652CC40D {{1000.00 USD, 2026-01-05, "2"}} @ 333 USD
  Assets:TestBot:Cash  -1000.00 USD

2026-01-06 open Income:TestBot:Profit
  bot: "TestBot"
2026-01-06 * "sell 3 GC=F"
  id: "0003"
  position: 3
  at: "2026-01-06T15:30:00Z"
  Assets:TestBot:GC-F-652CC40D:USD  -3 GC-F-652CC40D {USD, 2026-01-05, "2"} @ 350 USD
  Assets:TestBot:Cash  1050.00 USD
  Income:TestBot:Profit  -50.00 USD"""


def test_a_journal_is_plain_to_read() -> None:
    bought = buy("GC=F", "3", price="333", fee="1", run="r-1")
    found, _ = agreed(opening("10000"), bought, sell("GC=F", "3", price="350", at="2026-01-06"))
    assert found.text == WRITTEN


def test_a_transaction_tells_its_fact_and_its_run() -> None:
    found, _ = agreed(opening("1000"), buy("QQQ", "1", price="100", run="r-1", note="RSI 27", id="a.b:c"))
    told = found.transactions[-1]
    assert (told.meta["id"], told.meta["position"], told.meta["run"]) == ("a.b:c", 2, "r-1")
    assert (told.meta["at"], told.meta["note"], told.narration) == ("2026-01-05T15:31:00Z", "RSI 27", "buy 1 QQQ")


@pytest.mark.parametrize(
    "text",
    [
        'say "no"; \\ \\" \\n',
        '"\n2026-01-05 open Assets:Injected\n"',
        "\t\r\x1b[31m\u202e\u2028",
        "zwölf – 十二 ☃",
        '"' * 16_384,
        "\n" * 16_384,
        "",
    ],
    ids=("quotes", "lines", "controls", "letters", "long", "long and many lines", "empty"),
)
def test_whatever_a_bot_writes_stays_one_text(text: str) -> None:
    found, _ = agreed(opening("1000"), charge("1", reason=text), deposit("1", note=text))
    charged, deposited = found.transactions[-2:]
    assert len(found.transactions) == 3
    assert charged.narration == deposited.meta["note"]
    assert charged.narration == text or not text.isprintable()
    assert charged.narration.isprintable()


def test_symbols_that_are_currencies_or_much_alike_stay_apart() -> None:
    symbols = [
        "EUR",
        "BRK.B",
        "BRK-B",
        "brk.b",
        "V",
        "^XAU",
        "XAU",
        "GC=F",
        "BTC/USDT:USDT",
        "NULL",
        "Cash",
        "CASH",
        "1",
    ]
    trades = [buy(symbol, "2", price="10", fee="0.01", fee_currency="EUR") for symbol in symbols]
    found, _ = agreed(register(opening={"USD": "1", "EUR": "5"}), *trades, *[sell(s, "1", price="9") for s in symbols])
    accounts = {account for account, _ in found.lots()}
    assert len(accounts) == len(symbols)
    opened = {entry.account: entry for entry in found.entries if type(entry).__name__ == "Open"}
    assert {opened[account].meta["symbol"] for account in accounts} == set(symbols)
    assert len({opened[account].currencies[0] for account in accounts}) == len(symbols)


def test_a_bot_whose_name_beancount_does_not_take_is_told_by_its_own_name() -> None:
    found, _ = agreed(register(bot="rsi_bot-2"), buy("QQQ", "1", price="10", bot="rsi_bot-2"))
    opened = [entry for entry in found.entries if type(entry).__name__ == "Open"]
    assert {entry.meta["bot"] for entry in opened} == {"rsi_bot-2"}


def test_the_journals_of_a_fleet_can_be_included_in_one(tmp_path: Path) -> None:
    bots = ("RSIBot", "rsi_bot", "rsi-bot", "Rsi-bot")
    for bot in bots:
        own = [register(bot=bot), buy("QQQ", "3", price="100", fee="0.5", bot=bot)]
        sold = sell("QQQ", "1", price="150", at="2026-01-07", bot=bot)
        by_bot, market = facts_of([*own, split("QQQ", "2026-01-06", 7, 3), sold])
        text = "\n".join(journal(bot, by_bot[bot], market))
        (tmp_path / f"{bots.index(bot)}.beancount").write_text(text, encoding="utf-8")
    fleet = tmp_path / "fleet.beancount"
    fleet.write_text("".join(f'include "{number}.beancount"\n' for number in range(len(bots))), encoding="utf-8")
    entries, errors, _ = loader.load_file(str(fleet))
    assert errors == []
    assert len([entry for entry in entries if type(entry).__name__ == "Transaction"]) == 4 * len(bots)


def test_amounts_of_any_size_and_30_decimals_are_booked_without_error() -> None:
    huge, tiny = "99999999999999999999." + "9" * 30, "0." + "0" * 29 + "1"
    trades = [
        buy("QQQ", huge, price=huge, fee=tiny),
        buy("QQQ", tiny, price=tiny, fee=huge),
        sell("QQQ", tiny, price="1"),
    ]
    by_bot, market = facts_of([opening(huge), *trades, split("QQQ", "2026-01-06", 1, 7), sell("QQQ", huge, price=tiny)])
    booked("\n".join(journal(BOT, by_bot[BOT], market)))


def test_a_bot_without_facts_has_a_journal_of_nothing() -> None:
    _, market = facts_of([])
    assert booked("\n".join(journal(BOT, [], market))).entries == []


def test_an_average_cost_basis_is_refused_with_what_would_do() -> None:
    by_bot, market = facts_of([register(cost_basis="average"), buy("QQQ", "1", price="1")])
    for refusing in (lambda: refuse_average(by_bot[BOT]), lambda: list(journal(BOT, by_bot[BOT], market))):
        with pytest.raises(Refused, match="cost_basis: is average") as refused:
            refusing()
        assert refused.value.field == "cost_basis"


def test_only_the_registration_that_counts_can_refuse() -> None:
    by_bot, _ = facts_of([register(cost_basis="lifo"), register(cost_basis="average"), register(), void("0003")])
    refuse_average(by_bot[BOT])
    by_bot, _ = facts_of([register(cost_basis="average"), register(cost_basis="lifo"), void("0001")])
    refuse_average(by_bot[BOT])
