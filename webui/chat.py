"""The bot's side: the tool ``connect_service``, and the words for notices.

Everything returned is plain text for the private chat of one person.  It may
hold a name from a provider: send it with mentions and markup switched off.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Protocol

from webui import words
from webui.labels import clean_label
from webui.limiting import Limiter, TooMany
from webui.oauth_manager import (
    LINK_CODE_TTL,
    Connection,
    Health,
    Notice,
    NoticeKind,
    OAuthManager,
    OAuthMisconfigured,
    OAuthProvider,
    OAuthUnavailable,
    RevokeOutcome,
    Status,
    StoreUnavailable,
    get_oauth_manager,
)
from webui.permissions import sentences

CONNECT_SERVICE_TOOL: dict[str, Any] = {
    "name": "connect_service",
    "description": (
        "Manage the person's own connections to outside services (GitHub, Google, Discord, "
        "Microsoft and others set up here). Show the returned text to the person unchanged, "
        "in their private chat only: it may hold a one-time link."
    ),
    "parameters": {
        "type": "object",
        "properties": {
            "action": {
                "type": "string",
                "enum": ["connect", "confirm", "list", "status", "check", "disconnect", "manage"],
                "description": (
                    "connect: a link to connect a service. confirm: pass on the code that the "
                    "person's browser shows and the person sent. list: what is connected. "
                    "status: how one service stands. check: ask the service whether access "
                    "works. disconnect: end access to a service. manage: a link to the "
                    "connections page."
                ),
            },
            "provider": {
                "type": "string",
                "description": "The service, e.g. github; for connect, status, check, disconnect.",
            },
            "code": {
                "type": "string",
                "description": "Only for confirm: the code exactly as the person sent it.",
            },
        },
        "required": ["action"],
        "additionalProperties": False,
    },
}
"""Name, description and parameters (JSON Schema) for a model that calls tools."""


class ChatContext(Protocol):
    """Who speaks, and Redis.  A chat that others can read has ``is_private = False`` as well."""

    @property
    def user_id(self) -> str: ...

    @property
    def redis(self) -> Any: ...


async def connect_service(ctx: ChatContext, action: str, provider: str = "", code: str = "") -> str:
    """Do what the person asked for and say how it went; raises nothing the library raises.

    ``action`` is one of ``ACTIONS``.  Links are made only for a private chat.
    """
    known = ACTIONS.get(action)
    if known is None:
        return _say("unknown_action", actions=", ".join(ACTIONS))
    if not getattr(ctx, "is_private", True):
        return _say("private_only")
    manager = get_oauth_manager()
    try:
        return await known(Talk(manager, ctx), code if action == "confirm" else provider)
    except StoreUnavailable:
        return _say("store_away")
    except OAuthUnavailable as error:
        return _say("trouble", provider=_label(manager, error.provider))
    except OAuthMisconfigured as error:
        return _say("misconfigured", provider=_label(manager, error.provider))
    except TooMany as error:
        return _say("too_many", time=_clock(error.retry_at))


class Talk:
    """One request of one person: the manager, their id, Redis."""

    def __init__(self, manager: OAuthManager, ctx: ChatContext) -> None:
        self.manager = manager
        self.user_id = ctx.user_id
        self.redis = ctx.redis

    def services(self) -> str:
        return ", ".join(self.manager.list_configured_providers())

    def provider(self, name: str) -> OAuthProvider | None:
        """The provider a person means; case, blanks and its label are understood."""
        wanted = name.strip().casefold()
        for provider in self.manager.providers.values():
            if wanted in (provider.name, provider.label.casefold()):
                return provider
        return None

    def which(self, name: str) -> str:
        if not self.services():
            return _say("nothing_set_up")
        return _say("unknown" if name.strip() else "which", services=self.services())

    async def limit(self, name: str) -> None:
        await Limiter(self.redis).hit(name, self.user_id)

    async def link(self, provider: str = "") -> tuple[str, str]:
        """A fresh landing address, and the clock time it runs out."""
        code = await self.manager.create_link_code(self.redis, self.user_id, provider=provider)
        return self.manager.landing_url(code), _clock(time.time() + LINK_CODE_TTL)


async def _connect(talk: Talk, name: str) -> str:
    provider = talk.provider(name)
    if provider is None:
        return talk.which(name)
    if not provider.is_configured:
        return _say("not_set_up", provider=provider.label)
    connection = await talk.manager.connection(talk.user_id, provider.name, talk.redis)
    if connection.status is Status.CONNECTED and not connection.missing_scopes:
        return _named("already", provider, connection.profile.account.label)
    await talk.limit("link")
    url, until = await talk.link(provider.name)
    return _say("offer", provider=provider.label, url=url, time=until)


async def _confirm(talk: Talk, code: str) -> str:
    if not code.strip():
        return _say("empty_code")
    await talk.limit("guess")
    left = await talk.manager.proofs.confirm(talk.redis, talk.user_id, code)
    if left is None:
        return _say("matches")
    if left == 0:
        return _say("no_code")
    return _say("no_match_last" if left == 1 else "no_match", left=left)


async def _list(talk: Talk, _: str) -> str:
    rows = [
        _standing(talk, connection)
        for connection in await talk.manager.connections(talk.user_id, talk.redis)
        if connection.status is not Status.NOT_CONNECTED
    ]
    if rows:
        return "\n".join(rows)
    return _say("none", services=talk.services()) if talk.services() else _say("nothing_set_up")


async def _status(talk: Talk, name: str) -> str:
    provider = talk.provider(name)
    if provider is None:
        return talk.which(name)
    connection = await talk.manager.connection(talk.user_id, provider.name, talk.redis)
    return _standing(talk, connection)


async def _check(talk: Talk, name: str) -> str:
    provider = talk.provider(name)
    if provider is None:
        return talk.which(name)
    await talk.limit("check")
    health = await talk.manager.check(talk.user_id, provider.name, talk.redis)
    keys = {Health.PROVIDER_TROUBLE: "trouble"}
    return _say(keys.get(health, health.value), provider=provider.label, name=provider.name)


async def _disconnect(talk: Talk, name: str) -> str:
    provider = talk.provider(name)
    if provider is None:
        return talk.which(name)
    result = await talk.manager.delete_token(talk.redis, talk.user_id, provider.name)
    key = {
        RevokeOutcome.REVOKED: "disconnected",
        RevokeOutcome.NOTHING: "already_disconnected",
        RevokeOutcome.UNSUPPORTED: "own_list",
        RevokeOutcome.UNCONFIRMED: "still_listed",
    }[result.at_provider]
    url = provider.own_manage_url
    if not url and key in ("own_list", "still_listed"):
        key = "still_listed_nowhere"
    return _say(key, provider=provider.label, url=url)


async def _manage(talk: Talk, _: str) -> str:
    await talk.limit("link")
    url, until = await talk.link()
    return _say("manage", url=url, time=until)


ACTIONS: dict[str, Callable[[Talk, str], Awaitable[str]]] = {
    "connect": _connect,
    "confirm": _confirm,
    "list": _list,
    "status": _status,
    "check": _check,
    "disconnect": _disconnect,
    "manage": _manage,
}


async def notice_text(manager: OAuthManager, redis: Any, notice: Notice) -> str:
    """What to say about a notice; a link that it needs is made now.

    Raises ``StoreUnavailable``.
    """
    provider = manager.providers.get(notice.provider)
    if provider is None:
        return words.text("notice.link_cancelled_signin")
    names = {"provider": provider.label, "name": provider.name}
    if notice.kind is NoticeKind.CONNECTED:
        connection = await manager.connection(notice.user_id, provider.name, redis)
        can = "; ".join(text for _, text in sentences(provider, connection.scopes, "I", "me"))
        account = clean_label(notice.account)
        key = "connected" if account else "connected_unknown"
        return words.text(f"notice.{key}", account=account, can=can or "-", **names)
    if notice.kind is NoticeKind.RECONNECT_NEEDED:
        if not provider.is_configured:
            return words.text("notice.reconnect_unset", **names)
        code = await manager.create_link_code(redis, notice.user_id, provider=provider.name)
        until = _clock(time.time() + LINK_CODE_TTL)
        url = manager.landing_url(code)
        return words.text("notice.reconnect_needed", url=url, time=until, **names)
    return words.text(f"notice.{notice.kind}", **names)


def _standing(talk: Talk, connection: Connection) -> str:
    provider = talk.manager.providers[connection.provider]
    if connection.status is not Status.CONNECTED:
        return _say(connection.status.value, provider=provider.label, name=provider.name)
    if connection.missing_scopes:
        return _say("limited", provider=provider.label)
    return _named("connected", provider, connection.profile.account.label)


def _named(key: str, provider: OAuthProvider, account: str) -> str:
    shown = clean_label(account)
    key = key if shown else f"{key}_unknown"
    return _say(key, provider=provider.label, name=provider.name, account=shown)


def _label(manager: OAuthManager, name: str) -> str:
    provider = manager.providers.get(name)
    return provider.label if provider else name


def _say(key: str, **values: object) -> str:
    return words.text(f"chat.{key}", **values)


def _clock(epoch: float) -> str:
    return f"{datetime.fromtimestamp(epoch, UTC):%H:%M} UTC"
