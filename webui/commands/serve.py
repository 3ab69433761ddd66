"""``webui serve``: the site on a port, at a Unix socket or on sockets from systemd."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from socket import AF_UNIX, socket
from urllib.parse import urlsplit

import click

from webui.commands.runner import UNAVAILABLE, fail, read_settings
from webui.logs import configure_logs
from webui.metrics.exporter import NotExported, exported
from webui.serving.listeners import PortTaken, given, listen, listening_at
from webui.serving.process import serve_site
from webui.serving.server import GRACE_SECONDS, NotStarted
from webui.settings.settings import Settings, load_settings

_HOST = "127.0.0.1"


@click.command()
@click.option("--host", help=f"Address to listen on; by default {_HOST}.")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="Port to listen on; by default BASE_URL's on loopback, else 8000.",
)
@click.option(
    "--uds",
    type=click.Path(path_type=Path),
    help="Unix socket to listen at instead, of mode 0660 (see TRUSTED_PROXIES).",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="Processes that serve, each on a core of its own.",
)
@click.option(
    "--grace",
    type=click.FloatRange(0, 3600),
    default=GRACE_SECONDS,
    show_default=True,
    help="Seconds for requests under way to finish, at SIGTERM.",
)
@click.option("--keep-alive", metavar="TIME", help="Renew what nobody uses, each 24h for instance.")
def serve(
    host: str | None,
    port: int | None,
    uds: Path | None,
    workers: int,
    grace: float,
    keep_alive: str | None,
) -> None:
    """Serve the site, configured by the environment."""
    if keep_alive:
        os.environ["KEEP_ALIVE"] = keep_alive
    if uds and (host or port):
        raise click.UsageError("--uds takes the place of --host and --port.")
    settings = read_settings()
    configure_logs(settings.log_level, as_json=not sys.stderr.isatty())
    try:
        with (
            exported(settings),
            _listeners(settings, host or _HOST, port, uds) as sockets,
            _of_api(settings, host or _HOST, sockets) as more,
        ):
            serve_site(
                settings,
                [*sockets, *more],
                workers=workers,
                grace=grace,
                load=partial(load_settings, dict(os.environ)),
            )
    except (NotExported, PortTaken) as error:
        fail(str(error))
    except NotStarted:
        sys.exit(UNAVAILABLE)


@contextmanager
def _listeners(
    settings: Settings, host: str, port: int | None, uds: Path | None
) -> Iterator[Sequence[socket]]:
    """Yield the sockets to listen on.  Raises ``PortTaken``."""
    if sockets := given():
        yield sockets
    elif uds:
        with listening_at(uds) as listener:
            yield [listener]
    else:
        public = urlsplit(settings.base_url)
        own_port = port or (public.port if not settings.is_secure and public.port else 8000)
        with closing(listen(host, own_port)) as listener:
            yield [listener]


@contextmanager
def _of_api(settings: Settings, host: str, sockets: Sequence[socket]) -> Iterator[Sequence[socket]]:
    """Yield the socket of the API's own port, if it has one that systemd has not given.

    Raises ``PortTaken``.
    """
    port = settings.api_port if settings.api else 0
    ports = [0 if one.family == AF_UNIX else one.getsockname()[1] for one in sockets]
    if port and set(ports) == {port}:
        raise PortTaken(f"API_PORT is {port}, where the site listens. Choose another port for it.")
    if not port or port in ports:
        yield []
    else:
        with closing(listen(host, port)) as listener:
            yield [listener]
