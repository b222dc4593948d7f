"""Bots against a real broker and a real ledger: what they publish is recorded, once."""

import subprocess
import sys
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from ledger.errors import Conflict, Refused, Stale, UnknownName
from ledger.publisher import Bot
from ledger.settings import Database
from tests.servers import DEADLINE_SECONDS, NatsServer
from tests.services.bots import NOBODY, RUN, Ledger, MakeBot, crash, depositor, ids, payloads, waiting
from tests.services.desk import AT, kept, recorded


def test_a_run_is_recorded_from_its_start_to_its_end(
    ledger: Ledger, make_bot: MakeBot, sqlite_database: Database, tmp_path: Path
) -> None:
    with ledger(), make_bot() as bot, bot.run(RUN, code_version="abc") as run:
        bought = run.buy("QQQ", quantity="3", price=412.10, fee=Decimal("0.35"))
        run.sell("QQQ", quantity=1, price="413")
        run.result = "RSI 27, bought"
    assert bought.id == f"{RUN}.QQQ.0001-buy"
    found = [id_ for _, _, id_ in recorded(sqlite_database)]
    assert found[0].startswith(f"{RUN}.started.")
    assert found[1:3] == [f"{RUN}.QQQ.0001-buy", f"{RUN}.QQQ.0001-sell"]
    assert found[3].startswith(f"{RUN}.finished.")
    assert waiting(tmp_path / "outbox") == 0


def test_a_run_that_raises_is_finished_with_what_was_raised(
    ledger: Ledger, make_bot: MakeBot, sqlite_database: Database
) -> None:
    with ledger(), make_bot() as bot:
        with suppress(ZeroDivisionError), bot.run(RUN):
            raise ZeroDivisionError("no price")
        with bot.run("another") as run:
            run.result = "well"
        bot.flush()
    found = payloads(sqlite_database)
    assert [payload.get("result") for payload in found if payload["type"] == "run_finished"] == [
        "ZeroDivisionError: no price",
        "well",
    ]
    assert [payload["success"] for payload in found if payload["type"] == "run_finished"] == [False, True]


def test_facts_published_with_the_ledger_down_survive_the_process_and_go_out_with_the_next(
    broker: NatsServer, ledger: Ledger, make_bot: MakeBot, sqlite_database: Database, tmp_path: Path
) -> None:
    broker.kill()
    crash(broker.url, tmp_path / "outbox", "waiting")
    assert waiting(tmp_path / "outbox") == 4
    broker.start()
    with ledger(), make_bot():
        pass
    assert ids(sqlite_database) == ["first", f"{RUN}.QQQ.0001-buy", f"{RUN}.QQQ.0002-buy"]
    assert waiting(tmp_path / "outbox") == 0


@pytest.mark.parametrize("fate", ["waiting", "delivered"])
def test_a_rerun_after_a_crash_in_the_middle_books_nothing_twice(
    ledger: Ledger, make_bot: MakeBot, broker: NatsServer, sqlite_database: Database, tmp_path: Path, fate: str
) -> None:
    with ledger():
        crash(broker.url, tmp_path / "outbox", fate)
        with capture_logs() as logs, make_bot() as bot, bot.run(RUN) as run:
            assert [fact.id for fact in run.recorded] == [f"{RUN}.QQQ.0001-buy", f"{RUN}.QQQ.0002-buy"]
            same = run.buy("QQQ", "3", price="412.1")
            other = run.buy("QQQ", "5", price="500")
            new = run.buy("QQQ", "6", price="412.30")
            bot.flush()
    assert (same.earlier, other.earlier, new.earlier) == (True, True, False)
    assert other.event.model_dump()["quantity"] == Decimal(4)
    warned = [entry["id"] for entry in logs if "otherwise" in entry["event"]]
    assert warned == [f"{RUN}.QQQ.0002-buy"]
    assert ids(sqlite_database) == ["first", *(f"{RUN}.QQQ.000{number}-buy" for number in (1, 2, 3))]
    assert kept(sqlite_database) == []


def test_a_rerun_whose_outbox_was_lost_books_nothing_twice_either(
    ledger: Ledger, make_bot: MakeBot, sqlite_database: Database, tmp_path: Path
) -> None:
    with ledger():
        with make_bot() as bot, bot.run(RUN) as run:
            run.buy("QQQ", "3", price="412.10")
        with capture_logs(), make_bot(outbox_dir=tmp_path / "new") as bot, bot.run(RUN) as run:
            run.buy("QQQ", "3", price="412.10")
            run.buy("QQQ", "4", price="412.20", id="deliberate")
    assert ids(sqlite_database) == [f"{RUN}.QQQ.0001-buy", "deliberate"]
    assert waiting(tmp_path / "new") == 0


def test_a_refused_fact_is_told_and_does_not_block_the_others(
    ledger: Ledger, make_bot: MakeBot, sqlite_database: Database
) -> None:
    with ledger(), make_bot() as bot:
        bot.deposit(1, id="mine")
        bot.flush()
        bot.deposit(2, id="mine")
        bot.deposit(3, id="after")
        with pytest.raises(Conflict, match="mine") as caught:
            bot.flush()
        assert bot.flush() == 0
    assert caught.value.id == "mine"
    assert ids(sqlite_database) == ["mine", "after"]


def test_what_is_not_well_formed_never_enters_the_outbox(make_bot: MakeBot, tmp_path: Path) -> None:
    bot = make_bot(nats_url=NOBODY)
    for call in (
        lambda: bot.buy("QQQ", "-3", price="412.10"),
        lambda: bot.buy("QQQ", float("nan"), price="412.10"),
        lambda: bot.deposit("1_000"),
        lambda: bot.deposit(1, at=datetime(2026, 1, 5)),  # noqa: DTZ001 - what is refused
        lambda: bot.deposit(1, at=date(2026, 1, 5)),  # type: ignore[arg-type]  # what is refused
        lambda: bot.adjust("QQQ", 0, reason="residue"),
        lambda: bot.adjust("QQQ", -0.0, reason="residue"),
        lambda: bot.adjust("USD", 1, reason="airdrop"),
        lambda: bot.adjust("QQQ", 1, cost=-1, reason="airdrop"),
        lambda: bot.void("", reason="booked twice"),
        lambda: bot.void("a fact", reason="booked twice"),
        lambda: bot.statement(cash={"usd": 1}, holdings={}),
        lambda: bot.statement(cash={"USD": float("nan")}, holdings={}),
        lambda: bot.statement(cash={}, holdings={"QQQ": True}),
        lambda: bot.statement(cash={}, holdings={"A B": 1}),
        lambda: bot.run("a run").__enter__(),
        lambda: bot.run("a-run", exclusive=True, overlap_seconds="5"),  # type: ignore[arg-type]  # what is refused
        lambda: bot.publish(["x"]),  # type: ignore[list-item]  # what is refused
        lambda: bot.publish([{"type": "deposit", "amount": "1"}, {"type": "deposit", "amount": 1}]),
    ):
        with pytest.raises(Refused):
            call()
    with pytest.raises(Refused):
        Bot("RSI.Bot", outbox_dir=tmp_path)
    assert waiting(tmp_path / "outbox") == 0


def test_what_sets_books_right_is_recorded_as_it_was_given(
    ledger: Ledger, make_bot: MakeBot, sqlite_database: Database, tmp_path: Path
) -> None:
    with ledger(), make_bot() as bot:
        bot.deposit(1, id="twice")
        void = bot.void("twice", reason="booked twice")
        bot.adjust("BTC", 0.1 + 0.2, cost=Decimal("5.10"), currency="EUR", reason="airdrop", at=AT, id="a1")
        bot.adjust("ETH", quantity="-0.010", reason="residue", id="a2")
        bot.statement(cash={"USD": -0.1, "EUR": Decimal("1E+2")}, holdings={"^XAU": 3, "QQQ": "1.50"}, at=AT, id="s1")
    found = {said.pop("id"): said for said in payloads(sqlite_database)}
    assert list(found) == ["twice", void.id, "a1", "a2", "s1"]
    moments = [found[id_].pop("at") for id_ in (void.id, "a1", "a2", "s1")]
    assert (moments[1], moments[3]) == (AT, AT)
    assert found[void.id] == {"type": "void", "subject": "bots.RSIBot", "target": "twice", "reason": "booked twice"}
    whole = {"quantity": "0.30000000000000004", "cost": "5.1", "currency": "EUR", "reason": "airdrop"}
    assert found["a1"] == {"type": "adjustment", "symbol": "BTC", **whole}
    assert found["a2"] == {"type": "adjustment", "symbol": "ETH", "quantity": "-0.010", "reason": "residue"}
    assert found["s1"] == {
        "type": "statement",
        "subject": "bots.RSIBot",
        "cash": {"USD": "-0.1", "EUR": "100"},
        "holdings": {"^XAU": "3", "QQQ": "1.50"},
    }
    assert waiting(tmp_path / "outbox") == 0


def test_the_moment_of_what_has_none_is_the_clocks(make_bot: MakeBot) -> None:
    noon = datetime(2026, 1, 5, 12, tzinfo=UTC)
    bot = make_bot(nats_url=NOBODY, clock=lambda: noon)
    said = (bot.void("x", reason="wrong"), bot.adjust("QQQ", 1, reason="gift"), bot.statement(cash={}, holdings={}))
    assert [fact.event.at for fact in said] == [noon] * 3
    assert [fact.id for fact in said] == sorted({fact.id for fact in said}), "rising ids"


def test_what_a_run_has_booked_and_is_voided_is_not_booked_again_by_its_rerun(
    ledger: Ledger, make_bot: MakeBot, sqlite_database: Database
) -> None:
    with ledger():
        for _ in range(2):
            with make_bot() as bot, bot.run(RUN) as run:
                bought = run.buy("QQQ", "3", price="412.10")
                bot.void(bought.id, reason="never filled", id="v", at=AT)
    assert bought.earlier
    assert ids(sqlite_database) == [bought.id, "v"]
    assert kept(sqlite_database) == []


def test_two_processes_of_one_bot_share_their_outbox(
    ledger: Ledger, broker: NatsServer, sqlite_database: Database, tmp_path: Path
) -> None:
    with ledger():
        processes = [depositor(broker.url, tmp_path / "outbox", name, count=20) for name in ("one", "other")]
        assert [process.wait(DEADLINE_SECONDS) for process in processes] == [0, 0]
    found = ids(sqlite_database)
    assert sorted(found) == sorted(f"{name}-{number:02}" for name in ("one", "other") for number in range(20))
    assert waiting(tmp_path / "outbox") == 0


def test_many_facts_at_once_are_published_in_order(
    ledger: Ledger, make_bot: MakeBot, sqlite_database: Database
) -> None:
    with ledger(), make_bot() as bot:
        bot.publish([{"type": "deposit", "amount": "1", "id": f"{number:05}"} for number in range(2_000)])
        assert bot.flush(DEADLINE_SECONDS) == 0
    assert ids(sqlite_database) == [f"{number:05}" for number in range(2_000)]


def test_a_portfolio_knows_what_was_just_published(ledger: Ledger, make_bot: MakeBot) -> None:
    with ledger(), make_bot() as bot:
        bot.register(opening={"USD": 10_000})
        for number in range(1, 6):
            bot.buy("QQQ", 1, price=100, fee="0.5")
            portfolio = bot.portfolio()
            assert portfolio.cash["USD"] == 10_000 - number * Decimal("100.5")
            assert portfolio.holdings["QQQ"].quantity == number
        assert portfolio.position == 6
        assert portfolio.base_currency == "USD"


def test_a_portfolio_has_what_was_adjusted_and_lacks_what_was_voided(ledger: Ledger, make_bot: MakeBot) -> None:
    with ledger(), make_bot() as bot:
        bot.register(opening={"USD": 10_000})
        bought = bot.buy("QQQ", 1, price=100)
        bot.adjust("QQQ", "0.5", reason="airdrop")
        assert bot.portfolio().holdings["QQQ"].quantity == Decimal("1.5")
        bot.void(bought.id, reason="never filled")
        bot.statement(cash={"USD": 9_999}, holdings={"QQQ": 0.5})
        portfolio = bot.portfolio()
    assert portfolio.holdings["QQQ"].quantity == Decimal("0.5")
    assert portfolio.cash["USD"] == 10_000, "a statement books nothing"
    kinds = [flag["kind"] for flag in portfolio.flags if isinstance(flag, dict)]
    assert [kind for kind in kinds if str(kind).startswith("statement")] == ["statement_cash"]


def test_a_portfolio_of_a_bot_that_nobody_knows_is_an_unknown_name(ledger: Ledger, make_bot: MakeBot) -> None:
    with ledger(), make_bot("Nobody") as bot, pytest.raises(UnknownName):
        bot.portfolio()


def test_a_run_on_stale_knowledge_does_not_start(ledger: Ledger, make_bot: MakeBot, sqlite_database: Database) -> None:
    with ledger(), make_bot() as bot:
        bot.deposit(1, id="newer")
        bot.flush()
        with pytest.raises(Stale), bot.run(RUN, after=0):
            raise AssertionError("the block must not be entered")
        with bot.run("fresh", after=1) as run:
            run.buy("QQQ", 1, price=1)
    assert ids(sqlite_database) == ["newer", "fresh.QQQ.0001-buy"]


def test_a_registration_that_is_made_at_every_start_is_recorded_once(
    ledger: Ledger, make_bot: MakeBot, sqlite_database: Database, tmp_path: Path
) -> None:
    with ledger():
        for directory in ("outbox", "outbox", "another"):
            with make_bot(outbox_dir=tmp_path / directory) as bot:
                bot.register(opening={"USD": 10_000}, holdings={"QQQ": {"quantity": 1, "cost": 5.5}})
    assert len(recorded(sqlite_database)) == 1
    assert kept(sqlite_database) == []


def test_the_bots_side_is_light(tmp_path: Path) -> None:
    script = "import sys, ledger.publisher; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not {"sqlalchemy", "alembic", "projections", "click"} & set(found)
