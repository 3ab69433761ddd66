"""Tokens over the API: one that works now, or what the person has to do first."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from webui.api.call import Account, Call
from webui.api.links import connect_url, connection_of
from webui.api.problems import Problem
from webui.api.service_keys import day_key
from webui.oauth_manager import Connection, Status, TokenData
from webui.oauth_manager.storage.calls import read_text, redis_call

_DAY = 86_400
_MOST_SEEN = 20_000


async def token(call: Call) -> dict[str, Any]:
    """``POST /api/v1/token``: an access token that works now and has the scopes."""
    user_id, provider = call.user_id, call.provider
    account, wanted = await call.account(), call.given.get("scopes", ())
    if account and not account.handle:
        raise await _not_connected(call, await connection_of(call, account), wanted, account)
    handle = account.handle if account else None
    place = call.redis, user_id, provider.name
    if refused := call.given.get("refused"):
        await call.manager.renew(*place, refused=refused, account=handle)
    options = {"account": handle, "min_valid": call.given.get("min_valid", 0.0)}
    found, connection = await call.manager.token_and_connection(*place, **options)
    if found is None:
        raise await _not_connected(call, await connection_of(call, account), wanted, account)
    call.require_named(connection)
    if missing := provider.scope_rules.missing(wanted, found.scopes):
        raise await _not_connected(call, connection, wanted, account, missing)
    await _note_first_of_day(call, user_id)
    return _shown(found, connection)


async def _not_connected(
    call: Call,
    connection: Connection,
    wanted: tuple[str, ...],
    account: Account | None,
    missing: tuple[str, ...] = (),
) -> Problem:
    reason = "missing_scopes" if missing else connection.status.value
    if not missing and connection.status is Status.CONNECTED:
        reason = Status.RECONNECT_NEEDED.value  # it ran out, and cannot be renewed
    link = await connect_url(call, connection, wanted, account)
    return Problem("not_connected", reason=reason, missing_scopes=list(missing), **link)


def _shown(token: TokenData, connection: Connection) -> dict[str, Any]:
    return {
        "access_token": token.access_token,
        "token_type": token.token_type,
        "expires_at": token.expires_at or None,
        "scopes": list(token.scopes),
        "account": connection.profile.account.id,
        "extra": connection.extra,
    }


class Seen:
    """People whose first token of this day by a key is in the audit, as this process knows."""

    def __init__(self) -> None:
        self._days: OrderedDict[tuple[str, str], int] = OrderedDict()

    def has(self, key_id: str, user_id: str, day: int) -> bool:
        return self._days.get((key_id, user_id)) == day

    def add(self, key_id: str, user_id: str, day: int) -> None:
        self._days[key_id, user_id] = day
        self._days.move_to_end((key_id, user_id))
        if len(self._days) > _MOST_SEEN:
            self._days.popitem(last=False)


async def _note_first_of_day(call: Call, user_id: str) -> None:
    """Write the person's first token by this key on a day into the audit; else cost nothing."""
    seen: Seen = call.request.app.state.seen
    day, key_id = int(call.site.clock.now() // _DAY), call.key.id
    if seen.has(key_id, user_id, day):
        return
    name = day_key(call.digest(f"{day}:{key_id}:{user_id}"))
    async with redis_call("look for the first token of a day"):
        is_there = bool(await read_text(call.redis, name))
    if not is_there:
        await call.write_down("token", user_id, call.provider.name)
        async with redis_call("note the first token of a day"):
            await call.redis.set(name, "1", ex=_DAY)
    seen.add(key_id, user_id, day)
