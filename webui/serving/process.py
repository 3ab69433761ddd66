"""One process that serves the site, or a supervisor with several: ``webui serve``."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from functools import partial

from webui.serving.change import Load, reload, with_keys_of
from webui.serving.current_site import CurrentSite, require_fit
from webui.serving.http_connection import WaitingRoom
from webui.serving.server import House, Server, run
from webui.serving.signals import on_signals
from webui.serving.supervisor import Supervisor
from webui.settings.settings import Settings


def serve_site(
    settings: Settings,
    sockets: Sequence[socket.socket],
    *,
    workers: int,
    grace: float,
    load: Load,
) -> None:
    """Serve until a signal.  ``load`` reads the settings again.  Raises ``NotStarted``."""
    if workers == 1:
        run(_serve_alone(settings, sockets, grace, load))
    else:
        supervisor = Supervisor(settings, sockets, count=workers, grace=grace, load=load)
        asyncio.run(supervisor.run())


async def _serve_alone(
    settings: Settings, sockets: Sequence[socket.socket], grace: float, load: Load
) -> None:
    site = CurrentSite(settings)
    house = House([(Server(site, WaitingRoom(), grace), sockets)])
    one_at_a_time = asyncio.Lock()

    async def reload_site() -> None:
        async with one_at_a_time:
            await reload(site.settings, load, partial(_change, site))

    with on_signals(house.stop, reload_site):
        await house.serve()


async def _change(site: CurrentSite, new: Settings) -> None:
    """Bring new settings to the site, in two steps.  Raises ``ChangeRefused``."""
    now = site.settings
    await require_fit(new)
    both = with_keys_of(now, new)
    if both != now:
        await site.change(both)
    await site.change(new)
