"""What-if: books at other fees, prices and lots beside the live ones, by hand to the last digit; nothing is stored."""

from collections.abc import Iterator
from typing import Any

import pytest

from ledger.database import dispose
from ledger.settings import Database
from tests.services.calls import DAY, call, jsonl, line, trade, where
from tests.services.exporting import void

EUROPE = "bots.Europe"
PAPER = "bots.Paper"
REPLAYED = "botledger: fills are replayed, not decisions: what a bot would have done otherwise is not known\n"


def of(subject: str, given: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The line, said by another bot."""
    return {**given, "subject": subject, **more}


LINES = (
    *DAY,
    line("r1", subject=EUROPE, type="bot_registered", base_currency="EUR", opening={"EUR": "500"}),
    of(EUROPE, trade("t1", "buy", "1", price="100", at="2026-01-05T15:31:00Z", currency="EUR"), symbol="SAP"),
    line("r1", subject=PAPER, type="bot_registered", mode="paper", opening={"USD": "1000"}),
    of(PAPER, trade("t1", "buy", "2", price="100.5", at="2026-01-05T15:31:00Z", fee="1", reference_price="100")),
    of(PAPER, trade("t2", "buy", "1", price="130", at="2026-01-05T15:32:00Z", reference_price="130")),
    of(PAPER, trade("t3", "sell", "1", price="149", at="2026-01-05T15:33:00Z", reference_price="150")),
)
"""A bot in USD (3 bought at 412.10 with a fee of 0.30, 1 sold at 414.20, close 415.50), one in EUR, one on paper."""


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Three bots, for tests that only read."""
    found = Database(directory=tmp_path_factory.mktemp("kept") / "data")
    assert call("import", "-", *where(found), stdin=jsonl(LINES)).code == 0
    yield found
    dispose(found)


def asked(database: Database, *arguments: str) -> dict[str, dict[str, Any]]:
    """The answer by name; what has to be said is said."""
    answer = call("what-if", *arguments, "--json", *where(database))
    assert (answer.code, answer.err) == (0, REPLAYED)
    found = {row["name"]: row for row in answer.rows}
    assert len(found) == len(answer.rows)
    return found


def test_another_fee_rate_by_hand(kept: Database) -> None:
    found = asked(kept, "RSIBot", "--fee-rate", "0.001")["RSIBot"]
    # Fees of 1236.30 × 0.001 and 414.20 × 0.001 in place of 0.30 and none.
    assert found["live"] == {
        "worth": "10008.6", "net_flows": "10000", "realised": {"USD": "2"}, "unrealised": {"USD": "6.6"},
        "fees": {"USD": "0.3"}, "dividends": {}, "profit": "8.6", "total_return": "0.00086", "unpriced": [],
    }  # fmt: skip
    # The lot costs 1237.5363; a third of that is 412.5121, and 413.7858 come in for it.
    assert found["altered"] == {
        "worth": "10007.2495", "net_flows": "10000", "realised": {"USD": "1.2737"}, "unrealised": {"USD": "5.9758"},
        "fees": {"USD": "1.6505"}, "dividends": {}, "profit": "7.2495", "total_return": "0.00072495", "unpriced": [],
    }  # fmt: skip
    assert found["difference"] == {
        "worth": "-1.3505", "net_flows": "0", "realised": {"USD": "-0.7263"}, "unrealised": {"USD": "-0.6242"},
        "fees": {"USD": "1.3505"}, "dividends": {}, "profit": "-1.3505", "total_return": "-0.00013505",
    }  # fmt: skip
    assert (found["of"], found["mode"], found["currency"]) == ("bot", "live", "USD")


def test_other_slippage_by_hand(kept: Database) -> None:
    found = asked(kept, "Paper", "--slippage", "25")["Paper"]
    # Live: 1000 − 201 − 1 − 130 + 149 = 817, and 2 at 415.50. The lot of t1 costs 202; 149 − 101 are realised.
    assert (found["live"]["worth"], found["live"]["realised"]) == ("1648", {"USD": "48"})
    # At 25 basis points t1 pays 100.25, t2 130.325, t3 gets 149.625; 149.625 − (200.5 + 1) ÷ 2 are realised.
    assert found["altered"]["realised"] == {"USD": "48.875"}
    assert found["altered"]["worth"] == "1648.8"
    assert found["altered"]["fees"] == {"USD": "1"}
    assert found["difference"]["worth"] == "0.8"


def test_slippage_and_fees_together_by_hand(kept: Database) -> None:
    found = asked(kept, "Paper", "--slippage", "25", "--fee-rate", "0.01")["Paper"]
    # 2.005 of 200.50, 1.30325 of 130.325, 1.49625 of 149.625; a fee of 1 is gone.
    assert found["altered"]["fees"] == {"USD": "4.8045"}
    assert found["altered"]["worth"] == "1644.9955"


def test_another_cost_basis_by_hand(kept: Database) -> None:
    found = asked(kept, "Paper", "--cost-basis", "lifo")["Paper"]
    # Last in, first out: the unit of t2, at 130.
    assert (found["altered"]["realised"], found["altered"]["worth"]) == ({"USD": "19"}, "1648")
    assert found["difference"]["realised"] == {"USD": "-29"}
    assert found["difference"]["unrealised"] == {"USD": "29"}


def test_the_fleets_are_those_of_one_mode_and_one_currency(kept: Database) -> None:
    found = asked(kept, "--fee-rate", "0")
    names = ["Europe", "Paper", "RSIBot", "fleet (live, EUR)", "fleet (live, USD)", "fleet (paper)"]
    assert list(found) == names
    for bot, fleet in zip(names[:3], (names[3], names[5], names[4]), strict=True):
        for key in ("live", "altered", "difference"):
            assert found[fleet][key] == found[bot][key]
    assert found["RSIBot"]["difference"]["worth"] == "0.3"
    assert found["Europe"]["difference"]["worth"] == "0"


def test_a_fleet_without_a_bot_is_the_sum_of_the_others(database: Database) -> None:
    other = "bots.Other"
    lines = [*DAY, line("r1", subject=other, type="bot_registered", opening={"USD": "50"})]
    lines.append(of(other, trade("t1", "buy", "0.1", price="412", at="2026-01-05T15:31:00Z", fee="0.05")))
    assert call("import", "-", *where(database), stdin=jsonl(lines)).code == 0
    found = asked(database, "--without", "RSIBot")
    assert found["RSIBot"]["altered"] is found["RSIBot"]["difference"] is None
    assert found["Other"]["altered"] == found["Other"]["live"]
    fleet = found["fleet (live)"]
    assert fleet["live"]["worth"] == "10058.9"
    assert fleet["altered"] == found["Other"]["live"]
    assert fleet["difference"]["worth"] == "-10008.6"
    assert fleet["difference"]["net_flows"] == "-10000"
    none_left = asked(database, "--without", "RSIBot", "--without", "Other")["fleet (live)"]
    assert none_left["altered"] is none_left["difference"] is None


def test_people_see_the_figures_side_by_side(kept: Database) -> None:
    answer = call("what-if", "RSIBot", "--fee-rate", "0.001", *where(kept))
    assert (answer.code, answer.err) == (0, REPLAYED)
    rows = [row.split() for row in answer.out.splitlines()]
    assert rows[0] == ["bot", "figure", "live", "altered", "difference", "in"]
    assert ["RSIBot", "worth", "10008.60", "10007.25", "-1.35", "USD"] in rows
    assert ["net", "flows", "10000.00", "10000.00", "USD"] in rows
    assert ["total", "return", "0.09%", "0.07%", "-0.01%"] in rows
    # Fees that only the altered books have stand in their place all the same.
    europe = call("what-if", "Europe", "--fee-rate", "0.001", *where(kept)).out.splitlines()
    figures = [row[8:20].strip() for row in europe[2:]]
    assert figures == ["worth", "net flows", "unrealised", "fees", "profit", "total return"]
    left_out = call("what-if", "RSIBot", "Europe", "--without", "RSIBot", *where(kept)).out
    assert "left out" in left_out
    assert all(len(row) <= 80 for row in left_out.splitlines())


def test_it_is_asked_as_of_a_time_and_as_known_at_one(kept: Database) -> None:
    found = asked(kept, "RSIBot", "--fee-rate", "0.001", "--as-of", "2026-01-05T15:30:00Z")["RSIBot"]
    assert found["altered"]["fees"] == {"USD": "1.2363"}
    answer = call("what-if", "RSIBot", "--fee-rate", "0", "--known-at", "2000-01-01", *where(kept))
    assert (answer.code, answer.out) == (2, "")
    answer = call("what-if", "--fee-rate", "0", "--known-at", "2000-01-01", *where(kept))
    assert (answer.code, answer.out, answer.err) == (0, "", "no bots yet\n")


def test_slippage_is_refused_where_a_trade_has_no_reference_price(kept: Database) -> None:
    answer = call("what-if", "--slippage", "5", *where(kept))
    assert (answer.code, answer.out) == (2, "")
    assert answer.err == (
        "botledger: --slippage goes by the reference_price of every trade, and 3 of 6 trades have none, "
        "the first is t1 of bots.Europe at position 8\n"
    )


def test_a_trade_that_does_not_count_needs_no_reference_price(database: Database) -> None:
    lines = [*LINES, of(PAPER, trade("t9", "buy", "1", price="1", at="2026-01-05T15:34:00Z"))]
    lines.append(void("v1", of=PAPER, target="t9"))
    lines.append(of(PAPER, trade("t10", "buy", "1", price="1", at="2026-01-09T15:34:00Z")))
    assert call("import", "-", *where(database), stdin=jsonl(lines)).code == 0
    found = asked(database, "Paper", "--slippage", "25", "--as-of", "2026-01-06")["Paper"]
    assert found["altered"]["worth"] == "1648.8"
    assert call("what-if", "Paper", "--slippage", "25", *where(database)).code == 2


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "suppose something"),
        (("RSIBot", "--as-of", "2026-01-05"), "suppose something"),
        (("--fee-rate", "1.5"), "0.001 is 0.1%"),
        (("--fee-rate", "NaN"), "0.001 is 0.1%"),
        (("--slippage", "-1"), "5 is 0.05%"),
        (("--slippage", "10001"), "5 is 0.05%"),
        (("--cost-basis", "newest"), "newest"),
        (("Nobody", "--fee-rate", "0"), "no bot 'Nobody'"),
        (("RSIBot", "--without", "Paper"), "--without names Paper"),
        (("--without", "Nobody"), "--without names Nobody"),
    ],
)
def test_wrong_use_is_told(kept: Database, arguments: tuple[str, ...], told: str) -> None:
    answer = call("what-if", *arguments, *where(kept))
    assert (answer.code, answer.out) == (2, "")
    assert told in answer.err


def test_nothing_is_stored(database: Database) -> None:
    assert call("import", "-", *where(database), stdin=jsonl(LINES)).code == 0
    looks = (("events", "--json"), ("portfolio", "Paper", "--json"), ("worth", "Paper", "--json"), ("bots", "--json"))
    before = [call(*look, *where(database)).out for look in looks]
    asked(database, "Paper", "--slippage", "100", "--fee-rate", "0.1", "--cost-basis", "average")
    assert [call(*look, *where(database)).out for look in looks] == before
    assert call("rebuild", "--check", *where(database)).code == 0


def test_what_has_no_price_is_told(database: Database) -> None:
    unpriced = {"SAP": {"quantity": "1", "cost": "1"}}
    lines = [line("r1", type="bot_registered", opening={"USD": "5"}, holdings=unpriced)]
    assert call("import", "-", *where(database), stdin=jsonl(lines)).code == 0
    assert asked(database, "--fee-rate", "0")["RSIBot"]["altered"]["unpriced"] == ["SAP"]
    answer = call("what-if", "--fee-rate", "0", *where(database))
    assert answer.err == f"{REPLAYED}RSIBot: without price, so not in its worth: SAP\n"
