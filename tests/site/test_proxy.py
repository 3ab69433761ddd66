"""Whom a reverse proxy names counts from that proxy alone, and nobody else can say it."""

from __future__ import annotations

import http.client
from collections.abc import AsyncIterator, Iterable
from itertools import product
from pathlib import Path

import pytest
from redis.asyncio import Redis
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, Response
from starlette.types import Message, Receive, Scope, Send

from tests.kit.library import BASE_URL
from tests.kit.site_fixtures import (
    SESSION_SECRET,
    Place,
    SiteProcess,
    free_port,
    serving,
    site_at,
    site_environment,
)
from tests.kit.standings import (
    GROUP,
    GROUPS_HEADER,
    PROXY,
    SUPPORT,
    USER_HEADER,
    proxied,
    session_in,
    sessions_of,
    support_site,
)
from webui.middleware.stack import guarded
from webui.sessions.proxied import ProxiedPerson, proxied_person
from webui.settings.settings import Settings

pytestmark = pytest.mark.anyio

SPELLINGS = [
    "x-forwarded-user",
    "X-Forwarded-User",
    "X-FORWARDED-USER",
    "x_forwarded_user",
    "X_Forwarded_User",
    "X-Forwarded_User",
]
MAPPED = f"::ffff:{PROXY}"  # how a socket of both families names the same host
STRANGERS = ["203.0.113.9", "198.51.100.2", "127.0.0.1", "::1", "::ffff:198.51.100.9", "", "proxy"]


@pytest.fixture
async def place(redis_url: str, redis: Redis) -> AsyncIterator[Place]:
    async with support_site(redis_url, redis) as made:
        yield made


async def started(redis: Redis) -> list[bytes]:
    """Every session there is."""
    return [key async for key in redis.scan_iter("stargazer:web_session*")]


class TestTheTrustedProxy:
    async def test_signs_in_whom_it_names(self, place: Place) -> None:
        browser = await place.browser(address=PROXY)
        headers = [(USER_HEADER.encode(), "Zo\u00eb, b".encode()), (b"x-other", b"x")]
        assert (await browser.client.get("/connections", headers=headers)).status_code == 200
        (kept,) = [key async for key in place.redis.scan_iter("stargazer:web_session:*")]
        stored = await place.redis.hmget(kept, "user", "via", "groups")
        assert stored == ["Zo\u00eb, b".encode(), b"proxy", b"[]"]

    async def test_makes_one_session_for_one_browser(self, place: Place) -> None:
        browser = await proxied(place, "ann")
        for _ in range(3):
            await browser.get("/connections")
        assert await place.redis.zcard("stargazer:web_sessions:ann") == 1

    async def test_that_names_nobody_leaves_people_to_sign_in_from_chat(self, place: Place) -> None:
        for headers in ({}, {USER_HEADER: ""}, {GROUPS_HEADER: GROUP}):
            browser = await place.browser(address=PROXY)
            browser.client.headers.update(headers)
            assert (await browser.get("/connections")).status_code == 303
            assert (await browser.get("/support")).status_code == 303
            await place.prove(browser, "ann")
            assert (await browser.get("/connections")).status_code == 200
            assert (await browser.get("/support")).status_code == 404

    async def test_sends_whom_it_names_on_from_the_sign_in_page(self, place: Place) -> None:
        browser = await proxied(place, "ann")
        answer = await browser.get("/signin?next=/activity")
        assert (answer.status_code, answer.headers["location"]) == (303, "/activity")

    async def test_decides_over_a_session_from_chat(self, place: Place) -> None:
        ben = await place.signed_in("ben")
        copy = dict(ben.client.cookies)
        browser = await place.browser(ben, address=PROXY)
        browser.client.headers[USER_HEADER] = "ann"
        assert (await browser.get("/connections")).status_code == 200
        assert await place.redis.zcard("stargazer:web_sessions:ann") == 1
        assert await place.redis.exists("stargazer:web_sessions:ben") == 0
        again = await place.browser()
        again.client.cookies.update(copy)
        assert (await again.get("/connections")).status_code == 303

    async def test_replaces_a_session_from_chat_of_the_person_it_names(self, place: Place) -> None:
        ann = await place.signed_in("ann")
        before = dict(ann.client.cookies)
        browser = await place.browser(ann, address=PROXY)
        browser.client.headers[USER_HEADER] = "ann"
        await browser.get("/connections")
        browser.client.cookies.update(before)
        del browser.client.headers[USER_HEADER]
        assert (await browser.get("/connections")).status_code == 303

    async def test_that_names_another_gives_the_browser_another_session(self, place: Place) -> None:
        browser = await proxied(place, "ann")
        await browser.get("/connections")
        first = browser.client.cookies["__Host-session"]
        browser.client.headers[USER_HEADER] = "ben"
        await browser.get("/connections")
        assert browser.client.cookies["__Host-session"] != first
        assert await place.redis.exists("stargazer:web_sessions:ann") == 0

    async def test_must_be_on_the_way_each_time(self, place: Place) -> None:
        inside = await proxied(place, "ann")
        await inside.get("/connections")
        outside = await place.browser(inside)
        assert (await outside.get("/connections")).status_code == 303

    async def test_names_groups_between_commas(self, place: Place) -> None:
        for groups, status in (
            (GROUP, 200),
            (f"people,{GROUP}", 200),
            (f" people , {GROUP} ,", 200),
            (f"people {GROUP}", 404),
            (f"{GROUP};people", 404),
            (GROUP.upper(), 404),
            ("", 404),
            (",", 404),
        ):
            browser = await proxied(place, "dave", groups)
            assert (await browser.get("/support")).status_code == status, groups

    async def test_takes_a_group_away_with_the_next_request(self, place: Place) -> None:
        browser = await proxied(place, "dave", GROUP)
        assert (await browser.get("/support")).status_code == 200
        browser.client.headers[GROUPS_HEADER] = "people"
        assert (await browser.get("/support")).status_code == 404

    async def test_still_names_somebody_whose_sessions_were_ended(self, place: Place) -> None:
        browser = await proxied(place, "ann")
        await browser.get("/connections")
        first = browser.client.cookies["__Host-session"]
        assert await sessions_of(place).end_all("ann") == 1
        await browser.get("/connections")
        assert browser.client.cookies["__Host-session"] != first

    async def test_is_said_to_sign_people_in_again_where_they_sign_out(self, place: Place) -> None:
        browser = await proxied(place, "ann")
        await browser.get("/connections")
        assert (await browser.post("/signout")).headers["location"] == "/signed-out"
        said = "sign-on still knows you"
        assert said in (await browser.get("/signed-out")).text
        assert said not in (await (await place.browser()).get("/signed-out")).text

    async def test_opens_no_link_of_somebody_else(self, place: Place) -> None:
        """A link is proven to belong to whom the proxy names."""
        code = await place.bot.create_link_code(place.redis, "ben", provider="github")
        answer = await (await proxied(place, "ann")).get(f"/connect/{code}")
        assert answer.status_code == 403


class TestWhatIsUnclear:
    @pytest.mark.parametrize(
        "headers",
        [
            [(USER_HEADER, "ann"), (USER_HEADER, "carol")],
            [(USER_HEADER, "ann"), ("X-Forwarded-User", "ann")],
            [(USER_HEADER, ""), (USER_HEADER, "ann")],
            [(USER_HEADER, "ann"), (GROUPS_HEADER, "people"), (GROUPS_HEADER, GROUP)],
            [(USER_HEADER, "x" * 256)],
            [(USER_HEADER, "ann\x7f")],
            [(USER_HEADER, "\xff\xfe")],
            [(USER_HEADER, "ann"), (GROUPS_HEADER, "\xff")],
        ],
    )
    async def test_is_refused_and_starts_nothing(
        self, place: Place, headers: list[tuple[str, str]]
    ) -> None:
        browser = await place.browser(address=PROXY)
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
        for path in ("/connections", "/signin", "/support", "/healthz"):
            answer = await browser.client.get(path, headers=raw)
            assert answer.status_code == 400
            assert answer.headers["content-security-policy"]
            assert "set-cookie" not in answer.headers
        assert await started(place.redis) == []

    async def test_from_a_stranger_is_nothing(self, place: Place) -> None:
        browser = await place.browser()
        raw = [(USER_HEADER.encode(), value) for value in (b"ann", b"carol")]
        assert (await browser.client.get("/signin", headers=raw)).status_code == 200


class TestAStranger:
    @pytest.mark.parametrize("spelling", SPELLINGS)
    async def test_cannot_be_somebody_by_saying_so(self, place: Place, spelling: str) -> None:
        for address in ("203.0.113.9", "127.0.0.1"):
            browser = await place.browser(address=address)
            for headers in (
                [(spelling, "carol"), (GROUPS_HEADER, GROUP)],
                [(spelling, "carol"), (spelling, "carol"), (GROUPS_HEADER, GROUP)],
                [(spelling, "carol"), (GROUPS_HEADER, GROUP), ("X-Forwarded-For", PROXY)],
                [(spelling, "carol"), (GROUPS_HEADER, GROUP), ("Forwarded", f"for={PROXY}")],
                [(spelling, "carol"), (GROUPS_HEADER, GROUP), ("X-Real-IP", PROXY)],
            ):
                for path in ("/connections", "/support"):
                    answer = await browser.client.get(path, headers=headers)
                    assert answer.headers["location"] == f"/signin?next={path}"
                    assert "set-cookie" not in answer.headers
        assert await started(place.redis) == []

    async def test_cannot_change_who_they_are(self, place: Place) -> None:
        ann = await place.signed_in("ann")
        ann.client.headers[USER_HEADER] = "ben"
        assert (await ann.get("/connections")).status_code == 200
        session = await session_in(place, ann)
        assert session is not None
        assert (session.user, session.via) == ("ann", "chat")

    async def test_behind_the_proxy_cannot_add_a_spelling_of_their_own(self, place: Place) -> None:
        browser = await proxied(place, "ann", "people")
        for spelling in ("x_forwarded_user", "X_Forwarded-User"):
            headers = {spelling: "carol", "x_forwarded_groups": GROUP}
            answer = await browser.client.get("/connections", headers=headers)
            assert answer.status_code == 200
            assert (await browser.client.get("/support", headers=headers)).status_code == 404
        assert await place.redis.exists("stargazer:web_sessions:carol") == 0


class TestTheHeadersThemselves:
    """Headers that the site behind its guards can still see."""

    @pytest.mark.parametrize("peer", [PROXY, MAPPED, *STRANGERS])
    async def test_are_gone_in_every_spelling_whoever_sent_them(self, peer: str) -> None:
        seen: list[Scope] = []
        spellings = [*SPELLINGS[:1], *SPELLINGS[3:], "x_forwarded_groups", "X-Forwarded_Groups"]
        await send(seen, peer, [*product(spellings, ["carol"]), (GROUPS_HEADER, "a,b"), ("a", "b")])
        (scope,) = seen
        assert [name for name, _ in scope["headers"] if name != b"host"] == [b"a"]
        named = ProxiedPerson("carol", ("a", "b")) if peer in (PROXY, MAPPED) else None
        assert proxied_person(HTTPConnection(scope)) == named

    @pytest.mark.parametrize("peer", STRANGERS)
    async def test_count_from_no_other_peer(self, peer: str) -> None:
        seen: list[Scope] = []
        await send(seen, peer, [(USER_HEADER, "carol"), ("x-forwarded-for", PROXY)])
        assert proxied_person(HTTPConnection(seen[0])) is None

    async def test_count_from_the_peer_and_not_from_whom_it_forwards(self) -> None:
        seen: list[Scope] = []
        await send(seen, PROXY, [(USER_HEADER, "carol"), ("x-forwarded-for", "203.0.113.9")])
        assert seen[0]["client"][0] == "203.0.113.9"
        assert proxied_person(HTTPConnection(seen[0])) == ProxiedPerson("carol")

    @pytest.mark.parametrize(
        ("network", "peer", "counts"),
        [
            ("10.0.0.0/8", "10.9.8.7", True),
            ("10.0.0.0/8", "11.0.0.1", False),
            ("fd00::/8", "fd00::7", True),
            ("fd00::/8", "10.0.0.1", False),
            ("::1", "0:0:0:0:0:0:0:1", True),
        ],
    )
    async def test_count_from_a_network(self, network: str, peer: str, counts: bool) -> None:
        seen: list[Scope] = []
        await send(seen, peer, [(USER_HEADER, "carol")], trusted=(network,))
        assert (proxied_person(HTTPConnection(seen[0])) is not None) is counts

    async def test_are_left_alone_where_no_setting_names_them(
        self, redis_url: str, redis: Redis
    ) -> None:
        async with site_at(redis_url, redis, trusted_proxies=(PROXY,)) as place:
            browser = await proxied(place, "carol", GROUP)
            assert (await browser.get("/connections")).status_code == 303
            assert (await browser.get("/support")).status_code == 404


async def test_the_command_itself_believes_its_proxy_alone(
    redis_url: str, redis: Redis, tmp_path: Path
) -> None:
    base_url = f"http://127.0.0.1:{free_port()}"
    environment = site_environment(base_url, redis_url, {})
    names = {"PROXY_USER_HEADER": "X-Forwarded-User", "PROXY_GROUPS_HEADER": "X-Forwarded-Groups"}
    given = {**environment, **names, "SUPPORT_GROUP": GROUP}
    asked: list[tuple[str, str]] = [("X-Forwarded-User", "carol"), ("X-Forwarded-Groups", GROUP)]
    other = [("X_Forwarded_User", "carol"), ("x-FORWARDED-groups", GROUP)]
    with serving({**given, "TRUSTED_PROXIES": PROXY}, tmp_path) as site:
        for headers in (asked, other, [*asked, *asked]):
            assert statuses(site, headers) == [303, 303]
    with serving({**given, "TRUSTED_PROXIES": "127.0.0.1"}, tmp_path) as site:
        assert statuses(site, asked) == [200, 200]
        assert statuses(site, other) == [303, 303]
        assert statuses(site, [*asked, *asked]) == [400, 400]
        log = site.log.read_text()
        assert "a trusted proxy sent a header that names the person twice" in log
        assert "carol" not in log


def statuses(site: SiteProcess, headers: Iterable[tuple[str, str]]) -> list[int]:
    """Return the statuses of the connections and of the support page, over one connection."""
    found = []
    for path in ("/connections", "/support"):
        connection = http.client.HTTPConnection(*site.address, timeout=10)
        connection.putrequest("GET", path)
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders()
        found.append(connection.getresponse().status)
        connection.close()
    return found


async def send(
    seen: list[Scope],
    peer: str,
    headers: Iterable[tuple[str, str]],
    trusted: tuple[str, ...] = (PROXY,),
) -> None:
    """One request from ``peer``, ``""`` for a peer without address; what arrives is in ``seen``."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async def receive() -> Message:
        return {"type": "http.request"}

    async def drop(message: Message) -> None:
        pass

    async def refuse(_: Scope, status: int, reason: str) -> Response:
        return PlainTextResponse(reason, status)

    settings = Settings(
        base_url=BASE_URL,
        redis_url="unix:///unused",
        encryption_keys=(),
        session_secrets=(SESSION_SECRET,),
        **{**SUPPORT, "trusted_proxies": trusted},
    )
    raw = [(name.encode(), value.encode()) for name, value in (("host", settings.host), *headers)]
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "raw_path": b"/",
        "query_string": b"",
        "headers": raw,
        "client": (peer, 50000) if peer else None,
    }
    await guarded(app, settings, refuse)(scope, receive, drop)
