"""A worker: one of the processes behind ``webui serve --workers``, led by its supervisor.

It ends when its supervisor says so, when that is gone, or at SIGTERM.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from webui.logs import configure_logs
from webui.serving.change import ChangeRefused
from webui.serving.channel import Channel, Message, unpacked
from webui.serving.current_site import CurrentSite, require_fit
from webui.serving.http_connection import WaitingRoom
from webui.serving.server import House, NotStarted, Server, run

NOT_STARTED = 3  # exit status


def work(arguments: Sequence[str]) -> None:
    """Serve until the end; ``arguments`` are the grace and file descriptors, the channel's first.

    Exits with ``NOT_STARTED`` if the site refuses to start.
    """
    grace, channel, *listeners = arguments
    sockets = [socket.socket(fileno=int(number)) for number in listeners]
    try:
        run(_serve(socket.socket(fileno=int(channel)), sockets, float(grace)))
    except NotStarted:
        sys.exit(NOT_STARTED)


async def _serve(own: socket.socket, sockets: Sequence[socket.socket], grace: float) -> None:
    channel = await Channel.over(own)
    first = await channel.hear()
    if first is None:
        return
    settings = unpacked(first["settings"])
    configure_logs(settings.log_level, as_json=not sys.stderr.isatty())
    site = CurrentSite(settings)
    house = House(
        [(Server(site, WaitingRoom(), grace), sockets)],
        name="worker",
        on_start=partial(channel.say, {"did": "started"}),
    )
    # systemd may send it to every process, and the supervisor has its own word for it.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, _stop, house, "SIGTERM")
    obeying = asyncio.create_task(_obey(channel, site, house))
    try:
        await house.serve()
    finally:
        obeying.cancel()
        with suppress(asyncio.CancelledError):
            await obeying
    await channel.say(
        {"did": "stopped", "waited_for": house.waited_for, "cut_short": house.cut_short}
    )
    channel.close()


async def _obey(channel: Channel, site: CurrentSite, house: House) -> None:
    changing: asyncio.Task[None] | None = None
    while message := await channel.hear():
        if message["do"] == "change":
            changing = asyncio.create_task(_change(channel, site, message))
        else:
            _stop(house, message["why"], is_forced=message["is_forced"])
    if changing:
        changing.cancel()
    _stop(house, "supervisor gone")


def _stop(house: House, why: str, *, is_forced: bool = False) -> None:
    if is_forced or not house.is_stopping:
        house.stop(why)


async def _change(channel: Channel, site: CurrentSite, message: Message) -> None:
    """Take the settings, if those to come fit what Redis holds; answer either way."""
    settings = unpacked(message["settings"])
    try:
        if to_come := message.get("to_come"):
            await require_fit(unpacked(to_come))
        if settings != site.settings:
            await site.change(settings)
    except ChangeRefused as refusal:
        await channel.say({"did": "refused", "why": list(refusal.args)})
    else:
        await channel.say({"did": "changed"})


if __name__ == "__main__":
    work(sys.argv[1:])
