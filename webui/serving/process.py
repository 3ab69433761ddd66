"""One process that serves the site, or a supervisor with several: ``webui serve``."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

from webui.serving.change import (
    ChangeRefused,
    Load,
    names_of_changes,
    read_again,
    require_same_exporter,
    tell_kept,
    tell_taken,
    with_keys_of,
)
from webui.serving.current_site import CurrentSite, require_fit
from webui.serving.http_connection import WaitingRoom
from webui.serving.notify import notify, notify_reloading
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

    async def reload() -> None:
        async with one_at_a_time:
            notify_reloading()
            await _change(site, load)
            notify("READY=1")

    with on_signals(house.stop, reload):
        await house.serve()


async def _change(site: CurrentSite, load: Load) -> None:
    now = site.settings
    try:
        new = await read_again(load)
        require_same_exporter(now, new)
        if changed := names_of_changes(now, new):
            await require_fit(new)
            both = with_keys_of(now, new)
            if both != now:
                await site.change(both)
            await site.change(new)
    except ChangeRefused as refusal:
        tell_kept(refusal)
    else:
        tell_taken(changed)
