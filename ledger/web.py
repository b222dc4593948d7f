"""A small HTTP server for pages that are made when they are asked for: nothing that a client does can hold it up.

A connection is one request, and has `SECONDS`; of too many at once the oldest is closed.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import BaseServer, TCPServer, ThreadingMixIn
from typing import Any

import structlog

from ledger.errors import SetupError

CONNECTIONS = 32
SECONDS = 5.0
_THREADS = 64
_LOOK_SECONDS = 0.1
_TEXT = "text/plain; charset=utf-8"
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Page:
    """An answer."""

    status: HTTPStatus
    body: str
    content_type: str = _TEXT


Pages = Mapping[str, Callable[[], Page]]


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen; port 0 is any that is free."""

    host: str
    port: int


def read_address(text: str) -> Address:
    """The address that HOST:PORT names, IPv6 in brackets.

    Raises: SetupError.
    """
    host, _, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    if not bare or (":" in bare) != host.startswith("[") or not port.isascii() or not port.isdecimal():
        raise SetupError(f"{text[:80]!r} is no address to listen on: it must look like 127.0.0.1:8224, or be `off`")
    if len(port) > 5 or int(port) > 65_535:
        raise SetupError(f"{text[:80]!r} names no port: the highest is 65535")
    return Address(bare, int(port))


class WebServer:
    """Serves these pages in threads of its own until it is closed.

    Raises: SetupError where the address cannot be listened on.
    """

    def __init__(self, address: Address, pages: Pages) -> None:
        try:
            self._server = _Server(address, pages)
        except OSError as error:
            raise SetupError(
                f"{address.host}:{address.port} cannot be listened on ({error.strerror}): "
                "choose another address with --http HOST:PORT, or --http off"
            ) from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_LOOK_SECONDS,), name="web", daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self._server.server_address[:2]
        shown = host.decode() if isinstance(host, bytes | bytearray) else str(host)
        return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"

    def close(self) -> None:
        """Stop listening; answers in hand are cut off."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(SECONDS)


class _Server(ThreadingMixIn, TCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: Address, pages: Pages) -> None:
        self.address_family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        self.pages = pages
        self._lock = threading.Lock()
        self._until: dict[socket.socket, float] = {}  # The oldest first.
        self._running = 0
        super().__init__((address.host, address.port), _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        try:
            return super().get_request()
        except OSError:
            # Without file descriptors the connection stays at the door, and would be looked at without a pause.
            threading.Event().wait(_LOOK_SECONDS)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            if self._running >= _THREADS:
                refused = True
            else:
                refused = False
                self._running += 1
                if len(self._until) >= CONNECTIONS:
                    _cut(next(iter(self._until)))
                    self._until.pop(next(iter(self._until)))
                self._until[request] = time.monotonic() + SECONDS
        if refused:
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # No more threads can be had.
            self._leave(request)
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._leave(request)

    def service_actions(self) -> None:
        now = time.monotonic()
        with self._lock:
            for request in [request for request, until in self._until.items() if until < now]:
                _cut(request)
                del self._until[request]

    def server_close(self) -> None:
        super().server_close()
        with self._lock:
            for request in self._until:
                _cut(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        _log.debug("web client not answered", client=str(client_address)[:80])

    def _leave(self, request: socket.socket) -> None:
        with self._lock:
            self._running -= 1
            self._until.pop(request, None)


class _Handler(BaseHTTPRequestHandler):
    timeout = SECONDS
    server_version = "botledger"
    sys_version = ""
    error_message_format = "%(code)d %(message)s\n"
    error_content_type = _TEXT

    def do_GET(self) -> None:
        page = _page(self.server, self.path)
        body = page.body.encode()
        self.send_response(page.status)
        self.send_header("Content-Type", page.content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the name is the library's
        return


def _page(server: BaseServer, path: str) -> Page:
    assert isinstance(server, _Server)
    make = server.pages.get(path.partition("?")[0])
    if make is None:
        return Page(HTTPStatus.NOT_FOUND, f"there are {', '.join(server.pages)}\n")
    try:
        return make()
    except Exception as error:  # noqa: BLE001 - the outermost place: one page that fails is one answer
        _log.error("page not made", path=path[:80], error=type(error).__name__)
        return Page(HTTPStatus.INTERNAL_SERVER_ERROR, "this page cannot be made at this moment\n")


def _cut(request: socket.socket) -> None:
    try:
        request.shutdown(socket.SHUT_RDWR)
    except OSError as error:  # It has ended by itself.
        _log.debug("web client was gone", error=str(error))
