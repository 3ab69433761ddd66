"""django-oauth-toolkit as a provider: a real OAuth 2 server that nobody here wrote.

It runs as a process of its own on loopback, with PKCE required (RFC 7636),
refresh tokens rotated and their families revoked on reuse (RFC 9700, 4.14.2),
and ``iss`` in every authorization response (RFC 9207).  It is an OpenID
provider too, with RS256 and RP-initiated logout, for applications that have a
place to go after it.  Applications and users are made through
:class:`OAuthServer`; everything else goes through its pages and endpoints, as
it does for a browser and a client.
"""

from __future__ import annotations

import base64
import io
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import IO, Any
from urllib.parse import parse_qsl, urlsplit
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import httpx

from tests.kit.screens import Document

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "correct horse battery staple"
SCOPES = {
    "openid": "Know who you are",
    "profile": "See your name",
    "mail.read": "Read your mail",
    "mail.send": "Send mail for you",
}
ACCESS_TOKEN_SECONDS = 3600
_TLS = httpx.create_ssl_context()  # made once: it costs more than the whole of a visit
ENDPOINTS = {
    "authorize_url": "/o/authorize/",
    "token_url": "/o/token/",
    "revoke_url": "/o/revoke_token/",
    "account_url": "/account",
}


# The tests' side


@dataclass(frozen=True)
class Seen:
    """One request of a client as the server saw it; ``auth`` is basic, form or none."""

    method: str
    path: str
    grant_type: str
    auth: str
    status: int


@dataclass
class OAuthServer:
    """The running server."""

    url: str
    _process: subprocess.Popen[str] = field(repr=False)

    def _tell(self, what: str, **values: Any) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"what": what, **values}) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    @property
    def issuer(self) -> str:
        return f"{self.url}/o"

    @property
    def endpoints(self) -> dict[str, str]:
        """Return the addresses as ``OAuthProvider`` fields."""
        return {name: self.url + path for name, path in ENDPOINTS.items()}

    def add_application(
        self, client_id: str, secret: str, redirect_uris: Iterable[str], signed_out: str = ""
    ) -> None:
        """Register a confidential client for the authorization code grant.

        With ``signed_out``, the address to come back to after signing out, it
        gets id tokens.
        """
        self._tell(
            "add_application",
            client_id=client_id,
            secret=secret,
            redirect_uris=" ".join(redirect_uris),
            signed_out=signed_out,
        )

    def add_person(self, name: str, groups: Iterable[str] = ()) -> Person:
        """A user of the server, signed in there."""
        self._tell("add_user", name=name, password=PASSWORD, groups=list(groups))
        return Person(self, name)

    def put_into(self, name: str, groups: Iterable[str]) -> None:
        """Put a user into these groups alone."""
        self._tell("put_into", name=name, groups=list(groups))

    def seen(self, path: str = "/o/token/") -> list[Seen]:
        """The requests to one endpoint since :meth:`forget`, oldest first."""
        return [seen for row in self._tell("seen") if (seen := Seen(**row)).path == path]

    def refreshes(self) -> int:
        """Count the refresh requests since :meth:`forget`."""
        return sum(seen.grant_type == "refresh_token" for seen in self.seen())

    def forget(self) -> None:
        """Forget the requests seen so far."""
        self._tell("forget")

    def grants(self, name: str, client_id: str) -> int:
        """Count the person's refresh tokens that the server would still take."""
        return int(self._tell("grants", name=name, client_id=client_id))


class Person:
    """Somebody's browser at the server; its pages are filled in as they come."""

    def __init__(self, server: OAuthServer, name: str) -> None:
        self.name = name
        self._browser = httpx.Client(base_url=server.url, trust_env=False, verify=_TLS)
        self._submit("/login/", username=name, password=PASSWORD)

    def _submit(self, url: str, without: str = "", **filled: str) -> httpx.Response:
        page = self._browser.get(url)
        assert page.status_code == 200, page.text
        fields = {
            e.attributes["name"]: e.attributes.get("value", "")
            for e in Document(page.text).elements
            if e.tag == "input" and e.attributes.get("name")
        }
        fields.pop(without, None)
        answer = self._browser.post(url, data={**fields, **filled})
        assert answer.status_code == 302, answer.text
        return answer

    def allow(self, authorize_url: str, **changed: str) -> str:
        """Press Authorize; ``scope`` grants less than was asked.  Where the browser goes then."""
        return self._submit(authorize_url, **changed).headers["location"]

    def deny(self, authorize_url: str) -> str:
        """Press Cancel, the button without a name."""
        return self._submit(authorize_url, without="allow").headers["location"]

    def opens(self, authorize_url: str) -> httpx.Response:
        """Open the page that the server shows before anything is pressed."""
        return self._browser.get(authorize_url)

    def leaves(self, logout_url: str) -> str:
        """Confirm signing out.  Where the browser goes then."""
        return self._submit(logout_url, allow="on").headers["location"]

    def remove_access(self) -> int:
        """Remove every application on the server's own page; how many tokens were listed."""
        page = self._browser.get("/o/authorized_tokens/").text
        links = re.findall(r'href="(/o/authorized_tokens/\d+/delete/)"', page)
        for link in links:
            self._submit(link)
        return len(links)

    def whose(self, access_token: str) -> str:
        """The name behind a token at the account endpoint, or the status of its refusal."""
        headers = {"Authorization": f"Bearer {access_token}"}
        answer = self._browser.get(ENDPOINTS["account_url"], headers=headers)
        return str(answer.json()["login"] if answer.status_code == 200 else answer.status_code)

    def close(self) -> None:
        self._browser.close()


@contextmanager
def oauth_server() -> Iterator[OAuthServer]:
    """Run the server for as long as the block lasts."""
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.kit.oauth_server", folder],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with process:
            assert process.stdout
            yield OAuthServer(json.loads(process.stdout.readline())["url"], process)
            # Its standard input closes with the block, which is its sign to end.


# The server's side, in its own process

_LOGIN_PAGE = "<form method=post>{% csrf_token %}{{ form }}<button>Log in</button></form>"


class _Threads(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


class _Recorder:
    """Notes what clients send to the server, without their secrets."""

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self._app = app
        self.rows: list[dict[str, Any]] = []

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        form = dict(parse_qsl(body.decode("latin-1")))

        def noting(status: str, headers: Any, *rest: Any) -> Any:
            is_basic = environ.get("HTTP_AUTHORIZATION", "").startswith("Basic ")
            self.rows.append(
                {
                    "method": environ["REQUEST_METHOD"],
                    "path": environ["PATH_INFO"],
                    "grant_type": form.get("grant_type", ""),
                    "auth": "basic" if is_basic else "form" if "client_secret" in form else "none",
                    "status": int(status.split()[0]),
                }
            )
            return start_response(status, headers, *rest)

        return self._app({**environ, "wsgi.input": io.BytesIO(body)}, noting)


def _configure(folder: str, url: str) -> None:
    import django
    from django.conf import settings
    from django.core.management import call_command
    from joserfc.jwk import RSAKey

    apps = [
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "oauth2_provider",
    ]
    settings.configure(
        SECRET_KEY=base64.b64encode(folder.encode()).decode() * 4,
        ALLOWED_HOSTS=["127.0.0.1"],
        USE_TZ=True,
        INSTALLED_APPS=apps,
        MIGRATION_MODULES={app.rpartition(".")[2]: None for app in apps},  # tables at once
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": f"{folder}/db.sqlite3",
                "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
            }
        },
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
        LOGIN_URL="/login/",
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "OPTIONS": {
                    "context_processors": [
                        "django.template.context_processors.request",
                        "django.contrib.auth.context_processors.auth",
                    ],
                    "loaders": [
                        (
                            "django.template.loaders.locmem.Loader",
                            {"registration/login.html": _LOGIN_PAGE},
                        ),
                        "django.template.loaders.app_directories.Loader",
                    ],
                },
            }
        ],
        OAUTH2_PROVIDER={
            "SCOPES": SCOPES,
            # Most applications here get no id token, and fail where they ask for one.
            "DEFAULT_SCOPES": [scope for scope in SCOPES if scope != "openid"],
            "ACCESS_TOKEN_EXPIRE_SECONDS": ACCESS_TOKEN_SECONDS,
            "PKCE_REQUIRED": True,
            "COMPLIANT_BCP_RFC9700_PKCE_METHOD": True,  # S256 alone
            "ROTATE_REFRESH_TOKEN": True,
            "REFRESH_TOKEN_REUSE_PROTECTION": True,
            "COMPLIANT_BCP_RFC9700_AUTHZ_RESPONSE_ISS": True,
            "OIDC_ENABLED": True,
            "OIDC_ISS_ENDPOINT": f"{url}/o",
            "OIDC_RSA_PRIVATE_KEY": RSAKey.generate_key(2048).as_pem(private=True).decode(),
            "OIDC_RP_INITIATED_LOGOUT_ENABLED": True,
            "OAUTH2_VALIDATOR_CLASS": "tests.kit.oauth_claims.WithGroups",
        },
    )
    django.setup()
    settings.ROOT_URLCONF = _urls()
    call_command("migrate", run_syncdb=True, verbosity=0)


def _urls() -> tuple[Any, ...]:
    from django.contrib.auth.views import LoginView
    from django.http import JsonResponse
    from django.urls import include, path
    from oauth2_provider.decorators import protected_resource

    def account(request: Any) -> Any:
        """Under the field names of all four providers."""
        person = request.resource_owner
        name, number = person.get_username(), person.pk
        return JsonResponse(
            {
                "id": str(number),
                "sub": str(number),
                "login": name,
                "name": name,
                "email": f"{name}@provider.example",
                "userPrincipalName": f"{name}@provider.example",
                "user": {"id": str(number), "username": name},
            }
        )

    return (
        path("o/", include("oauth2_provider.urls")),
        path("login/", LoginView.as_view()),
        path("account", protected_resource(scopes=["profile"])(account)),
    )


def _orders(recorder: _Recorder) -> Mapping[str, Callable[..., Any]]:
    """Return the orders of the tests, beyond the server's own pages."""
    from django.contrib.auth.models import Group, User
    from oauth2_provider.models import Application, RefreshToken

    def add_application(client_id: str, secret: str, redirect_uris: str, signed_out: str) -> None:
        Application.objects.create(
            name=client_id,
            client_id=client_id,
            client_secret=secret,
            client_type=Application.CLIENT_CONFIDENTIAL,
            authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
            redirect_uris=redirect_uris,
            post_logout_redirect_uris=signed_out,
            algorithm=Application.RS256_ALGORITHM if signed_out else Application.NO_ALGORITHM,
        )

    def add_user(name: str, password: str, groups: list[str]) -> None:
        User.objects.create_user(name, password=password)
        put_into(name, groups)

    def put_into(name: str, groups: list[str]) -> None:
        found = [Group.objects.get_or_create(name=group)[0] for group in groups]
        User.objects.get(username=name).groups.set(found)

    def grants(name: str, client_id: str) -> int:
        owned = RefreshToken.objects.filter(user__username=name, application__client_id=client_id)
        return int(owned.filter(revoked=None).count())

    return {
        "add_application": add_application,
        "add_user": add_user,
        "put_into": put_into,
        "grants": grants,
        "seen": lambda: recorder.rows,
        "forget": recorder.rows.clear,
    }


def _obey(orders: IO[str], recorder: _Recorder) -> None:
    known = _orders(recorder)
    for line in orders:
        order = json.loads(line)
        print(json.dumps(known[order.pop("what")](**order)), flush=True)  # noqa: T201


def main(folder: str) -> None:
    """Serve until standard input ends; each line there is an order, each answer a line."""
    import threading

    server = make_server("127.0.0.1", 0, lambda *_: [], _Threads, _Quiet)
    url = f"http://127.0.0.1:{server.server_port}"
    _configure(folder, url)
    from django.core.wsgi import get_wsgi_application

    recorder = _Recorder(get_wsgi_application())
    server.set_app(recorder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps({"url": url}), flush=True)  # noqa: T201
    _obey(sys.stdin, recorder)
    server.server_close()


def query_of(url: str) -> dict[str, str]:
    """The parameters of a callback address."""
    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))


if __name__ == "__main__":
    main(sys.argv[1])
