"""Connections over the API: what there is, whether it works, and the end of one."""

from __future__ import annotations

from typing import Any

from webui.api.call import Call
from webui.oauth_manager import Connection, Health, OAuthProvider, RevokeOutcome, Status
from webui.text.labels import is_web_address

_STILL_LISTED = (RevokeOutcome.UNSUPPORTED, RevokeOutcome.UNCONFIRMED)


async def list_connections(call: Call) -> dict[str, Any]:
    """``GET /api/v1/connections``: what a person has connected, of the key's services."""
    rows = await call.manager.connections(call.redis, call.user_id)
    held = [
        row
        for row in rows
        if row.status is not Status.NOT_CONNECTED and call.key.allows_provider(row.provider)
    ]
    return {"connections": [shown(row) for row in held]}


def shown(connection: Connection) -> dict[str, Any]:
    """Return a connection as the API tells of it; times are epoch seconds, null if unknown."""
    profile = connection.profile
    return {
        "provider": connection.provider,
        "account": profile.account.id,
        "label": profile.account.label,
        "name": connection.name or None,
        "status": connection.status.value,
        "scopes": list(connection.scopes),
        "missing": list(connection.lacking_scopes),
        "expires_at": connection.expires_at or None,
        "connected_at": profile.connected_at or None,
        "last_used_at": profile.used_at or None,
    }


async def check(call: Call) -> dict[str, Any]:
    """``POST /api/v1/connections/check``: the service is asked whether the connection works."""
    user_id, name = call.user_id, call.provider.name
    account = await call.account()
    handle = account.require() if account else None
    await call.site.limiter.hit("check", user_id)
    place = call.redis, user_id, name
    health = await call.manager.check(*place, account=handle)
    if health is Health.RECONNECT_NEEDED:  # the caller knows now, and tells it
        ended = await call.manager.connection(*place, account=handle)
        await call.manager.stories.told_of_end(*place, ended.slot)
    return {"outcome": health.value}


async def disconnect(call: Call) -> dict[str, Any]:
    """``POST /api/v1/connections/disconnect``: ended here at once, then at the service."""
    user_id, provider = call.user_id, call.provider
    account = await call.account()
    handle = account.require() if account else None
    place = call.redis, user_id, provider.name
    await call.manager.connection(*place, account=handle)  # raises if it is unclear which is meant
    await call.write_down("disconnected", user_id, provider.name)
    ending = await call.manager.disconnect(*place, account=handle, by="bot")
    known = await ending.within(call.manager.patience)
    outcome = known.at_provider if known else RevokeOutcome.UNCONFIRMED
    return {"outcome": outcome.value, "manage_url": _manage_url(provider, outcome)}


def _manage_url(provider: OAuthProvider, outcome: RevokeOutcome) -> str | None:
    """Return the page to end it on, if the service may still list it."""
    url = provider.own_manage_url
    return url if outcome in _STILL_LISTED and is_web_address(url) else None
