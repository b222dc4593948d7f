"""The entry point `botledger`: which commands there are, and what becomes of their errors.

Nothing but click is imported here; a command's module is loaded when the command is called.
"""

from __future__ import annotations

import errno
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NoReturn

import click
from click.shell_completion import CompletionItem

from ledger.commands.failures import explained, visible

INTERRUPTED = 130
COMMANDS = {
    "demo": ("demo:demo", "Bots trading on real prices through everything there is; ends by itself."),
    "serve": ("serve:serve", "Take messages in and keep the books, until SIGTERM."),
    "register": ("register:register", "Begin to keep a bot, with what it has to start with."),
    "publish": ("publish:publish", "Send messages from a file through the broker, with receipts."),
    "outbox": ("outbox:outbox", "What bots have published and the ledger has not answered yet."),
    "import": ("importing:import_", "Read messages from a file straight into the log, in bulk."),
    "bots": ("reading:bots", "Every bot at a glance."),
    "portfolio": ("portfolio:portfolio", "What a bot holds, and what it is worth."),
    "trades": ("reading:trades", "A bot's trades, with the profit of each."),
    "runs": ("reading:runs", "A bot's runs, and how they ended."),
    "worth": ("reading:worth", "A bot's worth, day by day."),
    "pnl": ("profit:pnl", "What a bot made, by symbol, period or run."),
    "diff": ("diff:diff", "What made a bot's worth change between two points."),
    "performance": ("performance:performance_command", "Returns and risk of a bot, or of the fleet as a whole."),
    "explain": ("profit:explain_command", "Every fact that makes a number, with its lots."),
    "what-if": ("what_if:what_if", "The books at other fees, prices or lots, beside the live ones."),
    "reconcile": ("reconcile:reconcile", "A bot's books held against what its broker states."),
    "void": ("void:void", "Let a fact count as never published."),
    "correct": ("correct:correct", "Tell a bot's fact again, with some fields changed."),
    "events": ("events:events", "The facts in the log."),
    "export": ("export:export", "Books and facts as files: csv, JSON lines, parquet, beancount."),
    "rebuild": ("rebuild:rebuild", "Make the books anew from the log, or compare them with it."),
    "verify": ("verify:verify", "Prove that the log is what was written."),
    "anchor": ("anchor:anchor", "Keep the log's last hash elsewhere, to verify against."),
    "rejected": ("rejected:rejected", "What was refused, and why; try one again."),
    "parked": ("rejected:parked", "Messages that wait for a newer release."),
    "access": ("access:access", "Who may write what: a key for each name."),
    "backup": ("backup:backup", "Copy log and outboxes, while everything runs."),
    "restore": ("backup:restore", "Put such a copy in the place of the log."),
    "doctor": ("doctor:doctor", "Look at everything, with a remedy for each finding."),
    "service": ("unit:service", "Have systemd run `serve`: write the unit."),
    "db": ("db:db", "Make, upgrade or check the database of the log."),
    "completion": ("completion:completion", "The completion script for a shell."),
}


class LazyGroup(click.Group):
    """The commands by name, each imported when it is asked for; errors become one line and an exit code."""

    def list_commands(self, context: click.Context) -> list[str]:
        """The names, in the order of the help."""
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """The command of this name, imported."""
        if name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[name][0].partition(":")
        found: click.Command = getattr(import_module(f"ledger.commands.{module}"), attribute)
        return found

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """The help's list, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def shell_complete(self, context: click.Context, incomplete: str) -> list[CompletionItem]:
        """The names and options that begin so, without importing anything."""
        names = [CompletionItem(name, help=line) for name, (_, line) in COMMANDS.items() if name.startswith(incomplete)]
        return names + click.Command.shell_complete(self, context, incomplete)

    def make_context(self, *arguments: Any, **settings: Any) -> click.Context:
        """Read the options before the command's name."""
        with _wrong_use_in_one_line():
            return super().make_context(*arguments, **settings)

    def invoke(self, context: click.Context) -> Any:
        """Run the command; what goes wrong is told in one line."""
        try:
            try:
                with _wrong_use_in_one_line(context):
                    return super().invoke(context)
            finally:
                sys.stdout.flush()
        except KeyboardInterrupt:
            raise click.exceptions.Exit(INTERRUPTED) from None
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:  # the outermost place: an error becomes a line and an exit code
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise  # Whoever read has gone: click ends quietly.
            failure = explained(error)
            if failure is None:
                raise
            exit_code, line = failure
            click.echo(f"botledger: {line}", err=True)
            raise click.exceptions.Exit(exit_code) from error


@contextmanager
def _wrong_use_in_one_line(context: click.Context | None = None) -> Iterator[None]:
    """Tell wrong use as every other error is told; where nothing at all was asked for, the help is the answer."""
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:
        raise
    except click.UsageError as error:
        reason = visible(" ".join(line.strip() for line in error.format_message().rstrip(".").splitlines()))
        says_what_to_do = type(error) in (click.UsageError, click.BadParameter)  # The others are click's own.
        hint = "" if says_what_to_do else f" (`{_path_of(error, context)} --help` tells how it is used)"
        click.echo(f"botledger: {reason}{hint}", err=True)
        raise click.exceptions.Exit(error.exit_code) from error


def _path_of(error: click.UsageError, context: click.Context | None) -> str:
    """The command that was called; an option that lacks its value does not tell."""
    if error.ctx is not None:
        return error.ctx.command_path
    if context is None or context.invoked_subcommand is None:
        return "botledger"
    return f"{context.command_path} {context.invoked_subcommand}"


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Begin with:
  botledger demo
  botledger serve

\b
Where things are: --data-dir DIR, else LEDGER_DATA_DIR, else ./botledger-data;
or --database URL, else LEDGER_DATABASE_URL; and --nats URL, else LEDGER_NATS_URL.

\b
Exit codes: 0 well; 1 failed, or something was refused or parked; 2 wrong use;
3 a comparison found a difference; 4 a server could not be reached, or receipts are missing.""",
)
@click.version_option(package_name="botledger", prog_name="botledger")
def cli() -> None:
    """A ledger for fleets of trading bots: every fact once and for ever, exact books from the facts alone."""


def main() -> NoReturn:
    """Run the command line and leave with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    cli.main(prog_name="botledger")
    raise AssertionError("click ends the process")


if __name__ == "__main__":
    main()
