"""Waiting in the event loop: for an event, but never longer than so long."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any


async def wait_for(event: asyncio.Event, *, seconds: float) -> bool:
    """Whether the event was set before the time was up.

    asyncio's own `wait_for` can swallow a cancellation that meets the event; this cannot.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
    return event.is_set()


async def end(*tasks: asyncio.Task[Any], seconds: float) -> None:
    """Cancel these and wait a while: nats-py swallows a cancellation now and then."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=seconds)
