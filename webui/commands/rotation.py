"""``webui rotate-keys``: seal every record with the newest key, and tell how it goes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import click

from webui.commands.keys import reseal_keys
from webui.commands.rotation_workers import workers
from webui.commands.runner import UNAVAILABLE, read_settings, with_store
from webui.oauth_manager import OAuthManager, Rotation
from webui.oauth_manager.storage.calls import RedisClient
from webui.support.identifiers import spelled

MOST_JOBS = 64
MINUTE = 60.0  # seconds between two lines if nobody watches


@click.command("rotate-keys")
@click.option(
    "--jobs",
    type=click.IntRange(1, MOST_JOBS),
    default=1,
    show_default=True,
    metavar="COUNT",
    help="Processes that work at once.",
)
@click.option("--dry-run", is_flag=True, help="Only look and count; nothing is written.")
def rotate_keys(jobs: int, *, dry_run: bool) -> None:
    """Reseal every record with the newest key; safe to repeat and to interrupt."""
    progress = Progress(is_watched=sys.stderr.isatty())

    async def work(manager: OAuthManager, redis: RedisClient) -> Rotation:
        if not dry_run:
            await reseal_keys(read_settings(), manager, redis)
        if dry_run or jobs == 1:
            progress.begin()
            return await manager.reseal(redis, writes=not dry_run, told=progress.tell)
        with workers(read_settings(), jobs) as visits:
            progress.begin()
            return await manager.reseal(redis, told=progress.tell, visits=visits)

    found = with_store(work)
    progress.end()
    for line in _summary(found, progress.seconds, is_dry=dry_run):
        click.echo(line)
    for key, reason in found.left.items():
        click.echo(f"  {spelled(key)}: {reason}")
    if not found.is_whole:
        sys.exit(UNAVAILABLE)


def _summary(found: Rotation, seconds: float, *, is_dry: bool) -> list[str]:
    met = found.done + found.new + found.unreadable + found.unknown
    older = f" ({found.moved} had keys of an older system)" if found.moved else ""
    lines = [
        f"{'To be sealed' if is_dry else 'Sealed'} anew: {found.done}{older}",
        f"Already new: {found.new}",
        f"Unreadable: {found.unreadable}",
        f"Not understood: {found.unknown}",
        f"{met} records in {seconds:.1f} s, {_rate(met, seconds)} a second.",
    ]
    if found.beside or found.blind:
        lost = f"; {found.blind} more cannot be read" if found.blind else ""
        lines.append(f"Events and held tokens sealed anew: {found.beside}{lost}")
    if found.changed:
        lines.append(
            f"{found.changed} were written meanwhile, again and again or with an older key. See "
            "that all processes have the new key first, and run this again."
        )
    if count := found.unreadable + found.unknown:
        named = f"; the first {len(found.left)}" if count > len(found.left) else ""
        lines.append(f"{count} keys are left as they are{named}:")
    return lines


def _rate(count: int, seconds: float) -> int:
    return round(count / max(seconds, 0.001))


class Progress:
    """Lines on stderr about a work that goes on: on a terminal one that changes, else one a minute.

    The first comes at once.
    """

    def __init__(
        self,
        *,
        is_watched: bool,
        clock: Callable[[], float] = time.monotonic,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self._is_watched = is_watched
        self._clock = clock
        self._say = say or self._write
        self._is_told = False
        self.begin()

    def begin(self) -> None:
        """Count from now on."""
        self._began = self._clock()
        self._last = self._began - MINUTE

    @property
    def seconds(self) -> float:
        """Return how long the work has taken."""
        return self._clock() - self._began

    def tell(self, done: int, total: int) -> None:
        """Tell how far it is, if it is time for that."""
        now = self._clock()
        if not self._is_watched and now - self._last < MINUTE:
            return
        self._last, self._is_told = now, True
        rate = done / max(self.seconds, 0.001)
        minutes, seconds = divmod(round((total - done) / max(rate, 0.001)), 60)
        self._say(
            f"{done} of {total} records done, {rate:.0f} a second, {total - done} remaining "
            f"({minutes}:{seconds:02d})"
        )

    def end(self) -> None:
        if self._is_watched and self._is_told:
            click.echo("", err=True)

    def _write(self, line: str) -> None:
        click.echo(
            f"\r\x1b[K{line}" if self._is_watched else line, err=True, nl=not self._is_watched
        )
