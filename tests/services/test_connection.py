"""The connection to a broker whose sockets break at every moment of their life."""

import asyncio
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import pytest
from nats import errors
from nats.aio.msg import Msg

from ledger.connection import Connection, close, connect
from ledger.errors import Unreachable
from tests.servers import DEADLINE_SECONDS, NatsServer, wait_until

PATIENCE_SECONDS = 5.0
INFO = {"server_id": "torn", "version": "2.15.0", "proto": 1, "headers": True, "max_payload": 1048576}
GREETING = b"INFO " + json.dumps(INFO).encode() + b"\r\n"
Life = Callable[[socket.socket], None]
MakeTorn = Callable[[Sequence[Life]], "TornBroker"]


def breaks_at_once(peer: socket.socket) -> None:
    return


def breaks_after_greeting(peer: socket.socket) -> None:
    peer.sendall(GREETING)


def breaks_after_welcome(peer: socket.socket) -> None:
    peer.sendall(GREETING)
    read_until_ping(peer)
    peer.sendall(b"PONG\r\n")


def resets_after_welcome(peer: socket.socket) -> None:
    breaks_after_welcome(peer)
    peer.recv(4096)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def breaks_at_first_flush(peer: socket.socket) -> None:
    breaks_after_welcome(peer)
    read_until_ping(peer)


def lasts(peer: socket.socket) -> None:
    peer.sendall(GREETING)
    while read_until_ping(peer):
        peer.sendall(b"PONG\r\n")


def read_until_ping(peer: socket.socket) -> bool:
    said = b""
    while b"PING\r\n" not in said:
        heard = peer.recv(4096)
        if not heard:
            return False
        said += heard
    return True


class TornBroker:
    """A peer that greets as a broker does, each of its connections with a life of its own; the last one for ever."""

    def __init__(self, lives: Sequence[Life]) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lives = iter(lives)
        self._last = lives[-1]
        self.accepted = 0
        self.open = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self._listener.getsockname()[1]}"

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                peer, _ = self._listener.accept()
                self.accepted += 1
                self.open += 1
                threading.Thread(target=self._live, args=(peer, next(self._lives, self._last)), daemon=True).start()

    def _live(self, peer: socket.socket, life: Life) -> None:
        """One connection: its life, then nothing more is said; it counts as open until the other side lets go."""
        peer.settimeout(PATIENCE_SECONDS)
        with peer, suppress(OSError):
            life(peer)
            peer.shutdown(socket.SHUT_WR)
            while peer.recv(4096):
                pass
        self.open -= 1

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def torn() -> Iterator[MakeTorn]:
    made: list[TornBroker] = []

    def make(lives: Sequence[Life]) -> TornBroker:
        made.append(TornBroker(lives))
        return made[-1]

    yield make
    for broker in made:
        broker.close()


BROKEN = (breaks_at_once, breaks_after_greeting, breaks_after_welcome, breaks_at_first_flush)


@pytest.mark.parametrize("broken", BROKEN, ids=lambda life: str(life.__name__))
def test_it_comes_back_through_broken_attempts_and_holds_one_socket(torn: MakeTorn, broken: Life) -> None:
    broker = torn([breaks_at_first_flush, broken, broken, lasts])
    asyncio.run(come_back(broker))
    wait_until(lambda: broker.open == 0, what="every socket is closed")
    assert broker.accepted == 4


def test_a_connection_that_breaks_at_once_has_one_attempt_to_come_back(torn: MakeTorn) -> None:
    broker = torn([breaks_at_first_flush, breaks_at_first_flush, breaks_at_first_flush, lasts])

    async def scenario() -> None:
        failed: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failed.append(context))
        await come_back(broker)
        assert not failed

    asyncio.run(scenario())


def test_the_end_of_a_connection_is_told_though_something_was_still_to_be_sent(torn: MakeTorn) -> None:
    broker = torn([resets_after_welcome])

    async def scenario() -> None:
        closed = asyncio.Event()

        async def on_closed() -> None:
            closed.set()

        connection = Connection()
        await connection.connect(broker.url, allow_reconnect=False, closed_cb=on_closed)
        with suppress(errors.Error, OSError):
            while not closed.is_set():
                await connection.publish("anything", b"x" * 1_000)
                await asyncio.sleep(0)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await closed.wait()
        await connection.end()

    asyncio.run(scenario())


async def come_back(broker: TornBroker) -> None:
    connection = await connect(broker.url)
    await connection.publish("anything", b"")
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (broker.accepted == 4 and connection.is_connected and connection.reconnects):
            with suppress(errors.Error):
                await connection.flush(1)
            await asyncio.sleep(0.01)
        await connection.flush(1)
    await asyncio.to_thread(wait_until, lambda: broker.open == 1, what="only the last socket is open")
    assert not [task for task in asyncio.all_tasks() if "_attempt_reconnect" in repr(task.get_coro())]
    await close(connection)


@pytest.mark.parametrize("broken", BROKEN, ids=lambda life: str(life.__name__))
def test_an_attempt_that_is_given_up_leaves_no_socket(torn: MakeTorn, broken: Life) -> None:
    broker = torn([broken])
    with suppress(Unreachable):  # What breaks after its greeting counts as a broker that has to be found again.
        asyncio.run(connect_and_close(broker))
    wait_until(lambda: broker.open == 0, what="every socket is closed")
    assert broker.accepted


async def connect_and_close(broker: TornBroker) -> None:
    await close(await connect(broker.url, patience_seconds=0.6))


def test_what_was_sent_before_a_flush_is_with_the_server_when_it_returns(broker: NatsServer) -> None:
    """A subscription, seen from another connection; nats-py's own flush comes back too early now and then."""

    async def scenario() -> None:
        answering, asking = await connect(broker.url), await connect(broker.url)

        async def answer(message: Msg) -> None:
            await answering.publish(message.reply, b"here")

        try:
            for number in range(400):
                await answering.subscribe(f"flushed.{number}", cb=answer)
                await answering.flush()
                assert (await asking.request(f"flushed.{number}", timeout=DEADLINE_SECONDS)).data == b"here"
        finally:
            await close(answering)
            await close(asking)

    asyncio.run(scenario())
