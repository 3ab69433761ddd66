"""Notices over the API: what happened to connections and links, after the caller's position."""

from __future__ import annotations

import asyncio
from typing import Any

from webui.api.call import Call
from webui.chat.notices import notice_data
from webui.oauth_manager import Notice
from webui.oauth_manager.journal import is_before
from webui.site import Site

LOOK_SECONDS = 0.5  # between two looks, while a caller waits
_LIMIT = 20
_READERS = 8


async def read_notices(call: Call) -> dict[str, Any]:
    """``GET /api/v1/notices``: those after a position, at once or as soon as there is one."""
    after, limit = call.given.get("after", ""), call.given.get("limit", _LIMIT)
    loop = asyncio.get_running_loop()
    end, newest = loop.time() + call.given.get("wait", 0), call.request.app.state.newest

    def is_wanted(notice: Notice) -> bool:
        return call.key.allows_provider(notice.provider) and call.key.allows_user(notice.user_id)

    has_overflowed = False
    while True:
        async with newest.readers:
            page = await call.manager.notice_page(call.redis, after, limit=limit, wanted=is_wanted)
        after, has_overflowed = page.next, has_overflowed or page.has_overflowed
        if page.notices or not await _news(call, after, end):
            break
    return {
        "notices": [notice_data(position, notice) for position, notice in page.notices],
        "next": after,
        "overflowed": has_overflowed,
    }


async def _news(call: Call, after: str, end: float) -> bool:
    """Wait for a notice after a position; return whether one came before the end."""
    loop = asyncio.get_running_loop()
    while loop.time() < end and not _is_ending(call):
        await asyncio.sleep(min(LOOK_SECONDS, end - loop.time()))
        if is_before(after, await call.request.app.state.newest.position()):
            return True
    return False


class Newest:
    """The newest notice's position: however many callers wait, one of them looks for all.

    Then they read it in turn, few at once, by ``readers``.
    """

    def __init__(self, site: Site) -> None:
        self.readers = asyncio.Semaphore(_READERS)
        self._site = site
        self._look: asyncio.Task[str] | None = None
        self._looked_at = 0.0  # by the event loop's clock

    async def position(self) -> str:
        """Return it, as of a look that is hardly older than this call.

        Raises ``StoreUnavailable``.
        """
        loop = asyncio.get_running_loop()
        if self._look is None or loop.time() - self._looked_at > LOOK_SECONDS / 2:
            self._looked_at = loop.time()
            self._look = asyncio.create_task(self._site.manager.newest_notice(self._site.redis))
        return await asyncio.shield(self._look)


def _is_ending(call: Call) -> bool:
    """Tell whether this process, or the site with these settings, is about to end."""
    is_ending = call.request.scope["state"].get("is_ending")
    return bool(is_ending and is_ending())
