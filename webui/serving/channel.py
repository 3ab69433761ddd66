"""The channel between the supervisor and one worker: JSON objects, one a line, both ways.

The supervisor says ``do`` (``change``, ``stop``), and the worker ``did`` (``started``,
``changed``, ``refused``, ``stopped``).
"""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import fields
from typing import Any

from webui.oauth_manager.providers import Asked
from webui.settings.logo import Logo
from webui.settings.settings import Settings

LONGEST = 64 * 1024 * 1024  # bytes of a line; each logo has up to 128 kB

Message = dict[str, Any]


class Channel:
    """One end.  Nothing is raised if the other end is gone: what is said is lost then."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def over(cls, own: socket.socket) -> Channel:
        return cls(*await asyncio.open_unix_connection(sock=own, limit=LONGEST))

    async def say(self, message: Message) -> None:
        with suppress(OSError):
            self._writer.write(json.dumps(message).encode() + b"\n")
            await self._writer.drain()

    async def hear(self) -> Message | None:
        """Return the next object, None at the end."""
        try:
            line = await self._reader.readline()
        except (OSError, ValueError):
            return None
        if not line.endswith(b"\n"):
            return None
        message: Message = json.loads(line)
        return message

    def close(self) -> None:
        self._writer.close()


def packed(settings: Settings) -> Any:
    """Write settings for a worker, secrets included: a socket pair has no third end."""
    return {one.name: _plain(getattr(settings, one.name)) for one in fields(Settings)}


def unpacked(message: Mapping[str, Any]) -> Settings:
    """Read what :func:`packed` wrote."""
    return Settings(**{name: _whole(value) for name, value in message.items()})


def _plain(value: Any) -> Any:
    """Write a value of a setting as JSON has it; any but text and switches with its kind."""
    if isinstance(value, (Asked, Logo)):
        held = (getattr(value, one.name) for one in fields(value))
        return [type(value).__name__, *map(_plain, held)]
    if isinstance(value, bytes):
        return ["bytes", base64.b64encode(value).decode()]
    if isinstance(value, Mapping):
        return ["dict", *([name, _plain(held)] for name, held in value.items())]
    if isinstance(value, (frozenset, list, tuple)):
        return [type(value).__name__, *map(_plain, value)]
    return value


def _whole(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    kind, *held = value
    if kind == "bytes":
        return base64.b64decode(held[0])
    if kind == "dict":
        return {name: _whole(one) for name, one in held}
    if kind in _CLASSES:
        return _CLASSES[kind](*map(_whole, held))
    return _KINDS[kind](map(_whole, held))


_CLASSES: Mapping[str, Callable[..., Any]] = {"Asked": Asked, "Logo": Logo}
_KINDS: Mapping[str, Callable[[Iterable[Any]], Any]] = {
    "frozenset": frozenset,
    "list": list,
    "tuple": tuple,
}
