"""The part of the corpus with bars, splits and dividends that are refused."""

from tests.corpus_messages import (
    FEED,
    SOURCE,
    Case,
    bar,
    bar_at,
    bars_fields,
    dividend_fields,
    encoded,
    identity,
    split_fields,
)


def malformed_market() -> tuple[Case, ...]:
    """Refused for their market."""

    def bars(name: str, field: str, rows: object, interval: object = "1m", **fields: object) -> Case:
        data = encoded({"id": identity(name), **bars_fields(rows, interval), **fields})
        return Case(name, FEED, data, "rejected", field)

    def split(name: str, field: str, **fields: object) -> Case:
        return Case(name, SOURCE, encoded(split_fields(identity(name), **fields)), "rejected", field)

    good = bar(0)
    named = dict(zip(("start", "open", "high", "low", "close", "volume"), good, strict=True))
    return (
        bars("no bars", "bars", []),
        bars("1,001 bars", "bars", [bar(n) for n in range(1_001)]),
        bars("bars in an object", "bars", {}),
        bars("a bar that is an object", "bars.0", [named]),
        bars("a bar that is a number", "bars.0", [1]),
        bars("a bar of five", "bars.0.volume", [good[:5]]),
        bars("a bar of seven", "bars.0", [[*good, "1"]]),
        bars("high below low", "bars.1.high", [good, [bar(1)[0], "1", "1", "2", "1", "0"]]),
        bars("high below low by the last digit", "bars.0.high", [[good[0], "1", "1", f"1.{'0' * 29}1", "1", "0"]]),
        bars("bars out of order", "bars.2.start", [bar(0), bar(2), bar(1)]),
        bars("a bar twice", "bars.1.start", [good, good]),
        bars("a bar twice, not side by side", "bars.2.start", [bar(0), bar(1), bar(0)]),
        bars("a bar twice in two offsets", "bars.1.start", [bar(0), bar_at("2026-01-05T01:00:00+01:00")]),
        bars("a 1d bar not at 00:00Z", "bars.0.start", [bar_at("2026-01-05T05:00:00Z")], "1d"),
        bars("a 1d bar at midnight in New York", "bars.0.start", [bar_at("2026-01-05T00:00:00-05:00")], "1d"),
        bars("a 1d bar a microsecond late", "bars.0.start", [bar_at("9999-12-31T23:59:59.999999Z")], "1d"),
        bars("a second 1d bar not at 00:00Z", "bars.1.start", [good, bar_at("2026-01-06T00:00:01Z")], "1d"),
        bars("a bar at a naive time", "bars.0.start", [bar_at("2026-01-05T00:00:00")]),
        bars("a close of NaN", "bars.1.close", [good, [*bar(1)[:4], "NaN", "0"]]),
        bars("an open that is a number", "bars.0.open", [[good[0], 1.5, *good[2:]]]),
        bars("a volume below zero", "bars.0.volume", [[*good[:5], "-1"]]),
        bars("6,000 bad cells", "bars.0.start", [[1] * 6] * 1_000),
        *(
            bars(f"the interval {i!r}", "interval", [good], i)
            for i in ("0m", "1", "m", "1M", "01m", "1day", "1000000s", "9" * 99, 5)
        ),
        bars("bars of a bad currency", "currency", [good], currency="$"),
        bars("a naive adjusted_through", "adjusted_through", [good], adjusted_through="2026-01-05T15:30:00"),
        split("a split into nothing", "new", new=0),
        split("a split of nothing", "old", old=0),
        split("a split into too many", "new", new=1_000_001),
        split("a split below zero", "old", old=-1),
        split("a split by a half", "new", new=1.5),
        split("a split of too many", "old", old=1_000_001),
        split("a split of below zero", "old", old=-(2**31)),
        split("a split in texts", "new", new="2"),
        split("a split of a text", "old", old="1"),
        split("a split by a text with decimals", "new", new="1.5"),
        split("a split by true", "new", new=True),
        split("a split without old", "old", old=None),
        split("a split not at 00:00Z", "at", at="2026-01-05T15:30:00Z"),
        split("a split at midnight in New York", "at", at="2026-01-05T00:00:00-05:00"),
        split("a split a microsecond early", "at", at="9999-12-31T23:59:59.999999Z"),
        Case(
            "a dividend below zero",
            SOURCE,
            encoded(dividend_fields("dividend", per_share="-1")),
            "rejected",
            "per_share",
        ),
        Case(
            "a dividend not at 00:00Z",
            SOURCE,
            encoded(dividend_fields("dividend-at", at="2026-01-05T00:00:01Z")),
            "rejected",
            "at",
        ),
    )
