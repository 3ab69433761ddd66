"""The demo, all on this machine: Redis, the site, four stand-in providers and a chat."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click
import httpx
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.routing import Mount
from starlette.types import ASGIApp

from webui.app import create_app
from webui.logs import configure_logs
from webui.oauth_manager import StoreUnavailable, get_oauth_manager, init_oauth_manager
from webui.oauth_manager.storage.calls import RedisClient
from webui.redis_client import connect
from webui.sandbox.embedded_redis import embedded_redis
from webui.sandbox.openid import SignOnStandin
from webui.serving.server import run_server
from webui.settings.settings import Settings

from .attacks import Attacks
from .bot import Reply, answer, chips, told
from .chat import PEOPLE, Chat
from .chosen import choose
from .demo_secrets import Secrets, read_secrets
from .frames import Framed
from .guide import PERSON, PROVIDER, Guide
from .standins import create_standins, endpoints, manage_urls
from .switches import PAUSE_SECONDS, Switches
from .whoami import Caller, ThisMachine

# One name for all of it, and a port each for the site and for the rest: browsers go by the host.
# The site's cookies are SameSite=Lax, so the guide's frames, and a callback that a stand-in leads
# to in one, keep them only if guide, site and stand-ins are one "site". So the chat and the
# stand-ins get the site's cookies too: that costs nothing, since one process serves them all.
HOST = "127.0.0.1"
# Another name for this machine could be another site's (DNS rebinding).
# A stand-in that asks for a value has it in its name, below .localhost, which is nobody else's.
HERE_ALONE = Middleware(
    TrustedHostMiddleware, allowed_hosts=[HOST, "*.localhost"], www_redirect=False
)
TOKEN_SECONDS = 120
MAX_BODY_BYTES = 64 * 1024
_PAUSE_SECONDS = 1.0
_WHOAMI_NEEDS = {
    "discord": "identify",
    "github": "read:user",
    "google": "email",
    "microsoft": "User.Read",
}

_TO_OPEN = """\
The demo is running, on this machine alone; no account in it is real.

  {guide}

Open that address: it leads you through everything.
Ctrl-C ends the demo. What you connected is kept in {data} for the next start.
"""


def run_demo(data: Path, port: int, provider_port: int, others: Iterable[str] = ()) -> None:
    """Run until interrupted.  ``data`` keeps the connections; ``others`` are named stand-ins.

    Raises ``EmbeddedRedisError``, ``PortTaken`` and, if a file in ``data`` is not ours,
    ``click.ClickException``.
    """
    configure_logs("warning", as_json=False)
    site, sandbox = origin(port), origin(provider_port)
    with embedded_redis(data) as redis_url:
        try:
            site_app, sandbox_app = create_demo(
                redis_url,
                read_secrets(data / "secrets.json"),
                site,
                sandbox,
                state_file=data / "providers.json",
                # Both ports are ours by the time that an application starts.
                on_start=lambda: click.echo(_TO_OPEN.format(guide=sandbox, data=data)),
                others=others,
            )
        except ValueError as error:
            raise click.ClickException(f"{error}.") from None
        run_server([(site_app, HOST, port), (sandbox_app, HOST, provider_port)])


def origin(port: int) -> str:
    """Return the origin of this machine at a port."""
    return f"http://{HOST}" if port == 80 else f"http://{HOST}:{port}"


def create_demo(
    redis_url: str,
    keys: Secrets,
    site: str,
    sandbox: str,
    *,
    state_file: Path | None = None,
    token_lifetime: int = TOKEN_SECONDS,
    redis_pause: float = PAUSE_SECONDS,
    on_start: Callable[[], object] = lambda: None,
    others: Iterable[str] = (),
) -> tuple[ASGIApp, ASGIApp]:
    """Create the application of the site at origin ``site``, and of the rest at ``sandbox``.

    ``token_lifetime`` and ``redis_pause`` are in seconds.  Raises ``ValueError`` if the
    state file is not ours, or one of ``others`` is unknown (:func:`.chosen.choose`).
    """
    sign_on = SignOnStandin(sandbox, site)
    further = choose(others, keys.session_secret, sandbox)
    config = further.with_these(provider_settings(sandbox, keys))
    settings = _settings(redis_url, keys, site, sandbox, sign_on, config)
    standins = create_standins(
        sandbox,
        clients=clients_of(settings.providers_config, site),
        token_lifetime=token_lifetime,
        state_file=state_file,
        described=further.described,
        has_app=further.has_app,
    )
    # For the bot, as in a bot's process.
    init_oauth_manager(keys.encryption_key, site, settings.providers_config)
    redis, http = connect(redis_url), httpx.AsyncClient(transport=ThisMachine(), trust_env=False)
    chat = Chat(sandbox, partial(_reply, redis, http), partial(chips, redis))
    github = standins.state.standins[PROVIDER]
    attacks = Attacks(site, redis, http, github.grants)
    guide = Guide(sandbox, chat, redis, attacks, Switches(redis, PERSON, github, redis_pause))
    rest = Starlette(
        routes=[*guide.routes(), *chat.routes(), *sign_on.routes(), Mount("/", standins)],
        middleware=[HERE_ALONE],
        lifespan=partial(_lifespan, chat, redis, http, on_start),
        max_body_size=MAX_BODY_BYTES,
    )
    rest.router.redirect_slashes = False
    return Framed(create_app(settings, development=True), sandbox), Framed(rest, sandbox)


def _settings(
    redis_url: str,
    keys: Secrets,
    site: str,
    sandbox: str,
    sign_on: SignOnStandin,
    config: dict[str, dict[str, Any]],
) -> Settings:
    return Settings(
        base_url=site,
        redis_url=redis_url,
        encryption_keys=(keys.encryption_key,),
        session_secrets=(keys.session_secret,),
        log_level="warning",
        chat_url=f"{sandbox}/chat/mine",
        providers_config=config,
        **sign_on.settings(),  # type: ignore[arg-type]
    )


def provider_settings(sandbox: str, keys: Secrets) -> dict[str, dict[str, Any]]:
    """Return the configuration of the four stand-ins."""
    addresses, lists = endpoints(sandbox), manage_urls(sandbox)
    return {
        name: {
            **addresses[name],
            "client_id": client_id,
            "client_secret": client_secret,
            "manage_url": lists[name],
            "features": {"answers to whoami": (_WHOAMI_NEEDS[name],)},
        }
        for name, (client_id, client_secret) in keys.clients.items()
    }


def clients_of(
    config: Mapping[str, Mapping[str, Any]], site: str
) -> dict[str, tuple[str, str, str]]:
    """Return id, secret and callback address of each client that a site is configured with.

    The id is the address of its metadata document if no other is set.
    """
    return {
        name: (
            one.get("client_id", f"{site}/oauth/{name}/client.json"),
            one.get("client_secret", ""),
            f"{site}/oauth/{name}/callback",
        )
        for name, one in config.items()
    }


async def _reply(redis: RedisClient, http: httpx.AsyncClient, person: str, text: str) -> Reply:
    return await answer(Caller(person, redis, http), text)


@asynccontextmanager
async def _lifespan(
    chat: Chat,
    redis: RedisClient,
    http: httpx.AsyncClient,
    on_start: Callable[[], object],
    _: Starlette,
) -> AsyncIterator[None]:
    on_start()
    listening = asyncio.create_task(_speak_first(chat, redis))
    yield
    await _stop(listening)
    await get_oauth_manager().aclose()
    await http.aclose()
    await redis.aclose()


async def _speak_first(chat: Chat, redis: RedisClient) -> None:
    """Send every notice to its person's chat."""
    while True:
        try:
            async for notice in get_oauth_manager().notices(redis, consumer="demo"):
                if notice.user_id in PEOPLE:
                    await chat.say(notice.user_id, told(redis, notice))
        except StoreUnavailable:
            await asyncio.sleep(_PAUSE_SECONDS)  # the notice that was not sent comes again


async def _stop(task: asyncio.Task[None]) -> None:
    """Cancel until it ends: before Python 3.12 the Redis client may lose a cancellation."""
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=_PAUSE_SECONDS)
