"""A bot's manager and Redis client, from the very settings that the site has."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

from webui.agreement import agreement, compare_for_ever
from webui.oauth_manager import OAuthManager, blocking, init_oauth_manager, redis_from_url
from webui.oauth_manager.storage.calls import RedisClient
from webui.settings.settings import Settings, load_settings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Connections:
    """The manager of the process, and a client of Redis; an asynchronous context manager.

    ``digest`` is the same in every process whose settings agree with the site's.  Within the
    context it is in Redis for the site to compare, and the site's is compared with it.
    """

    manager: OAuthManager
    redis: RedisClient
    digest: str
    _beside: list[asyncio.Task[None]] = field(default_factory=list, repr=False)

    async def __aenter__(self) -> Connections:
        work = compare_for_ever(self.redis, self.manager.clock, "bot", self.digest)
        self._beside.append(asyncio.create_task(work))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._beside:
            task.cancel()
        await asyncio.gather(*self._beside, return_exceptions=True)  # they may be using Redis
        await self.manager.aclose()
        await self.redis.aclose()


def connections_from_environment(environ: Mapping[str, str] | None = None) -> Connections:
    """Set up the library for a bot from the variables, and the file, that the site reads.

    The process's own environment unless given.  ``SESSION_SECRET`` may be missing: it is
    the site's alone.  Raises ``SettingsError``, with every fault at once.
    """
    settings = _settings(environ)
    manager = init_oauth_manager(*_places(settings), **_ways(settings))
    redis = redis_from_url(settings.redis_url, settings.redis_wait_replicas)
    return Connections(manager, redis, _told(settings))


def connections_from_config(path: str | PathLike[str]) -> Connections:
    """Do so with this file in place of the one that ``WEBUI_CONFIG`` names."""
    return connections_from_environment({**os.environ, "WEBUI_CONFIG": os.fspath(path)})


def blocking_from_environment(environ: Mapping[str, str] | None = None) -> str:
    """Do so for ``webui.oauth_manager.blocking``; return the digest.  Raises ``SettingsError``."""
    settings = _settings(environ)
    manager = blocking.init_oauth_manager(
        *_places(settings),
        redis_url=settings.redis_url,
        wait_replicas=settings.redis_wait_replicas,
        **_ways(settings),
    )
    digest = _told(settings)
    blocking.run_beside(lambda redis: compare_for_ever(redis, manager.clock, "bot", digest))
    return digest


def _told(settings: Settings) -> str:
    digest = agreement(settings)
    log.info("connections are set up; what must be the same for the site: %s", digest)
    return digest


def _settings(environ: Mapping[str, str] | None) -> Settings:
    given = dict(os.environ if environ is None else environ)
    if not given.get("SESSION_SECRET") and not given.get("SESSION_SECRET_FILE"):
        given["SESSION_SECRET"] = secrets.token_urlsafe(48)  # a bot signs no cookie
    return load_settings(given)


def _places(settings: Settings) -> tuple[str, str, dict[str, dict[str, Any]]]:
    return " ".join(settings.encryption_keys), settings.base_url, settings.providers_config


def _ways(settings: Settings) -> dict[str, Any]:
    return {"strict": settings.strict_records, "outgoing_proxy": settings.outgoing_proxy}
