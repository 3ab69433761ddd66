"""``webui export``: everything that is held about one person, as one JSON document."""

from __future__ import annotations

import os
from pathlib import Path

import click

from webui.commands.arguments import UserId
from webui.commands.runner import fail, with_store
from webui.people_data import export as document


@click.command()
@click.argument("user", type=UserId())
@click.option("--with-tokens", is_flag=True, help="The tokens too: whoever has them can use them.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write, that its owner alone may read.",
)
def export(user: str, *, with_tokens: bool, output: Path | None) -> None:
    """Print everything that is held about USER as JSON, without tokens."""
    found = with_store(
        lambda manager, redis: document.collect(
            manager, redis, user, with_tokens=with_tokens, walks=True
        )
    )
    text = document.as_text(found)
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        _write(output, text)
    except OSError as error:
        fail(f"{output} could not be written: {error.strerror}.")


def _write(path: Path, text: str) -> None:
    """Write in place of what is there, readable by its owner from the first byte on."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
