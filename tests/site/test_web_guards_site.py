"""Every address of the site under every kind of request: nothing changes, nothing breaks."""

from __future__ import annotations

import random
import socket
import string
from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis
from starlette.types import Receive, Scope, Send

from tests.kit.every import every
from tests.kit.library import BASE_URL, KEY, fake_provider, providers_config
from tests.kit.site_fixtures import (
    FROM_OUR_PAGE,
    HTMX,
    Browser,
    Place,
    SiteProcess,
    but_reference,
    free_port,
    serving,
    shown_code,
    site_at,
    site_environment,
)
from webui.middleware.requests import MAX_BODY_BYTES
from webui.oauth_manager import OAuthManager
from webui.routes import routes

pytestmark = pytest.mark.anyio

UNKNOWN = "u" * 43
FILLED = {
    "{provider}": "github",
    "{code}": UNKNOWN,
    "{path:path}": "app.css",
    "{user_id}": "ann",
}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY", "NONSENSE")

FOREIGN: tuple[dict[str, str], ...] = (
    {},
    {"sec-fetch-site": "cross-site", "origin": "https://evil.example"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site", "origin": "https://sibling.bot.example"},
    {"sec-fetch-site": "none"},
    {"sec-fetch-site": "same-origin", "origin": "https://evil.example"},
    {"sec-fetch-site": "Same-Origin"},
    {"sec-fetch-site": "same-origin, cross-site"},
    {"origin": "null"},
    {"origin": "http://bot.example"},
    {"origin": "https://bot.example:8443"},
    {"origin": "https://bot.example.evil.example"},
    {"origin": "https://sibling.bot.example"},
    {"referer": f"{BASE_URL}/connections"},
    HTMX,
    {**HTMX, "hx-current-url": f"{BASE_URL}/connections", "x-requested-with": "XMLHttpRequest"},
)


def paths() -> dict[str, set[str]]:
    """Every address of the site, filled in, with the methods it takes."""
    found: dict[str, set[str]] = {}
    for route in routes():
        path = route.path
        for name, value in FILLED.items():
            path = path.replace(name, value)
        found.setdefault(path, set()).update(route.methods or ())
    return found


PATHS = paths()
POSTS = sorted(path for path, methods in PATHS.items() if "POST" in methods)
ONLY_POSTS = sorted(path for path, methods in PATHS.items() if methods == {"POST"})


@pytest.fixture
async def connected(place: Place, ann: Browser) -> Browser:
    """ann, connected to GitHub."""
    await place.connect(ann, "github")
    return ann


async def everything(redis: Redis) -> dict[bytes, bytes | None]:
    """Dump Redis, but for counts of tries, references, what support was denied, and lives."""
    return {
        key: await redis.dump(key)
        for key in sorted([key async for key in redis.scan_iter()])
        if not key.startswith(
            (b"stargazer:web_limit", b"stargazer:web_reference", b"stargazer:oauth_audit")
        )
    }


class TestAForeignPage:
    @pytest.mark.parametrize("path", POSTS)
    async def test_cannot_post_anything(self, place: Place, connected: Browser, path: str) -> None:
        before = await everything(place.redis)
        calls = dict(place.fake.calls)
        types = (
            "application/x-www-form-urlencoded",
            "text/plain",
            "multipart/form-data; boundary=x",
        )
        for headers, media_type in product(FOREIGN, types):
            answer = await connected.client.post(
                path, content=b"a=b", headers={**headers, "content-type": media_type}
            )
            assert answer.status_code == 403, headers
            assert "set-cookie" not in answer.headers
        assert await everything(place.redis) == before
        assert place.fake.calls == calls

    async def test_cannot_send_a_header_twice(self, place: Place, connected: Browser) -> None:
        doubled = [
            [("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")],
            [("origin", BASE_URL), ("origin", "https://evil.example")],
            [("sec-fetch-site", "same-origin"), ("sec-fetch-site", "same-origin")],
        ]
        for headers in doubled:
            answer = await connected.client.post("/connections/github/disconnect", headers=headers)
            assert answer.status_code == 403
        assert await connected.state_of("github") == "connected"

    async def test_is_told_apart_from_an_old_browser_of_ours(
        self, place: Place, connected: Browser
    ) -> None:
        answer = await connected.client.post(
            "/connections/github/disconnect", headers={"origin": BASE_URL}
        )
        assert answer.status_code == 303
        assert place.fake.calls["revoke"] == 1

    async def test_gets_no_permission_to_read(self, connected: Browser) -> None:
        for method in ("GET", "OPTIONS", "POST"):
            answer = await connected.client.request(
                method,
                "/connections",
                headers={
                    "origin": "https://evil.example",
                    "access-control-request-method": "POST",
                },
            )
            assert not [name for name in answer.headers if name.startswith("access-control")]

    async def test_is_told_so_in_the_alert_where_htmx_asked(self, connected: Browser) -> None:
        answer = await connected.client.post("/connections/github/disconnect", headers=HTMX)
        assert answer.status_code == 403
        assert answer.headers["x-fragment"] == "1"
        assert answer.headers["hx-retarget"] == "#page-alert"


class TestReading:
    OVERRIDES = (
        {"x-http-method-override": "POST"},
        {"x-http-method": "POST"},
        {"x-method-override": "DELETE"},
        {"content-type": "application/x-www-form-urlencoded"},
    )

    @pytest.mark.parametrize("path", sorted(PATHS))
    async def test_changes_nothing(self, place: Place, connected: Browser, path: str) -> None:
        before = await everything(place.redis)
        calls = dict(place.fake.calls)
        for method, headers in product(("GET", "HEAD"), ({}, HTMX, *self.OVERRIDES, FROM_OUR_PAGE)):
            await connected.client.request(
                method, f"{path}?_method=POST&method=delete", headers=headers
            )
        assert await everything(place.redis) == before
        assert place.fake.calls == calls

    @every("path", ONLY_POSTS)
    @every("method", ["GET", "HEAD"])
    async def test_what_is_only_for_posting_is_405(
        self, connected: Browser, path: str, method: str
    ) -> None:
        answer = await connected.client.request(method, path, headers=FROM_OUR_PAGE)
        assert answer.status_code == 405
        assert answer.headers["allow"] == "POST"

    @every("path", sorted(PATHS))
    async def test_with_head_is_getting_without_the_body(
        self, connected: Browser, path: str
    ) -> None:
        got, head = [await connected.client.request(m, path) for m in ("GET", "HEAD")]
        if path.endswith("/callback"):
            assert head.status_code == 405
        else:
            assert head.status_code == got.status_code != 429
            assert head.headers.get("location") == got.headers.get("location")


class TestEveryRequest:
    @pytest.mark.parametrize("path", sorted(PATHS))
    async def test_with_every_method_gets_an_answer_that_is_no_failure(
        self, place: Place, ann: Browser, path: str
    ) -> None:
        nobody = await place.browser()
        for browser, method, htmx in product((ann, nobody), METHODS, ({}, HTMX)):
            answer = await browser.client.request(
                method, path, headers={**FROM_OUR_PAGE, **htmx}, content=b"a=b"
            )
            assert answer.status_code < 500, (method, path)
            if method not in ("GET", "HEAD", "POST"):
                assert answer.status_code == 405
                assert "GET" in answer.headers["allow"]
            if "/signout" in path and method == "POST":
                ann = await place.signed_in("ann")

    @every("path", sorted(PATHS))
    async def test_for_a_foreign_host_is_refused_without_naming_it(
        self, ann: Browser, path: str
    ) -> None:
        hosts = ["evil.example", "bot.example:443", "bot.example.", "bot.example@evil.example", ""]
        for method, host in product(("GET", "HEAD", "POST"), hosts):
            answer = await ann.client.request(
                method,
                path,
                headers={"host": host, "x-forwarded-host": "evil.example", **FROM_OUR_PAGE},
            )
            assert answer.status_code == 400, host
            assert "location" not in answer.headers
            assert "evil" not in answer.text + str(answer.headers)

    async def test_may_claim_any_address_or_person_and_is_not_believed(self, place: Place) -> None:
        claims = {
            "x-forwarded-for": "127.0.0.1",
            "x-forwarded-proto": "http",
            "x-forwarded-host": "evil.example",
            "x-forwarded-uri": "/signed-out",
            "x-forwarded-user": "ann",
            "x-forwarded-email": "ann@example.org",
            "x_forwarded_for": "127.0.0.1",
            "forwarded": "for=127.0.0.1;host=evil.example;proto=http",
            "x-real-ip": "127.0.0.1",
            "x-user-id": "ann",
            "remote-user": "ann",
            "x-original-url": "/healthz",
            "x-rewrite-url": "/healthz",
        }
        nobody = await place.browser()
        answer = await nobody.get("/connections", headers=claims)
        assert answer.headers["location"] == "/signin?next=/connections"
        assert "evil" not in answer.text + str(answer.headers)

    async def test_counts_for_its_real_address(self, place: Place) -> None:
        """A forged X-Forwarded-For lifts no limit"""
        guesser = await place.browser()
        answers = [
            await guesser.get(
                f"/connect/{UNKNOWN[:40]}{i:03}", headers={"x-forwarded-for": f"198.51.100.{i}"}
            )
            for i in range(90)
        ]
        assert {answer.status_code for answer in answers} == {410, 429}
        assert answers[-1].headers["retry-after"].isdigit()


class TestEveryResponse:
    POLICY = (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )

    def check(self, answer: httpx.Response) -> None:
        headers = answer.headers
        policy = [part.strip() for part in headers["content-security-policy"].split(";")]
        assert set(self.POLICY) <= set(policy)
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["strict-transport-security"].startswith("max-age=31536000")
        assert headers["x-content-type-options"] == "nosniff"
        is_callback = answer.request.url.path.endswith("/callback")
        assert headers["referrer-policy"] == ("no-referrer" if is_callback else "same-origin")
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in headers
        for name in ("content-security-policy", "cache-control", "referrer-policy"):
            assert len(headers.get_list(name)) == 1

    async def test_of_every_class_has_the_headers(
        self, place: Place, connected: Browser, redis_url: str
    ) -> None:
        redis = place.redis
        ann, nobody = connected, await place.browser()
        code = await place.bot.create_link_code(redis, "ann", provider="github")
        answers = {
            "page": await ann.get("/connections"),
            "fragment": await ann.get("/connections/github", htmx=True),
            "hand-off": await ann.post("/connections/google/connect"),
            "hand-off by header": await ann.post("/connections/google/connect", htmx=True),
            "redirect": await nobody.get("/connections"),
            "htmx 401": await nobody.get("/connections/github", htmx=True),
            "landing": await nobody.get(f"/connect/{code}"),
            "204": await self.waiting(place, code),
            "400": await ann.come_back("/oauth/github/callback"),
            "400 host": await ann.get("/", headers={"host": "evil.example"}),
            "401": await nobody.get("/oauth/status"),
            "403": await ann.client.post("/signout"),
            "404": await ann.get("/nowhere"),
            "405": await ann.get("/signout"),
            "405 method": await ann.client.request("BREW", "/"),
            "410": await nobody.get(f"/connect/{UNKNOWN}"),
            "413": await ann.client.post(
                "/connections/github/connect",
                content=b"a=" + b"b" * MAX_BODY_BYTES,
                headers={**FROM_OUR_PAGE, "content-type": "application/x-www-form-urlencoded"},
            ),
            "health": await nobody.get("/healthz"),
            "ready": await nobody.get("/readyz"),
            "json": await ann.get("/oauth/status"),
        }
        for name, answer in answers.items():
            self.check(answer)
            assert answer.headers["cache-control"] == "no-store", name
            if name[:3].isdigit():
                assert answer.status_code == int(name[:3])
        static = [await nobody.get("/static/app.css"), await nobody.get("/static/none.css")]
        for answer in static:
            self.check(answer)
        assert [answer.status_code for answer in static] == [200, 404]

    async def waiting(self, place: Place, code: str) -> httpx.Response:
        phone = await place.browser()
        await phone.post(f"/connect/{code}/start")
        return await phone.get("/connect/proof", htmx=True)

    async def test_that_nobody_thought_of_has_them_and_says_nothing_of_the_cause(
        self, redis_url: str, redis: Redis, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def broken(scope: Scope, receive: Receive, send: Send) -> None:
            raise KeyError("canary of an error")

        async with site_at(redis_url, redis, provider_app=broken) as place:
            ann = await place.signed_in("ann")
            callback = place.fake.authorize(await ann.begin("github"))
            answer = await ann.come_back(callback + "&debug=1")
        assert answer.status_code == 503
        self.check(answer)
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-type"].startswith("text/html")
        for word in ("canary", "KeyError", "Traceback", "webui", "starlette"):
            assert word not in answer.text
        (line,) = [r.getMessage() for r in caplog.records if "unexpected" in r.getMessage()]
        assert line[-6:] in answer.text

    async def test_that_is_personal_says_that_it_differs(self, connected: Browser) -> None:
        for path, htmx in product(("/connections", "/connections/github", "/"), (True, False)):
            answer = await connected.get(path, htmx=htmx)
            vary = {name.strip().lower() for name in answer.headers["vary"].split(",")}
            assert {"cookie", "hx-request"} <= vary

    async def test_has_no_version_and_no_host_in_it(self, place: Place) -> None:
        nobody = await place.browser()
        for path in ("/healthz", "/readyz"):
            assert (await nobody.get(path)).text in ("ok\n", "ready\n")
        for path in ("/docs", "/openapi.json", "/metrics", "/debug", "/server-status"):
            assert (await nobody.get(path)).status_code == 404


class TestAJunkCookie:
    def mutations(self, good: str) -> Iterator[str]:
        rng = random.Random(14)  # noqa: S311
        alphabet = string.ascii_letters + string.digits + "-_.=%\"'\\ @\xe9\xff"
        yield from ("", ".", "=", "null", "{}", '"' + good + '"', good + "=", good[:-1], good[::-1])
        yield from (good + good, good.swapcase(), "%00", "A" * 5000, good.partition(".")[0])
        for _ in range(150):
            position = rng.randrange(len(good) - 1)  # the last carries bits that do not count
            yield good[:position] + rng.choice(alphabet) + good[position + 1 :]
        for _ in range(50):
            yield "".join(rng.choices(alphabet, k=rng.randrange(200)))

    @pytest.mark.parametrize("name", ["__Host-session", "__Host-proof"])
    async def test_is_nobodys_and_never_a_failure(
        self, place: Place, ann: Browser, name: str
    ) -> None:
        good = ann.client.cookies["__Host-session"]
        nobody = await place.browser()
        for value in self.mutations(good):
            if value == good:
                continue
            headers = {"cookie": f"{name}={value}".encode("latin-1")}
            answer = await nobody.client.get("/connections", headers=headers)  # type: ignore[arg-type]
            assert answer.status_code == 303, value
            answer = await nobody.client.get("/connect/proof", headers=headers)  # type: ignore[arg-type]
            ends = ("/connect/ended/dead", "/connect/ended/other-browser")
            assert answer.status_code == 429 or answer.headers["location"] in ends, value

    async def test_is_taken_back(self, place: Place) -> None:
        nobody = await place.browser()
        answer = await nobody.get("/connections", headers={"cookie": "__Host-session=junk"})
        assert answer.headers["set-cookie"].startswith("__Host-session=; Max-Age=0;")

    async def test_beside_a_good_one_makes_both_worthless(self, place: Place, ann: Browser) -> None:
        good = ann.client.cookies["__Host-session"]
        nobody = await place.browser()
        for value in (
            f"__Host-session={good}; __Host-session=junk",
            f"__Host-session=junk; __Host-session={good}",
        ):
            answer = await nobody.get("/connections", headers={"cookie": value})
            assert answer.status_code == 303

    async def test_over_a_record_of_another_shape_is_nobodys(
        self, place: Place, ann: Browser
    ) -> None:
        (key,) = [key async for key in place.redis.scan_iter("stargazer:web_session:*")]
        for spoil in ("list", "hash", "text"):
            await place.redis.delete(key)
            if spoil == "list":
                await place.redis.rpush(key, "user")
            elif spoil == "hash":
                await place.redis.hset(key, mapping={"user": b"\xff", "created": "soon"})
            else:
                await place.redis.set(key, "{}")
            answer = await ann.get("/connections")
            assert answer.status_code == 303


class TestABody:
    TYPES = ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain")

    async def post(self, browser: Browser, path: str, body: bytes, media_type: str) -> int:
        answer = await browser.client.post(
            path, content=body, headers={**FROM_OUR_PAGE, "content-type": media_type}
        )
        return answer.status_code

    @pytest.mark.parametrize("path", POSTS)
    async def test_of_any_shape_is_no_failure(
        self, place: Place, connected: Browser, path: str
    ) -> None:
        if path == "/signout":
            return
        bodies = (
            b"",
            b"\xff\xfe\x00",
            b"a=%zz&=&&==&%00=%00",
            b"return=" + b"x" * 60_000,
            b"&".join(b"f%d=1" % i for i in range(10_000)),
            b"--x\r\n\r\n--x--",
            b'--x\r\nContent-Disposition: form-data; name="return"\r\n\r\ndetail\r\n--x--\r\n',
            b"--x\r\n" * 10_000,
            b'--x\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'
            + b"z" * 60_000,
            b"{" * 60_000,
        )
        browser = await place.browser(connected)
        for number, (body, media_type) in enumerate(product(bodies, self.TYPES)):
            if number % 12 == 0:  # a new address meets no limit
                browser = await place.browser(connected)
            assert await self.post(browser, path, body, media_type) < 500

    async def test_that_is_too_long_is_413_where_it_is_read(
        self, place: Place, connected: Browser
    ) -> None:
        for media_type in self.TYPES[:2]:
            body = b"return=" + b"x" * MAX_BODY_BYTES
            for path in ("connect", "disconnect", "dismiss"):
                path = f"/connections/github/{path}"
                assert await self.post(connected, path, body, media_type) == 413
        assert await connected.state_of("github") == "connected"


# Over a real socket, byte for byte


@pytest.fixture(scope="module")
def process(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SiteProcess]:
    base_url = f"http://127.0.0.1:{free_port()}"
    environment = site_environment(base_url, redis_url, providers_config(fake_provider()))
    # The fake is at an address that does not exist; here nobody ever asks it.
    environment = {k: v.replace("provider.example", "127.0.0.1:9") for k, v in environment.items()}
    with serving(environment, tmp_path_factory.mktemp("guards")) as site:
        yield site


def send(process: SiteProcess, data: bytes | Iterable[bytes], *, hang_up: bool = False) -> bytes:
    """Everything the server answers until it closes the connection."""
    with socket.create_connection(process.address, 10) as connection:
        try:
            for chunk in [data] if isinstance(data, bytes) else data:
                connection.sendall(chunk)
            if hang_up:
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it has hung up already; what it said is still to be read
        answer = b""
        try:
            while piece := connection.recv(1 << 16):
                answer += piece
        except ConnectionResetError:
            pass
        return answer


def statuses(answer: bytes) -> list[int]:
    """The statuses of all the answers on one connection."""
    return [int(part[3:6]) for part in answer.split(b"HTTP/1")[1:]]


def framed(
    process: SiteProcess, headers: bytes, body: bytes = b"", path: bytes = b"/signout"
) -> bytes:
    host = b"%s:%d" % (process.address[0].encode(), process.address[1])
    return b"POST %s HTTP/1.1\r\nHost: %s\r\nSec-Fetch-Site: same-origin\r\n%s\r\n%s" % (
        path,
        host,
        headers,
        body,
    )


FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
SMUGGLED = b"GET /healthz HTTP/1.1\r\nHost: %s\r\n\r\n"


class TestFraming:
    CASES = (
        (b"Content-Length: 6\r\n" + CHUNKED, b"0\r\n\r\nGET"),
        (CHUNKED + b"Content-Length: 6\r\n", b"0\r\n\r\nGET"),
        (b"Content-Length: 3\r\nContent-Length: 4\r\n", b"abcd"),
        (b"Content-Length: 3, 4\r\n", b"abcd"),
        (b"Content-Length: +3\r\n", b"abc"),
        (b"Content-Length: -1\r\n", b""),
        (b"Content-Length: 0x3\r\n", b"abc"),
        (b"Content-Length: 99999999999999999999999\r\n", b""),
        (b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"),
        (b"Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n"),
        (b"Transfer-Encoding: identity, chunked\r\n", b"0\r\n\r\n"),
        (b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n"),
        (b"Transfer-Encoding:\x0bchunked\r\n", b"0\r\n\r\n"),
        (CHUNKED + CHUNKED, b"0\r\n\r\n"),
        (b"X: a\r\n b\r\nContent-Length : 3\r\n", b"abc"),
        (b"X\x00Y: a\r\n", b""),
        (b"X: a\x00b\r\n", b""),
    )

    @pytest.mark.parametrize("case", range(len(CASES)))
    def test_that_can_be_read_two_ways_is_refused_and_poisons_nothing(
        self, process: SiteProcess, case: int
    ) -> None:
        headers, body = self.CASES[case]
        host = b"%s:%d" % (process.address[0].encode(), process.address[1])
        answer = send(process, framed(process, headers, body) + SMUGGLED % host, hang_up=True)
        assert statuses(answer) == [400]

    @pytest.mark.parametrize("chunk", [b"zz\r\n", b"-1\r\n", b"0x3\r\nabc\r\n", b"3\r\nabcdef\r\n"])
    def test_with_a_bad_chunk_is_refused_and_poisons_nothing(
        self, process: SiteProcess, chunk: bytes
    ) -> None:
        host = b"%s:%d" % (process.address[0].encode(), process.address[1])
        data = framed(process, FORM + CHUNKED, chunk + b"0\r\n\r\n", b"/connect/proof/decline")
        answer = send(process, data + SMUGGLED % host, hang_up=True)
        assert b"ok\n" not in answer

    def test_with_bare_line_feeds_is_one_request_or_none(self, process: SiteProcess) -> None:
        host = b"%s:%d" % (process.address[0].encode(), process.address[1])
        data = b"GET /healthz HTTP/1.1\nHost: " + host + b"\nX: y\n\n"
        assert statuses(send(process, data, hang_up=True)) in ([200], [400])

    @pytest.mark.parametrize(
        "target",
        [
            b"http://evil.example/connections",
            b"http://127.0.0.1/connections",
            b"https://evil.example:443/",
            b"*",
            b"evil.example:443",
            b"connections",
            b"http:///healthz",
        ],
    )
    def test_with_a_target_that_is_no_path_is_refused(
        self, process: SiteProcess, target: bytes
    ) -> None:
        host = b"%s:%d" % (process.address[0].encode(), process.address[1])
        for method in (b"GET", b"OPTIONS", b"CONNECT"):
            data = b"%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n"
            answer = send(process, data % (method, target, host))
            assert set(statuses(answer)) <= {400, 405}
            assert b"evil" not in answer

    def test_without_a_host_or_with_two_is_refused(self, process: SiteProcess) -> None:
        host = b"%s:%d" % (process.address[0].encode(), process.address[1])
        for lines in (
            b"",
            b"Host: %s\r\nHost: %s\r\n" % (host, host),
            b"Host: %s\r\nHost: evil.example\r\n" % host,
            b"Host:\r\n",
        ):
            data = b"GET /healthz HTTP/1.1\r\n" + lines + b"Connection: close\r\n\r\n"
            assert statuses(send(process, data)) == [400]

    def test_of_http_1_0_is_held_to_the_host_too(self, process: SiteProcess) -> None:
        assert statuses(send(process, b"GET /connections HTTP/1.0\r\n\r\n")) == [400]


class TestAStrangePath:
    PATHS = (
        "//connections",
        "/connections/",
        "/connections//github",
        "/./connections",
        "/../connections",
        "/connections/../connections",
        "/connections/%2e%2e/support",
        "/connections/github%00",
        "/connections/github%0d%0aX-Injected:%201",
        "/connections/github;x=1",
        "/CONNECTIONS",
        "/connections/GitHub",
        "/connections/g%d1%96thub",
        "/connections/%c0%af",
        "/connections/%ff%fe",
        "/connections/github/disconnect/",
        "/oauth/github/callback/",
        "/connect/",
        "/connect//start",
        "/connect/..%2fproof",
        "/static/../webui/app.py",
        "/static/%2e%2e/pyproject.toml",
        "/static/..%2f..%2fetc/passwd",
        "/static/%2fetc%2fpasswd",
        "/static/",
        "/static/app.js/../../x",
        "/.env",
        "/%",
        "/%zz",
        "/\\evil.example",
        "/connections\\github",
    )

    ENCODED_SLASHES = ("/connections%2fgithub", "/oauth%2Fgithub%2Fauthorize", "/%2fconnections")

    @pytest.fixture
    async def cookie(self, process: SiteProcess, redis: Redis) -> bytes:
        """The header of a browser that is signed in at the process."""
        bot = OAuthManager(KEY, process.base_url)
        code = await bot.create_link_code(redis, "ann")
        async with httpx.AsyncClient(base_url=process.base_url, headers=FROM_OUR_PAGE) as client:
            await client.post(f"/connect/{code}/start")
            shown = shown_code(await client.get("/connect/proof"))
            await bot.proofs.confirm(redis, "ann", shown)
            await client.post("/connect/proof/continue")
            assert (await client.get("/connections")).status_code == 200
            return b"Cookie: session=" + client.cookies["session"].encode() + b"\r\n"

    def check(self, process: SiteProcess, cookie: bytes, paths: Iterable[str]) -> None:
        for path, method in product(paths, (b"GET", b"POST")):
            data = method + b" " + path.encode() + b" HTTP/1.1\r\nSec-Fetch-Site: same-origin\r\n"
            host = b"Host: %s:%d\r\n" % (process.address[0].encode(), process.address[1])
            answer = send(process, data + host + cookie + b"Connection: close\r\n\r\n")
            (status,) = statuses(answer)
            assert status in (400, 404, 405, 410), path
            head = answer.partition(b"\r\n\r\n")[0].lower()
            assert b"location:" not in head, path
            assert b"x-injected" not in head
            assert b'id="conn-' not in answer, path

    async def test_is_not_found_and_leads_nowhere(
        self, process: SiteProcess, cookie: bytes
    ) -> None:
        self.check(process, cookie, self.PATHS)

    async def test_with_an_encoded_slash_is_no_other_address(
        self, process: SiteProcess, cookie: bytes
    ) -> None:
        self.check(process, cookie, self.ENCODED_SLASHES)


class TestSize:
    def test_of_a_header_is_bounded(self, process: SiteProcess) -> None:
        host = b"%s:%d" % (process.address[0].encode(), process.address[1])
        for data in (
            b"GET / HTTP/1.1\r\nHost: " + host + b"\r\nX: " + b"a" * 1_000_000 + b"\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n" + b"X: y\r\n" * 200_000 + b"\r\n",
        ):
            assert set(statuses(send(process, data, hang_up=True))) <= {400, 414, 431}

    def test_of_an_address_is_bounded(self, process: SiteProcess) -> None:
        host = b"%s:%d" % (process.address[0].encode(), process.address[1])
        for size in (40_000, 100_000, 1_000_000):
            data = b"GET /" + b"a" * size + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n"
            assert set(statuses(send(process, data, hang_up=True))) <= {400, 414, 431}

    def test_of_a_body_is_judged_by_what_it_announces(self, process: SiteProcess) -> None:
        length = b"Content-Length: 52428800\r\n"
        data = framed(process, FORM + length, b"a=b", b"/connections/github/connect")
        assert set(statuses(send(process, data, hang_up=True))) <= {303, 400, 413}

    def test_of_an_endless_body_ends_the_connection(self, process: SiteProcess) -> None:
        sent = 0

        def endless() -> Iterator[bytes]:
            nonlocal sent
            yield framed(process, FORM + CHUNKED, b"", b"/connections/github/connect")
            chunk = b"10000\r\n" + b"a" * 65536 + b"\r\n"
            for _ in range(800):
                sent += 65536
                yield chunk

        answer = send(process, endless(), hang_up=True)
        assert set(statuses(answer)) <= {303, 400, 413}
        assert 200 in statuses(send(process, self.health(process)))

    def health(self, process: SiteProcess) -> bytes:
        host = b"%s:%d" % (process.address[0].encode(), process.address[1])
        return b"GET /healthz HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n"

    def test_of_the_memory_stays_what_it_was(self, process: SiteProcess) -> None:
        before = resident(process)
        for _ in range(3):
            body = b"a=" + b"b" * 8_000_000
            length = b"Content-Length: %d\r\n" % len(body)
            data = framed(process, FORM + length, body, b"/connect/proof/decline")
            send(process, data, hang_up=True)
        assert resident(process) - before < 20_000_000

    def test_of_the_log_is_one_line_for_each_request_whatever_is_asked(
        self, process: SiteProcess
    ) -> None:
        before = len(process.log.read_text().splitlines())
        host = b"%s:%d" % (process.address[0].encode(), process.address[1])
        asked = 0
        for path in (b"/canary%0d%0aline", b"/%1b%5b31mcanary", b"/connections/canary?canary=1"):
            data = b"GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % (path, host)
            asked += len(statuses(send(process, data)))
        # A line follows its answer; after one more request those before it are written.
        send(process, b"GET /healthz HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % host)
        written = process.log.read_text().splitlines()[before:]
        own = ("/healthz", '"event": "started"')
        lines = [line for line in written if not any(each in line for each in own)]
        assert sum('"event": "request"' in line for line in lines) == asked == 3
        assert sum('"event": "reference"' in line for line in lines) == len(lines) - 3 <= 3
        assert not any("canary" in line for line in lines)


def resident(process: SiteProcess) -> int:
    """Bytes of memory in use."""
    status = Path(f"/proc/{process.process.pid}/status")
    if not status.exists():
        pytest.skip("there is no /proc here")
    (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) * 1024


class TestTheProcess:
    def test_does_not_name_its_server(self, process: SiteProcess) -> None:
        answer = httpx.get(process.base_url + "/healthz")
        assert answer.text == "ok\n"
        assert "server" not in answer.headers

    def test_speaks_no_websocket(self, process: SiteProcess) -> None:
        host = b"%s:%d" % (process.address[0].encode(), process.address[1])
        data = (
            b"GET /connections HTTP/1.1\r\nHost: %s\r\n"
            b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        assert 101 not in statuses(send(process, data % host, hang_up=True))


class TestPacking:
    @pytest.mark.parametrize("path", ["/connections", "/help/permissions", "/nothing"])
    async def test_a_page_is_packed_for_whoever_takes_it(self, ann: Browser, path: str) -> None:
        packed = await ann.get(path, headers={"Accept-Encoding": "gzip"})
        plain = await ann.get(path, headers={"Accept-Encoding": "identity"})
        assert packed.headers["content-encoding"] == "gzip"
        assert "content-encoding" not in plain.headers
        length, whole = (int(each.headers["content-length"]) for each in (packed, plain))
        assert length < whole / 2
        for answer in (packed, plain):
            assert "accept-encoding" in answer.headers["vary"].lower()
        assert but_reference(packed) == but_reference(plain)
