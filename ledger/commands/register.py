"""A bot begins to be kept."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from ledger.commands.failures import FAILED
from ledger.commands.options import receipts_flag, with_settings
from ledger.commands.output import write, write_json
from ledger.commands.speaking import check, fact_of, speak
from ledger.fields import format_time
from ledger.ids import registration_id
from ledger.messages import Fact
from ledger.settings import Settings


def _opening(context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> dict[str, str] | None:
    """`USD=10000`, as often as wanted."""
    found = dict(_split(one, "CURRENCY=AMOUNT") for one in given)
    if len(found) != len(given):
        raise click.BadParameter("names a currency twice")
    return found or None


def _holdings(context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> dict[str, Any] | None:
    """`QQQ=12.5@5100`, as often as wanted: the cost is that of the whole holding."""
    found: dict[str, Any] = {}
    for one in given:
        # The last sign counts: a symbol may hold one itself (EURUSD=X).
        symbol, equals, rest = one.rpartition("=")
        quantity, at, cost = rest.partition("@")
        if not (symbol and equals and quantity and at and cost):
            raise click.BadParameter(f"{one!r} is not SYMBOL=QUANTITY@COST, such as QQQ=12.5@5100")
        if symbol in found:
            raise click.BadParameter(f"names {symbol} twice")
        found[symbol] = {"quantity": quantity, "cost": cost}
    return found or None


@click.command(
    epilog="""\b
Examples:
  botledger register RSIBot
  botledger register RSIBot --opening USD=5000 --opening EUR=250 --description "buys low"
  botledger register Old --holding QQQ=12.5@5100 --at 2026-01-02T00:00:00Z
Without --opening and --holding a bot begins with 10000 of its base currency. The same call again
changes nothing."""
)
@click.argument("bot")
@click.option(
    "--opening", metavar="USD=10000", multiple=True, callback=_opening, help="Cash to begin with; may be repeated."
)
@click.option(
    "--holding",
    "holdings",
    metavar="SYMBOL=QUANTITY@COST",
    multiple=True,
    callback=_holdings,
    help="What it holds to begin with, and what all of it has cost; may be repeated.",
)
@click.option("--description", metavar="TEXT", help="What the bot does.")
@click.option("--base-currency", metavar="CUR", help="In which its worth is told (USD).")
@click.option(
    "--cost-basis", type=click.Choice(["fifo", "lifo", "hifo", "average"]), help="Which lots go first (fifo)."
)
@click.option("--allow-short", is_flag=True, default=None, help="Selling more than it holds is no error.")
@click.option("--mode", type=click.Choice(["live", "paper"]), help="With money or without (live).")
@click.option("--account", metavar="TEXT", help="The broker's account.")
@click.option("--expected-every", metavar="26h", help="How often it ought to run.")
@click.option("--id", "id_", metavar="ID", help="The id of the fact, else one that follows from the other values.")
@click.option("--at", metavar="TIME", help="When it begins, such as 2026-01-02T00:00:00Z; else now.")
@receipts_flag
@with_settings()
def register(settings: Settings, *, bot: str, id_: str | None, at: str | None, as_json: bool, **fields: Any) -> None:
    """Begin to keep a bot: through the broker where one is named or a service runs, else straight into the log."""
    fact = _fact(bot, fields, id_=id_, at=at)
    [receipt] = speak(settings, [fact], what="the registration")
    # The id follows from what is said, so its conflict is only about the moment: it is registered already.
    well = receipt.status in ("recorded", "duplicate") or (receipt.status == "conflict" and id_ is None)
    if as_json:
        write_json(receipt.fields())
    elif well:
        how = "registered" if receipt.status == "recorded" else "was registered so already,"
        write(f"{bot} {how} at position {receipt.position}")
    if not well:
        if not as_json:
            check(receipt)
        raise click.exceptions.Exit(FAILED)


def _fact(bot: str, fields: dict[str, Any], *, id_: str | None, at: str | None) -> Fact:
    """The registration; without an id of its own it has that which `Bot.register` gives it.

    Raises: click.UsageError where a value is not well-formed.
    """
    said = {"type": "bot_registered", **fields}
    chosen = id_ or registration_id(said)
    return fact_of(f"bots.{bot}", said | {"id": chosen, "at": at or format_time(datetime.now(UTC))})


def _split(text: str, form: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise click.BadParameter(f"{text!r} is not {form}, such as USD=10000")
    return name, value
