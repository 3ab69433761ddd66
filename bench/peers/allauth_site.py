"""django-allauth as its quickstart has it, on SQLite, one person with four accounts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command
from django.test import Client
from django.urls import include, path

PROVIDERS = ("discord", "github", "google", "microsoft")
urlpatterns: list[Any] = []
_client: list[Client] = []


def set_up(folder: Path, token: str) -> None:
    apps = {name: {"client_id": "client", "secret": "client-secret"} for name in PROVIDERS}
    settings.configure(
        SECRET_KEY="a-secret-of-the-benchmark",
        ALLOWED_HOSTS=["testserver"],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": folder / "allauth.sqlite",
                "CONN_MAX_AGE": None,
            }
        },
        ROOT_URLCONF=__name__,
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.messages",
            "django.contrib.sessions",
            "allauth",
            "allauth.account",
            "allauth.socialaccount",
            *(f"allauth.socialaccount.providers.{name}" for name in PROVIDERS),
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
            "allauth.account.middleware.AccountMiddleware",
        ],
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": [
                        "django.template.context_processors.request",
                        "django.contrib.auth.context_processors.auth",
                        "django.contrib.messages.context_processors.messages",
                    ]
                },
            }
        ],
        AUTHENTICATION_BACKENDS=[
            "django.contrib.auth.backends.ModelBackend",
            "allauth.account.auth_backends.AuthenticationBackend",
        ],
        SOCIALACCOUNT_STORE_TOKENS=True,
        SOCIALACCOUNT_PROVIDERS={name: {"APP": app} for name, app in apps.items()},
        USE_TZ=True,
    )
    django.setup()
    urlpatterns.append(path("accounts/", include("allauth.urls")))  # reads the settings
    call_command("migrate", verbosity=0)
    _client.append(_person(token))


def _person(token: str) -> Client:
    from allauth.socialaccount.models import SocialAccount, SocialToken
    from django.contrib.auth.models import User

    user: Any = User.objects.create_user("alice", password="p" * 20)
    for provider in PROVIDERS:
        account = SocialAccount.objects.create(user=user, provider=provider, uid="42")
        SocialToken.objects.create(account=account, token=token)
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def read_token() -> str:
    from allauth.socialaccount.models import SocialToken

    found = SocialToken.objects.get(account__user__username="alice", account__provider="google")
    return str(found.token)


def page() -> None:
    answer = _client[0].get("/accounts/3rdparty/")
    if answer.status_code != 200 or answer.content.count(b'name="account"') != 4:
        raise RuntimeError(f"not the page that was to be measured: {answer.status_code}")


def start() -> None:
    answer = _client[0].post("/accounts/github/login/?process=connect")
    if answer.status_code != 302 or "client_id" not in answer.headers["location"]:
        raise RuntimeError(f"django-allauth did not begin: {answer.status_code}")
