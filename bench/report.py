"""The report of a run: rows as they are measured, and those beyond their limits at the end."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

import click

from bench.limits import LIMITS

WIDTH = 54


@dataclass(frozen=True, slots=True)
class Size:
    """Extent of a run: interleaved rounds, and by how much everything in them is divided."""

    rounds: int = 5
    divisor: int = 1

    def of(self, count: int) -> int:
        return max(count // self.divisor, 1)


@dataclass
class Report:
    """Rows go out at once; ``beyond`` are the names whose median is beyond limit and margin."""

    beyond: list[str] = field(default_factory=list)

    def title(self, text: str) -> None:
        click.echo(text)

    def say(self, name: str, text: str) -> None:
        """Print a figure that has no limit."""
        click.echo(f"  {name:<{WIDTH}} {text}")

    def judge(self, name: str, figures: Sequence[float], floors: Sequence[float] = ()) -> None:
        """Print the median ratio of the rounds with its spread, and judge it."""
        limit = LIMITS[name]
        ratios = [a / b for a, b in zip(figures, floors, strict=True)] if floors else figures
        median = statistics.median(ratios)
        is_beyond = median > limit.at_most * limit.margin
        if is_beyond:
            self.beyond.append(name)
        what = f"times {limit.against}" if limit.against else "in all"
        spread = f" ({min(ratios):.2f} to {max(ratios):.2f})" if len(ratios) > 1 else ""
        mark = "BEYOND" if is_beyond else "over" if median > limit.at_most else "within"
        self.say(name, f"{median:7.2f} {what}{spread}; at most {limit.at_most:g}: {mark}")

    def end(self) -> int:
        """Print the names beyond their limits; return the exit status."""
        for name in self.beyond:
            margin = LIMITS[name].margin
            click.echo(f"beyond {margin:g} times its limit: {name}", err=True)
        return 1 if self.beyond else 0
