"""The pages of a service, as a program that watches it reads them."""

import json
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

SECONDS = 10


def page(url: str | None, path: str, *, method: str = "GET") -> tuple[int, str]:
    """Status and body of a page."""
    assert url is not None
    parts = urlsplit(url)
    assert parts.hostname is not None
    connection = HTTPConnection(parts.hostname, parts.port, timeout=SECONDS)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def readiness(url: str | None) -> tuple[int, dict[str, Any]]:
    """Status of /readyz, and its checks."""
    status, body = page(url, "/readyz")
    found = json.loads(body)
    assert found["ready"] is (status == 200)
    checks: dict[str, Any] = found["checks"]
    return status, checks


def failing(url: str | None) -> list[str]:
    """The checks of /readyz that fail; each says why."""
    checks = readiness(url)[1]
    assert all(check["ok"] or check["why"] for check in checks.values())
    return [name for name, check in checks.items() if not check["ok"]]


def series(url: str | None) -> dict[str, float]:
    """The values of /metrics, by name with labels."""
    status, body = page(url, "/metrics")
    assert status == 200, body
    lines = [line for line in body.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}
