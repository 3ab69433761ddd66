"""Clients of Redis, made from an address, as the site, the commands and a bot need them.

Commands are never repeated: if an answer is lost, a repeated GETDEL finds nothing,
although the value had been there.  Callers bound every answer (``redis_call``), and the
site bounds how many requests are at work: so neither a time-out nor the size of a pool
is set here, which a person could meet while Redis is idle.
"""

from __future__ import annotations

from typing import Any, cast

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig

from ..configuration import Malformed
from ..configuration.redis_address import RedisAddress, redis_address
from .calls import waiting
from .cluster import Cluster
from .sentinel import primary

_CONNECT_SECONDS = 1.0


def redis_from_url(url: str, wait_replicas: int = 0) -> Redis:
    """Make a client that connects on first use; close it with ``aclose()``.

    ``redis://`` is one server, ``redis+sentinel://`` the primary that Sentinels watch,
    ``redis+cluster://`` a Cluster (a ``RedisCluster`` then); docs/operating.md has all.
    With ``wait_replicas``, tokens are stored when so many replicas have them, or after
    ``calls.WAIT_MS``.  Raises ``ValueError``, whose message does not repeat the address.
    """
    try:
        address = redis_address(url)
    except Malformed as fault:
        raise Malformed(f"the address of Redis {fault}") from None
    client = client_at(address)
    if wait_replicas:
        waiting[client] = wait_replicas
    return client


def client_at(address: RedisAddress) -> Redis:
    """Make a client like :func:`redis_from_url`."""
    common: dict[str, Any] = {
        "socket_connect_timeout": _CONNECT_SECONDS,
        "retry": Retry(NoBackoff(), 0),
        # Behind a slow server SETINFO would cost a new connection another turn.
        "driver_info": None,
        # A ping before use would only fail if the command itself would.
        "health_check_interval": 0,
        # With these on, the pool hands out connections that the server has closed.
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }
    if address.kind == "sentinel":
        return primary(address, common)
    if address.kind == "cluster":
        cluster = Cluster(address.hosts, ssl=address.is_tls, **common, **address.options)
        return cast("Redis", cluster)
    return Redis.from_pool(_pool(address, common))


def _pool(address: RedisAddress, common: dict[str, Any]) -> ConnectionPool:
    options = {**common, **address.options, "socket_timeout": None}
    if address.path:
        return ConnectionPool(UnixDomainSocketConnection, path=address.path, **options)
    ((host, port),) = address.hosts
    kind = SSLConnection if address.is_tls else Connection
    return ConnectionPool(kind, host=host, port=port, **options)
