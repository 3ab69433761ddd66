"""The stand-in providers alone, for tests in any language: without site, chat and Redis."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
from starlette.applications import Starlette
from starlette.routing import Mount

from webui.logs import configure_logs
from webui.oauth_manager.providers import Asked
from webui.sandbox.quirks import HABITS
from webui.serving.server import run_server

from .chosen import Chosen, choose
from .demo import HERE_ALONE, HOST, clients_of, origin, provider_settings
from .demo_secrets import read_secrets
from .standins import create_standins

_TO_COPY = """\
# The stand-in providers answer at {sandbox}, on this machine alone.
# A site at {site} needs these settings, beside BASE_URL and its keys:
{settings}
"""


def run_providers(data: Path, port: int, provider_port: int, others: Iterable[str] = ()) -> None:
    """Run until interrupted, and print the settings of a site at ``port``.

    ``data`` keeps the grants; ``others`` are named stand-ins.  Raises ``PortTaken`` and, if
    a file in ``data`` is not ours or a name is unknown, ``click.ClickException``.
    """
    configure_logs("warning", as_json=False)
    site, sandbox = origin(port), origin(provider_port)
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        keys = read_secrets(data / "secrets.json")
        further = choose(others, keys.session_secret, sandbox)
        config = further.with_these(provider_settings(sandbox, keys))
        app = _create(site, sandbox, config, further, data / "providers.json")
    except ValueError as error:
        raise click.ClickException(f"{error}.") from None
    settings = "\n".join(_lines(config, sandbox))
    said = _TO_COPY.format(site=site, sandbox=sandbox, settings=settings)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        click.echo(said)
        yield

    app.router.lifespan_context = lifespan
    run_server([(app, HOST, provider_port)])


def _create(
    site: str,
    sandbox: str,
    config: dict[str, dict[str, Any]],
    further: Chosen,
    state_file: Path,
) -> Starlette:
    standins = create_standins(
        sandbox,
        clients=clients_of(config, site),
        state_file=state_file,
        described=further.described,
        has_app=further.has_app,
    )
    return Starlette(routes=[Mount("/", standins)], middleware=[HERE_ALONE])


def _lines(config: dict[str, dict[str, Any]], sandbox: str) -> Iterator[str]:
    """Yield the settings as a file of the environment takes them."""
    if names := ",".join(name for name in config if name not in HABITS):
        yield f"EXTRA_PROVIDERS={names}"
    for name, one in config.items():
        for key, value in one.items():
            if isinstance(value, str):
                yield f"{_prefix(name)}_{key.upper()}={value}"
        if ask := one.get("ask"):
            yield f"{_prefix(name)}_ASK={as_json(ask)}"
        usual = (sandbox.removeprefix("http://"),)
        yield f"{_prefix(name)}_API_HOSTS={' '.join(one.get('api_hosts', usual))}"


def as_json(ask: Iterable[Asked]) -> str:
    """Write values asked of the person as the environment has them."""
    rows = {one.name: {each.name: getattr(one, each.name) for each in fields(Asked)} for one in ask}
    return json.dumps(
        {name: {k: v for k, v in row.items() if v and k != "name"} for name, row in rows.items()}
    )


def _prefix(name: str) -> str:
    return name.upper().replace("-", "_")
