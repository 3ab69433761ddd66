"""A hand-written Django page of four connections, from the same records as ours.

It is a view and a template with the middleware of a new project.  Its sessions and the
records, as JSON under Fernet, are in Redis: it reads them in one MGET, decrypts them, and
shows of them what our cards show.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from cryptography.fernet import Fernet
from redis import Redis

from bench.peers.wsgi import WsgiBrowser
from tests.kit.library import KEY

Record = dict[str, Any]

_MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]


def settings(redis_url: str) -> dict[str, Any]:
    """Return the settings of its sessions."""
    redis = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": redis_url}
    memory = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    return {"CACHES": {"default": memory, "redis": redis}, "SESSION_CACHE_ALIAS": "redis"}


def page(
    redis_url: str, user: Any, records: Sequence[Record], urlpatterns: list[Any]
) -> Callable[[], None]:
    """Return a call that asks for the page as ``user``.

    Of each connection the ``records`` are its tokens and its facts, in this order.
    """
    from django.core.wsgi import get_wsgi_application
    from django.test import Client, override_settings
    from django.urls import path

    redis, fernet = Redis.from_url(redis_url), Fernet(KEY)
    sealed = {
        f"by-hand:{user.username}:{number}": fernet.encrypt(json.dumps(record).encode())
        for number, record in enumerate(records)
    }
    redis.mset(sealed)
    view = _view(redis, fernet, list(sealed))
    urlpatterns.append(path("connections", view))
    urlpatterns.extend(
        path(f"connections/<slug:provider>/{name}", view, name=name)
        for name in ("connection", "check", "disconnect")
    )
    engine = "django.contrib.sessions.backends.cache"
    with override_settings(MIDDLEWARE=_MIDDLEWARE, SESSION_ENGINE=engine):
        client = Client()
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        cookies = {"sessionid": client.cookies["sessionid"].value}
        browser = WsgiBrowser(get_wsgi_application(), cookies)

    def ask() -> None:
        status, _, body = browser.get("/connections")
        if status != 200 or body.count("<article") != 4:
            raise RuntimeError(f"not the page that was to be measured: {status}")

    return ask


def _view(redis: Redis, fernet: Fernet, keys: list[str]) -> Callable[[Any], Any]:
    from django.contrib.auth.decorators import login_required
    from django.shortcuts import render

    def connections(request: Any) -> Any:
        texts: Any = redis.mget(keys)
        records = iter([json.loads(fernet.decrypt(text)) for text in texts])
        found = [_shown(tokens, facts) for tokens, facts in zip(records, records, strict=True)]
        return render(request, "hand_written.html", {"connections": found})

    guarded: Callable[[Any], Any] = login_required(connections)
    return guarded


def _shown(tokens: Record, facts: Record) -> Record:
    until = datetime.fromtimestamp(tokens["expires_at"], UTC)
    used = facts.get("used_at")
    renews = bool(tokens.get("refresh_token"))
    return {
        "provider": facts["provider"],
        "account": facts["account"]["label"],
        "since": datetime.fromtimestamp(facts["connected_at"], UTC),
        "used": datetime.fromtimestamp(used, UTC) if used else None,
        "until": until,
        "renews": renews,
        "is_over": until < datetime.now(UTC) and not renews,
        "scopes": tokens["scopes"],
    }
