"""Several messages in one of the broker: one to a line, marked by a header.

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


def bundled(
    payloads: Iterable[bytes], *, limit_bytes: int = BUNDLE_BYTES
) -> Iterator[tuple[bytes, dict[str, str] | None]]:
    """The messages, data and headers, that carry these facts in their order; a large one goes alone.

    Shape: payloads in canonical form, so none of them holds a line break; bundles of at most `limit_bytes`.
    """
    lines: list[bytes] = []
    size = 0
    for payload in payloads:
        if lines and (len(lines) == BUNDLE_FACTS or size + 1 + len(payload) > limit_bytes):
            yield _message(lines)
            lines = []
        size = size + 1 + len(payload) if lines else len(payload)
        lines.append(payload)
    if lines:
        yield _message(lines)


def is_bundle(headers: Mapping[str, str] | None) -> bool:
    """Whether a message with these headers holds a message on each line; case and parameters do not matter."""
    if not headers:
        return False
    types = [value for name, value in headers.items() if name.lower() == "content-type"]
    return any(value.partition(";")[0].strip().lower() == CONTENT_TYPE for value in types)


def count_lines(data: bytes) -> int:
    """How many messages a bundle holds; the line break at its end may be there or not."""
    return data.count(b"\n") + (not data.endswith(b"\n"))


def lines_of(data: bytes) -> list[bytes]:
    """The messages that a bundle holds."""
    return data.removesuffix(b"\n").split(b"\n")


def _message(lines: list[bytes]) -> tuple[bytes, dict[str, str] | None]:
    return (lines[0], None) if len(lines) == 1 else (b"\n".join(lines), HEADERS)
