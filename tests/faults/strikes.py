"""Faults of processes and of the stream, which every world has; each gives what undoes it, or None where it missed."""

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, TypeAlias, TypeVar

from nats.js.api import StreamConfig

from tests.faults.lives import Life, children, limit_files, signalled
from tests.faults.world import STREAM_NAME, World

Undo = Callable[[], object]
WorldT = TypeVar("WorldT", bound=World)
Strike: TypeAlias = Callable[[WorldT, Random], Undo | None]
DIFFERS = 3
FULL_BYTES = 4_096
FULL_STREAM_BYTES = 1_000
KILLED_AFTER_SECONDS = (0.5, 2.0)


def kill_a_service(world: World, chance: Random) -> Undo | None:
    """kill -9; its projector and its broker are left to find out."""
    service = chance.choice(world.services)
    return service.begin if service.kill() else None


def restart_a_service(world: World, chance: Random) -> Undo | None:
    """SIGTERM: it finishes or rolls back, and leaves within the grace time."""
    service = chance.choice(world.services)
    if service.pid is None:
        return None
    code = service.leave()
    if code == -signal.SIGKILL:
        world.problems.append(f"{service.name} did not leave in time when it was told to")
    return service.begin


def stop_a_service(world: World, chance: Random) -> Undo | None:
    """SIGSTOP of a service and its projector, as when a machine freezes; whatever they hold they hold."""
    return stopped(_with_projector(chance.choice(world.services)))


def kill_a_projector(world: World, chance: Random) -> Undo | None:
    """kill -9 of a projector alone: its service starts it again."""
    return _nothing if signalled(projectors(chance.choice(world.services)), signal.SIGKILL) else None


def stop_a_projector(world: World, chance: Random) -> Undo | None:
    """SIGSTOP of a projector alone."""
    return stopped(projectors(chance.choice(world.services)))


def kill_a_speaker(world: World, chance: Random) -> Undo | None:
    """kill -9 of a bot or the feed; its successor goes on from journal and outbox."""
    speaker = chance.choice(world.speakers)
    return speaker.begin if speaker.kill() else None


def stop_a_speaker(world: World, chance: Random) -> Undo | None:
    """SIGSTOP of a bot or the feed."""
    return stopped(_alive(chance.choice(world.speakers)))


def fill_the_disk_of_a_speaker(world: World, chance: Random) -> Undo | None:
    """No file of a bot grows any more: `publish` raises in the bot, before anything is claimed."""
    speaker = chance.choice(world.speakers)
    return (lambda: speaker.limit_files(None)) if speaker.limit_files(FULL_BYTES) else None


def rebuild_the_books(world: World, chance: Random) -> Undo | None:
    """A rebuild beside the live books, while facts arrive; what it would heal is looked at first."""
    done = world.run("rebuild", "--check")
    if done.returncode == DIFFERS:
        world.problems.append(f"I3: books before a rebuild: {done.stdout[:1000]}")
    return _rebuilding(world).wait_or_kill


def kill_a_rebuild(world: World, chance: Random) -> Undo | None:
    """A rebuild that is killed in the middle."""
    rebuilding = _rebuilding(world)
    seconds = chance.uniform(*KILLED_AFTER_SECONDS)
    time.sleep(seconds)  # What is to be interrupted has to have begun, and not to have ended.
    return _nothing if rebuilding.kill() else None


def delete_the_stream(world: World, chance: Random) -> Undo | None:
    """The stream is gone with everything in it, and made anew: its numbers are used again."""
    return _nothing if world.on_the_stream(lambda context: context.delete_stream(STREAM_NAME)) else None


def fill_the_stream(world: World, chance: Random) -> Undo | None:
    """The broker has no room for more: it refuses what is published."""
    before: list[StreamConfig] = []

    async def shrink(context: object) -> None:
        config = (await context.stream_info(STREAM_NAME)).config  # type: ignore[attr-defined]  # nats-py is untyped
        before.append(config)
        await context.update_stream(config, max_bytes=FULL_STREAM_BYTES)  # type: ignore[attr-defined]  # the same

    def widen() -> None:
        world.on_the_stream(lambda context: context.update_stream(before[0]))

    return widen if world.on_the_stream(shrink) else None


COMMON: dict[str, Strike[Any]] = {
    "service killed": kill_a_service,
    "service restarted": restart_a_service,
    "service stopped": stop_a_service,
    "projector killed": kill_a_projector,
    "projector stopped": stop_a_projector,
    "speaker killed": kill_a_speaker,
    "speaker stopped": stop_a_speaker,
    "speaker's disk full": fill_the_disk_of_a_speaker,
    "books rebuilt": rebuild_the_books,
    "rebuild killed": kill_a_rebuild,
    "stream deleted": delete_the_stream,
    "stream full": fill_the_stream,
}


def projectors(service: Life) -> list[int]:
    """The projector's process of a service."""
    return [pid for pid in children(service.pid) if "ledger.following" in command_of(pid)]


def fill_files(pids: list[int], size: int) -> Undo | None:
    """No file of these grows beyond this size."""
    reached = [pid for pid in pids if limit_files(pid, size)]
    return (lambda: [limit_files(pid, None) for pid in reached]) if reached else None


def stopped(pids: list[int]) -> Undo | None:
    """SIGSTOP; undone by SIGCONT."""
    return (lambda: signalled(pids, signal.SIGCONT)) if signalled(pids, signal.SIGSTOP) else None


def _with_projector(service: Life) -> list[int]:
    return [*_alive(service), *projectors(service)]


def _alive(life: Life) -> list[int]:
    return [] if life.pid is None else [life.pid]


def _rebuilding(world: World) -> Life:
    command = [sys.executable, "-m", "ledger.commands.main", "rebuild"]
    life = Life("rebuild", command, world.home / "rebuild.log", world.place_of_the_database)
    world.others.append(life)
    life.begin()
    life.is_wanted = False
    return life


def command_of(pid: int) -> str:
    """The command line of a process, empty where there is none."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def _nothing() -> None:
    return
