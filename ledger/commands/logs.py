"""Logs go to standard error: warnings as one line for people, or the whole of a service's."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog

from ledger.commands.failures import one_line

_TOLD_OTHERWISE = "session rolled back"


def log_warnings() -> None:
    """For commands: warnings only, each a line like the command's own."""
    _configure([_without_rollbacks, _for_people], level=logging.WARNING)


def log_service(form: Literal["json", "console"] | None = None) -> None:
    """For a service: everything from `info`; unless told otherwise key-values on a terminal, else JSON, a line each."""
    plain = structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"])
    is_plain = sys.stderr.isatty() if form is None else form == "console"
    renderer = plain if is_plain else structlog.processors.JSONRenderer()
    stamps = [structlog.processors.add_log_level, structlog.processors.TimeStamper(fmt="iso", utc=True)]
    _configure([*stamps, renderer], level=logging.INFO)


def _configure(processors: list[Any], *, level: int) -> None:
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *arguments: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )


def _without_rollbacks(logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The error that rolled a session back is told by the command, once."""
    if event.get("event") == _TOLD_OTHERWISE:
        raise structlog.DropEvent
    return event


def _for_people(logger: object, method: str, event: MutableMapping[str, Any]) -> str:
    values = ", ".join(f"{name} {value}" for name, value in event.items() if name != "event")
    return one_line(f"botledger: {event['event']}" + (f" ({values})" if values else ""))
