"""The process-wide manager, and the one guard that every tool of a bot calls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any, Protocol

from .clock import Clock
from .errors import OAuthAmbiguous, OAuthNotConnected, StoreUnavailable
from .manager import OAuthManager
from .storage.account_names import is_account, name_of

if TYPE_CHECKING:
    from webui.connections import Connections

_instance: OAuthManager | None = None


class ToolContext(Protocol):
    """The context of a tool: the id of the person who asks, and an asyncio Redis client."""

    @property
    def user_id(self) -> str: ...

    @property
    def redis(self) -> Any: ...


def init_oauth_manager(
    encryption_key: str | bytes = "",
    base_url: str = "",
    providers_config: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    strict: bool = False,
    outgoing_proxy: str = "",
    clock: Clock | None = None,
) -> OAuthManager:
    """Make the process-wide manager; parameters like :class:`OAuthManager`."""
    global _instance
    _instance = OAuthManager(
        encryption_key,
        base_url,
        providers_config,
        strict=strict,
        outgoing_proxy=outgoing_proxy,
        clock=clock,
    )
    return _instance


def from_config(path: str | PathLike[str]) -> Connections:
    """Make the process-wide manager, and a client of Redis, from the site's own file and checks.

    Variables of the environment come before it, as for the site.  The result is an
    asynchronous context manager.  Raises ``SettingsError``, with every fault at once.
    """
    from webui.connections import connections_from_config  # the site's rooms, for those who ask

    return connections_from_config(path)


def get_oauth_manager() -> OAuthManager:
    """Return the process-wide manager.  Raises ``RuntimeError`` before ``init_oauth_manager``."""
    if _instance is None:
        raise RuntimeError("call init_oauth_manager() first")
    return _instance


def replace_oauth_manager(manager: OAuthManager | None) -> OAuthManager | None:
    """Make this the process-wide manager, as tests do; return the one before."""
    global _instance
    before, _instance = _instance, manager
    return before


def account_of(ctx: object, account: str | None) -> str | None:
    """Return the account that a tool names, or else its context; ``None`` if neither does."""
    return account or getattr(ctx, "account", None) or None


async def require_oauth_token(
    ctx: ToolContext,
    provider: str,
    scopes: Iterable[str] = (),
    *,
    account: str | None = None,
    min_valid: float = 0.0,
    manager: OAuthManager | None = None,
) -> str:
    """Return an access token for the person behind ``ctx`` that works now and has ``scopes``.

    ``account`` is the name of one of several accounts of the service; without it
    ``ctx.account`` counts, if the bot sets that.  ``min_valid`` as in
    :meth:`OAuthManager.valid_token`; ``manager`` replaces that of the process.

    Raises ``OAuthNotConnected`` with a link for that person alone (never show
    it in a group), which connects ``account`` if it is not there; ``OAuthAmbiguous``, one
    of those, if none is named and several are connected, or were; ``OAuthUnavailable``
    (try again later) or ``OAuthMisconfigured`` (only the operator can help).
    """
    manager = manager or get_oauth_manager()
    if ctx.redis is None:
        raise StoreUnavailable("reach Redis", "no_client")
    needed = tuple(scopes)
    account = account_of(ctx, account)
    if account and not is_account(account):
        raise await _no_such_account(ctx, manager, provider)
    options: dict[str, Any] = {"account": account} if account else {}
    token = await manager.valid_token(
        ctx.redis, ctx.user_id, provider, min_valid=min_valid, **options
    )
    known = manager.providers[provider]
    rules = known.scope_rules
    if token is None:
        asked = rules.united(known.scopes, needed) if needed else None
        url = await manager.generate_connect_url(ctx.user_id, provider, ctx.redis, asked, **options)
        raise OAuthNotConnected(provider, url, account=account)
    missing = rules.missing(needed, token.scopes)
    if missing:
        raise await _wider(ctx, manager, provider, token.scopes, missing, account)
    return token.access_token


async def _no_such_account(
    ctx: ToolContext, manager: OAuthManager, provider: str
) -> OAuthNotConnected:
    """Return the error for what is no account's name: a model may have made it up."""
    known = await manager.connections(ctx.redis, ctx.user_id)
    own = [row for row in known if row.provider == provider and row.has_tokens]
    if not own:
        return OAuthNotConnected(
            provider, await manager.generate_connect_url(ctx.user_id, provider, ctx.redis)
        )
    names = sorted(name_of(row.name, row.profile.account.label) for row in own)
    page = f"{manager.base_url}/connections"
    return OAuthAmbiguous(provider, page, names, manager.providers[provider].label)


async def wider(
    ctx: ToolContext,
    manager: OAuthManager,
    provider: str,
    scopes: Iterable[str],
    account: str | None = None,
) -> OAuthNotConnected | None:
    """Return the error that asks for scopes an API has just wanted (RFC 6750 3.1).

    None if the token has them: then the refusal has another reason, and to ask again would
    be for nothing; and if there were too many tries lately, ten in ten minutes.
    """
    token = await manager.valid_token(ctx.redis, ctx.user_id, provider, account=account)
    held = token.scopes if token else ()
    missing = manager.providers[provider].scope_rules.missing(scopes, held)
    if not missing or not await manager.may_ask_for_more(ctx.redis, ctx.user_id, provider):
        return None
    return await _wider(ctx, manager, provider, held, missing, account)


async def _wider(
    ctx: ToolContext,
    manager: OAuthManager,
    provider: str,
    held: Iterable[str],
    missing: tuple[str, ...],
    account: str | None,
) -> OAuthNotConnected:
    known = manager.providers[provider]
    if known.is_app and known.install_url:  # another authorization would change nothing
        return OAuthNotConnected(provider, known.install_url, missing, account=account)
    rules = known.scope_rules
    # Ask for the granted scopes as well: an authorization replaces the one before.
    asked = rules.united(rules.explicit(known.scopes), held, missing)
    options: dict[str, Any] = {"account": account} if account else {}
    url = await manager.generate_connect_url(ctx.user_id, provider, ctx.redis, asked, **options)
    return OAuthNotConnected(provider, url, missing, account=account)
