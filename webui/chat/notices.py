"""``notice_text``: the words of each notice that the bot sends unprompted; its data for others."""

from __future__ import annotations

from typing import Any

from webui.chat.phrases import abilities, lost, named, names_of, standing
from webui.oauth_manager import Connection, Notice, NoticeKind, OAuthManager, OAuthProvider, Status
from webui.oauth_manager.storage import handle
from webui.oauth_manager.storage.calls import RedisClient
from webui.oauth_manager.values import replace
from webui.text import words
from webui.text.labels import clean_label

from .links import new_link, open_link, scopes_to_ask

# The status of a connection while a notice is still news.
_STILL = {
    NoticeKind.CONNECTED: (Status.CONNECTED,),
    NoticeKind.DISCONNECTED: (Status.NOT_CONNECTED,),
    NoticeKind.RECONNECT_NEEDED: (Status.RECONNECT_NEEDED,),
    NoticeKind.DENIED: tuple(Status),
    NoticeKind.CONNECT_FAILED: tuple(Status),
    NoticeKind.LINK_CANCELLED: tuple(Status),
    NoticeKind.LINK_RAN_OUT: tuple(Status),
    NoticeKind.ENDS_SOON: (Status.CONNECTED,),
    NoticeKind.SUPPORT_CHECKED: tuple(Status),
    NoticeKind.SUPPORT_DISCONNECTED: (Status.NOT_CONNECTED,),
}
# What came of a link, which is of no account that there is unless it says so.
_OF_LINKS = (
    NoticeKind.DENIED,
    NoticeKind.CONNECT_FAILED,
    NoticeKind.LINK_CANCELLED,
    NoticeKind.LINK_RAN_OUT,
)
# Notices about the person, for any service.
_OF_ALL = (NoticeKind.SUPPORT_CANCELLED_LINKS, NoticeKind.SUPPORT_ENDED_SESSIONS)


async def notice_text(manager: OAuthManager, redis: RedisClient, notice: Notice) -> str:
    """Put a notice into words; a link that it needs is made now.

    A late notice tells the current state instead.  Raises ``StoreUnavailable``: ask
    again then, for the notice is not handled.
    """
    if notice.kind in _OF_ALL:
        return words.text(f"notice.{notice.kind}")
    provider = manager.providers.get(notice.provider)
    if provider is None:
        key = f"notice.{notice.kind}_signin"
        if notice.provider or key not in words.CATALOGUE:
            key = "notice.elsewhere"
        return words.text(key, provider=clean_label(notice.provider))
    place = redis, notice.user_id, provider.name
    connection = await manager.connection(*place, account=handle(notice.slot))
    name = notice.name or ("" if notice.kind in _OF_LINKS else connection.name)
    names, connection = names_of(provider, name), replace(connection, name=name)
    if connection.status not in _STILL[notice.kind]:
        return words.text("notice.late", standing=standing(provider, connection), **names)
    if notice.kind is NoticeKind.CONNECTED:
        return _connected(provider, connection, notice)
    if notice.kind is NoticeKind.RECONNECT_NEEDED:
        return await _reconnect_needed(manager, redis, provider, connection, notice.user_id)
    if notice.kind is NoticeKind.CONNECT_FAILED:
        key = f"notice.failed_{notice.detail}"
        return words.text(key if key in words.CATALOGUE else "notice.failed", **names)
    return words.text(f"notice.{notice.kind}", standing=standing(provider, connection), **names)


def _connected(provider: OAuthProvider, connection: Connection, notice: Notice) -> str:
    names = names_of(provider, connection.name)
    key = "notice.was_there" if notice.detail == "was_there" else "notice.connected"
    parts = [named(key, provider, notice.account, connection.name)]
    if can := abilities(provider, connection.scopes):
        parts.append(words.text("chat.can", can=can))
    if connection.is_limited:
        parts.append(words.text("chat.limited", **names))
    if not_working := lost(connection):
        parts.append(not_working)
    parts.append(words.text("notice.undo", **names))
    return " ".join(parts)


async def _reconnect_needed(
    manager: OAuthManager,
    redis: RedisClient,
    provider: OAuthProvider,
    connection: Connection,
    user_id: str,
) -> str:
    names = names_of(provider, connection.name)
    if not provider.is_configured:
        return words.text("notice.reconnect_unset", **names)
    # The tool that found the end may just have given a link: a new one would kill it.
    account = connection.name
    link = await open_link(manager, redis, user_id, provider.name, account)
    if link is None or not link.is_fresh:
        scopes = scopes_to_ask(provider, connection, link)
        link = await new_link(manager, redis, user_id, provider.name, scopes, account=account)
    return link.after(words.text("notice.reconnect_needed", **names))


def notice_data(position: str, notice: Notice) -> dict[str, Any]:
    """Return a notice as the API and webhooks tell it: no words, and no link."""
    return {
        "id": position,
        "event": notice.kind.value,
        "user_id": notice.user_id,
        "provider": notice.provider or None,
        "account": notice.account or None,
        "name": notice.name or None,
        "at": notice.at,
        "detail": notice.detail or None,
    }
