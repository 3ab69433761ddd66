"""The site's connection to Redis.

Commands are never repeated: if an answer is lost, a repeated GETDEL finds nothing,
although the value had been there.  Callers bound every answer (``redis_call``), and the
site bounds how many requests are at work: so neither a time-out nor the size of a pool
is set here, which a person could meet while Redis is idle.
"""

from __future__ import annotations

from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig

_CONNECT_SECONDS = 1.0


def connect(redis_url: str) -> Redis:
    """Make a client that connects on first use; close it with ``aclose()``."""
    pool = ConnectionPool.from_url(
        redis_url,
        socket_timeout=None,
        socket_connect_timeout=_CONNECT_SECONDS,
        retry=Retry(NoBackoff(), 0),
        # Behind a slow server SETINFO would cost a new connection another turn.
        driver_info=None,
        # A ping before use would only fail if the command itself would.
        health_check_interval=0,
        # With these on, the pool hands out connections that the server has closed.
        maint_notifications_config=MaintNotificationsConfig(enabled=False),
    )
    return Redis.from_pool(pool)
