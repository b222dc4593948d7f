"""Clients that mean ill, or nothing at all: none of them holds up the pages of the others, or the service."""

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from http import HTTPStatus
from urllib.parse import urlsplit

import pytest

from ledger import web
from ledger.sights import Sight
from ledger.web import Address, Page, WebServer
from tests.servers import wait_until
from tests.services.pages import page


@pytest.fixture
def server() -> Iterator[WebServer]:
    """Two pages, one of which cannot be made."""

    def broken() -> Page:
        raise ValueError("no")

    pages = {"/fine": lambda: Page(HTTPStatus.OK, "fine\n"), "/broken": broken}
    with closing(WebServer(Address("127.0.0.1", 0), pages)) as found:
        yield found


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/fine", 200),
        ("/fine?x=1", 200),
        ("/broken", 500),
        ("/", 404),
        ("/fine/", 404),
        ("//fine", 200),
        ("/../../etc/passwd", 404),
        ("/%2e%2e/%2e%2e/etc/passwd", 404),
        ("/fine%00", 404),
        ("/" + "a" * 60_000, 404),
        ("/" + "a" * 70_000, 414),
    ],
)
def test_only_the_pages_are_there(server: WebServer, path: str, status: int) -> None:
    assert page(server.url, path)[0] == status


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("POST", 501), ("DELETE", 501), ("G€T", 501)])
def test_pages_are_only_read(server: WebServer, method: str, status: int) -> None:
    assert said(server, f"{method} /fine HTTP/1.1\r\nHost: x\r\n\r\n".encode()).startswith(f"HTTP/1.0 {status} ")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET /fine HTTP/9.9\r\n\r\n",
        b"GET /fine HTTP/x\r\n\r\n",
        b"GET /fine HTTP/1.1\r\n" + b"x: y\r\n" * 1_000 + b"\r\n",
        b"GET /fine HTTP/1.1\r\n" + b"x" * 70_000 + b"\r\n\r\n",
        b"GET /fine HTTP/1.1\r\n: \x00\xff\r\n\r\n",
        b"\x00" * 100_000,
        b"INFO {}\r\nCONNECT {}\r\nPING\r\n",
    ],
    ids=range(11),
)
def test_what_is_no_request_harms_nobody(server: WebServer, data: bytes) -> None:
    said(server, data)
    assert page(server.url, "/fine") == (200, "fine\n")


def test_many_clients_that_say_nothing_do_not_keep_others_out(server: WebServer) -> None:
    with ExitStack() as stack:
        silent = [stack.enter_context(connected(server)) for _ in range(3 * web.CONNECTIONS)]
        for client in silent[::2]:
            client.send(b"GET /fi")
        assert page(server.url, "/fine") == (200, "fine\n")
        before = threading.active_count()
        assert before < web.CONNECTIONS + 20


def test_a_client_that_never_ends_is_cut_off(server: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.web.SECONDS", 0.3)
    with connected(server) as slow:
        slow.settimeout(0.02)
        wait_until(lambda: is_cut(slow), what="the slow client is cut off")
    wait_until(
        lambda: not [one for one in threading.enumerate() if "process_request" in one.name], what="its thread ends"
    )


def test_a_value_that_hangs_is_old_and_then_tried_again_a_few_times_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.sights._HUNG_SECONDS", 0.0)
    hold = threading.Event()
    began: list[int] = []

    def read() -> int:
        began.append(len(began))
        if len(began) > 1:
            hold.wait(60)
        return len(began)

    sight = Sight(read, fresh_seconds=0.0)
    assert sight.get(patience_seconds=5).value == 1
    for _ in range(20):
        seen = sight.get(patience_seconds=0.001)
        assert (seen.value, seen.error) == (1, None)
    assert len(began) <= 6
    hold.set()
    wait_until(lambda: (sight.get(patience_seconds=0.1).value or 0) > 5, what="it is read again")


def test_an_error_is_told_until_there_is_a_value_again() -> None:
    answers: list[int | Exception] = [1, ValueError("away"), 2]

    def read() -> int:
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    sight = Sight(read, fresh_seconds=0.0)
    assert sight.get(patience_seconds=5).value == 1
    seen = sight.get(patience_seconds=5)
    assert (seen.value, str(seen.error)) == (1, "away")
    seen = sight.get(patience_seconds=5)
    assert (seen.value, seen.error) == (2, None)


def connected(server: WebServer) -> socket.socket:
    """A client."""
    parts = urlsplit(server.url)
    assert parts.hostname is not None
    assert parts.port is not None
    return socket.create_connection((parts.hostname, parts.port), timeout=10)


def said(server: WebServer, data: bytes) -> str:
    """What the server answers to these bytes, after which nothing more comes."""
    with connected(server) as client:
        try:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            return client.makefile("rb").read().decode("latin-1")
        except OSError:
            return ""


def is_cut(client: socket.socket) -> bool:
    """Whether the server has closed the connection; sends one more byte if it has not."""
    try:
        client.send(b"G")
        return client.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True
