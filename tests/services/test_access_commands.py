"""`botledger access`: keys on the disk, the users of the broker's configuration, and what it says."""

import asyncio
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ledger.access import SERVICE, is_inbox_of, permissions, read_users, users_text
from ledger.connection import close, connect
from ledger.embedded import find_binary
from ledger.errors import Refused, SetupError, Unreachable
from ledger.keyring import add_users, list_users, refresh_users, revoke_users
from tests.servers import NatsServer
from tests.services.calls import call

A_KEY = "U" + "A" * 55


def test_add_makes_a_key_for_the_service_and_for_each_name(tmp_path: Path) -> None:
    keys = tmp_path / "new" / "data" / "access"
    answer = call("access", "add", "bots.RSIBot", "market.yahoo", "--data-dir", str(keys.parent))
    assert answer.code == 0
    assert answer.out.splitlines() == [
        f"{name} has a key, its seed is {keys / name}.seed" for name in ("service", "bots.RSIBot", "market.yahoo")
    ]
    assert answer.err == "botledger: the broker takes it up when `botledger serve` starts\n"
    assert _mode(keys) == 0o700
    assert {_mode(path) for path in keys.glob("*.seed")} == {0o600}
    assert len({path.read_text() for path in keys.glob("*.seed")}) == 3


def test_adding_twice_changes_nothing(tmp_path: Path) -> None:
    add = ("access", "add", "bots.RSIBot", "bots.RSIBot", "--data-dir", str(tmp_path))
    call(*add)
    before = _content(tmp_path)
    again = call(*add)
    assert (again.code, again.out) == (
        0,
        f"bots.RSIBot had a key already, its seed is {tmp_path}/access/bots.RSIBot.seed\n",
    )
    assert _content(tmp_path) == before


def test_list_shows_who_may_speak(tmp_path: Path) -> None:
    where = ("--data-dir", str(tmp_path))
    nobody = call("access", "list", *where)
    assert (nobody.code, nobody.out) == (0, "")
    assert "nobody has a key" in nobody.err
    call("access", "add", "ops.anna", "bots.RSIBot", *where)
    (tmp_path / "access" / "ops.anna.seed").unlink()  # It was moved to where she is.
    rows = call("access", "list", "--json", *where).rows
    assert [row["name"] for row in rows] == ["service", "bots.RSIBot", "ops.anna"]
    assert [row["seed_file"] for row in rows[1:]] == [f"{tmp_path}/access/bots.RSIBot.seed", None]
    shown = call("access", "list", *where, COLUMNS="120").out
    assert all(row["key"] in shown for row in rows)
    assert "not here any more" in call("access", "add", "ops.anna", *where).out


def test_revoke_takes_key_and_seed_away_all_or_none(tmp_path: Path) -> None:
    where = ("--data-dir", str(tmp_path))
    call("access", "add", "bots.A", "bots.B", *where)
    before = _content(tmp_path)
    refused = call("access", "revoke", "bots.A", "bots.C", *where)
    assert (refused.code, refused.out) == (2, "")
    assert "bots.C has no access" in refused.err
    assert _content(tmp_path) == before
    answer = call("access", "revoke", "bots.A", *where)
    assert (answer.code, answer.out) == (0, "bots.A may not speak any more\n")
    assert [user.name for user in list_users(tmp_path / "access")] == [SERVICE, "bots.B"]
    assert not (tmp_path / "access" / "bots.A.seed").exists()
    first = before[tmp_path / "access" / "bots.A.seed"]
    call("access", "add", "bots.A", *where)
    assert (tmp_path / "access" / "bots.A.seed").read_text() != first


@pytest.mark.parametrize("flag", ["--data-dir", "--config"])
def test_revoking_the_last_users_gives_the_service_a_new_key_and_lets_nobody_in(tmp_path: Path, flag: str) -> None:
    call("access", "add", "bots.A", flag, str(tmp_path))
    [users] = tmp_path.rglob("users.conf")
    [before, _] = list_users(users.parent)
    answer = call("access", "revoke", "bots.A", "service", flag, str(tmp_path))
    assert answer.out.splitlines() == [
        "bots.A may not speak any more",
        f"service has a new key in the place of its old one, its seed is {users.parent}/service.seed",
    ]
    [after] = list_users(users.parent)
    assert (after.name, after.key != before.key) == (SERVICE, True)
    assert _lets_in(users) == []


def test_users_that_are_none_let_nobody_in_and_are_read_as_none(tmp_path: Path) -> None:
    (tmp_path / "users.conf").write_text("users: [\n]\n")
    assert _lets_in(tmp_path / "users.conf") == ["", "//token@", "//nobody:@"], "the broker asks for nothing"
    refresh_users(tmp_path)
    assert list_users(tmp_path) == ()
    assert _lets_in(tmp_path / "users.conf") == []


@pytest.mark.parametrize(
    "name",
    ["", "bots", "bots.", "bots.*", "bots.>", ">", "bots.A.B", "bots.A B", 'bots.A"', "bots.А", "funds.A", "../x"],
)
@pytest.mark.parametrize("action", ["add", "revoke"])
def test_a_name_that_is_none_is_refused_and_nothing_is_made(tmp_path: Path, name: str, action: str) -> None:
    answer = call("access", action, "bots.Good", name, "--data-dir", str(tmp_path / "data"))
    assert (answer.code, answer.out) == (2, "")
    assert "for example bots.RSIBot" in answer.err
    assert len(answer.err.splitlines()) == 1
    assert not (tmp_path / "data").exists()


def test_a_broker_of_ones_own_includes_the_directory_that_is_named(tmp_path: Path) -> None:
    config = tmp_path / "nats" / "ledger"
    answer = call("access", "add", "bots.RSIBot", "--config", str(config), LEDGER_NATS_URL="nats://127.0.0.1:1")
    assert answer.code == 0
    assert str(config / "users.conf") in answer.err
    assert "nats-server --signal reload" in answer.err
    assert _mode(config / "users.conf") == 0o644  # The broker may run as another user.
    for text in (
        'authorization { include "ledger/users.conf" }',
        'accounts { LEDGER { jetstream: enabled, include "ledger/users.conf" } }',
    ):
        (tmp_path / "nats" / "nats.conf").write_text(f'jetstream {{ store_dir: "{tmp_path}" }}\n{text}\n')
        subprocess.run([find_binary(), "-t", "--config", tmp_path / "nats" / "nats.conf"], check=True)


def test_without_a_directory_it_asks_where_the_users_of_ones_own_broker_are(tmp_path: Path) -> None:
    for flag in (("--nats", "nats://127.0.0.1:1"), ("--database", "postgresql://x/y")):
        answer = call("access", "add", "bots.RSIBot", *flag)
        assert answer.code == 2
        assert "give --config DIR" in answer.err


def test_of_many_that_are_added_at_once_none_is_lost(tmp_path: Path) -> None:
    names = [f"bots.B{number}" for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: add_users(tmp_path, [name], beside_data=True), names))
    assert {user.name for user in list_users(tmp_path)} == {SERVICE, *names}


def test_a_key_that_was_made_and_not_yet_entered_is_taken(tmp_path: Path) -> None:
    add_users(tmp_path, ["bots.A"], beside_data=True)
    seed = (tmp_path / "bots.A.seed").read_text()
    before = list_users(tmp_path)
    (tmp_path / "users.conf").unlink()  # As if the machine had gone down in between.
    add_users(tmp_path, ["bots.A"], beside_data=True)
    assert (tmp_path / "bots.A.seed").read_text() == seed
    assert list_users(tmp_path) == before


def test_a_lost_seed_of_the_service_is_replaced_where_it_serves(tmp_path: Path) -> None:
    add_users(tmp_path, ["bots.A"], beside_data=True)
    before = list_users(tmp_path)
    (tmp_path / "service.seed").unlink()
    add_users(tmp_path, ["bots.A"], beside_data=False)
    assert list_users(tmp_path)[0].key == before[0].key  # Its own broker's service may be elsewhere.
    add_users(tmp_path, ["bots.A"], beside_data=True)
    after = list_users(tmp_path)
    assert after[0].key != before[0].key
    assert after[1] == before[1]


@pytest.mark.parametrize(
    ("content", "named"),
    [("nonsense", "holds no nkey seed"), (None, "is another user's seed"), ("", "holds no nkey seed")],
)
def test_a_seed_that_cannot_be_one_is_told(tmp_path: Path, content: str | None, named: str) -> None:
    add_users(tmp_path, ["bots.A"], beside_data=True)
    text = (tmp_path / "bots.A.seed").read_text() if content is None else content
    (tmp_path / "bots.B.seed").write_text(text)
    before = list_users(tmp_path)
    with pytest.raises(SetupError, match=named):
        add_users(tmp_path, ["bots.B"], beside_data=True)
    assert list_users(tmp_path) == before


@pytest.mark.parametrize("text", ["users: [ { nkey: U } ]", "authorization { token: x }", "# bots.A\nnkey:", "\xff"])
def test_users_that_were_changed_by_hand_are_not_guessed_at(tmp_path: Path, text: str) -> None:
    add_users(tmp_path, ["bots.A"], beside_data=True)
    (tmp_path / "users.conf").write_bytes(text.encode("latin-1"))
    for change in (
        lambda: add_users(tmp_path, ["bots.B"], beside_data=True),
        lambda: revoke_users(tmp_path, ["bots.A"]),
        lambda: list_users(tmp_path),
    ):
        with pytest.raises(SetupError, match=r"users\.conf cannot be used"):
            change()
    assert (tmp_path / "users.conf").read_bytes() == text.encode("latin-1")


def test_a_bad_name_among_the_users_is_told_with_the_file(tmp_path: Path) -> None:
    add_users(tmp_path, ["bots.A"], beside_data=True)
    users = tmp_path / "users.conf"
    users.write_text(users.read_text().replace("# bots.A", "# bots.*"))
    with pytest.raises(SetupError, match=r"users\.conf cannot be used: .*bots\.\*"):
        list_users(tmp_path)


def test_users_are_read_as_they_were_written() -> None:
    users = {SERVICE: A_KEY, "bots.A": A_KEY.replace("A", "B"), "ops.anna": A_KEY.replace("A", "C")}
    assert read_users(users_text(users)) == users
    assert read_users(users_text({})) == {}


def test_nobody_may_use_a_wildcard_but_for_its_own_inbox() -> None:
    for name in ("bots.A", "market.A", "actions.A", "ops.A"):
        found = permissions(name)
        assert [one for one in found.publish if "*" in one or ">" in one] == []
        assert [one for one in found.subscribe if "*" in one or ">" in one] == [f"_INBOX.{name}.>"]
    with pytest.raises(Refused):
        permissions("bots.>")


@pytest.mark.parametrize(
    ("reply", "is_taken"),
    [
        ("_INBOX.bots.A.x", True),
        ("_INBOX.abcdefghijklmnopqrstuv.1", True),
        ("_INBOX.bots.A", False),
        ("_INBOX.bots.AB.x", False),
        ("_INBOX.bots.B.x", False),
        ("_INBOX.market.A.x", False),
        ("_INBOX.service.x", False),
        ("_INBOX.service", False),
        ("$JS.API.STREAM.PURGE.LEDGER", False),
        ("ledger.receipts.bots.A", False),
        ("", False),
    ],
)
def test_an_answer_may_go_to_an_inbox_that_is_nobody_elses(reply: str, is_taken: bool) -> None:
    assert is_inbox_of("bots.A", reply) is is_taken


def _lets_in(users: Path) -> list[str]:
    """Without a key, with a token, with a password: what a real broker with these users takes."""
    server = NatsServer(users.parent)
    server.start(f"jetstream {{}}\nauthorization {{ include {users.name} }}")
    try:
        return [who for who in ("", "//token@", "//nobody:@") if _is_let_in(server.url.replace("//", who or "//"))]
    finally:
        server.stop()


def _is_let_in(url: str) -> bool:
    async def attempt() -> None:
        await close(await connect(url))

    try:
        asyncio.run(attempt())
    except Unreachable as error:
        assert "refuses" in str(error)
        return False
    return True


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _content(directory: Path) -> dict[Path, str]:
    return {path: path.read_text() for path in directory.rglob("*") if path.is_file()}
