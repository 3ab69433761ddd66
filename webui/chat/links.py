"""Links to the landing page, and the scopes they request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from webui.chat.phrases import say, span
from webui.oauth_manager import LINK_CODE_TTL, Connection, OAuthManager, OAuthProvider
from webui.oauth_manager.storage.calls import RedisClient

_FRESH_SECONDS = LINK_CODE_TTL / 2
_GRACE_SECONDS = 5  # a link made a moment ago lives ten minutes and not nine


@dataclass(frozen=True, slots=True)
class Link:
    """A link with ``left`` seconds to live; ``scopes`` ``()`` for the provider's usual ones.

    ``by_key``: it was made over the API; ``account`` is the one that it connects, if named.
    """

    url: str = field(repr=False)
    left: float
    scopes: tuple[str, ...] = ()
    by_key: bool = False
    account: str = ""

    @property
    def is_fresh(self) -> bool:
        return self.left > _FRESH_SECONDS

    def after(self, sentence: str) -> str:
        """Return the sentence, how to treat the link, and the link on a line of its own."""
        living = span(self.left + _GRACE_SECONDS)
        return f"{sentence} {say('link', span=living)}\n{self.url}"


async def new_link(
    manager: OAuthManager,
    redis: RedisClient,
    user_id: str,
    provider: str = "",
    scopes: tuple[str, ...] = (),
    *,
    by_key: bool = False,
    account: str | None = None,
    asked: Mapping[str, str] | None = None,
) -> Link:
    """Make a link; it replaces the person's open link for the same service."""
    about: dict[str, Any] = {"provider": provider, "scopes": scopes, "by_key": by_key}
    if account:
        about["account"] = account
    code = await manager.create_link_code(redis, user_id, **about, asked=asked or {})
    return Link(manager.landing_url(code), LINK_CODE_TTL, scopes, by_key, account or "")


async def open_link(
    manager: OAuthManager, redis: RedisClient, user_id: str, provider: str, account: str = ""
) -> Link | None:
    """Find the person's open link for a service, or for the account of this name.

    A tool may have made it, and asked for more.
    """
    found = await manager.links.find(redis, user_id, provider)
    if found is None or found[1].account.casefold() != account.casefold():
        return None
    code, request, expires_at = found
    left = expires_at - manager.clock.now()
    url = manager.landing_url(code)
    return Link(url, left, request.scopes, request.by_key, request.account)


def scopes_to_ask(
    provider: OAuthProvider, connection: Connection, waiting: Link | None
) -> tuple[str, ...]:
    """Return the usual scopes, those requested before, and those a tool is waiting for.

    All of them: an authorization replaces the one before.
    """
    before = connection.profile.requested_scopes or connection.scopes
    more = waiting.scopes if waiting else ()
    return provider.scope_rules.united(provider.scopes, before, more)
