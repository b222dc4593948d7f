"""`performance`: of a bot, of the fleet as a whole, of a symbol beside them; and what is wrong use of it."""

from decimal import Decimal
from typing import Any

import pytest

from ledger.settings import Database
from tests.services.calls import call, line, trade, where
from tests.services.week import WEEK, asked, closes, keep, refused, registered

FIGURES = [
    "first_day", "last_day", "observations", "total_return", "money_weighted", "cagr", "volatility", "sharpe",
    "sortino", "maximum_drawdown", "drawdown_peak_day", "drawdown_trough_day", "drawdown_recovered_day", "calmar",
    "best_day", "worst_day", "final_worth", "net_flows", "profit", "notes",
]  # fmt: skip
BETA = "bots.Beta"
IN_EUR = (
    registered(BETA, {"EUR": "100"}, base_currency="EUR"),
    trade("t1", "buy", "1", price="100", at="2026-01-05T15:30:00Z", currency="EUR", subject=BETA),
    closes("q", "QQQ", "100", "110", "120", currency="EUR"),
)


@pytest.fixture(scope="module")
def kept(module_database: Database) -> Database:
    """The week, for tests that only read."""
    keep(module_database, WEEK)
    return module_database


def test_a_bots_performance_is_told_with_every_figure(kept: Database) -> None:
    [found] = asked(kept, "performance", "Alpha", "--json").rows
    assert list(found) == ["name", "of", "currency", *FIGURES]
    assert (found["name"], found["of"], found["currency"]) == ("Alpha", "bot", "USD")
    assert (found["final_worth"], found["net_flows"], found["profit"]) == ("1439.5", "1400", "39.5")
    assert (found["first_day"], found["last_day"], found["observations"]) == ("2026-01-05", "2026-01-08", 4)
    assert found["worst_day"]["day"] == "2026-01-07"
    told = asked(kept, "performance", "Alpha").out
    assert all(name in told for name in ("final worth", "1439.50 USD", "total return", "maximum drawdown"))


def test_a_deposit_is_no_profit(kept: Database) -> None:
    [found] = asked(kept, "performance", "Alpha", "--json").rows
    assert Decimal(found["total_return"]) == _linked(_days(kept, "Alpha"))
    # Worth rises from 1017.5 to 1439.5 on the day of a deposit of 400: that is 22 earned on 1017.5.
    assert found["best_day"] == {"day": "2026-01-06", "return": _rounded(Decimal(26) / 999)}
    [before] = asked(kept, "performance", "Alpha", "--as-of", "2026-01-07", "--json").rows
    grown = (1 + Decimal(found["total_return"])) / (1 + Decimal(before["total_return"]))
    assert _rounded(grown) == _rounded(Decimal("1039.5") / Decimal("1017.5"))


def test_the_fleet_is_the_sum_of_its_live_bots_and_no_sum_of_percents(kept: Database) -> None:
    live, paper = asked(kept, "performance", "--json").rows
    assert [(found["name"], found["of"]) for found in (live, paper)] == [
        ("fleet (live)", "fleet"),
        ("fleet (paper)", "fleet"),
    ]
    alpha, gamma = _days(kept, "Alpha"), _days(kept, "Gamma")
    together = _summed(alpha, gamma)
    assert Decimal(live["total_return"]) == _linked(together)
    assert live["final_worth"] == str(together[-1][1]) and live["net_flows"] == "1900"
    assert Decimal(live["total_return"]) != _linked(alpha) + _linked(gamma)
    assert Decimal(paper["total_return"]) == _linked(_days(kept, "Paper"))
    assert paper["profit"] == "1000"


def test_live_and_paper_are_one_only_where_that_is_asked_for(kept: Database) -> None:
    [mixed] = asked(kept, "performance", "--mixed", "--json").rows
    assert (mixed["name"], mixed["net_flows"]) == ("fleet (live and paper)", "10900")
    together = _summed(_summed(_days(kept, "Alpha"), _days(kept, "Gamma")), _days(kept, "Paper"))
    assert Decimal(mixed["total_return"]) == _linked(together)
    told = asked(kept, "performance").out
    assert "fleet (live)" in told and "fleet (paper)" in told
    assert "fleet (live and paper)" in asked(kept, "performance", "--mixed").out


def test_a_symbol_stands_beside_them_over_the_same_days(kept: Database) -> None:
    bot, symbol = asked(kept, "performance", "Alpha", "--against", "QQQ", "--json").rows
    assert (symbol["name"], symbol["of"], symbol["total_return"]) == ("QQQ", "symbol", "0.2")
    assert (symbol["first_day"], symbol["last_day"]) == (bot["first_day"], bot["last_day"])
    told = asked(kept, "performance", "Gamma", "--against", "SPY").out
    assert "Gamma" in told and "SPY" in told
    assert len(asked(kept, "performance", "--against", "QQQ", "--json").rows) == 4
    assert refused(kept, "performance", "Alpha", "--against", "NOPE", says="no prices of 'NOPE' in USD are known")
    assert refused(kept, "performance", "--against", "NOPE", says="no prices of 'NOPE' in USD are known")


def test_several_base_currencies_are_told_in_one_that_is_named(database: Database) -> None:
    keep(database, [registered("bots.Alpha", {"USD": "100"}), *IN_EUR, closes("e", "EURUSD=X", "1", "2", "2")])
    says = "the live bots count in EUR, USD: say in which the fleet is told, by --currency"
    assert refused(database, "performance", says=says)
    [fleet] = asked(database, "performance", "--currency", "USD", "--json").rows
    # 100 USD, and 100 EUR that are worth 100, 220 and 240 USD.
    assert (fleet["currency"], fleet["net_flows"], fleet["final_worth"]) == ("USD", "200", "340")
    assert Decimal(fleet["total_return"]) == Decimal("0.7")
    [beta] = asked(database, "performance", "Beta", "--json").rows
    assert (beta["currency"], beta["total_return"]) == ("EUR", "0.2")


def test_in_another_currency_each_day_has_its_rate_also_where_nothing_else_happened(database: Database) -> None:
    rates = closes("e", "USDEUR=X", "1", "0.5", "0.8")
    keep(database, [registered("bots.Alpha", {"USD": "100"}), registered(BETA, {"EUR": "100"}, base_currency="EUR")])
    keep(database, [rates])
    [beta] = asked(database, "performance", "Beta", "--currency", "USD", "--json").rows
    assert (beta["final_worth"], beta["profit"], beta["total_return"]) == ("125", "25", "0.25")
    assert (beta["observations"], beta["maximum_drawdown"], beta["drawdown_trough_day"]) == (2, "-0.375", "2026-01-07")
    [fleet] = asked(database, "performance", "--currency", "USD", "--json").rows
    assert (fleet["final_worth"], fleet["net_flows"]) == ("225", "200")
    assert asked(database, "performance", "Beta", "--json").rows[0]["final_worth"] == "100"


def test_days_without_a_rate_are_left_out_and_said(database: Database) -> None:
    keep(database, [*IN_EUR, closes("e", "EURUSD=X", "2", start=6)])
    answer = call("performance", "Beta", "--currency", "USD", "--json", *where(database))
    assert (answer.code, answer.rows[0]["first_day"]) == (0, "2026-01-06")
    assert answer.err == "botledger: days without a rate in USD are left out: Beta 1 from 2026-01-05 on\n"
    answer = call("performance", "Beta", "--currency", "GBP", *where(database))
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == "botledger: no rate of EUR in GBP is known\n"


def test_of_many_bots_without_a_rate_the_first_are_named(sqlite_database: Database) -> None:
    bots = [registered(f"bots.B{number}", {"EUR": "1"}, base_currency="EUR") for number in range(8)]
    keep(sqlite_database, [*bots, closes("e", "EURUSD=X", "2", start=6)])
    answer = call("performance", "--currency", "USD", "--json", *where(sqlite_database))
    named = ", ".join(f"B{number} 1 from 2026-01-05 on" for number in range(5))
    assert answer.err == f"botledger: days without a rate in USD are left out: {named}, and 3 bots more\n"


def test_a_bot_without_a_worth_has_no_figures_and_that_is_said(sqlite_database: Database) -> None:
    keep(sqlite_database, [line("s", subject=BETA, type="run_started", run="only")])
    assert asked(sqlite_database, "performance", "Beta").err == "Beta has no day with a worth yet\n"
    assert asked(sqlite_database, "performance", "--json").out == ""


def test_a_year_and_what_is_free_of_risk_are_told(kept: Database) -> None:
    def figures(*options: str) -> dict[str, Any]:
        [found] = asked(kept, "performance", "Alpha", "--json", *options).rows
        return found

    usual = figures()
    assert figures("--annualise", "252", "--risk-free", "0") == usual
    longer = figures("--annualise", "365")
    assert Decimal(longer["cagr"]) > Decimal(usual["cagr"])
    assert (longer["total_return"], longer["money_weighted"]) == (usual["total_return"], usual["money_weighted"])
    assert Decimal(figures("--risk-free", "0.04")["sharpe"]) < Decimal(usual["sharpe"])
    assert Decimal(figures("--risk-free", "-0.04")["sharpe"]) > Decimal(usual["sharpe"])


def test_what_is_used_wrongly(kept: Database) -> None:
    for wrong in ("abc", "nan", "inf", "1e999", "4%", "", "-5", "1.1"):
        assert refused(kept, "performance", "Alpha", "--risk-free", wrong, says="a part of one, such as 0.04")
    for wrong in ("usd", "US", "US D", "", "€"):
        assert refused(kept, "performance", "--currency", wrong, says="is not a currency such as USD")
    assert refused(kept, "performance", "--annualise", "260", says="'260' is not one of '252', '365'")
    assert refused(kept, "performance", "Nobody", says="no bot 'Nobody' is in the log")
    assert asked(kept, "performance", "--as-of", "2026-01-04").err == "no bots with a worth yet\n"


def _days(database: Database, bot: str) -> list[tuple[str, Decimal, Decimal]]:
    rows = asked(database, "worth", bot, "--json").rows
    return [(row["date"], Decimal(row["portfolio_worth"]), Decimal(row["net_flow"])) for row in rows]


def _summed(
    one: list[tuple[str, Decimal, Decimal]], other: list[tuple[str, Decimal, Decimal]]
) -> list[tuple[str, Decimal, Decimal]]:
    """Two series as one: the newest worth of each, and what flowed on the day."""
    found = []
    for day in sorted({day for day, _, _ in (*one, *other)}):
        worth = sum(([Decimal(0), *(w for d, w, _ in series if d <= day)][-1] for series in (one, other)), Decimal(0))
        flow = sum((flow for d, _, flow in (*one, *other) if d == day), Decimal(0))
        found.append((day, worth, flow))
    return found


def _linked(days: list[tuple[str, Decimal, Decimal]]) -> Decimal:
    """The naive return: of each day what it brought on the worth before, all of them one after the other."""
    grown, before = Decimal(1), Decimal(0)
    for _, worth, flow in days:
        grown *= (worth - flow) / before if before else worth / flow
        before = worth
    return round(grown - 1, 12).normalize()


def _rounded(amount: Decimal) -> str:
    return str(round(amount, 12).normalize())
