"""Feeds and sources against a real broker and a real ledger."""

from datetime import UTC, datetime
from pathlib import Path

from ledger.publisher import Actions, Feed
from ledger.settings import Database
from tests.servers import NatsServer
from tests.services.bots import Ledger, ids, payloads
from tests.services.desk import kept, recorded


def test_bars_are_published_once_however_often_they_are_fetched(
    ledger: Ledger, broker: NatsServer, sqlite_database: Database, tmp_path: Path
) -> None:
    table = [(f"2026-01-{day:02}", 1, 2, 0.5, 1.5, 100) for day in range(1, 20)]
    table.append(("2026-01-20", 1, 2, float("nan"), 1.5, 100))
    with ledger(), Feed("yahoo", nats_url=broker.url, outbox_dir=tmp_path) as feed:
        first = feed.publish_bars("EURUSD=X", "1d", table, adjusted_through="2026-01-20T00:00:00Z")
        feed.publish_bars("EURUSD=X", "1d", table, adjusted_through="2026-01-20T00:00:00Z")
        feed.flush()
        feed.publish_bars("EURUSD=X", "1d", table, adjusted_through="2026-01-20T00:00:00Z")
    assert (first.published, first.left_out, len(first.facts)) == (19, 1, 1)
    assert first.facts[0].event.at == datetime(2026, 1, 20, tzinfo=UTC)
    assert len(recorded(sqlite_database)) == 1
    assert kept(sqlite_database) == []


def test_splits_and_dividends_have_ids_that_follow_from_what_they_are(
    ledger: Ledger, broker: NatsServer, sqlite_database: Database, tmp_path: Path
) -> None:
    with ledger(), Actions("yahoo", nats_url=broker.url, outbox_dir=tmp_path) as actions:
        for _ in range(2):
            actions.split("QQQ", "2003-02-18", new=2, old=1)
            actions.dividend("QQQ", "2003-02-18", per_share="0.014")
            actions.flush()
    assert ids(sqlite_database) == ["QQQ.2003-02-18.split", "QQQ.2003-02-18.dividend.USD"]


def test_a_feed_voids_its_own_bars_and_publishes_them_again_with_a_later_time(
    ledger: Ledger, broker: NatsServer, sqlite_database: Database, tmp_path: Path
) -> None:
    table = [("2026-01-05", 1, 2, 0.5, 1.5, 100)]
    with ledger(), Feed("yahoo", nats_url=broker.url, outbox_dir=tmp_path) as feed:
        (wrong,) = feed.publish_bars("QQQ", "1d", table).facts
        void = feed.void(wrong.id, reason="a bad close")
        (again,) = feed.publish_bars("QQQ", "1d", table, at="2026-01-07T00:00:00Z").facts
    assert ids(sqlite_database) == [wrong.id, void.id, again.id]
    said = payloads(sqlite_database)[1]
    assert (said["subject"], said["target"], said["reason"]) == ("market.yahoo", wrong.id, "a bad close")


def test_a_source_voids_its_own_actions_and_publishes_what_is_right_under_another_id(
    ledger: Ledger, broker: NatsServer, sqlite_database: Database, tmp_path: Path
) -> None:
    with ledger(), Actions("yahoo", nats_url=broker.url, outbox_dir=tmp_path) as actions:
        split = actions.split("QQQ", "2003-02-18", new=3, old=1)
        dividend = actions.dividend("QQQ", "2003-02-18", per_share=0.14)
        actions.void(split.id, reason="two for one", id="v1")
        actions.void(dividend.id, reason="a digit too few", id="v2")
        actions.split("QQQ", "2003-02-18", new=2, old=1, id="right-split")
        actions.dividend("QQQ", "2003-02-18", per_share=0.014, id="right-dividend")
    assert ids(sqlite_database) == [split.id, dividend.id, "v1", "v2", "right-split", "right-dividend"]
    voids = [said for said in payloads(sqlite_database) if said["type"] == "void"]
    assert [(void["subject"], void["target"]) for void in voids] == [
        ("actions.yahoo", split.id),
        ("actions.yahoo", dividend.id),
    ]
    assert kept(sqlite_database) == []
