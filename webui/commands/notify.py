"""``webui notify``: bring notices to an address as webhooks, until a signal."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import suppress

import click

from webui.app import opened
from webui.commands.runner import fail, read_settings
from webui.logs import configure_logs
from webui.settings.settings import Settings
from webui.webhooks.destination import Destination, destination

_NO_SECRET = "Set WEBHOOK_SECRET: whsec_ and the output of `openssl rand -base64 32`, for instance."


@click.command()
@click.option("--to", "url", required=True, metavar="URL", help="Where to: an https address.")
def notify(url: str) -> None:
    """Bring every notice to URL as a signed webhook, until a signal; one process for each URL."""
    settings = read_settings()
    if not settings.webhook_secrets:
        fail(_NO_SECRET)
    try:
        to = destination(url, settings.webhook_secrets, may_be_private=settings.webhook_private)
    except ValueError as fault:
        fail(f"{fault}."[0].upper() + f"{fault}."[1:])
    configure_logs(settings.log_level, as_json=not sys.stderr.isatty())
    with suppress(asyncio.CancelledError):
        asyncio.run(_bring(settings, to))


async def _bring(settings: Settings, to: Destination) -> None:
    from webui.webhooks.courier import Courier

    task = asyncio.current_task()
    assert task is not None, "run by asyncio.run"  # noqa: S101
    for each in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(each, task.cancel)
    async with opened(settings) as (manager, redis):
        await Courier(manager, redis, to).run()
