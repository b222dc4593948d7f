"""Prices, splits and dividends: what a feed or a source publishes, from tables as data vendors give them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from ledger.bars import Row, bar_end, batches, check_interval, read_rows
from ledger.ids import id_part
from ledger.inputs import AmountInput, TimeInput, amount_text, midnight_text, moment_text
from ledger.messages import encode
from ledger.speaker import Published
from ledger.voice import Voice


@dataclass(frozen=True, slots=True)
class PublishedBars:
    """How many bars were published, and how many rows were left out: incomplete ones, and repeated starts."""

    published: int
    left_out: int
    facts: tuple[Published, ...]


class Feed(Voice):
    """Publishes prices as `market.<name>`; arguments as of `Bot`."""

    kind = "market"

    def publish_bars(
        self,
        symbol: str,
        interval: str,
        rows: Any,
        *,
        currency: str | None = None,
        adjusted_through: TimeInput | None = None,
        at: TimeInput | None = None,
    ) -> PublishedBars:
        """Publish bars from tuples (start, open, high, low, close, volume), mappings, or a pandas DataFrame.

        Bars of a day and longer start at 00:00Z of their local date. The same bars again are the same facts.
        `at` is the end of the last bar, or now where that is still to come; a correction of bars that have
        been published needs a later one.

        Shape: rows with a missing number are left out and counted; of rows with one start the last stands.

        Raises: Refused where a row cannot be read; nothing is published then.
        """
        check_interval(interval)
        read, left_out = read_rows(rows, interval)
        shared: dict[str, object] = {
            "type": "bars",
            "symbol": symbol,
            "interval": interval,
            "currency": currency,
            "adjusted_through": None if adjusted_through is None else moment_text(adjusted_through, "adjusted_through"),
        }
        facts = [self._speaker.check(self._message(shared, batch, at)) for batch in batches(read)]
        published = self._speaker.send(facts) if facts else ()
        return PublishedBars(len(read), left_out, published)

    def _message(self, shared: dict[str, object], bars: Sequence[Row], at: TimeInput | None) -> dict[str, object]:
        """The message of these bars; its id follows from its content."""
        symbol, interval = str(shared["symbol"]), str(shared["interval"])
        if at is None:
            at = min(self._speaker.now(), bar_end(bars[-1].start, interval))
        fields = shared | {"bars": [bar.fields() for bar in bars], "at": moment_text(at)}
        content = hashlib.sha256(encode(fields)).hexdigest()[:16]
        start = f"{bars[0].start:%Y-%m-%dT%H:%M:%S}"
        return fields | {"id": f"{id_part(symbol)}.{interval}.{start}.{content}"}


class Actions(Voice):
    """Publishes splits and dividends as `actions.<source>`; arguments as of `Bot`.

    The same again is the same fact; what takes the place of a voided one needs an `id` of its own.
    """

    kind = "actions"

    def split(
        self,
        symbol: str,
        date: date | str,
        *,
        new: int,
        old: int,
        id: str | None = None,  # noqa: A002 - the field's own name
    ) -> Published:
        """`new` shares for `old` ones at 00:00Z of the ex-date."""
        day = midnight_text(date)
        fields = {"type": "split", "symbol": symbol, "at": day, "new": new, "old": old}
        return self._speaker.publish(fields | {"id": id or f"{id_part(symbol)}.{day[:10]}.split"})

    def dividend(
        self,
        symbol: str,
        date: date | str,
        *,
        per_share: AmountInput,
        currency: str | None = None,
        id: str | None = None,  # noqa: A002 - the field's own name
    ) -> Published:
        """Cash for each share held just before 00:00Z of the ex-date."""
        day = midnight_text(date)
        fields = {"type": "dividend", "symbol": symbol, "at": day, "per_share": amount_text(per_share, "per_share")}
        usual = f"{id_part(symbol)}.{day[:10]}.dividend.{currency or 'USD'}"
        return self._speaker.publish(fields | {"currency": currency, "id": id or usual})
