"""``webui keys``: make, list and revoke the service keys of the HTTP API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import click

from webui.api.service_keys import (
    OTHERS_A_MINUTE,
    RIGHTS,
    TOKENS_A_MINUTE,
    ServiceKey,
    ServiceKeys,
    read_id,
)
from webui.commands import key_options as options
from webui.commands.runner import fail, read_settings, with_store
from webui.oauth_manager import OAuthManager
from webui.oauth_manager.storage import TROUBLE, Sealer
from webui.oauth_manager.storage.calls import RedisClient
from webui.settings.settings import Settings
from webui.support.identifiers import spelled

_NONE = "There are no keys. Make one: webui keys new NAME --may token"


@click.group()
def keys() -> None:
    """Make, list and revoke service keys, with which bots use the HTTP API."""


@keys.command()
@click.argument("name", callback=options.name)
@click.option(
    "--may",
    required=True,
    metavar="RIGHTS",
    callback=options.between_commas(options.right),
    help=f"What it may do, between commas: {', '.join(RIGHTS)}.",
)
@click.option(
    "--providers",
    metavar="NAMES",
    callback=options.between_commas(str),
    help="Services it is for; else all.",
)
@click.option(
    "--users",
    metavar="IDS",
    callback=options.between_commas(options.user),
    help="People it is for: ids, or beginnings such as discord:*; else everybody.",
)
@click.option(
    "--from",
    "networks",
    metavar="NETWORKS",
    callback=options.between_commas(options.network),
    help="Addresses or networks that it is used from; else any.",
)
@click.option("--expires", metavar="TIME", callback=options.life, help="When it ends: 90d or 12h.")
@click.option(
    "--rate",
    metavar="COUNT",
    default=f"{TOKENS_A_MINUTE}/{OTHERS_A_MINUTE}",
    show_default=True,
    callback=options.rate,
    help="Calls a minute: for tokens, and of all other kinds.",
)
def new(
    name: str,
    may: tuple[str, ...],
    providers: tuple[str, ...],
    users: tuple[str, ...],
    networks: tuple[str, ...],
    expires: float,
    rate: tuple[int, int],
) -> None:
    """Make a key for the bot NAME, and print it: nobody can see it again."""
    if not may:
        raise click.BadParameter("a key that may do nothing is no use.", param_hint="--may")

    async def work(store: ServiceKeys, manager: OAuthManager, redis: RedisClient) -> str:
        if unknown := set(providers) - manager.providers.keys():
            raise click.ClickException(f"{min(unknown)!r} is not a known provider.")
        if (fit := await manager.settle(redis)) in TROUBLE:
            raise click.ClickException(f"{TROUBLE[fit]}.")
        whole, _ = await store.create(
            redis,
            name,
            may=may,
            providers=providers,
            users=users,
            networks=networks,
            ends_at=manager.clock.now() + expires if expires else 0.0,
            tokens_a_minute=rate[0],
            others_a_minute=rate[1],
        )
        return whole

    click.echo(_with_keys(work))
    click.echo("Keep it where the bot reads its secrets; it is not shown again.", err=True)


@keys.command("list")
def list_keys() -> None:
    """List the keys, without their secrets: what for, last use, end."""

    async def work(store: ServiceKeys, manager: OAuthManager, redis: RedisClient) -> list[str]:
        found = await store.everything(redis)
        uses = await store.last_uses(redis, list(found))
        now = manager.clock.now()
        return [_line(key_id, key, uses[key_id], now) for key_id, key in sorted(found.items())]

    for line in _with_keys(work) or [
        "There are no keys. Make one: webui keys new NAME --may token"
    ]:
        click.echo(line)


@keys.command()
@click.argument("key")
def revoke(key: str) -> None:
    """Revoke KEY, named by its beginning as the list shows it; it is refused from now on."""

    async def work(store: ServiceKeys, _: OAuthManager, redis: RedisClient) -> bool:
        return await store.revoke(redis, key_id)

    try:
        key_id = read_id(key)
    except ValueError as fault:
        raise click.BadParameter(f"{fault}.", param_hint="KEY") from None
    if not _with_keys(work):
        fail("There is no such key. `webui keys list` shows those there are.")
    click.echo("Revoked. It is refused from now on.")


def _with_keys(work: Callable[[ServiceKeys, OAuthManager, RedisClient], Any]) -> Any:
    settings = read_settings()
    return with_store(lambda manager, redis: work(_store(settings, manager), manager, redis))


async def reseal_keys(settings: Settings, manager: OAuthManager, redis: RedisClient) -> None:
    """Seal the service keys with the newest encryption key; tell of those nobody can read."""
    if unreadable := await _store(settings, manager).reseal(redis):
        click.echo(f"{unreadable} service keys cannot be read. See `webui keys list`.", err=True)


def _store(settings: Settings, manager: OAuthManager) -> ServiceKeys:
    return ServiceKeys(Sealer(" ".join(settings.encryption_keys)), manager.clock)


def _line(key_id: str, key: ServiceKey | None, used_at: float, now: float) -> str:
    if key is None:
        return f"stargazer_{spelled(key_id)}  cannot be read: the encryption key is another one"
    return "  ".join(_parts(key, used_at, now))


def _parts(key: ServiceKey, used_at: float, now: float) -> Iterator[str]:
    yield key.prefix
    yield key.name
    yield f"may {','.join(key.may)}"
    yield f"providers {','.join(key.providers) or 'all'}"
    if key.users:
        yield f"users {spelled(','.join(key.users))}"
    if key.networks:
        yield f"from {','.join(key.networks)}"
    yield f"rate {key.tokens_a_minute}/{key.others_a_minute}"
    yield f"last used {_moment(used_at) or 'never'}"
    if key.ends_at:
        yield f"{'ended' if key.is_over(now) else 'ends'} {_moment(key.ends_at)}"
    else:
        yield "no end"


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%MZ") if at else ""
