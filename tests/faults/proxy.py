"""A TCP proxy that misbehaves on demand: it cuts, delays, swallows (half-open) or refuses connections."""

import socket
import struct
import threading
import time
from contextlib import suppress
from typing import Literal

Address = tuple[str, int] | str
"""Host and port, or the path of a Unix socket."""
Manner = Literal["pass", "delay", "swallow"]
_CHUNK_BYTES = 64 * 1024
_RESET = struct.pack("ii", 1, 0)


class Proxy:
    """Stands on a port of its own in front of a server; whoever connects to it gets through, until told otherwise."""

    def __init__(self, target: Address) -> None:
        self.target = target
        self._listener: socket.socket | None = None
        self._lock = threading.Lock()
        self._pairs: dict[int, _Pair] = {}
        self._manner: Manner = "pass"
        self._delay_seconds = 0.0
        self._port = 0
        self._closed = False
        self._listen()

    @property
    def port(self) -> int:
        """Where it listens, the same all its life."""
        return self._port

    def cut(self) -> int:
        """Reset every connection; how many there were."""
        with self._lock:
            pairs = list(self._pairs.values())
        for pair in pairs:
            pair.reset()
        return len(pairs)

    def delay(self, seconds: float) -> None:
        """Hold up whatever passes, in both directions."""
        self._delay_seconds, self._manner = seconds, "delay"

    def swallow(self) -> None:
        """Take everything and pass on nothing: half-open connections, as when a cable is out."""
        self._manner = "swallow"

    def refuse(self) -> None:
        """Nobody listens any more, and whoever was connected is cut off."""
        with self._lock:
            listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.cut()

    def heal(self) -> None:
        """Let everything through again; connections of which something was swallowed are reset."""
        self._manner = "pass"
        with self._lock:
            broken = [pair for pair in self._pairs.values() if pair.is_broken]
        for pair in broken:
            pair.reset()
        if self._listener is None and not self._closed:
            self._listen()

    def close(self) -> None:
        """End it, and all connections through it."""
        self._closed = True
        self.refuse()

    def treat(self, pair: "_Pair") -> bool:
        """Whether a piece may pass, after whatever is done to it on its way."""
        if self._manner == "delay":
            time.sleep(self._delay_seconds)
        if self._manner == "swallow":
            pair.is_broken = True
        return not pair.is_broken

    def forget(self, pair: "_Pair") -> None:
        """This connection has ended."""
        with self._lock:
            self._pairs.pop(id(pair), None)

    def _listen(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self._port))
        listener.listen(64)
        self._port = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), name="proxy", daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = _connected(self.target)
            except OSError:
                _reset(client)
                continue
            pair = _Pair(self, client, server)
            with self._lock:
                self._pairs[id(pair)] = pair
            pair.start()


class _Pair:
    """One connection through the proxy: two sockets and a thread for each direction."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self.is_broken = False
        self._proxy = proxy
        self._client = client
        self._server = server

    def start(self) -> None:
        for source, sink in ((self._client, self._server), (self._server, self._client)):
            threading.Thread(target=self._pump, args=(source, sink), name="proxy pump", daemon=True).start()

    def reset(self) -> None:
        """Neither side hears goodbye: both hear a reset."""
        self._proxy.forget(self)
        _reset(self._client)
        _reset(self._server)

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(_CHUNK_BYTES):
                if self._proxy.treat(self):
                    sink.sendall(data)
        except OSError:
            pass
        if not self.is_broken:
            self.reset()


def _connected(address: Address) -> socket.socket:
    if isinstance(address, str):
        found = socket.socket(socket.AF_UNIX)
        try:
            found.connect(address)
        except OSError:
            found.close()
            raise
        return found
    return socket.create_connection(address)


def _reset(one: socket.socket) -> None:
    with suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
