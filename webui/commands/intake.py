"""``webui import``: connections of another system, from a file of JSON lines."""

from __future__ import annotations

import sys
from typing import IO

import click

from webui.commands.runner import UNAVAILABLE, with_store
from webui.people_data import intake
from webui.people_data.intake import Report

MOST_TOLD = 100  # faulty lines

_SAID = {
    "stored": "stored",
    "replaced": "replaced what was there",
    "same": "were there already",
    "kept": "left alone: another connection is there, or was disconnected here",
    "full": "left out: the person has as many accounts there as they may have",
    "verified": "work at their provider",
    "refused": "refused by their provider: the person has to connect again",
    "not_verified": "not verified: their provider did not say",
    "faulty": "not understood",
}


@click.command("import")
@click.argument("file", type=click.File("rb"))
@click.option("--verify", is_flag=True, help="Ask each provider whether what was stored works.")
@click.option("--dry-run", is_flag=True, help="Only say what would come of it.")
@click.option("--replace", is_flag=True, help="Replace what is there already.")
def import_connections(file: IO[bytes], *, verify: bool, dry_run: bool, replace: bool) -> None:
    """Store the connections in FILE (- is stdin), one JSON object a line; safe to repeat."""
    if verify and dry_run:
        raise click.UsageError("--verify asks about what was stored, and --dry-run stores nothing.")
    report = Report(_Told())
    with_store(
        lambda manager, redis: intake.run(
            manager,
            redis,
            file,
            report,
            replaces=replace,
            writes=not dry_run,
            verifies=verify,
        )
    )
    if (untold := report.counts["faulty"] - MOST_TOLD) > 0:
        click.echo(f"{untold} more lines were not understood.", err=True)
    for name, said in _SAID.items():
        if count := report.counts[name]:
            click.echo(f"{count} {said}.")
    if not report.counts:
        click.echo("There was nothing to store.")
    if dry_run:
        click.echo("Nothing was changed.")
    if not report.is_whole:
        sys.exit(UNAVAILABLE)


class _Told:
    """Sayer of the first faults."""

    def __init__(self) -> None:
        self._left = MOST_TOLD

    def __call__(self, fault: str) -> None:
        if self._left > 0:
            click.echo(fault, err=True)
        self._left -= 1
