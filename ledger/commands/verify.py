"""The proof that the log is what was written."""

from __future__ import annotations

import click

from ledger.commands.books import reading_log
from ledger.commands.failures import DIFFERENT
from ledger.commands.options import json_flag, with_settings
from ledger.commands.output import say, write, write_json
from ledger.settings import Settings
from ledger.verify import verify as prove
from projections import compare


@click.command(
    epilog="""\b
Examples:
  botledger verify
  botledger verify --books        (exits 3 where the books' checkpoint or money is wrong)
The printed position and hash are worth keeping elsewhere: against them a log that was cut or
rewritten from the end is found."""
)
@click.option("--books", is_flag=True, help="Also check the books: their place in the log, and every sum of money.")
@json_flag
@with_settings()
def verify(settings: Settings, *, books: bool, as_json: bool) -> None:
    """Derive every column and every hash of the log again; the first bad position is named, and exits 1."""
    with reading_log(settings.database, one_snapshot=True) as session:
        found = prove(session)
    problems = compare.check_books(settings.database) if books else ()
    if as_json:
        facts = {"facts": found.facts, "position": found.head.position, "hash": found.head.hash.hex()}
        write_json(facts | ({"problems": list(problems)} if books else {}))
    else:
        write(f"the log is whole: {found.facts:,} facts, head {found.head.position}, hash {found.head.hash.hex()}")
        if books and not problems:
            write("the books are whole: their checkpoint is in the log, all cash is the sum of its movements")
    for problem in problems:
        say(f"botledger: {problem}")
    if problems:
        raise click.exceptions.Exit(DIFFERENT)
