"""The command ``webui``: serve the site, try it, and stand in for the bot."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

import click

from webui.commands.arguments import UserId
from webui.commands.erase import erase
from webui.commands.export import export
from webui.commands.intake import import_connections
from webui.commands.keep_alive import keep_alive
from webui.commands.keys import keys
from webui.commands.logs import logs
from webui.commands.notify import notify
from webui.commands.providers import providers
from webui.commands.rotation import rotate_keys
from webui.commands.runner import UNAVAILABLE, fail, with_store
from webui.commands.serve import serve
from webui.commands.status import status
from webui.oauth_manager import OAuthManager
from webui.oauth_manager.storage.calls import RedisClient

PORT = click.IntRange(1, 65535)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="stargazer-webui")
def main() -> None:
    """Account connections: people give a chat bot access to their accounts, and take it away."""


@main.command()
@click.option("--port", type=PORT, default=8000, show_default=True, help="Port of the site.")
@click.option(
    "--provider-port",
    type=PORT,
    default=8001,
    show_default=True,
    help="Port of the stand-ins and the chat.",
)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".demo"),
    show_default=True,
    help="Folder that keeps what was connected.",
)
@click.option(
    "--with",
    "others",
    multiple=True,
    metavar="NAME",
    help="Play one of the catalogue too, notes-mcp (a remote MCP server) or github-app.",
)
@click.option(
    "--providers-only", is_flag=True, help="Run the stand-ins alone, and print settings for a site."
)
def demo(
    port: int, provider_port: int, data: Path, others: tuple[str, ...], providers_only: bool
) -> None:
    """Try everything on this machine: own Redis, four stand-in providers, a chat with the bot."""
    from webui.sandbox.demo import run_demo
    from webui.sandbox.embedded_redis import EmbeddedRedisError
    from webui.sandbox.providers_alone import run_providers
    from webui.serving.listeners import PortTaken
    from webui.serving.server import NotStarted

    try:
        run = run_providers if providers_only else run_demo
        run(data, port, provider_port, others)
    except (EmbeddedRedisError, PortTaken) as error:
        fail(str(error))
    except NotStarted:
        sys.exit(UNAVAILABLE)


@main.command()
@click.argument("user", type=UserId())
@click.argument("provider", default="")
def link(user: str, provider: str) -> None:
    """Print a one-time address for USER, to connect PROVIDER or just to sign in."""

    async def work(manager: OAuthManager, redis: RedisClient) -> str:
        if provider and not manager.is_provider_configured(provider):
            raise click.ClickException(_not_set_up(manager, provider))
        code = await manager.create_link_code(redis, user, provider=provider)
        return manager.landing_url(code)

    click.echo(with_store(work))


def _not_set_up(manager: OAuthManager, provider: str) -> str:
    configured = ", ".join(manager.list_configured_providers()) or "none"
    what = "not set up here" if provider in manager.providers else "not a known provider"
    return f"{provider!r} is {what}. Set up: {configured}."


@main.command()
@click.argument("user", type=UserId())
@click.argument("code", nargs=-1, required=True)
def confirm(user: str, code: tuple[str, ...]) -> None:
    """Take CODE, shown by a browser, as sent by USER to the bot in chat."""
    left = with_store(lambda manager, redis: manager.proofs.confirm(redis, user, "".join(code)))
    if left is not None:
        fail(
            f"That code does not match. Check the page and send it again ({left} tries left)."
            if left
            else "That code does not match, and no code of this person can be used any more. "
            "Make a new link."
        )
    click.echo("That matches. Go back to the browser to continue.")


@main.command()
@click.argument("user", type=UserId())
@click.option("--json", "is_json", is_flag=True, help="One JSON object a line.")
def connections(user: str, is_json: bool) -> None:
    """List the connections of USER, without secrets."""
    from webui.commands import connections as terminal

    rows = with_store(lambda manager, redis: manager.connections(redis, user))
    held = [row for row in rows if row.status != "not_connected"]
    for row in held:
        click.echo(terminal.as_json(row) if is_json else terminal.as_line(row))
    if not held and not is_json:
        click.echo(terminal.nobody(user))


@main.command()
@click.option("--since", metavar="WHEN", required=True, help="A day (2026-11-01), 7d or 24h.")
@click.option("--json", "is_json", is_flag=True, help="One JSON object a line.")
def audit(since: str, is_json: bool) -> None:
    """Print what support looked at and did, oldest first."""
    from webui.support import export

    try:
        start = export.since(since, time.time())
    except ValueError:
        raise click.BadParameter("neither a day nor 7d or 24h", param_hint="--since") from None

    async def work(manager: OAuthManager, redis: RedisClient) -> bool:
        is_empty = True
        async for record in manager.audit.read(redis, start):
            click.echo(export.as_json(record) if is_json else export.as_line(record))
            is_empty = False
        return is_empty

    if with_store(work) and not is_json:
        click.echo("Since then support has looked at nobody, and done nothing.")


@main.command()
@click.option("--strict", is_flag=True, help="Take warnings for faults.")
def check(*, strict: bool) -> None:
    """Print what is set (no secrets), what is missing, and what can be reached."""
    from webui.commands.check import run_checkup

    if not asyncio.run(run_checkup(os.environ, click.echo, strict=strict)):
        sys.exit(UNAVAILABLE)


main.add_command(rotate_keys)
main.add_command(keep_alive)
main.add_command(keys)
main.add_command(logs)
main.add_command(notify)
main.add_command(status)
main.add_command(serve)
main.add_command(export)
main.add_command(erase)
main.add_command(import_connections)
main.add_command(providers)
