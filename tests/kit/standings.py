"""Browsers of everybody there is towards the support pages, and what must be the same for them."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
from redis.asyncio import Redis
from starlette.requests import Request

from tests.kit.site_fixtures import Browser, Place, site_at
from webui.access.roles import STAFF_SECONDS
from webui.routes import routes
from webui.sessions.sessions import Session, Sessions

STAFF = "carol"
GROUP = "helpdesk"
PROXY = "198.51.100.1"
USER_HEADER, GROUPS_HEADER = "x-forwarded-user", "x-forwarded-groups"
SUPPORT: dict[str, Any] = {
    "support_users": frozenset({STAFF}),
    "support_group": GROUP,
    "trusted_proxies": (PROXY,),
    "proxy_user_header": USER_HEADER,
    "proxy_groups_header": GROUPS_HEADER,
}
"""Settings with every way to be staff but for the sign-on, which ``signed_on`` stands for."""

ADDRESSES = sorted(
    {
        route.path.replace("{user_id}", "ann").replace("{provider}", "github")
        for route in routes()
        if route.path.startswith("/support")
    }
)


def support_site(
    redis_url: str, redis: Redis, **changes: Any
) -> AbstractAsyncContextManager[Place]:
    return site_at(redis_url, redis, **{**SUPPORT, **changes})


async def signed_on(
    place: Place,
    user: str = STAFF,
    groups: tuple[str, ...] = (GROUP,),
    *,
    name: str = "staff",
    ago: float = 0.0,
) -> Browser:
    """Open a browser with a session for staff, or another ``name``'s, as after a sign-on."""
    browser = await place.browser()
    request = Request({"type": "http", "headers": []})
    then = place.clock.now() - ago
    sessions = sessions_of(place, name)
    await sessions.start(request, user, via="sso", groups=groups, signed_in_at=then)
    (header,) = request.scope["webui.session_cookies"].values()
    cookie, _, value = header.partition(";")[0].partition("=")
    browser.client.cookies.set(cookie, value)
    return browser


async def proxied(place: Place, user: str, groups: str = "") -> Browser:
    """A browser behind the trusted proxy, which names its person."""
    browser = await place.browser(address=PROXY)
    browser.client.headers.update({USER_HEADER: user, GROUPS_HEADER: groups})
    return browser


async def moved(browser: Browser, place: Place) -> Browser:
    """The same browser, after the site was started anew with other settings."""
    same = await place.browser(
        browser, address=PROXY if USER_HEADER in browser.client.headers else ""
    )
    same.client.headers = browser.client.headers
    return same


async def _with_forged_role(place: Place) -> Browser:
    browser = await place.signed_in("ann")
    claims = {
        USER_HEADER: STAFF,
        GROUPS_HEADER: GROUP,
        "x-user-id": STAFF,
        "x-role": "support",
        "authorization": "Bearer staff",
    }
    browser.client.headers.update(claims)
    for name in ("role", "support", "staff", "__Host-role"):
        browser.client.cookies.set(name, "staff")
    return browser


async def _with_own_session_as_staffs(place: Place) -> Browser:
    browser = await place.signed_in("ann")
    cookies = browser.client.cookies
    cookies.set("__Host-staff", cookies["__Host-session"])
    return browser


async def _signed_out(place: Place) -> Browser:
    browser = await signed_on(place)
    copy = dict(browser.client.cookies)
    await browser.post("/signout")
    browser.client.cookies.update(copy)
    return browser


async def _no_longer_behind_the_proxy(place: Place) -> Browser:
    inside = await proxied(place, STAFF, GROUP)
    await inside.get("/connections")
    return await place.browser(inside)


async def _stale_from_chat(place: Place) -> Browser:
    browser = await place.signed_in(STAFF)
    place.clock.advance(STAFF_SECONDS)
    return browser


Standing = Callable[[Place], Awaitable[Browser]]

STRANGERS: dict[str, Standing] = {
    "nobody": lambda place: place.browser(),
    "staff who signed out": _signed_out,
    "staff who came around the proxy": _no_longer_behind_the_proxy,
}
"""Not signed in: they are shown how to."""
OUTSIDERS: dict[str, Standing] = {
    "a person": lambda place: place.signed_in("ann"),
    "a person with a forged role": _with_forged_role,
    "a person with their own session as staff's": _with_own_session_as_staffs,
    "staff whose group is gone": lambda place: signed_on(place, "dave", ("others",)),
    "staff signed on as a person": lambda place: signed_on(place, name="session"),
    "a person behind the proxy": lambda place: proxied(place, "ann", "people, helpdesk2"),
}
"""Signed in, and not of support: they learn of nothing."""
STALE: dict[str, Standing] = {
    "from chat": _stale_from_chat,
    "by sign-on": lambda place: signed_on(place, ago=STAFF_SECONDS),
}
INSIDERS: dict[str, Standing] = {
    "from chat": lambda place: place.signed_in(STAFF),
    "by sign-on and group": lambda place: signed_on(place, "dave"),
    "by sign-on and id": lambda place: signed_on(place, STAFF, ()),
    "behind the proxy and by group": lambda place: proxied(place, "dave", f"people, {GROUP}"),
    "behind the proxy and by id": lambda place: proxied(place, STAFF),
}


def shape(answer: httpx.Response) -> tuple[int, list[tuple[str, str]], str]:
    """All there is to see of an answer but for its reference."""
    headers = sorted(
        (name, value) for name, value in answer.headers.items() if name != "content-length"
    )
    reference = r'<p class="muted small">[^<]*<code>[A-Z0-9]{6}</code>[^<]*</p>'
    return answer.status_code, headers, re.sub(reference, "", answer.text)


def sessions_of(place: Place, name: str = "session") -> Sessions:
    return Sessions(place.redis, place.settings, place.clock, name)


async def session_in(place: Place, browser: Browser, name: str = "session") -> Session | None:
    """Return the session that a browser's cookie is worth now."""
    pairs = "; ".join(f"{key}={value}" for key, value in browser.client.cookies.items())
    scope = {"type": "http", "headers": [(b"cookie", pairs.encode("latin-1"))]}
    return await sessions_of(place, name).load(Request(scope), renew=False)
