"""``webui logs --explain``: the meaning of a code in log, metrics or reference, and its cure."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from webui.commands.runner import fail

Table = Mapping[str, Mapping[str, tuple[str, str]]]

KINDS = {
    "meaning": "meaning of a provider's refusal",
    "outcome": "outcome of a step of OAuth",
    "wait": "outcome of a wait for another refresh",
    "call": "outcome of one request to a provider",
    "discovery": "fault of a server that is found by its issuer or resource",
    "refusal": "reason of a refused callback",
    "reference": "kind of a reference",
    "keys": "fit of the keys",
    "event": "event of the log",
}


@click.command()
@click.option("--explain", "code", required=True, metavar="CODE", help="A code to explain.")
def logs(code: str) -> None:
    """Tell what a code in the log, the metrics or a reference means, and what to do."""
    lines = list(explained(code, read_codes()))
    if not lines:
        fail(
            "That is no code of this program. If a provider said it, docs/errors.md says what it "
            "means."
        )
    click.echo("\n".join(lines))


def read_codes() -> Table:
    """Read the table: for each kind, a code's meaning and its cure."""
    table: Table = tomllib.loads(Path(__file__).with_name("codes.toml").read_text("utf-8"))
    return table


def explained(code: str, table: Table) -> Iterator[str]:
    """Yield the lines for a code; it may be of several kinds."""
    plain = re.sub(r"^http_[0-9]{3}$", "http_STATUS", code.strip())
    for kind, codes in table.items():
        if plain in codes:
            what, cure = codes[plain]
            yield f"{code.strip()}: {KINDS[kind]}"
            yield f"  {what}"
            yield f"  To do: {cure}"
