"""The site's connection to Redis.

Commands are never repeated: if an answer is lost, a repeated GETDEL finds nothing,
although the value had been there.
"""

from __future__ import annotations

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig

_SECONDS = 1.0  # to connect, to answer, to get a free connection
_CONNECTIONS = 64


def connect(redis_url: str) -> Redis:
    """Make a client that connects on first use; close it with ``aclose()``."""
    pool = BlockingConnectionPool.from_url(
        redis_url,
        max_connections=_CONNECTIONS,
        timeout=_SECONDS,
        socket_timeout=_SECONDS,
        socket_connect_timeout=_SECONDS,
        retry=Retry(NoBackoff(), 0),
        # A ping before use would only fail if the command itself would.
        health_check_interval=0,
        # With these on, the pool hands out connections that the server has closed.
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
    )
    return Redis.from_pool(pool)
