"""A connection to the broker that lasts: it comes back for ever, and no message can break it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import structlog
from nats import errors
from nats.aio.client import DEFAULT_FLUSH_TIMEOUT, Client, Srv
from nats.aio.msg import Msg
from nats.protocol import parser

from ledger.errors import SetupError, Unreachable

PATIENCE_SECONDS = 5.0
CLOSE_SECONDS = 1.0
INBOX = "_INBOX"
_CONNECT_SECONDS = 2
_PING_SECONDS = 5
_PINGS_MISSED = 2
_RECONNECT_SECONDS = 0.25
_PENDING_BYTES = 16 * 1024 * 1024
_log = structlog.get_logger(__name__)

# The server takes every byte in a subject but space, tab, CR and LF; nats-py's own patterns stop at a vertical tab
# or a form feed, so that one such message would break the connection again and again.
parser.MSG_RE = re.compile(rb"\AMSG[ \t]+([^ \t\r\n]+)[ \t]+([^ \t\r\n]+)[ \t]+(([^ \t\r\n]+)[ \t]+)?(\d+)\r\n")
parser.HMSG_RE = re.compile(
    rb"\AHMSG[ \t]+([^ \t\r\n]+)[ \t]+([^ \t\r\n]+)[ \t]+(([^ \t\r\n]+)[ \t]+)?(\d+)[ \t]+(\d+)\r\n"
)


class Connection(Client):  # type: ignore[misc, unused-ignore]  # untyped where nats-py ships no types
    """nats-py's client, hardened: its read loop dies of a subject that is not UTF-8, and of broken headers."""

    def __init__(self) -> None:
        super().__init__()
        self._ended = False
        self._attempt: asyncio.Task[None] | None = None

    def _build_message(
        self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: dict[str, str] | None
    ) -> Msg:
        return Msg(
            _client=self,
            subject=subject.decode(errors="replace"),
            reply=reply.decode(errors="replace"),
            data=data,
            headers=headers,
            _sid=sid,
        )

    async def _process_headers(self, headers: bytes) -> dict[str, str] | None:
        try:
            found: dict[str, str] | None = await super()._process_headers(headers)
        except (ValueError, IndexError):
            return None
        return found

    async def flush(self, timeout: int = DEFAULT_FLUSH_TIMEOUT) -> None:  # nats-py's own
        """Wait until the server has all that was sent before this.

        nats-py writes its question ahead of what still waits to be written, so that the answer says nothing of that.
        """
        if self.is_connected:
            await self._flush_pending(force_flush=True)
        await super().flush(timeout)

    async def _connect_to_server(self, s: Srv) -> None:
        """nats-py leaves the socket of a failed attempt open, and may go on after it was closed."""
        self._drop_socket()
        await super()._connect_to_server(s)
        if self._ended:
            self._drop_socket()
            raise asyncio.CancelledError

    async def _attempt_reconnect(self) -> None:
        """nats-py ends an attempt whose connection broke at once, and does not wait until it has ended.

        The two would end each other's future, and might open a socket each and keep one.
        """
        earlier, self._attempt = self._attempt, asyncio.current_task()
        if earlier is not None and not earlier.done():
            earlier.cancel()
            await asyncio.wait({earlier})
        await super()._attempt_reconnect()

    async def _close(self, status: int, do_cbs: bool = True) -> None:  # noqa: FBT001, FBT002 - nats-py's own
        """nats-py fails on what it would still send through a broken socket, and then tells nobody of the end.

        And it ends an attempt that waits for the socket's end, by which this wait ends as well.
        """
        self._pending, self._pending_data_size = [], 0
        try:
            await super()._close(status, do_cbs)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise

    async def end(self) -> None:
        """Close for good, whatever state the connection is in."""
        self._ended = True
        try:
            await self.close()
        finally:
            self._drop_socket()

    def _drop_socket(self) -> None:
        if self._transport is not None:
            self._transport.close()  # type: ignore[no-untyped-call]  # nats-py leaves it untyped

    @property
    def reconnects(self) -> int:
        """How often the connection has come back."""
        return int(self.stats["reconnects"])


async def connect(
    url: str,
    *,
    name: str = "botledger",
    seed_file: Path | None = None,
    inbox_prefix: str = INBOX,
    patience_seconds: float = PATIENCE_SECONDS,
    on_error: Callable[[Exception], None] | None = None,
) -> Connection:
    """A connection to this broker; once made, it comes back by itself for ever.

    `inbox_prefix`: where it may hear answers. `on_error` hears what the broker says outside of any answer, such
    as a missing permission.

    Raises: Unreachable where nobody answers in `patience_seconds` or the credentials are refused, SetupError
    where URL or seed cannot be used.
    """
    connection = Connection()
    observer = _Observer(connection, url, on_error)
    options = {**observer.options(name), "inbox_prefix": inbox_prefix, **identity(seed_file)}
    attempt = asyncio.create_task(connection.connect(**options))
    refused = asyncio.create_task(observer.refused.wait())
    try:
        await asyncio.wait({attempt, refused}, timeout=patience_seconds, return_when=asyncio.FIRST_COMPLETED)
        if attempt.done() and not attempt.cancelled() and attempt.exception() is None:
            observer.connected = True
            return connection
        raise observer.failure(attempt)
    finally:
        refused.cancel()
        if not observer.connected:
            attempt.cancel()
            await asyncio.wait({attempt}, timeout=CLOSE_SECONDS)
            await close(connection)


async def close(connection: Connection) -> None:
    """Close the connection, sending what waits, without ever raising or waiting long."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            if connection.is_connected:
                await connection.flush()
    except (errors.Error, OSError, TimeoutError) as error:
        _log.debug("broker connection not flushed", error=str(error))
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await connection.end()
    except (errors.Error, OSError, TimeoutError) as error:
        _log.debug("broker connection closed badly", error=str(error))


def address(url: str) -> str:
    """The URL's host and port, without its secrets, for people."""
    return url.rpartition("@")[2].rpartition("://")[2]


class _Observer:
    """Hears what befalls one connection, and says it once."""

    def __init__(self, connection: Connection, url: str, on_error: Callable[[Exception], None] | None) -> None:
        self.connected = False
        self.refused = asyncio.Event()
        self._connection = connection
        self._url = url
        self._on_error = on_error
        self._last: Exception | None = None

    def options(self, name: str) -> dict[str, Any]:
        """What `Client.connect` has to be told."""
        return {
            "servers": [checked_url(self._url)],
            "name": name,
            "error_cb": self._error,
            "disconnected_cb": self._disconnected,
            "reconnected_cb": self._reconnected,
            "max_reconnect_attempts": -1,
            "reconnect_time_wait": _RECONNECT_SECONDS,
            "connect_timeout": _CONNECT_SECONDS,
            "ping_interval": _PING_SECONDS,
            "max_outstanding_pings": _PINGS_MISSED,
            "pending_size": _PENDING_BYTES,
        }

    def failure(self, attempt: asyncio.Task[None]) -> Exception:
        """The error for an attempt that came to nothing."""
        error = attempt.exception() if attempt.done() and not attempt.cancelled() else None
        if self.refused.is_set():
            return Unreachable(
                f"the broker at {address(self._url)} refuses these credentials: "
                "give its token, password or seed (LEDGER_NATS_URL, LEDGER_NATS_SEED_FILE)"
            )
        reason = _reason(error or self._last)
        return Unreachable(f"the broker at {address(self._url)} does not answer: {reason}")

    async def _error(self, error: Exception) -> None:
        self._last = error
        if "authorization violation" in str(error).lower():
            if self.connected and not self.refused.is_set():
                _log.error("the broker refuses these credentials", broker=address(self._url))
            self.refused.set()
        if not self.connected or not self._connection.is_connected:
            return  # Each attempt to come back ends here; that it was lost has been said once.
        _log.warning("the broker reports an error", broker=address(self._url), error=str(error))
        if self._on_error is not None:
            self._on_error(error)

    async def _disconnected(self) -> None:
        if self.connected and not self._connection.is_closed:
            _log.warning("broker lost, reconnecting", broker=address(self._url))

    async def _reconnected(self) -> None:
        self.refused.clear()
        _log.info("broker found again", broker=address(self._url))


def checked_url(url: str) -> str:
    """The URL, if it names a broker.

    Raises: SetupError, without showing its secrets.
    """
    try:
        parts = urlsplit(url if "://" in url else f"nats://{url}")
        usable = parts.scheme in ("nats", "tls", "ws", "wss") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise SetupError(f"{address(url)!r} is no address of a broker: it must look like nats://HOST:4222")
    return url


def identity(seed_file: Path | None) -> dict[str, Any]:
    """What `Client.connect` has to be told of a key; the file is not looked at again when a connection comes back.

    Raises: SetupError where the seed cannot be used.
    """
    if seed_file is None:
        return {}
    try:
        text = seed_file.read_text(encoding="ascii", errors="replace").strip()
    except OSError as error:
        raise SetupError(f"the seed {seed_file} (LEDGER_NATS_SEED_FILE) cannot be read: {error.strerror}") from error
    try:
        import_module("nkeys").from_seed(bytearray(text.encode())).wipe()
    except ModuleNotFoundError as error:
        raise SetupError("a seed file needs the package nkeys: pip install 'botledger[nkeys]'") from error
    except Exception as error:  # nkeys and PyNaCl raise many kinds, all of them for one cause
        raise SetupError(f"{seed_file} (LEDGER_NATS_SEED_FILE) holds no nkey seed: {error}") from error
    return {"nkeys_seed_str": text}


def _reason(error: BaseException | None) -> str:
    if error is None or isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
