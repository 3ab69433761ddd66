"""``Messages``: the manager's methods for what the bot says unasked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial

from ..journal import news, notice_pages, notices
from ..journal.notice_pages import NoticePage, SealedPage
from ..journal.notices import Notice, NoticeKind
from ..storage.account_names import handle as account_handle
from ..storage.calls import RedisClient
from ..storage.keys import check_user_id
from .display import Display


class Messages(Display):
    """Notices: read by whoever tells them, and written."""

    def notices(self, redis: RedisClient, consumer: str) -> AsyncIterator[Notice]:
        """Yield notices of changes of connections and links, and of support: each at least once.

        ``async for notice in manager.notices(redis, consumer="bot-1")``; a notice
        counts as handled when the next one is asked for, so one that a crash
        interrupted comes again.  A notice that a later one or the bot's answer has
        overtaken is left out.  Goes on while Redis is away.
        """
        return notices.read(self._storage, redis, consumer, partial(self.is_news, redis))

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
        is_news = partial(self.is_news, redis)
        return await notice_pages.read(self._storage, redis, after, limit, wanted, is_news)

    async def sealed_notices(self, redis: RedisClient, after: str = "") -> SealedPage:
        """Return the next entries after a position, sealed, for a queue of one's own."""
        self._need(redis)
        return await notice_pages.read_sealed(self._storage, redis, after)

    def open_notice(self, sealed: str) -> Notice | None:
        """Open an entry of :meth:`sealed_notices`; None if it cannot be read."""
        return notices.opened(self._storage, sealed)

    async def newest_notice(self, redis: RedisClient) -> str:
        """Return the position of the newest notice.  Two round trips."""
        self._need(redis)
        return await notice_pages.newest(self._storage, redis)

    async def tell(
        self, redis: RedisClient, user_id: str, kind: NoticeKind, provider: str = ""
    ) -> None:
        """Have the bot tell the person of an action; a failure is only logged."""
        if provider:
            self._provider(provider)
        await notices.put(self._storage, redis, kind, check_user_id(user_id), provider)

    async def is_news(self, redis: RedisClient, notice: Notice) -> bool:
        """Tell whether a notice is still to be told, like :meth:`notices` does."""
        known, now = self.providers.get(notice.provider), self.clock.now()
        if known is None:
            return news.is_news(notice, None, now, is_configured=not notice.provider)
        handle = account_handle(notice.slot)
        connection = await self.connection(redis, notice.user_id, known.name, account=handle)
        return news.is_news(notice, connection, now, is_configured=known.is_configured)
