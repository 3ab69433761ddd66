"""``webui keep-alive``: one pass of renewals, for cron."""

from __future__ import annotations

import asyncio
import signal

import click

from webui.commands.runner import fail, with_store
from webui.oauth_manager import KeepAlive, OAuthManager
from webui.oauth_manager.storage.calls import RedisClient


@click.command("keep-alive")
@click.option(
    "--per-minute",
    type=click.IntRange(1, 10_000),
    default=60,
    show_default=True,
    metavar="COUNT",
    help="Renewals within a minute at one provider.",
)
def keep_alive(per_minute: int) -> None:
    """Renew what nobody uses before the provider ends it; one pass at a time, for cron."""

    async def work(manager: OAuthManager, redis: RedisClient) -> KeepAlive | None:
        task = asyncio.current_task()
        if task:
            # A renewal under way goes to its end: its new tokens exist nowhere else.
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await manager.keep_alive(redis, per_minute=per_minute)

    try:
        done = with_store(work)
    except asyncio.CancelledError:
        fail("Stopped by a signal. The next pass goes on from there.")
    if done is None:
        click.echo("Another process has a pass under way; this one did nothing.")
        return
    click.echo(
        f"{done.renewed} renewed, {done.ended} had ended, {done.failed} failed, "
        f"{done.put_off} put off, {done.young} not idle for long."
    )
