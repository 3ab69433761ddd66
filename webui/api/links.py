"""Links over the API: one that is open is given again, for it may be on its way to the person."""

from __future__ import annotations

from typing import Any

from webui.api.call import Call
from webui.api.problems import Problem
from webui.chat.links import Link, new_link, open_link, scopes_to_ask
from webui.oauth_manager import Connection, OAuthProvider
from webui.rate_limits import TooMany


async def make_link(call: Call) -> dict[str, Any]:
    """``POST /api/v1/links``: a link to connect a service, for that person alone."""
    user_id, provider = call.user_id, call.provider
    if not provider.is_configured:
        raise Problem("misconfigured", f"{provider.name} is not set up here.")
    connection = await call.manager.connection(
        call.redis, user_id, provider.name, account=await call.account()
    )
    link = await _link(call, user_id, connection, provider, call.given.get("scopes", ()))
    return _shown(link)


async def connect_url(
    call: Call, provider: OAuthProvider, connection: Connection, scopes: tuple[str, ...]
) -> dict[str, Any]:
    """Return members with a link for a call that found no connection, if the key may have one."""
    if "links" not in call.key.may or not provider.is_configured:
        return {}
    try:
        link = await _link(call, call.user_id, connection, provider, scopes)
    except TooMany:
        return {}
    shown = _shown(link)
    return {"connect_url": shown["url"], "expires_in": shown["expires_in"]}


async def _link(
    call: Call,
    user_id: str,
    connection: Connection,
    provider: OAuthProvider,
    wanted: tuple[str, ...],
) -> Link:
    """Find the person's open link if it asks for enough, else make one.  Raises ``TooMany``."""
    waiting = await open_link(call.manager, call.redis, user_id, provider.name)
    rules = provider.scope_rules
    scopes = rules.united(scopes_to_ask(provider, connection, waiting), wanted)
    # Without codes the link itself is the proof: one from chat must not come into other hands.
    is_ours = waiting is not None and (waiting.by_key or call.site.settings.link_proof == "code")
    if waiting and is_ours and not rules.missing(scopes, waiting.scopes or provider.scopes):
        return waiting
    await call.site.limiter.hit("link", user_id)
    return await new_link(call.manager, call.redis, user_id, provider.name, scopes, by_key=True)


def _shown(link: Link) -> dict[str, Any]:
    return {"url": link.url, "expires_in": max(int(link.left), 1)}
