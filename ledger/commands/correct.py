"""A fact that a bot told wrong: voided, and told again under a new id."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click
from sqlalchemy.orm import Session

from ledger.commands.books import reading_log
from ledger.commands.changes import show_changes, tell_dry_run, write_receipts
from ledger.commands.options import changes_flag, dry_run_flag, with_settings
from ledger.commands.output import write
from ledger.commands.speaking import check, fact_of, speak, void_of
from ledger.errors import Conflict
from ledger.events import EVENT_TYPES, FactVoided, Recorded
from ledger.ids import successor_id, void_id
from ledger.inspection import read_facts
from ledger.messages import Fact
from ledger.reading import find_fact, find_successors, find_voids
from ledger.receipts import Receipt
from ledger.settings import Settings
from projections.supposing import suppose

Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Correction:
    """What has to be published, in this order, so that `fact` stands in the place of another; nothing where it does."""

    fact: Fact
    facts: Sequence[Fact]
    standing: Recorded | None = None


def _changes(context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    """`price=412.10`, as often as wanted; nothing behind the sign removes the field."""
    found: dict[str, str] = {}
    for one in given:
        name, equals, text = one.partition("=")
        if not (name and equals):
            raise click.BadParameter(f"{one!r} is not field=value, such as price=412.10")
        if name in found:
            raise click.BadParameter(f"names {name!r} twice")
        found[name] = text
    return found


@click.command(
    epilog="""\b
Examples:
  botledger correct RSIBot 2026-01-05T15:30.QQQ.0001-buy price=412.10 fee=0.35 --dry-run
  botledger correct RSIBot d-17 amount=250 note= --reason "the bank took a fee"
  botledger correct RSIBot registered.1 'opening={"USD": "5000"}' allow_short=true
A value is text, or JSON where the field is no text; nothing behind the sign removes the field. The
new fact is ID.2, or the next number that is free. The same call again changes nothing."""
)
@click.argument("bot")
@click.argument("target", metavar="ID")
@click.argument("changes", metavar="FIELD=VALUE…", nargs=-1, required=True, callback=_changes)
@click.option("--reason", metavar="TEXT", help="Why; else the void says which fact stands in its place.")
@dry_run_flag
@changes_flag
@with_settings()
def correct(
    settings: Settings,
    *,
    bot: str,
    target: str,
    changes: dict[str, str],
    reason: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Void a bot's fact and tell it again, with some fields changed; show what that changes in its books.

    Both are published as the bot: the void, then the fact under a new id.
    """
    with reading_log(settings.database, one_snapshot=True) as session:
        found = _correction(session, f"bots.{bot}", target, changes, reason)
        if found.facts:
            show_changes(suppose(session, found.facts), as_json=as_json)
    if found.standing is not None:
        _tell_corrected(found.standing, target, as_json=as_json)
    elif not dry_run:
        _publish(settings, found, target, as_json=as_json)
    if dry_run:
        tell_dry_run()


def _correction(
    session: Session, subject: str, target: str, changes: Mapping[str, str], reason: str | None
) -> _Correction:
    """What the call means, given what is recorded.

    Raises: click.UsageError where the fact cannot be corrected, or the new one is not well-formed.
    """
    old = find_fact(session, subject, target)
    if old is None:
        raise click.UsageError(f"no fact {target[:128]!r} of {subject} is in the log: `botledger events` lists them")
    if isinstance(old.event, FactVoided):
        raise click.UsageError(f"{target} is a void: publish {old.event.target} again, under a new id")
    successors = find_successors(session, subject, target)
    new = _corrected(session, old, changes, successor_id(target, len(successors) + 2))
    voids = find_voids(session, subject, target)
    if not voids:
        void = void_of(subject, subject, target, reason or f"{new.id} stands in its place")
        _check_free(session, void)
        return _Correction(new, (void, new))
    own = any(void.subject == subject and void.event.id == void_id(subject, target) for void in voids)
    standing = [fact for fact in successors if not find_voids(session, subject, fact.event.id)]
    for fact in standing:
        if own and fact.event == new.event.model_copy(update={"id": fact.event.id}):
            return _Correction(new, (), fact)
    if own and not standing:
        return _Correction(new, (new,))  # An earlier call has come only half of the way.
    last = f"correct {standing[-1].event.id}, which stands in its place" if standing else "publish it under a new id"
    raise click.UsageError(f"{target} is voided, by {voids[0].subject} at position {voids[0].position}: {last}")


def _check_free(session: Session, void: Fact) -> None:
    """Raises: Conflict where the id of the void is another fact's, so that both facts would stand."""
    other = find_fact(session, void.subject, void.id)
    if other is not None:
        told = f"the id {void.id} of {void.subject} is another fact's, at position {other.position}: void it first"
        raise Conflict(told, subject=void.subject, id=void.id)


def _corrected(session: Session, old: Recorded, changes: Mapping[str, str], id_: str) -> Fact:
    """The fact with these fields changed, under another id.

    Raises: click.UsageError where it is not well-formed, or says the same.
    """
    [row] = read_facts(session, after=old.position - 1, subject=old.subject, limit=1)
    said: Fields = {**row["payload"], "id": id_}
    # Something newer is recorded by now, the void at least: as a condition it could only be refused.
    said.pop("after", None)
    for name in ("id", "after"):
        if name in changes:
            raise click.UsageError(f"{name} cannot be corrected")
    type_ = changes.get("type", old.event.type)
    for name, text in changes.items():
        said[name] = _value(type_, name, text) if text else None
    new = fact_of(old.subject, said)
    if new.event == old.event.model_copy(update={"id": id_}):
        raise click.UsageError("that is what it says already: nothing would change")
    return new


def _value(type_: str, name: str, text: str) -> object:
    """The value that a text is for this field: itself, or what it says as JSON where the field takes no text."""
    model = EVENT_TYPES.get(type_)
    schema = {} if model is None else model.model_json_schema()["properties"].get(name, {})
    kinds = {form.get("type") for form in (schema, *schema.get("anyOf", ()))} - {None, "null"}
    if not kinds or "string" in kinds:
        return text
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise click.UsageError(
            f"{name}: {text[:60]!r} is not JSON ({error}), but takes {' or '.join(kinds)}"
        ) from error
    return value


def _publish(settings: Settings, found: _Correction, target: str, *, as_json: bool) -> None:
    receipts = speak(settings, found.facts, what="the correction")
    if as_json:
        write_receipts(receipts)
    # The id of the void follows from what it voids, so its conflict is only about the moment: it is voided.
    for receipt in receipts[-1:] if receipts[0].status == "conflict" else receipts:
        check(receipt)
    if not as_json:
        write(f"{target} is voided; {found.fact.id} stands in its place, at position {receipts[-1].position}")


def _tell_corrected(standing: Recorded, target: str, *, as_json: bool) -> None:
    id_, position = standing.event.id, standing.position
    if as_json:
        write_receipts([Receipt(standing.subject, id_, "duplicate", position)])
    else:
        write(f"{target} was corrected so already: {id_} stands in its place, at position {position}")
