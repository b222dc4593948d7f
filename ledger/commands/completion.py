"""The completion script for a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from ledger.commands.output import write

_NAME = "botledger"


@click.command(
    epilog="""\b
Examples:
  botledger completion bash > ~/.local/share/bash-completion/completions/botledger
  botledger completion fish > ~/.config/fish/completions/botledger.fish
  eval "$(botledger completion zsh)\""""
)
@click.argument("shell", metavar="bash|zsh|fish", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, *, shell: str) -> None:
    """The script that lets a shell complete botledger's commands and options."""
    of_shell = get_completion_class(shell)
    assert of_shell is not None
    write(of_shell(context.find_root().command, {}, _NAME, "_BOTLEDGER_COMPLETE").source())
