"""What the service counts, in a registry of its own; without prometheus-client nothing is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, get_args

from ledger.receipts import Receipt, Status

MISSING = "metrics need the package prometheus-client: pip install 'botledger[metrics]'\n"
_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_SIZES = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_000)
OUTCOMES = tuple(status for status in get_args(Status) if status != "unconfirmed")


@dataclass(frozen=True, slots=True)
class Gauge:
    """A value as it is at this moment, for each value of its label, or one without a label."""

    name: str
    help: str
    values: Sequence[tuple[str, float]]
    label: str | None = None


def gauge(name: str, help_: str, value: float) -> Gauge:
    """One without a label."""
    return Gauge(name, help_, (("", value),))


class Metrics:
    """Counters and histograms of one service; `gauges` are read when somebody asks."""

    def __init__(self) -> None:
        try:
            client = import_module("prometheus_client")
        except ModuleNotFoundError:
            self._series: _Series | None = None
        else:
            self._series = _Series(client)

    @property
    def are_counted(self) -> bool:
        """Whether the package is there."""
        return self._series is not None

    def batch(self, receipts: Sequence[Receipt], seconds: float) -> None:
        """A batch is recorded."""
        if self._series is None:
            return
        self._series.append_seconds.observe(seconds)
        self._series.batch_facts.observe(len(receipts))
        for outcome, count in Counter(receipt.status for receipt in receipts).items():
            self._series.facts.labels(outcome).inc(count)

    def append_failed(self) -> None:
        """A batch could not be recorded, and is tried again."""
        if self._series is not None:
            self._series.append_failures.inc()

    def step(self, seconds: float) -> None:
        """The projector has made a step."""
        if self._series is not None:
            self._series.fold_seconds.observe(seconds)

    def expect(self, tables: Iterable[str]) -> None:
        """Begin to count differences of these tables at 0: an alert compares with what was before."""
        for table in tables:
            self.differs(table, 0)

    def scrubbed(self, count: int) -> None:
        """So many bots were compared with the log."""
        if self._series is not None:
            self._series.scrubbed.inc(count)

    def differs(self, table: str, count: int) -> None:
        """So many values of a table were not what the log says."""
        if self._series is not None:
            self._series.differences.labels(table).inc(count)

    def healed(self) -> None:
        """Rows are made anew."""
        if self._series is not None:
            self._series.healed.inc()

    def render(self, gauges: Callable[[], Iterable[Gauge]]) -> tuple[str, str]:
        """The text for Prometheus, and its content type."""
        assert self._series is not None
        return self._series.render(gauges)


class _Series:
    def __init__(self, client: Any) -> None:
        client.disable_created_metrics()
        self._client = client
        self.registry = registry = client.CollectorRegistry()
        client.ProcessCollector(registry=registry)
        self.facts = client.Counter(
            "botledger_facts", "Messages by what became of them.", ["outcome"], registry=registry
        )
        for outcome in OUTCOMES:
            self.facts.labels(outcome)
        self.batch_facts = client.Histogram(
            "botledger_batch_facts", "Messages in a batch.", buckets=_SIZES, registry=registry
        )
        self.append_seconds = client.Histogram(
            "botledger_append_seconds",
            "Reading, appending and committing a batch.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.append_failures = client.Counter(
            "botledger_append_failures", "Attempts to record a batch that failed.", registry=registry
        )
        self.fold_seconds = client.Histogram(
            "botledger_fold_seconds", "A step of the projector.", buckets=_SECONDS, registry=registry
        )
        self.scrubbed = client.Counter(
            "botledger_scrubbed", "Bots that were folded again and compared with the books.", registry=registry
        )
        self.differences = client.Counter(
            "botledger_scrub_differences",
            "Values in the books that were not what the log says.",
            ["table"],
            registry=registry,
        )
        self.healed = client.Counter(
            "botledger_scrub_healed", "Bots whose rows had to be made anew.", registry=registry
        )

    def render(self, gauges: Callable[[], Iterable[Gauge]]) -> tuple[str, str]:
        """Counted and read values together."""
        read = self._client.CollectorRegistry()
        read.register(_Collector(self._client, gauges))
        text = self._client.generate_latest(self.registry) + self._client.generate_latest(read)
        return text.decode(), self._client.CONTENT_TYPE_LATEST


class _Collector:
    """Gauges in the form that the client collects."""

    def __init__(self, client: Any, gauges: Callable[[], Iterable[Gauge]]) -> None:
        self._family = client.metrics_core.GaugeMetricFamily
        self._gauges = gauges

    def describe(self) -> Iterator[Any]:
        """Nothing: else it would be collected to find its names."""
        return iter(())

    def collect(self) -> Iterator[Any]:
        """Each gauge."""
        for found in self._gauges():
            family = self._family(found.name, found.help, labels=[found.label] if found.label else [])
            for value, number in found.values:
                family.add_metric([value] if found.label else [], number)
            yield family
