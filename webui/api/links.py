"""Links over the API: one that is open is given again, for it may be on its way to the person."""

from __future__ import annotations

from typing import Any

from webui.api.call import Account, Call
from webui.api.problems import Problem
from webui.chat.links import Link, new_link, open_link, scopes_to_ask
from webui.oauth_manager import Connection, Status
from webui.rate_limits import TooMany


async def make_link(call: Call) -> dict[str, Any]:
    """``POST /api/v1/links``: a link to connect a service, for that person alone."""
    provider = call.provider
    if not provider.is_configured:
        raise Problem("misconfigured", f"{provider.name} is not set up here.")
    account = await call.account()
    if account and not account.name:
        account.require()  # none that there is, and none that there can be
    link = await _link(
        call, await connection_of(call, account), call.given.get("scopes", ()), account
    )
    return _shown(link)


async def connection_of(call: Call, account: Account | None) -> Connection:
    """Return the connection that a call is about; an empty one if the account is not there."""
    name = call.provider.name
    if account and not account.handle:
        return Connection(name, Status.NOT_CONNECTED)
    handle = account.handle if account else None
    return await call.manager.connection(call.redis, call.user_id, name, account=handle)


async def connect_url(
    call: Call, connection: Connection, scopes: tuple[str, ...], account: Account | None
) -> dict[str, Any]:
    """Return members with a link for a call that found no connection, if the key may have one."""
    if "links" not in call.key.may or not call.provider.is_configured:
        return {}
    if account and not account.handle and not account.name:
        return {}
    try:
        link = await _link(call, connection, scopes, account)
    except TooMany:
        return {}
    shown = _shown(link)
    return {"connect_url": shown["url"], "expires_in": shown["expires_in"]}


async def _link(
    call: Call, connection: Connection, wanted: tuple[str, ...], account: Account | None
) -> Link:
    """Find the person's open link if it asks for enough, else make one.  Raises ``TooMany``."""
    user_id, provider = call.user_id, call.provider
    named = (account.handle or account.name) if account else ""
    waiting = await open_link(call.manager, call.redis, user_id, provider.name, named)
    rules = provider.scope_rules
    scopes = rules.united(scopes_to_ask(provider, connection, waiting), wanted)
    # Without codes the link itself is the proof: one from chat must not come into other hands.
    is_ours = waiting is not None and (waiting.by_key or call.site.settings.link_proof == "code")
    if waiting and is_ours and not rules.missing(scopes, waiting.scopes or provider.scopes):
        return waiting
    await call.site.limiter.hit("link", user_id)
    place = call.manager, call.redis, user_id, provider.name
    return await new_link(*place, scopes, by_key=True, account=named or None)


def _shown(link: Link) -> dict[str, Any]:
    return {"url": link.url, "expires_in": max(int(link.left), 1)}
