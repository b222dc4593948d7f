"""Bots whose broker asks for keys: they are told at once what it refuses, and lose nothing."""

import asyncio
import shutil
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ledger import broker
from ledger.access import SERVICE, inbox_prefix
from ledger.broker import CONSUMER, STREAM, ensure_stream, make_room
from ledger.connection import close, connect
from ledger.errors import SetupError
from ledger.keyring import add_users, seed_path
from ledger.publisher import Actions, Bot, Feed
from ledger.service import running_service
from ledger.settings import Settings
from tests.servers import DEADLINE_SECONDS, wait_until
from tests.services.bots import ids, waiting
from tests.services.calls import call
from tests.services.desk import eventually, trade
from tests.services.guarded import A, B, Guarded, connected

AT_ONCE_SECONDS = 5.0  # Far less than the time-out, far more than it takes.

MakeGuardedBot = Callable[..., Bot]


@pytest.fixture
def bot_of(guarded: Guarded, tmp_path: Path) -> MakeGuardedBot:
    """Bots with an outbox of the test's directory."""

    def make(name: str, **more: Any) -> Bot:
        return Bot(name, nats_url=guarded.url, outbox_dir=tmp_path / "outbox", timeout_seconds=DEADLINE_SECONDS, **more)

    return make


def test_all_that_bot_feed_source_and_service_do_they_may(guarded: Guarded, bot_of: MakeGuardedBot) -> None:
    guarded.add("market.yahoo", "actions.yahoo")
    common: dict[str, Any] = {"nats_url": guarded.url, "outbox_dir": guarded.home, "require_receipts": True}
    with guarded.service(), bot_of("A") as bot:
        bot.register(opening={"USD": "1000"}, id="r")
        with bot.run("2026-01-05T15:30") as run:
            run.buy("QQQ", quantity="1", price="412.10", id="b")
        assert bot.portfolio().cash["USD"] == Decimal("587.90")
        with Feed("yahoo", **common) as feed:
            feed.publish_bars("QQQ", "1d", [("2026-01-05T00:00:00Z", "410", "420", "400", "415.50", "1000")])
        with Actions("yahoo", **common) as actions:
            actions.dividend("QQQ", "2026-03-23", per_share="0.71", id="d")
        bot.deposit(1, id="after")
    assert {"r", "b", "d", "after"} <= set(ids(guarded.database))


def test_commands_are_told_at_once_what_a_shared_seed_may_not(guarded: Guarded) -> None:
    with guarded.service():
        assert call("register", "A", "--nats", guarded.url, LEDGER_NATS_SEED_FILE=str(guarded.keys)).code == 0
        for seed in (A, SERVICE):
            began = time.monotonic()
            of_one = str(seed_path(guarded.keys, seed))
            refused = call("register", "B", "--nats", guarded.url, LEDGER_NATS_SEED_FILE=of_one)
            assert (refused.code, refused.out) == (1, "")
            assert "the broker does not let bots.B do this: permissions violation" in refused.err
            assert time.monotonic() - began < AT_ONCE_SECONDS


def test_a_service_with_a_bots_seed_says_what_it_lacks(guarded: Guarded) -> None:
    settings = Settings(guarded.database, None, guarded.url, nats_seed_file=seed_path(guarded.keys, A))
    with pytest.raises(SetupError, match=r"does not let the service do its work.*js\.api"), running_service(settings):
        pass


def test_the_service_makes_the_stream_anew_with_the_rights_that_it_has(
    guarded: Guarded, bot_of: MakeGuardedBot
) -> None:
    with guarded.service(), bot_of("A") as bot:
        bot.deposit(1, id="before")
        assert bot.flush(DEADLINE_SECONDS) == 0
        guarded.server.kill()
        shutil.rmtree(guarded.home / "jetstream")
        guarded.server.start(guarded.configuration)
        bot.deposit(1, id="after")
        assert bot.flush(DEADLINE_SECONDS) == 0
    assert ids(guarded.database) == ["before", "after"]


def test_the_service_purges_what_is_recorded_with_the_rights_that_it_has(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker, "_FULL", 0.0)

    async def scenario() -> int:
        service = await connect(
            guarded.url, seed_file=seed_path(guarded.keys, SERVICE), inbox_prefix=inbox_prefix(SERVICE)
        )
        try:
            await ensure_stream(service)
            async with connected(guarded, A) as bot:
                await bot.client.jetstream().publish("ledger.bots.A", trade("t1"))
            fetch = await service.jetstream().pull_subscribe_bind(CONSUMER, STREAM)
            [message] = await fetch.fetch(1)
            await message.ack_sync()
            return await make_room(service)
        finally:
            await close(service)

    assert asyncio.run(scenario()) == 1


@pytest.mark.parametrize("whose", [A, "stranger"])
def test_publishing_without_permission_raises_at_once_and_the_fact_stays(
    guarded: Guarded, bot_of: MakeGuardedBot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, whose: str
) -> None:
    add_users(tmp_path / "other", ["bots.B"], beside_data=False)  # Keys of another ledger.
    seed = seed_path(guarded.keys, A) if whose == A else seed_path(tmp_path / "other", B)
    monkeypatch.setenv("LEDGER_NATS_SEED_FILE", str(seed))
    reason = "does not let bots.B do this: permissions violation" if whose == A else "refuses the credentials of bots.B"
    bot = bot_of("B")
    began = time.monotonic()
    with pytest.raises(SetupError, match=reason), bot:
        with pytest.raises(SetupError, match=reason):
            bot.portfolio()
        bot.deposit(1)
        with pytest.raises(SetupError, match=reason):
            bot.flush(DEADLINE_SECONDS)
    assert time.monotonic() - began < AT_ONCE_SECONDS
    assert waiting(tmp_path / "outbox", B) == 1


def test_a_bot_that_runs_goes_on_as_soon_as_it_has_the_right_key(
    guarded: Guarded, bot_of: MakeGuardedBot, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seed = tmp_path / "seed"
    seed.write_bytes(seed_path(guarded.keys, A).read_bytes())
    with guarded.service():
        monkeypatch.setenv("LEDGER_NATS_SEED_FILE", str(seed))
        with bot_of("B") as bot:
            bot.deposit(1, id="d")
            with pytest.raises(SetupError, match=r"does not let bots\.B"):
                bot.flush(DEADLINE_SECONDS)
            seed.write_bytes(seed_path(guarded.keys, B).read_bytes())
            _flush_once_told(bot)
    assert ids(guarded.database) == ["d"]


def test_a_question_without_permission_raises_at_once_and_hinders_no_fact(
    guarded: Guarded, bot_of: MakeGuardedBot
) -> None:
    users = guarded.keys / "users.conf"
    users.write_text(users.read_text().replace('"_INBOX.bots.A.>"', '"_INBOX.other.>"'))
    guarded.reload()
    with guarded.service(), bot_of("A") as bot:
        began = time.monotonic()
        with pytest.raises(SetupError, match=r"subscription to \"_inbox\.bots\.a"):
            bot.portfolio()
        assert time.monotonic() - began < AT_ONCE_SECONDS
        bot.deposit(1, id="d")
        assert bot.flush(DEADLINE_SECONDS) == 0


def test_a_bot_that_is_revoked_while_connected_is_told_and_goes_on_when_it_has_a_key_again(
    guarded: Guarded, bot_of: MakeGuardedBot
) -> None:
    with guarded.service(), bot_of("A") as bot, bot_of("B") as other:
        bot.deposit(1, id="first")
        other.deposit(1, id="mine")
        assert (bot.flush(DEADLINE_SECONDS), other.flush(DEADLINE_SECONDS)) == (0, 0)
        guarded.revoke(A)
        bot.deposit(1, id="second")
        with pytest.raises(SetupError, match=r"LEDGER_NATS_SEED_FILE|bots\.A has none in|refuses the credentials"):
            bot.flush(DEADLINE_SECONDS)
        assert ids(guarded.database) == ["first", "mine"]
        other.deposit(1, id="undisturbed")
        assert other.flush(DEADLINE_SECONDS) == 0
        guarded.add(A)
        _flush_once_told(bot)
    assert ids(guarded.database) == ["first", "mine", "undisturbed", "second"]


def test_the_revoked_connection_is_dropped_and_all_others_stay(guarded: Guarded) -> None:
    async def scenario() -> None:
        async with connected(guarded, A) as revoked, connected(guarded, B) as other:
            await other.hear("ledger.receipts.bots.B")
            await asyncio.to_thread(guarded.add, "bots.C")
            await revoked.client.flush()
            assert revoked.errors == []
            await asyncio.to_thread(guarded.revoke, A)
            await eventually(lambda: revoked.client.is_closed, what="it is dropped")
            await other.client.flush()
            assert other.errors == []
            async with connected(guarded, "bots.C") as new:
                await new.client.flush()

    pid = guarded.server.pid
    asyncio.run(scenario())
    assert guarded.server.pid == pid


def test_the_service_takes_a_new_key_while_it_runs(guarded: Guarded, bot_of: MakeGuardedBot) -> None:
    with guarded.service(), bot_of("A") as bot:
        bot.deposit(1, id="first")
        assert bot.flush(DEADLINE_SECONDS) == 0
        old = seed_path(guarded.keys, SERVICE).read_text()
        guarded.revoke(SERVICE)
        assert seed_path(guarded.keys, SERVICE).read_text() != old
        bot.deposit(1, id="second")
        assert bot.flush(DEADLINE_SECONDS) == 0
    assert ids(guarded.database) == ["first", "second"]


def _flush_once_told(bot: Bot) -> None:
    """Until the bot has looked again; before that it says once more what the broker has refused."""

    def is_flushed() -> bool:
        try:
            return bot.flush(DEADLINE_SECONDS) == 0
        except SetupError:
            return False

    wait_until(is_flushed, what="the bot has found its new key")
