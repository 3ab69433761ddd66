"""``oauth_client``: an ``httpx.AsyncClient`` for one person at one provider's API."""

from __future__ import annotations

from collections.abc import Iterable
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx

from ..access import ToolContext, get_oauth_manager
from .guard import ApiHosts, Guard
from .token_auth import TokenAuth

TIMEOUT = 10.0  # seconds to connect, and between two pieces of an answer; a request may set another


def oauth_client(
    ctx: ToolContext,
    provider: str,
    *,
    scopes: Iterable[str] = (),
    account: str | None = None,
    min_valid: float = 0.0,
) -> httpx.AsyncClient:
    """Make a client that sends the token of the person behind ``ctx`` with every request.

    With several accounts of the service ``account``, or else ``ctx.account``, names one.

    It is an asynchronous context manager.  Each request takes a token like
    ``require_oauth_token(ctx, provider, scopes)``, and raises its errors; one that is
    answered 401 is sent once more, with a renewed token.  ``min_valid`` is the number of
    seconds that a token should go on living, as far as renewing can bring that about.
    Requests to another host than the provider's ``api_hosts`` are refused before anything
    is sent (``HostRefused``), and a redirect there goes without the token.

    Raises ``RuntimeError`` before ``init_oauth_manager``, ``ValueError`` for an unknown
    provider.
    """
    auth, network = parts(ctx, provider, scopes, account, min_valid)
    return httpx.AsyncClient(auth=auth, transport=network, **common())


def common() -> dict[str, Any]:
    """Return what every client has: no proxy of the environment, and no cookies."""
    return {
        "timeout": TIMEOUT,
        "trust_env": False,
        "cookies": CookieJar(DefaultCookiePolicy(allowed_domains=[])),
    }


def parts(
    ctx: ToolContext, provider: str, scopes: Iterable[str], account: str | None, min_valid: float
) -> tuple[TokenAuth, Guard]:
    """Make what carries the token, and what it goes out by.  Raises like :func:`oauth_client`."""
    manager = get_oauth_manager()
    known = manager.providers.get(provider)
    if known is None:
        raise ValueError("unknown provider")
    hosts = ApiHosts(known)
    auth = TokenAuth(manager, ctx, hosts, tuple(scopes), account, min_valid)
    return auth, Guard(manager.transport, hosts)
