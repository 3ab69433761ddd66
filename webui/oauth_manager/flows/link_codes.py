"""``LinkCodes``: one-time codes that stand for a person, made and taken."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

from ..links import open_links
from ..providers import addresses
from ..storage.account_names import checked_account
from ..storage.calls import RedisClient
from ..storage.keys import check_user_id
from ..storage.link_index import LinkRequest
from .composition import NOTHING
from .display import Display


class LinkCodes(Display):
    """The part of the manager that bots make links with."""

    async def create_link_code(
        self,
        redis: RedisClient,
        user_id: str,
        *,
        provider: str = "",
        scopes: Iterable[str] = (),
        account: str | None = None,
        by_key: bool = False,
        asked: Mapping[str, str] = NOTHING,
    ) -> str:
        """Create a one-time code that represents the user for ``LINK_CODE_TTL`` seconds.

        ``provider``, ``scopes`` and the name ``account`` are the offer of our landing page;
        a code without them only signs in.  ``by_key``: for the holder of a service key.
        ``asked`` are values of the person that the provider's addresses need, if they are
        known already.  Raises ``ValueNeeded`` if one is not such a value.
        """
        values = addresses.filled(self._provider(provider), asked).asked if asked else ()
        if provider:
            self._provider(provider)
        self._need(redis)
        owner = check_user_id(user_id)
        named = checked_account(account)
        request = LinkRequest(owner, provider, tuple(scopes), by_key, named, values)
        made = partial(self.stories.made, user_id=user_id, provider=provider)
        return await self.links.create(redis, request, made)

    async def resolve_link_code(self, redis: RedisClient, code: str) -> str | None:
        """Return the code's user id, once; ``None`` if it is unknown, used or expired."""
        self._need(redis)
        request = await self.links.take(redis, code)
        return request.user_id if request else None

    def landing_url(self, code: str) -> str:
        """Return our page for a link code: it explains and proves before it leaves."""
        return f"{self.base_url}/connect/{code}"

    async def cancel_links(self, redis: RedisClient, user_id: str) -> int:
        """Switch off every link and proof of the person; return how many there were.

        This sends no notice: see :meth:`tell`.
        """
        self._need(redis)
        count = await open_links.cancel(redis, check_user_id(user_id))
        await self.stories.switched_off(redis, user_id, ["", *self.providers])
        return count
