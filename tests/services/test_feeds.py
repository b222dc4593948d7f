"""Feeds and sources against a real broker and a real ledger."""

from datetime import UTC, datetime
from pathlib import Path

from ledger.publisher import Actions, Feed
from ledger.settings import Database
from tests.servers import NatsServer
from tests.services.bots import Ledger, ids
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
