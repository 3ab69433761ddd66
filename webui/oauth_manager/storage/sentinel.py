"""The client of the primary that Sentinels watch; it follows a fail-over.

Every new connection goes to the server that a Sentinel names, and only if that one says
itself that it is a primary: an old primary that came back as a replica is never read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.connection import SSLConnection
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool, SentinelManagedConnection

from ..configuration.redis_address import RedisAddress

_ASK_SECONDS = 0.5  # for one Sentinel; three of them fit into the deadline of a call


class _Sentinels(Sentinel):
    """The Sentinels, asked by one task at a time; redis-py loses some if several ask."""

    def __init__(self, clients: Sequence[Redis]) -> None:
        super().__init__([])  # type: ignore[no-untyped-call]
        self.sentinels = list(clients)
        self._asking: asyncio.Task[tuple[str, int]] | None = None

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        """Return where the primary is.  Raises ``MasterNotFoundError``."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(super().discover_master(service_name))
            self._asking.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(self._asking)

    async def aclose(self) -> None:
        """Close the connections to all of them."""
        if self._asking and not self._asking.done():
            self._asking.cancel()
            await asyncio.wait([self._asking])
        await super().aclose()


class _PrimaryConnection(SentinelManagedConnection):
    async def on_connect_check_health(self, check_health: bool = True) -> None:
        """Connect as usual, and leave a server that is no primary (Redis, Sentinel clients)."""
        await super().on_connect_check_health(check_health=check_health)
        await self.send_command("ROLE", check_health=False)
        try:
            role = await self.read_response(disable_decoding=True)
        except exceptions.NoPermissionError:
            return
        if role[0] != b"master":
            raise exceptions.ConnectionError("the server that the Sentinel names is no primary")


class _PrimaryTLSConnection(_PrimaryConnection, SSLConnection):
    """The same with TLS."""


class _Pool(SentinelConnectionPool):
    """Connections to the primary; closing them closes those to the Sentinels too."""

    async def aclose(self) -> None:
        await super().aclose()
        await self.sentinel_manager.aclose()


def primary(address: RedisAddress, common: Mapping[str, Any]) -> Redis:
    """Make a client of the primary that an address names; connects on first use.

    ``common`` are the settings of every connection.
    """
    asking = {**common, "socket_timeout": _ASK_SECONDS, "socket_connect_timeout": _ASK_SECONDS}
    clients = [
        Redis(host=host, port=port, ssl=address.is_tls, **asking, **one.options)
        for one in address.sentinels()
        for host, port in one.hosts
    ]
    pool = _Pool(  # type: ignore[no-untyped-call]
        address.name,
        _Sentinels(clients),
        connection_class=_PrimaryTLSConnection if address.is_tls else _PrimaryConnection,
        **{**common, **address.options, "socket_timeout": None},
    )
    return Redis.from_pool(pool)
