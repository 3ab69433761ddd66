"""python-social-auth for Django: the token that its user association keeps, renewed if over."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

APPS = ("social_django",)
SETTINGS = {
    "SOCIAL_AUTH_GOOGLE_OAUTH2_KEY": "client",
    "SOCIAL_AUTH_GOOGLE_OAUTH2_SECRET": "client-secret",
}
BACKENDS = ("social_core.backends.google.GoogleOAuth2",)
_PROVIDER = "google-oauth2"


def reader(user: Any, token: str) -> Callable[[], str]:
    from social_django.models import UserSocialAuth
    from social_django.utils import load_strategy

    extra = {
        "access_token": token,
        "refresh_token": "r" * 103,
        "expires": 3600,
        "auth_time": int(time.time()),
    }
    UserSocialAuth.objects.create(user=user, provider=_PROVIDER, uid="42", extra_data=extra)
    strategy = load_strategy()

    def read() -> str:
        found = UserSocialAuth.objects.get(user__username="alice", provider=_PROVIDER)
        return str(found.get_access_token(strategy))

    return read
