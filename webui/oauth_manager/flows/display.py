"""Display: reads for people, for support and for the bot.  No secret comes out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from functools import partial
from typing import Any

from ..journal.activity import PAGE, ActivityPage
from ..journal.notices import Notice, is_news
from ..links.open_links import OpenLink
from ..models import Connection
from ..storage import keys
from ..storage.calls import RedisClient
from .composition import Composition


class Display(Composition):
    """Connections, timelines and open links as they can be shown."""

    async def list_user_connections(
        self, user_id: str, redis: RedisClient | None
    ) -> list[dict[str, Any]]:
        """List the connected providers: no secrets, no refresh, one round trip.

        Keys: ``provider``, ``scopes``, ``expires_at`` (epoch seconds, or ``None``),
        ``has_refresh_token``, ``account``.
        """
        if redis is None:
            return []
        return [
            {
                "provider": connection.provider,
                "scopes": list(connection.scopes),
                "expires_at": connection.expires_at or None,
                "has_refresh_token": connection.has_refresh_token,
                "account": connection.profile.account.label,
            }
            for connection in await self.connections(redis, user_id)
            if connection.has_tokens
        ]

    async def connections(
        self, redis: RedisClient, user_id: str, *, resume: bool = True
    ) -> list[Connection]:
        """List the user's connection of every known provider, alphabetically.  One round trip.

        A disconnect that a dead process left unfinished is resumed meanwhile, unless
        ``resume`` is false: then nothing at all changes.
        """
        keys.check_user_id(user_id)
        self._need(redis)
        stored = await self._storage.connections.read(redis, user_id, self.providers)
        if resume:
            for name, provider in self.providers.items():
                self._disconnector.resume(redis, user_id, provider, stored[name])
        return [
            self._tokens.standing(user_id, provider, stored[name])
            for name, provider in self.providers.items()
        ]

    async def connection(
        self, redis: RedisClient, user_id: str, provider: str, *, resume: bool = True
    ) -> Connection:
        """Return the user's connection of one provider, like :meth:`connections`.  One trip."""
        known = self._checked(redis, user_id, provider)
        stored = await self._storage.connections.read_one(redis, user_id, provider)
        if resume:
            self._disconnector.resume(redis, user_id, known, stored)
        return self._tokens.standing(user_id, known, stored)

    async def find_accounts(
        self, redis: RedisClient, provider: str, account: str
    ) -> tuple[str, ...]:
        """Find the ids of the users, at most 11, who connected this account of the provider's.

        ``account`` is its id, or its label regardless of case.  Two round trips, reads only.
        """
        self._provider(provider)
        self._need(redis)
        return await self._storage.accounts.find(redis, provider, account)

    async def activity(
        self,
        redis: RedisClient,
        user_id: str,
        before: str = "",
        *,
        provider: str = "",
        kinds: Collection[str] = (),
        size: int = PAGE,
    ) -> ActivityPage:
        """Read a page of the events of the last 90 days, newest first.  One round trip.

        With ``provider`` or ``kinds`` it holds only events of that provider and
        of these kinds, and may take a few more.
        """
        self._need(redis)
        keys.check_user_id(user_id)
        return await self._activity.read(
            redis, user_id, before, provider=provider, kinds=kinds, size=size
        )

    async def open_links(self, redis: RedisClient, user_id: str) -> tuple[OpenLink, ...]:
        """List the person's connect links of the last minutes, without codes.  Reads only."""
        self._need(redis)
        return await self._open_links.read(redis, keys.check_user_id(user_id))

    def notices(self, redis: RedisClient, consumer: str) -> AsyncIterator[Notice]:
        """Yield notices of changes of connections and links, and of support: each at least once.

        ``async for notice in manager.notices(redis, consumer="bot-1")``; a notice
        counts as handled when the next one is asked for, so one that a crash
        interrupted comes again.  A notice that a later one or the bot's answer has
        overtaken is left out.  Goes on while Redis is away.
        """
        return self._notices.read(redis, consumer, partial(self._is_news, redis))

    async def _is_news(self, redis: RedisClient, notice: Notice) -> bool:
        known = self.providers.get(notice.provider)
        if known is None:
            return is_news(notice, None, is_configured=not notice.provider)
        connection = await self.connection(redis, notice.user_id, known.name)
        return is_news(notice, connection, is_configured=known.is_configured)
