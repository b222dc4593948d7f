"""What the figures have to reach."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.past import LATENESS
from benchmarks.report import Target
from benchmarks.stage import POSTGRES, SQLITE

LARGE = 1_000_000


def _targets() -> Iterator[Target]:
    yield Target(f"append.1000.bare.{POSTGRES}", f"append of 1,000 ≥ 0.4 × bare COPY, {POSTGRES}", 0.4)
    yield Target(f"append.1000.rival.{POSTGRES}", f"append of 1,000 ≥ 1.2 × eventsourcing, {POSTGRES}", 1.2)
    for kind in (SQLITE, POSTGRES):
        yield Target(f"books.{kind}", f"published → in the books ≥ 6 × a mutable table, {kind}", 6)
    for end in ("receipts", "books"):
        yield Target(f"two.{end}", f"two services ≥ 0.9 × one, up to the {end}, {POSTGRES}", 0.9)
    for kind in (SQLITE, POSTGRES):
        yield Target(f"rebuild.{LARGE}.{kind}.rate", f"rebuild of {LARGE:,} ≥ 20,000 facts/s, {kind}", 20_000)
    for kind in (SQLITE, POSTGRES):
        yield Target(f"memory.{kind}", f"peak memory of a rebuild ≤ 1.5 × that of a tenth, {kind}", 1.5, at_least=False)
    for kind in (SQLITE, POSTGRES):
        for late in LATENESS:
            says = f"a fact {late} late ≤ 10 × one on time, {kind}"
            yield Target(f"late.{late}.{kind}", says, 10, at_least=False)
    for kind in (SQLITE, POSTGRES):
        yield Target(f"asof.{kind}", f"as of ≥ 15 × faster than folding from the first fact, {kind}", 15)
    yield Target("help.seconds", "botledger --help ≤ 0.5 s", 0.5, at_least=False)


TARGETS = tuple(_targets())
