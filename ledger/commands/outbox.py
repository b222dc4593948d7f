"""The outboxes on this machine: what waits for the ledger, and what it has refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial, wraps
from pathlib import Path
from time import monotonic
from typing import Any

import click

from ledger.addresses import Surroundings
from ledger.commands.columns import Column, Row
from ledger.commands.failures import FAILED
from ledger.commands.options import json_flag, with_settings
from ledger.commands.output import say, show, write, write_json
from ledger.errors import Unconfirmed
from ledger.fields import format_time
from ledger.outbox import Outbox
from ledger.outboxes import Item, OutboxState, find_outboxes, outbox_items, outbox_states
from ledger.sender import Sender
from ledger.settings import Settings

_STATES = (
    Column("subject", "subject"),
    Column("waiting", "waiting", "number"),
    Column("oldest", "since (UTC)", "time"),
    Column("refused", "refused", "number"),
    Column("bytes", "bytes", "number"),
)
_ITEMS = (
    Column("since", "since (UTC)", "time"),
    Column("id", "id"),
    Column("run", "run"),
    Column("status", "status"),
    Column("reason", "reason"),
)


@click.group(
    epilog="""\b
Examples:
  botledger outbox list
  botledger outbox list bots.RSIBot
  botledger outbox flush
  botledger outbox export bots.RSIBot > facts.jsonl     (then: botledger import facts.jsonl)
  botledger outbox drop bots.RSIBot --refused"""
)
def outbox() -> None:
    """What bots on this machine have published and the ledger has not answered yet; safe while they run.

    The outboxes are those of the data directory, of LEDGER_OUTBOX_DIR, or of the broker that is named, as for bots.
    """


def _with_directory(function: Callable[..., None]) -> Callable[..., None]:
    """Add the flags; hand the command the surroundings and the directory of the outboxes."""

    @wraps(function)
    def told(*, settings: Settings, outbox_dir: Path | None, **others: Any) -> None:
        surroundings = Surroundings(settings.nats_url, settings.data_dir, outbox_dir)
        function(surroundings=surroundings, directory=surroundings.outbox_directory(), **others)

    flag = click.option(
        "--outbox-dir",
        metavar="DIR",
        type=click.Path(path_type=Path),
        help="Directory of the outboxes (LEDGER_OUTBOX_DIR, else DIR/outbox).",
    )
    return with_settings()(flag(told))


@outbox.command("list")
@click.argument("subject", required=False)
@json_flag
@_with_directory
def list_(directory: Path, *, subject: str | None, as_json: bool, **_: object) -> None:
    """How many facts wait in each outbox and since when; of one subject, each of them, and what was refused."""
    if subject is None:
        states, unreadable = _states_of(directory)
        show(map(_state, states), _STATES, as_json=as_json, nothing=f"there is no outbox in {directory} to be read")
        if unreadable:
            raise click.exceptions.Exit(FAILED)
        return
    items = [*outbox_items(directory, subject), *outbox_items(directory, subject, refused=True)]
    show((_item(item) for item in items), _ITEMS, as_json=as_json, nothing=f"nothing of {subject} waits, all is told")


@outbox.command()
@click.argument("subjects", metavar="[SUBJECT]…", nargs=-1)
@click.option("--timeout", metavar="SECONDS", type=click.FloatRange(min=0.1), default=60.0, show_default=True)
@_with_directory
def flush(surroundings: Surroundings, directory: Path, *, subjects: Sequence[str], timeout: float) -> None:
    """Send what waits, and wait for the receipts; exits 4 where some are missing, 1 where a fact is refused."""
    deadline = monotonic() + timeout
    missing = refused = 0
    problem = ""
    states, unreadable = _states_of(directory, subjects)
    for subject in (state.subject for state in states if state.waiting):
        box = Outbox(directory, subject)
        sender = Sender(box, partial(surroundings.broker, subject))
        try:
            through, before = box.last_sequence(), box.last_refusal()
            sender.start()
            sender.wait(through=through, timeout_seconds=max(0.0, deadline - monotonic()))
            left = box.count_waiting(through=through)
            refusals = box.refused(after=before)
        finally:
            sender.stop()
            box.close()
        for one in refusals:
            say(f"botledger: {subject} {one.id}: {one.status}: {one.reason}")
        missing, refused = missing + left, refused + len(refusals)
        problem = sender.problem if left else problem
        write(f"{subject}: {left} facts wait, {len(refusals)} were refused")
    if missing:
        raise Unconfirmed(f"{missing} facts have no receipt: {problem}; they stay in the outbox", waiting=missing)
    if refused or unreadable:
        raise click.exceptions.Exit(FAILED)


@outbox.command()
@click.argument("subject")
@click.option("--refused", is_flag=True, help="What was refused, in place of what waits.")
@_with_directory
def export(directory: Path, *, subject: str, refused: bool, **_: object) -> None:
    """What waits as JSON lines, in order, as `publish` and `import` take them; it stays in the outbox."""
    _write_lines(outbox_items(directory, subject, refused=refused))


@outbox.command()
@click.argument("subject")
@click.argument("ids", metavar="[ID]…", nargs=-1)
@click.option("--refused", is_flag=True, help="All that was refused.")
@click.option("--all", "everything", is_flag=True, help="All that waits.")
@_with_directory
def drop(directory: Path, *, subject: str, ids: Sequence[str], refused: bool, everything: bool, **_: object) -> None:
    """Take facts out of the outbox, so that they are not sent from then on; each is written out as by `export`.

    A bot that runs at this moment may have sent them already, or be about to: what it sent the ledger may still record.
    """
    if bool(ids) + refused + everything != 1:
        raise click.UsageError("name the ids of the facts that wait, or give --refused or --all, one of them")
    items = [item for item in outbox_items(directory, subject, refused=refused) if not ids or item.id in ids]
    unknown = sorted(set(ids) - {item.id for item in items})
    if unknown:
        raise click.UsageError(f"no fact that waits has the id {unknown[0]}: see `botledger outbox list {subject}`")
    _write_lines(iter(items))
    box = Outbox(directory, subject)
    try:
        dropped = box.drop([item.id for item in items], refused=refused)
    finally:
        box.close()
    say(f"botledger: {dropped} facts of {subject} are dropped")


def _states_of(directory: Path, subjects: Sequence[str] = ()) -> tuple[list[OutboxState], int]:
    """How these outboxes stand, or all of them; how many cannot be read, which is told and stops no other."""
    states, problems = outbox_states(directory, subjects or find_outboxes(directory))
    for problem in problems:
        say(f"botledger: {problem}")
    return states, len(problems)


def _state(state: OutboxState) -> Row:
    oldest = None if state.oldest is None else format_time(state.oldest)
    return {
        "subject": state.subject,
        "waiting": state.waiting,
        "oldest": oldest,
        "refused": state.refused,
        "bytes": state.bytes,
    }


def _item(item: Item) -> Row:
    return {
        "subject": item.subject,
        "id": item.id,
        "since": format_time(item.since),
        "run": item.run,
        "status": item.status,
        "reason": item.reason,
        "payload": json.loads(item.payload),
    }


def _write_lines(items: Iterator[Item]) -> None:
    for item in items:
        write_json({"subject": item.subject, "payload": json.loads(item.payload)})
