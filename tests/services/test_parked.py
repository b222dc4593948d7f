"""What an earlier release has parked is taken up by the first start of this one: once, and nothing is lost."""

import hashlib
import json
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import text

from ledger import parked
from ledger.following import Order
from ledger.settings import Database
from tests.servers import NatsServer
from tests.services.calls import BOT, ROOT, call, line, surroundings, where
from tests.services.corrections import TOLD, TUESDAY, about, profits, told
from tests.services.desk import count_parked, kept, recorded
from tests.services.owner import connection_of_any_program, with_length
from tests.services.process import serving_command

DESK = "ops.desk"
_INSERT = text(
    "INSERT INTO ledger.parked (digest, received_at, subject, event_id, type, version, payload) "
    "VALUES (:digest, :received_at, :subject, :event_id, :type, :version, :payload)"
)
_TAKING_UP = """
import os, signal, sys
from ledger import parked
from ledger.following import read_order

parked.forget_parked = lambda session, numbers: os.kill(os.getpid(), signal.SIGKILL)
parked.take_up(read_order(sys.stdin.readline()).database)
"""


def park(database: Database, lines: Sequence[dict[str, Any]]) -> None:
    """Leave these as a release that does not know their types has left them, by the description in docs/design.md."""
    with connection_of_any_program(database) as connection:
        for one in lines:
            message = one.get("payload") or {name: value for name, value in one.items() if name != "subject"}
            payload = json.dumps(message, sort_keys=True, separators=(",", ":")).encode()
            content = with_length(one["subject"].encode()) + with_length(payload)
            row = {"subject": one["subject"], "event_id": message["id"], "type": message["type"], "payload": payload}
            row |= {"version": message.get("v", 1), "received_at": "2026-01-05T12:00:00.000000Z"}
            connection.execute(_INSERT, {**row, "digest": hashlib.sha256(content).digest()})


LEFT = (
    about(BOT, by=DESK, id="v1", type="void", target="t2", reason="never filled"),
    line("a1", type="adjustment", at=f"{TUESDAY}T11:00:00Z", symbol="ETH", quantity="2", reason="airdrop"),
    about(BOT, by=DESK, id="s1", type="statement", cash={"USD": "1099.6"}, holdings={"ETH": "2"}),
    line("later", type="adjustment", v=2, at=f"{TUESDAY}T11:00:00Z"),
    about(BOT, by="bots.Other", id="v2", type="void", target="t1", reason="not mine"),
    line("a2", type="adjustment", at=f"{TUESDAY}T11:00:00Z", symbol="ETH", quantity="0", reason="nothing"),
    about(BOT, by=BOT, id="t1", type="void", target="t3", reason="its id is used up"),
    line("lost", type="gift"),
)
"""Three that this release takes, one of a version and one of a type that it does not know, three that it refuses."""


def has_taken_up(database: Database) -> bool:
    """Whether what was left is where it belongs: in the log, in the books, refused, or still parked."""
    assert recorded(database)[6:9] == [(7, DESK, "v1"), (8, BOT, "a1"), (9, DESK, "s1")]
    assert len(recorded(database)) == 9
    refused = [(subject, id_, reason) for subject, id_, reason, _ in kept(database)]
    assert refused == [("bots.Other", "v2", "malformed"), (BOT, "a2", "malformed"), (BOT, "t1", "conflict")]
    assert [row["event_id"] for row in call("parked", "--json", *where(database)).rows] == ["later", "lost"]
    return True


def test_an_import_takes_up_what_was_parked_and_says_so(database: Database) -> None:
    told(database)
    park(database, LEFT)
    answer = call("import", "-", *where(database), stdin=b"")
    assert answer.code == 0
    said = "6 messages that an earlier release had parked are taken up: 1 conflict, 3 recorded, 2 rejected"
    assert answer.err.splitlines()[0] == f"botledger: {said}"
    assert has_taken_up(database)
    assert profits(database) == {"t1": None, "t3": "99.6"}
    [portfolio] = call("portfolio", "RSIBot", "--json", *where(database)).rows
    assert (portfolio["worth"], portfolio["holdings"]["ETH"]["quantity"]) == ("1099.6", "2")
    assert [flag["kind"] for flag in portfolio["flags"]] == ["unpriced"]
    details = [row["detail"] for row in call("rejected", "--json", *where(database)).rows]
    assert details[0].startswith("subject: is bots.RSIBot; bots.Other may void its own facts only")
    assert details[1].startswith('quantity: is "0"') or "not be zero" in details[1]
    again = call("import", "-", *where(database), stdin=b"")
    assert "parked" not in again.err
    assert has_taken_up(database)
    assert call("verify", *where(database)).code == 0
    assert call("rebuild", "--check", *where(database)).code == 0


def test_a_service_takes_up_what_was_parked_before_its_door_opens(
    database: Database, broker: NatsServer, tmp_path: Path
) -> None:
    told(database)
    park(database, LEFT)
    log = tmp_path / "serve.log"
    for taken_up in (True, False):
        with serving_command(log, *where(database), "--nats", broker.url) as process:
            assert has_taken_up(database)
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
        said = [json.loads(entry) for entry in log.read_text().splitlines() if "parked messages taken up" in entry]
        assert [(entry["recorded"], entry["rejected"], entry["conflict"]) for entry in said] == [(3, 2, 1)] * taken_up
    assert profits(database) == {"t1": None, "t3": "99.6"}


def test_registering_takes_up_what_was_parked_too(sqlite_database: Database) -> None:
    told(sqlite_database)
    park(sqlite_database, LEFT)
    assert "6 messages" in call("register", "NewBot", *where(sqlite_database)).err
    assert len(recorded(sqlite_database)) == 10


def test_more_than_a_batch_is_taken_up_in_its_order(database: Database) -> None:
    count = 2 * parked.MESSAGES_A_BATCH + 1
    lines = [about("bots.B", by=DESK, id=f"v{number}", type="void", target="x", reason="r") for number in range(count)]
    park(database, [*lines[:7], line("lost", type="gift"), *lines[7:]])
    assert parked.take_up(database) == {"recorded": count}
    assert recorded(database) == [(number + 1, DESK, f"v{number}") for number in range(count)]
    assert count_parked(database) == 1
    assert parked.take_up(database) == {}


def test_one_that_is_killed_between_recording_and_letting_go_has_done_nothing(database: Database) -> None:
    told(database)
    park(database, LEFT)
    process = subprocess.run(
        [sys.executable, "-c", _TAKING_UP],
        input=Order(database, 0).line().encode(),
        env=surroundings(),
        cwd=ROOT,
        check=False,
        timeout=60,
    )
    assert process.returncode == -signal.SIGKILL
    assert (len(recorded(database)), count_parked(database), kept(database)) == (len(TOLD), len(LEFT), [])
    assert parked.take_up(database) == {"recorded": 3, "rejected": 2, "conflict": 1}
    assert has_taken_up(database)


def test_what_has_been_told_again_meanwhile_is_there_once(database: Database) -> None:
    told(database, LEFT[0])
    park(database, LEFT)
    assert parked.take_up(database) == {"duplicate": 1, "recorded": 2, "rejected": 2, "conflict": 1}
    assert len(recorded(database)) == 9


def test_two_that_start_at_once_take_up_everything_once(database: Database) -> None:
    count = 3 * parked.MESSAGES_A_BATCH
    park(database, [about("bots.B", by=DESK, id=f"v{n}", type="void", target="x", reason="r") for n in range(count)])
    found: list[Counter[str]] = []
    threads = [threading.Thread(target=lambda: found.append(parked.take_up(database))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(found, Counter()) == {"recorded": count}
    assert len(recorded(database)) == count
    assert count_parked(database) == 0
