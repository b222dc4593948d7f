"""Several facts in one message of the broker: one to a line, marked by a header.

A broker that syncs each message to its disk is as slow as its disk; with a hundred facts in a message it is not.
Each line is a message in its own right, with an outcome of its own. One fact alone travels without the header.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

CONTENT_TYPE = "application/x-ndjson"
HEADERS = {"Content-Type": CONTENT_TYPE}
BUNDLE_FACTS = 100
BUNDLE_BYTES = 64 * 1024
LINES_LIMIT = 1_000
"""The most lines that the door takes in one message, so that none can be of more than a batch."""


def bundled(payloads: Iterable[bytes]) -> Iterator[tuple[bytes, dict[str, str] | None]]:
    """The messages, data and headers, that carry these facts in their order; a large one goes alone.

    Shape: payloads in canonical form, so none of them holds a line break.
    """
    lines: list[bytes] = []
    size = 0
    for payload in payloads:
        if lines and (len(lines) == BUNDLE_FACTS or size + len(payload) > BUNDLE_BYTES):
            yield _message(lines)
            lines, size = [], 0
        lines.append(payload)
        size += len(payload)
    if lines:
        yield _message(lines)


def is_bundle(headers: Mapping[str, str] | None) -> bool:
    """Whether a message with these headers holds a fact on each line."""
    return headers is not None and headers.get("Content-Type") == CONTENT_TYPE


def count_lines(data: bytes, headers: Mapping[str, str] | None) -> int:
    """How many facts a message says it holds."""
    return data.count(b"\n") + 1 if is_bundle(headers) else 1


def _message(lines: list[bytes]) -> tuple[bytes, dict[str, str] | None]:
    return (lines[0], None) if len(lines) == 1 else (b"\n".join(lines), HEADERS)
