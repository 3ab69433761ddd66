"""django-allauth as its quickstart has it, on SQLite, one person with four accounts.

A process has one Django project, so the other peers that are Django's are part of this one.
``python -m bench.peers.allauth_site PORT FOLDER`` serves it without those.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command
from django.urls import include, path

from bench.peers.wsgi import WsgiBrowser
from bench.provider import allowed

PROVIDERS = ("discord", "github", "google", "microsoft")
PAGE = "/accounts/3rdparty/"
urlpatterns: list[Any] = []
_DATABASE = {"ENGINE": "django.db.backends.sqlite3", "CONN_MAX_AGE": None}
_BACKEND = "django.contrib.auth.backends.ModelBackend"
_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "allauth",
    "allauth.account",
    "allauth.socialaccount",
    *(f"allauth.socialaccount.providers.{name}" for name in PROVIDERS),
]
_MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]
_CONTEXT = [
    "django.template.context_processors.request",
    "django.contrib.auth.context_processors.auth",
    "django.contrib.messages.context_processors.messages",
]


def configure(
    folder: Path, *, apps: Sequence[str] = (), backends: Sequence[str] = (), **more: Any
) -> None:
    """Configure the project, with so much of others; its database is in the folder."""
    keys = {name: {"APP": {"client_id": "client", "secret": "secret"}} for name in PROVIDERS}
    templates = {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "DIRS": [Path(__file__).parent / "templates"],
        "OPTIONS": {"context_processors": _CONTEXT},
    }
    settings.configure(
        SECRET_KEY="a-secret-of-the-benchmark",
        ALLOWED_HOSTS=["testserver", "127.0.0.1"],
        DATABASES={"default": {**_DATABASE, "NAME": folder / "allauth.sqlite"}},
        ROOT_URLCONF=__name__,
        INSTALLED_APPS=[*_APPS, *apps],
        MIDDLEWARE=_MIDDLEWARE,
        TEMPLATES=[templates],
        AUTHENTICATION_BACKENDS=[
            _BACKEND,
            "allauth.account.auth_backends.AuthenticationBackend",
            *backends,
        ],
        SOCIALACCOUNT_STORE_TOKENS=True,
        SOCIALACCOUNT_PROVIDERS=keys,
        USE_TZ=True,
        **more,
    )
    django.setup()
    urlpatterns.append(path("accounts/", include("allauth.urls")))  # reads the settings


class Person:
    """Alice, whose four accounts are connected and who is signed in; GitHub is at ``provider``."""

    def __init__(self, token: str, provider: str) -> None:
        from allauth.socialaccount.models import SocialAccount, SocialToken
        from allauth.socialaccount.providers.github.views import GitHubOAuth2Adapter
        from django.contrib.auth.models import User
        from django.core.wsgi import get_wsgi_application

        GitHubOAuth2Adapter.access_token_url = f"{provider}/github/token"
        GitHubOAuth2Adapter.profile_url = f"{provider}/github/user"
        call_command("migrate", verbosity=0)
        self.user: Any = User.objects.create_user("alice", password="p" * 20)
        for name in PROVIDERS:
            account = SocialAccount.objects.create(user=self.user, provider=name, uid="42")
            SocialToken.objects.create(account=account, token=token)
        self._app = get_wsgi_application()
        self._here = self.sign_in()

    def sign_in(self) -> WsgiBrowser:
        """Return a browser with a session of its own: a session takes ten attempts at most."""
        from django.test import Client

        client = Client()
        client.force_login(self.user, backend=_BACKEND)
        return WsgiBrowser(self._app, {"sessionid": client.cookies["sessionid"].value})

    def read_token(self) -> str:
        from allauth.socialaccount.models import SocialToken

        found = SocialToken.objects.get(account__user__username="alice", account__provider="google")
        return str(found.token)

    def page(self) -> None:
        status, _, body = self._here.get(PAGE)
        if status != 200 or body.count('name="account"') != 4:
            raise RuntimeError(f"not the page that was to be measured: {status}")

    def start(self, browser: WsgiBrowser) -> str:
        """Return the address of the provider."""
        status, headers, _ = browser.post("/accounts/github/login/?process=connect")
        if status != 302 or "client_id" not in headers["location"]:
            raise RuntimeError(f"django-allauth did not begin: {status}")
        return headers["location"]

    def come_back(self, browser: WsgiBrowser, authorize_url: str) -> None:
        status, headers, _ = browser.get(allowed(authorize_url))
        if status != 302 or headers["location"] != PAGE:
            raise RuntimeError(f"django-allauth did not connect: {status}")


def main() -> None:
    import uvicorn
    from django.core.asgi import get_asgi_application

    configure(Path(sys.argv[2]))
    uvicorn.run(get_asgi_application(), port=int(sys.argv[1]), lifespan="off", log_level="warning")


if __name__ == "__main__":
    main()
