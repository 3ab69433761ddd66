"""Guards before every request, and who may go on."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, unquote

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Scope
from structlog.testing import capture_logs

from tests.kit.every import every
from tests.kit.hostile_paths import ELSEWHERE
from webui.access.sign_in import ask_to_sign_in
from webui.fetch_metadata import is_same_origin
from webui.middleware.requests import MAX_BODY_BYTES
from webui.middleware.stack import guarded
from webui.oauth_manager.storage import Clock
from webui.sessions.sessions import Sessions, SignInNeeded
from webui.settings.settings import Settings

pytestmark = pytest.mark.anyio

ORIGIN = "https://connect.test"
SAME_ORIGIN = ("sec-fetch-site", "same-origin")


def settings(base_url: str = ORIGIN) -> Settings:
    return Settings(
        base_url=base_url,
        redis_url="unix:///unused",
        encryption_keys=(),
        session_secrets=("kX9wq2-mTzR7_pL4vB8nC1yH6jD3fG5s",),
    )


async def page(request: Request) -> Response:
    return PlainTextResponse(f"page {await request.body()!r}")


async def stored(_: Request) -> Response:
    return PlainTextResponse("static", headers={"cache-control": "public, max-age=60"})


async def gone(_: Request) -> Response:
    raise HTTPException(404)


async def moved(_: Request) -> Response:
    return RedirectResponse("/", 303)


async def broken(_: Request) -> Response:
    raise KeyError("canary")


def site() -> Starlette:
    return Starlette(
        routes=[
            Route("/", page, methods=["GET", "POST"]),
            Route("/healthz", page),
            Route("/connections/{provider}", page),
            Route("/gone", gone),
            Route("/moved", moved),
            Route("/broken", broken),
            Mount("/static", routes=[Route("/a.css", stored)]),
        ],
        max_body_size=MAX_BODY_BYTES,
    )


async def refuse(_: Scope, status: int, reason: str) -> Response:
    return PlainTextResponse(reason, status)


def behind_guards(app: ASGIApp, base_url: str = ORIGIN) -> ASGIApp:
    return guarded(app, settings(base_url), refuse)


@dataclass
class Answer:
    status: int
    headers: Headers
    body: bytes


async def ask(
    app: ASGIApp,
    path: str = "/",
    *headers: tuple[str, str],
    method: str = "GET",
    host: str | None = "connect.test",
    body: bytes = b"",
) -> Answer:
    """One request, byte for byte; an error of the site is not passed on, as by a server."""
    names = [*([("host", host)] if host is not None else []), *headers]
    scope: Scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "https",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": b"code=canary",
        "root_path": "",
        "headers": [(n.encode("latin-1"), v.encode("latin-1")) for n, v in names],
    }
    messages: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        messages.append(message)

    try:
        await app(scope, receive, send)
    except KeyError:
        assert path == "/broken"
    return Answer(
        messages[0]["status"],
        Headers(raw=messages[0]["headers"]),
        b"".join(message.get("body", b"") for message in messages[1:]),
    )


class TestHost:
    @pytest.mark.parametrize(
        ("base_url", "host"),
        [
            (ORIGIN, "connect.test"),
            (ORIGIN, "Connect.TEST"),
            ("http://127.0.0.1:8000", "127.0.0.1:8000"),
            ("http://[::1]:8000", "[::1]:8000"),
        ],
    )
    async def test_of_base_url_is_served(self, base_url: str, host: str) -> None:
        answer = await ask(behind_guards(site(), base_url), host=host)
        assert answer.status == 200

    @every("path", ["/", "/healthz", "/gone", "/static/a.css", "/moved"])
    @every(
        "host",
        [
            None,
            "",
            "evil.test",
            "connect.test:443",
            "connect.test:8443",
            "connect.test:",
            "connect.test.",
            "connect.test.evil.test",
            "evil.test/connect.test",
            "connect.test@evil.test",
            "evil.test#connect.test",
            "connect.test, evil.test",
            " connect.test",
            "connect.test\t",
            "connect.test\x00",
            "xn--connect.test",
        ],
    )
    async def test_that_is_not_ours_is_refused_everywhere(
        self, host: str | None, path: str
    ) -> None:
        answer = await ask(behind_guards(site()), path, host=host)
        assert answer.status == 400
        assert "location" not in answer.headers
        assert b"evil" not in answer.body

    async def test_given_twice_is_refused(self) -> None:
        app = behind_guards(site())
        assert (await ask(app, "/", ("host", "connect.test"))).status == 400
        assert (await ask(app, "/", ("host", "evil.test"))).status == 400

    async def test_of_another_header_counts_for_nothing(self) -> None:
        app = behind_guards(site())
        for name in ("x-forwarded-host", "forwarded", "x-host", "x-original-url"):
            answer = await ask(app, "/moved", (name, "evil.test"))
            assert answer.headers["location"] == "/"
            answer = await ask(app, "/moved", (name, "connect.test"), host="evil.test")
            assert answer.status == 400

    async def test_inside_the_target_is_refused(self) -> None:
        assert (await ask(behind_guards(site()), "http://evil.test/")).status == 400

    @given(st.text(st.characters(max_codepoint=255), max_size=40))
    def test_must_be_ours_to_the_letter(self, host: str) -> None:

        answer = anyio.run(lambda: ask(behind_guards(site()), host=host))
        assert (answer.status == 200) == (host.lower() == "connect.test")


class TestMethod:
    @pytest.mark.parametrize(
        "method",
        ["OPTIONS", "TRACE", "CONNECT", "PUT", "PATCH", "DELETE", "QUERY", "get", "X" * 99],
    )
    async def test_beyond_get_head_and_post_is_405_with_allow(self, method: str) -> None:
        answer = await ask(behind_guards(site()), "/", SAME_ORIGIN, method=method)
        assert answer.status == 405
        assert answer.headers["allow"] == "GET, HEAD, POST"
        assert not [name for name in answer.headers if name.startswith("access-control")]

    async def test_is_what_it_is_whatever_a_header_says(self) -> None:
        header = ("x-http-method-override", "POST")
        answer = await ask(behind_guards(site()), "/gone", header, method="GET")
        assert answer.status == 404

    async def test_websocket_is_closed_before_it_is_accepted(self) -> None:
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "websocket.connect"}

        async def send(message: Message) -> None:
            sent.append(message)

        await behind_guards(site())({"type": "websocket", "headers": []}, receive, send)
        assert [message["type"] for message in sent] == ["websocket.close"]


OURS = [ORIGIN]
ORIGIN_MATRIX = [
    # Sec-Fetch-Site, Origin, allowed
    (["same-origin"], OURS, True),
    (["same-origin"], [], True),
    (["same-origin"], ["null"], True),  # a form on a page that has no-referrer
    ([], OURS, True),
    ([], [], False),
    ([], ["null"], False),
    ([], ["https://evil.test"], False),
    ([], ["http://connect.test"], False),
    ([], ["https://connect.test:8443"], False),
    ([], ["https://connect.test/"], False),
    ([], ["https://connect.test.evil.test"], False),
    ([], ["https://sub.connect.test"], False),
    ([], [*OURS, *OURS], False),
    ([], [""], False),
    (["same-site"], OURS, False),
    (["same-site"], [], False),
    (["cross-site"], OURS, False),
    (["cross-site"], ["null"], False),
    (["none"], [], False),
    (["none"], OURS, False),
    (["same-origin"], ["https://evil.test"], False),
    (["same-origin", "same-origin"], OURS, False),
    (["same-origin", "cross-site"], OURS, False),
    (["Same-Origin"], [], False),
    ([""], OURS, False),
]


class TestABodyThatBreaksOff:
    async def test_reaches_no_page_and_is_answered_by_nobody(self) -> None:
        parts: list[Message] = [
            {"type": "http.request", "body": b"a=", "more_body": True},
            {"type": "http.disconnect"},
        ]
        sent: list[Message] = []

        async def receive() -> Message:
            return parts.pop(0)

        async def send(message: Message) -> None:
            sent.append(message)

        async def unreached(*_: object) -> None:
            raise AssertionError

        headers = [(b"host", b"connect.test"), (b"sec-fetch-site", b"same-origin")]
        scope = {"type": "http", "method": "POST", "path": "/", "headers": headers}
        await behind_guards(unreached)({**scope, "query_string": b""}, receive, send)
        assert sent == []


class TestCrossSite:
    @every(("sites", "origins", "allowed"), ORIGIN_MATRIX)
    async def test_post_is_for_our_own_pages_alone(
        self, sites: list[str], origins: list[str], allowed: bool
    ) -> None:
        headers = [("sec-fetch-site", v) for v in sites] + [("origin", v) for v in origins]
        app = behind_guards(site())
        for more in ([], [("hx-request", "true")], [("cookie", "__Host-session=x")]):
            answer = await ask(app, "/", *headers, *more, method="POST")
            assert answer.status == (200 if allowed else 403)

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    async def test_reading_is_for_everybody(self, method: str) -> None:
        app = behind_guards(site())
        answer = await ask(app, "/", ("sec-fetch-site", "cross-site"), method=method)
        assert answer.status == 200

    @given(st.lists(st.text(st.characters(max_codepoint=255)), max_size=2))
    def test_no_other_origin_is_ours(self, origins: list[str]) -> None:
        headers = Headers(raw=[(b"origin", origin.encode("latin-1")) for origin in origins])
        assert not is_same_origin(headers, ORIGIN)


class TestEveryResponse:
    @pytest.mark.parametrize(
        ("path", "method", "status"),
        [
            ("/", "GET", 200),
            ("/", "HEAD", 200),
            ("/moved", "GET", 303),
            ("/nowhere", "GET", 404),
            ("/gone", "GET", 404),
            ("/gone", "POST", 405),
            ("/", "DELETE", 405),
            ("/broken", "GET", 500),
            ("/static/a.css", "GET", 200),
            ("/healthz", "GET", 200),
        ],
    )
    async def test_has_the_security_headers(self, path: str, method: str, status: int) -> None:
        answer = await ask(behind_guards(site()), path, SAME_ORIGIN, method=method)
        assert answer.status == status
        assert_secure(answer)

    async def test_that_refuses_has_them_too(self) -> None:
        app = behind_guards(site())
        too_long = b"x" * (MAX_BODY_BYTES + 1)
        for answer in (
            await ask(app, host="evil.test"),
            await ask(app, method="POST"),
            await ask(app, "/", SAME_ORIGIN, method="POST", body=too_long),
        ):
            assert answer.status in (400, 403, 413)
            assert_secure(answer)

    @pytest.mark.parametrize(
        ("path", "policy"),
        [
            ("/oauth/github/callback", "no-referrer"),
            ("/oauth/github/callback/", "no-referrer"),
            ("/oauth/github/callback%2f", "no-referrer"),
            ("/signin/sso/callback", "no-referrer"),
            ("/signin/sso", "same-origin"),
            ("/oauth/github/authorize", "same-origin"),
            ("/support/people/oauth/callback", "same-origin"),
            ("/connect/proof", "same-origin"),
        ],
    )
    async def test_tells_our_own_pages_alone_its_address_and_nobody_that_of_a_callback(
        self, path: str, policy: str
    ) -> None:
        answer = await ask(behind_guards(site()), path)
        assert answer.headers["referrer-policy"] == policy

    async def test_on_loopback_http_has_no_hsts(self) -> None:
        app = behind_guards(site(), "http://127.0.0.1:8000")
        answer = await ask(app, host="127.0.0.1:8000")
        assert "strict-transport-security" not in answer.headers

    async def test_is_not_stored_unless_it_says_so(self) -> None:
        app = behind_guards(site())
        personal, static = await ask(app, "/"), await ask(app, "/static/a.css")
        assert personal.headers["cache-control"] == "no-store"
        assert personal.headers["vary"] == "Cookie, HX-Request"
        assert static.headers["cache-control"] == "public, max-age=60"
        assert "vary" not in static.headers

    async def test_cannot_weaken_the_policy(self) -> None:
        async def lax(scope: Scope, receive: object, send: object) -> None:
            headers = {"content-security-policy": "default-src *", "referrer-policy": "unsafe-url"}
            await PlainTextResponse("", headers=headers)(scope, receive, send)  # type: ignore[arg-type]

        assert_secure(await ask(behind_guards(lax)))

    async def test_of_a_body_that_is_too_long_is_413(self) -> None:
        app = behind_guards(site())
        fits = await ask(app, "/", SAME_ORIGIN, method="POST", body=b"x" * MAX_BODY_BYTES)
        assert fits.status == 200
        for headers in ([], [("content-length", str(MAX_BODY_BYTES + 1))]):
            body = b"x" * (MAX_BODY_BYTES + 1)
            answer = await ask(app, "/", SAME_ORIGIN, *headers, method="POST", body=body)
            assert answer.status == 413

    async def test_that_refuses_can_be_a_page(self) -> None:
        seen = []

        async def refuse(scope: Scope, status: int, reason: str) -> Response:
            seen.append((status, reason))
            return HTMLResponse(f"<h1>{reason}</h1>", status)

        app = guarded(site(), settings(), refuse)
        assert (await ask(app, host="evil.test")).body == b"<h1>host</h1>"
        assert (await ask(app, method="PUT")).headers["allow"] == "GET, HEAD, POST"
        assert (await ask(app, method="POST")).status == 403
        null = ("origin", "null")
        assert (await ask(app, "/", null, method="POST")).status == 403
        for said in (("origin", "https://evil.test"), ("sec-fetch-site", "cross-site")):
            assert (await ask(app, "/", said, null, method="POST")).status == 403
        assert seen == [
            (400, "host"),
            (405, "method"),
            *[(403, "unsaid")] * 2,
            *[(403, "cross-site")] * 2,
        ]


def assert_secure(answer: Answer) -> None:
    policy = dict(
        (directive.split(" ", 1))
        for directive in answer.headers["content-security-policy"].split("; ")
    )
    assert policy.pop("default-src") == "'none'"
    assert policy.pop("base-uri") == "'none'"
    assert policy.pop("frame-ancestors") == "'none'"
    assert set(policy) == {"script-src", "style-src", "img-src", "connect-src", "form-action"}
    assert set(policy.values()) == {"'self'"}
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert "camera=()" in answer.headers["permissions-policy"]
    assert "cache-control" in answer.headers


class TestAccessLog:
    async def line(self, path: str, method: str = "GET", host: str = "connect.test") -> dict:  # type: ignore[type-arg]
        with capture_logs() as lines:
            await ask(behind_guards(site()), path, SAME_ORIGIN, method=method, host=host)
        (line,) = lines
        return dict(line)

    @pytest.mark.parametrize(
        ("path", "route", "status"),
        [
            ("/connections/canary", "/connections/{provider}", 200),
            ("/nowhere/canary", "unmatched", 404),
            ("/broken", "/broken", 500),
            ("/%0d%0acanary", "unmatched", 404),
        ],
    )
    async def test_names_the_route_and_never_the_path_or_query(
        self, path: str, route: str, status: int
    ) -> None:
        line = await self.line(path)
        assert (line["method"], line["route"], line["status"]) == ("GET", route, status)
        assert line["ms"] >= 0
        assert "canary" not in str(line)

    async def test_has_a_line_for_what_was_refused(self) -> None:
        assert (await self.line("/", host="evil.test"))["status"] == 400
        line = await self.line("/", method="CANARY")
        assert (line["status"], line["method"]) == (405, "other")

    async def test_gives_every_request_an_id_that_the_page_can_show(self) -> None:
        ids = []

        async def show(request: Request) -> Response:
            ids.append(request.state.request_id)
            return PlainTextResponse("")

        app = behind_guards(Starlette(routes=[Route("/", show)]))
        for _ in range(2):
            await ask(app)
        assert len(set(ids)) == 2
        assert all(re.fullmatch("[0-9a-f]{16}", request_id) for request_id in ids)


class TestSigningIn:
    @pytest.fixture
    def app(self, redis: Redis) -> ASGIApp:
        sessions = Sessions(redis, settings(), Clock())

        async def home(request: Request) -> Response:
            session = await sessions.require(request)
            return PlainTextResponse(session.user)

        async def who(request: Request) -> Response:
            return PlainTextResponse(
                session.user if (session := await sessions.load(request)) else "nobody"
            )

        async def sign_in(request: Request) -> Response:
            await sessions.start(request, "ann")
            return PlainTextResponse("")

        return behind_guards(
            Starlette(
                routes=[
                    Route("/connections", home),
                    Route("/connections/{p}/connect", home, methods=["POST"]),
                    Route("/oauth/{p}/callback", home),
                    Route("/who", who),
                    Route("/in", sign_in),
                ],
                exception_handlers={SignInNeeded: ask_to_sign_in},
            )
        )

    async def test_a_page_leads_to_signing_in_and_back(self, app: ASGIApp) -> None:
        answer = await ask(app, "/connections")
        assert answer.status == 303
        assert answer.headers["location"] == "/signin?next=/connections"

    async def test_what_was_sent_is_not_sent_again(self, app: ASGIApp) -> None:
        answer = await ask(app, "/connections/github/connect", SAME_ORIGIN, method="POST")
        assert answer.headers["location"] == "/signin?next=/connections"

    async def test_no_page_that_is_not_listed_is_kept(self, app: ASGIApp) -> None:
        answer = await ask(app, "/oauth/github/callback")
        assert answer.headers["location"] == "/signin?next=/connections"

    async def test_htmx_is_told_to_leave_the_page(self, app: ASGIApp) -> None:
        answer = await ask(app, "/connections", ("hx-request", "true"))
        assert answer.status == 401
        assert answer.headers["hx-redirect"] == "/signin?next=/connections"
        assert answer.body == b""

    async def test_who_is_signed_in_goes_on(self, app: ASGIApp) -> None:
        assert (await ask(app, "/who")).body == b"nobody"
        cookie = (await ask(app, "/in")).headers["set-cookie"].partition(";")[0]
        assert (await ask(app, "/connections", ("cookie", cookie))).body == b"ann"
        assert (await ask(app, "/who", ("cookie", cookie))).body == b"ann"

    async def test_a_bad_cookie_is_taken_back_with_the_redirect(self, app: ASGIApp) -> None:
        answer = await ask(app, "/connections", ("cookie", "__Host-session=junk"))
        assert answer.status == 303
        assert "Max-Age=0" in answer.headers["set-cookie"]


def test_hostile_paths_never_make_a_server_error_or_another_route() -> None:

    async def all_of(paths: Iterable[str]) -> None:
        app = behind_guards(site())
        for path in paths:
            answer = await ask(app, quote(path))
            assert answer.status in (200, 400, 404), path
            assert "location" not in answer.headers

    anyio.run(all_of, [path for path in ELSEWHERE if path])
