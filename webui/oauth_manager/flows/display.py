"""``Display``: the manager's methods that show connections, timelines, open links, notices.

No secret comes out, and none of them renews a token.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from functools import partial
from typing import Any

from ..journal import activity, notice_pages, notices
from ..journal.activity import PAGE, ActivityPage
from ..journal.notice_pages import NoticePage
from ..journal.notices import Notice, NoticeKind
from ..links import open_links
from ..links.open_links import OpenLink
from ..models import Connection
from ..storage import account_index, lookup
from ..storage.calls import RedisClient
from ..storage.keys import check_user_id
from ..storage.link_index import LinkRequest
from ..storage.records import Sealed, opened
from ..storage.storage import Subject
from . import disconnect, tokens
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
        checked = check_user_id(user_id)
        self._need(redis)
        subjects = [Subject(redis, checked, provider) for provider in self.providers.values()]
        found = await lookup.read_sealed(self._storage, subjects)
        return [
            self._shown(subject, sealed, resume=resume)
            for subject, sealed in zip(subjects, found, strict=True)
        ]

    async def connection(
        self, redis: RedisClient, user_id: str, provider: str, *, resume: bool = True
    ) -> Connection:
        """Return the user's connection of one provider, like :meth:`connections`.  One trip."""
        subject = self._subject(redis, user_id, provider)
        (sealed,) = await lookup.read_sealed(self._storage, [subject])
        return self._shown(subject, sealed, resume=resume)

    async def connection_beside(
        self, redis: RedisClient, user_id: str, provider: str, also: Callable[[Any], object]
    ) -> tuple[Connection, Any]:
        """Return what :meth:`connection` does, and the answer to the command that ``also`` queues.

        Both are one trip.
        """
        subject = self._subject(redis, user_id, provider)
        sealed, answer = await lookup.read_beside(self._storage, subject, also)
        return self._shown(subject, sealed, resume=True), answer

    def _shown(self, subject: Subject, sealed: Sealed, *, resume: bool) -> Connection:
        if not sealed.held and (known := self._memory.recall(subject, sealed, self.clock.now())):
            return known
        stored = opened(self._storage, subject, sealed)
        if resume:
            disconnect.resume(self._services, subject, stored)
        connection = tokens.shown(self._storage, subject, stored)
        if stored.is_there and not stored.fault:
            self._memory.keep(subject, sealed, connection)
        return connection

    async def find_accounts(
        self, redis: RedisClient, provider: str, account: str
    ) -> tuple[str, ...]:
        """Find the ids of the users, at most 11, who connected this account of the provider's.

        ``account`` is its id, or its label regardless of case.  Two round trips, reads only.
        """
        known = self._provider(provider)
        self._need(redis)
        return await account_index.find(self._storage, redis, known, account)

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
        page = redis, check_user_id(user_id), before
        return await activity.read(self._storage, *page, provider=provider, kinds=kinds, size=size)

    async def open_links(self, redis: RedisClient, user_id: str) -> tuple[OpenLink, ...]:
        """List the person's connect links of the last minutes, without codes.  Reads only."""
        self._need(redis)
        return await open_links.read(self._storage, redis, check_user_id(user_id))

    def notices(self, redis: RedisClient, consumer: str) -> AsyncIterator[Notice]:
        """Yield notices of changes of connections and links, and of support: each at least once.

        ``async for notice in manager.notices(redis, consumer="bot-1")``; a notice
        counts as handled when the next one is asked for, so one that a crash
        interrupted comes again.  A notice that a later one or the bot's answer has
        overtaken is left out.  Goes on while Redis is away.
        """
        return notices.read(self._storage, redis, consumer, partial(self._is_news, redis))

    async def notice_page(
        self,
        redis: RedisClient,
        after: str = "",
        *,
        limit: int = 100,
        wanted: Callable[[Notice], bool] = lambda _: True,
    ) -> NoticePage:
        """Return the notices after a position that the caller keeps, ``""`` for the oldest kept.

        They stay for other readers.  Three round trips, and one for each that is wanted.
        """
        self._need(redis)
        is_news = partial(self._is_news, redis)
        return await notice_pages.read(self._storage, redis, after, limit, wanted, is_news)

    async def newest_notice(self, redis: RedisClient) -> str:
        """Return the position of the newest notice.  Two round trips."""
        self._need(redis)
        return await notice_pages.newest(self._storage, redis)

    async def link_cancelled(self, redis: RedisClient, request: LinkRequest) -> None:
        """Tell the link's person that somebody switched it off."""
        await self.stories.cancelled(redis, request)

    async def link_used(self, redis: RedisClient, request: LinkRequest) -> None:
        """Record that somebody used a link; who it is has yet to be proven."""
        await self.stories.used(redis, request)

    async def tell(
        self, redis: RedisClient, user_id: str, kind: NoticeKind, provider: str = ""
    ) -> None:
        """Have the bot tell the person of an action; a failure is only logged."""
        if provider:
            self._provider(provider)
        await notices.put(self._storage, redis, kind, check_user_id(user_id), provider)

    async def _is_news(self, redis: RedisClient, notice: Notice) -> bool:
        known, now = self.providers.get(notice.provider), self.clock.now()
        if known is None:
            return notices.is_news(notice, None, now, is_configured=not notice.provider)
        connection = await self.connection(redis, notice.user_id, known.name)
        return notices.is_news(notice, connection, now, is_configured=known.is_configured)
