"""A failure of ours or of an attempt shows six characters: support finds with them what failed."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import urlencode

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis
from starlette.types import Message, Receive, Scope, Send
from structlog.testing import capture_logs

from tests.kit.every import every
from tests.kit.fake_answers import Answer, error_answer, json_answer
from tests.kit.library import keys_at, text_at
from tests.kit.redis_proxy import redis_proxy
from tests.kit.site_fixtures import (
    FROM_OUR_PAGE,
    Browser,
    Place,
    commands,
    heading,
    query_of,
    shown_reference,
    site_at,
)
from webui.incident_codes import KEPT_SECONDS, Reference, find_reference, keep_reference
from webui.middleware.requests import MAX_BODY_BYTES
from webui.oauth_manager.links import CODE_ALPHABET
from webui.oauth_manager.values import replace
from webui.rate_limits import LIMITS, Limiter

pytestmark = pytest.mark.anyio

CANARY = "canary-of-a-reference"
UNKNOWN = "u" * 43
QUOTE = "If this happens again, give support the reference"
NAVIGATION = "<nav "


def allowed(name: str) -> int:
    return int(LIMITS[name].split("/")[0])


async def records(redis: Redis) -> list[str]:
    """Return the kept references, as they stand in Redis."""
    return [await text_at(redis, key) for key in await keys_at(redis, "web_reference:*")]


async def found(place: Place, answer: httpx.Response) -> Reference:
    """Search as support for the reference that the page shows."""
    reference = await find_reference(place.redis, shown_reference(answer))
    assert reference
    assert reference.request_id
    return reference


# Pages


async def stale(_: Place, ann: Browser) -> httpx.Response:
    headers = {"sec-fetch-site": "cross-site"}
    return await ann.client.post("/signout", data={"next": CANARY}, headers=headers)


async def unsaid(_: Place, ann: Browser) -> httpx.Response:
    return await ann.client.post("/signout", data={"next": CANARY})


async def nowhere(_: Place, ann: Browser) -> httpx.Response:
    return await ann.get(f"/{CANARY}?state={CANARY}")


async def encoded(_: Place, ann: Browser) -> httpx.Response:
    return await ann.get(f"/connections/..%2f{CANARY}")


async def no_service(_: Place, ann: Browser) -> httpx.Response:
    return await ann.get(f"/connections/{CANARY}")


async def wrong_method(_: Place, ann: Browser) -> httpx.Response:
    return await ann.get(f"/signout?{CANARY}")


async def strange_method(_: Place, ann: Browser) -> httpx.Response:
    return await ann.client.request("BREW", f"/{CANARY}")


async def too_large(_: Place, ann: Browser) -> httpx.Response:
    content = CANARY.encode() + b"=" + b"b" * MAX_BODY_BYTES
    headers = {**FROM_OUR_PAGE, "content-type": "application/x-www-form-urlencoded"}
    return await ann.client.post("/connections/github/connect", content=content, headers=headers)


async def too_often(place: Place, ann: Browser) -> httpx.Response:
    limiter = Limiter(place.redis, place.clock)
    for _ in range(allowed("connect")):
        await limiter.hit("connect", "ann")
    return await ann.post("/connections/github/connect", {"return": CANARY})


async def dead_link(_: Place, ann: Browser) -> httpx.Response:
    return await ann.get(f"/connect/{CANARY}")


async def another_persons_link(place: Place, ann: Browser) -> httpx.Response:
    code = await place.bot.create_link_code(place.redis, "owner", provider="github")
    return await ann.get(f"/connect/{code}?{CANARY}")


Ask = Callable[[Place, Browser], Awaitable[httpx.Response]]

# What went wrong is all said on these, and there is nothing to look up.
PLAIN: dict[Ask, int] = {
    stale: 403,
    unsaid: 403,
    nowhere: 404,
    encoded: 404,
    no_service: 404,
    wrong_method: 405,
    strange_method: 405,
    too_large: 413,
    too_often: 429,
    dead_link: 410,
    another_persons_link: 403,
}


async def failed(place: Place, browser: Browser, owner: str) -> httpx.Response:
    """An attempt to connect by a link from chat, which began in no browser."""
    url = await place.bot.generate_connect_url(owner, "github", place.redis)
    fields = {"error": "server_error", "error_description": CANARY, "state": query_of(url)["state"]}
    return await browser.come_back(f"/oauth/github/callback?{urlencode(fields)}")


FAILED = Reference(
    "",
    0,
    "connecting.provider_trouble",
    400,
    "/oauth/{provider}/callback",
    "GET",
    provider="github",
    error="server_error",
)


class TestAPageThatSaysEverything:
    @pytest.mark.parametrize("page", PLAIN, ids=lambda ask: ask.__name__)
    async def test_shows_no_reference_and_none_is_kept(
        self, place: Place, ann: Browser, page: Ask
    ) -> None:
        with capture_logs() as lines:
            answer = await page(place, ann)
        assert answer.status_code == PLAIN[page]
        assert QUOTE not in answer.text
        assert await records(place.redis) == []
        assert "reference" not in [line["event"] for line in lines]
        assert CANARY not in str(lines)

    async def test_shows_none_with_htmx_either(self, place: Place, ann: Browser) -> None:
        answer = await ann.get("/connections/nobody", htmx=True)
        assert answer.headers["hx-retarget"] == "#page-alert"
        assert QUOTE not in answer.text

    async def test_is_one_though_redis_goes(self, redis_url: str, redis: Redis) -> None:
        async with redis_proxy(redis_url) as proxy, site_at(proxy.url, redis) as place:
            ann = await place.signed_in("ann")
            for path, lost in (("/nowhere", b"HGETALL"), ("/a%2fb", b"EVAL")):
                proxy.cut = [lost]
                answer = await ann.get(path)
                assert (answer.status_code, QUOTE in answer.text) == (404, False)
            assert await records(redis) == []


class TestAnErrorPage:
    async def test_shows_a_reference_with_the_facts(self, place: Place, ann: Browser) -> None:
        began = time.time()
        answer = await failed(place, ann, "ann")
        reference = await found(place, answer)
        assert answer.status_code == reference.status
        assert QUOTE in answer.text
        assert began <= reference.at <= time.time()
        assert reference == replace(
            FAILED,
            code=shown_reference(answer),
            at=reference.at,
            user="ann",
            request_id=reference.request_id,
        )

    async def test_is_kept_without_a_word_of_the_requests(self, place: Place, ann: Browser) -> None:
        with capture_logs() as lines:
            await failed(place, ann, "ann")
        (record,) = await records(place.redis)
        for text in (record, str(lines)):
            assert CANARY not in text
        cookies = ann.client.cookies
        assert not [name for name in cookies if cookies[name] in record + str(lines)]

    async def test_stands_in_the_log_with_its_code(self, place: Place, ann: Browser) -> None:
        with capture_logs() as lines:
            answer = await failed(place, ann, "ann")
        (line,) = [line for line in lines if line["event"] == "reference"]
        assert line["reference"] == shown_reference(answer)
        assert line["kept"] is True
        assert line["log_level"] == "info"

    async def test_is_kept_for_ninety_days(self, place: Place, ann: Browser) -> None:
        await failed(place, ann, "ann")
        (key,) = await keys_at(place.redis, "web_reference:*")
        assert KEPT_SECONDS == 90 * 24 * 3600
        assert 0 < await place.redis.ttl(key) <= KEPT_SECONDS

    async def test_with_htmx_shows_it_in_the_alert(self, redis_url: str, redis: Redis) -> None:
        async with redis_proxy(redis_url) as proxy, site_at(proxy.url, redis) as place:
            ann = await place.signed_in("ann")
            await proxy.go()
            answer = await ann.get("/connections/github", htmx=True)
        assert answer.headers["hx-retarget"] == "#page-alert"
        assert QUOTE in answer.text
        shown_reference(answer)

    async def test_of_a_stranger_names_no_user(self, place: Place) -> None:
        assert (await found(place, await failed(place, await place.browser(), "owner"))).user == ""

    async def test_of_a_service_that_is_switched_off_names_it(
        self, place: Place, redis_url: str
    ) -> None:
        code = await place.bot.create_link_code(place.redis, "ann", provider="github")
        config = {**place.settings.providers_config}
        config["github"] = {**config["github"], "client_id": "", "client_secret": ""}
        async with site_at(redis_url, place.redis, place.fake, providers_config=config) as off:
            answer = await (await off.browser()).get(f"/connect/{code}")
        reference = await found(place, answer)
        assert (reference.kind, reference.status) == ("service", 503)
        assert reference.provider == "github"
        assert code not in str(await records(place.redis))

    async def test_that_nobody_thought_of_is_found_beside_its_cause(
        self, redis_url: str, redis: Redis, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def broken(scope: Scope, receive: Receive, send: Send) -> None:
            raise KeyError(CANARY)

        async with site_at(redis_url, redis, provider_app=broken) as place:
            ann = await place.signed_in("ann")
            answer = await ann.come_back(place.fake.authorize(await ann.begin("github")))
            reference = await found(place, answer)
        assert (reference.kind, reference.status, reference.user) == ("500", 500, "ann")
        (line,) = [r.getMessage() for r in caplog.records if "unexpected" in r.getMessage()]
        assert line.endswith(reference.code)
        assert CANARY not in str(await records(redis))

    async def test_of_an_outage_is_in_the_log_beside_its_cause_alone(
        self, redis_url: str, redis: Redis, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with redis_proxy(redis_url) as proxy, site_at(proxy.url, redis) as place:
            ann = await place.signed_in("ann")
            await proxy.go()
            answer = await ann.get("/connections")
        code = shown_reference(answer)
        assert answer.status_code == 503
        (line,) = [r.getMessage() for r in caplog.records if "load session" in r.getMessage()]
        assert line.endswith(f"reference {code}")
        assert await find_reference(redis, code) is None

    async def test_of_a_body_that_never_came_has_none(self, place: Place) -> None:
        seen: list[Message] = []

        async def receive() -> Message:
            raise TimeoutError

        async def send(message: Message) -> None:
            seen.append(message)

        scope: Scope = {
            "type": "http",
            "method": "POST",
            "path": "/signout",
            "raw_path": b"/signout",
            "query_string": b"",
            "headers": [(b"host", b"bot.example")],
            "client": ("192.0.2.99", 1),
        }
        await place.app(scope, receive, send)
        assert seen[0]["status"] == 408
        assert QUOTE.encode() not in seen[1]["body"]
        assert await records(place.redis) == []

    @pytest.mark.parametrize("headers", [{"host": "evil.example"}, {"transfer-encoding": "x"}])
    async def test_of_a_machines_mistake_has_none(
        self, place: Place, headers: dict[str, str]
    ) -> None:
        """A foreign host, a body announced twice: nobody will ask about it."""
        nobody = await place.browser()
        answer = await nobody.client.post("/", content=b"a", headers=headers)
        assert answer.status_code == 400
        assert QUOTE not in answer.text
        assert await records(place.redis) == []

    async def test_asked_for_with_head_keeps_none(self, place: Place, ann: Browser) -> None:
        ways = [await ann.client.head(path) for path in ("/nowhere", "/connect/ended/unanswered")]
        assert [answer.status_code for answer in ways] == [404, 503]
        assert await records(place.redis) == []


class TestAPageOfSomebodySignedIn:
    @pytest.mark.parametrize("path", ["/nowhere", "/signout", "/connections/nobody", "/a%2fb"])
    async def test_has_the_navigation_and_does_not_renew_the_session(
        self, place: Place, ann: Browser, path: str
    ) -> None:
        async with commands(place.redis) as seen:
            answer = await ann.get(path)
        assert NAVIGATION in answer.text
        assert "set-cookie" not in answer.headers
        about_it = [line for line in seen if "web_session" in line]
        assert [line.split()[0] for line in about_it] == ["HGETALL"]

    async def test_has_none_for_a_stranger_whose_session_is_not_looked_for(
        self, place: Place
    ) -> None:
        nobody = await place.browser()
        async with commands(place.redis) as seen:
            answer = await nobody.get("/nowhere")
        assert NAVIGATION not in answer.text
        assert not [line for line in seen if "web_session" in line]


# Cards


async def answered(place: Place, ann: Browser, *answers: Answer) -> httpx.Response:
    place.fake.script("token", *answers)
    await place.connect(ann, "github")
    return await ann.get("/connections")


class TestACard:
    @pytest.mark.parametrize(
        ("answer", "kind", "error"),
        [
            (error_answer("invalid_grant"), "failed", "invalid_grant"),
            (error_answer("invalid_client", 401), "misconfigured", "invalid_client"),
            (json_answer({}, 500), "provider_trouble", ""),
        ],
        ids=["failed", "misconfigured", "provider_trouble"],
    )
    async def test_that_tells_of_a_failure_shows_one(
        self, place: Place, ann: Browser, answer: Answer, kind: str, error: str
    ) -> None:
        reference = await found(place, await answered(place, ann, answer))
        assert (reference.kind, reference.provider) == (kind, "github")
        assert error in reference.error
        assert (reference.status, reference.user) == (0, "ann")
        assert reference.route == "/oauth/{provider}/callback"

    async def test_has_the_providers_own_trace(self, place: Place, ann: Browser) -> None:
        said = {"error": "invalid_grant", "trace_id": "0a1b-trace"}
        reference = await found(place, await answered(place, ann, json_answer(said, 400)))
        assert reference.trace == "0a1b-trace"

    async def test_after_an_answer_of_another_issuer_shows_one(
        self, place: Place, ann: Browser
    ) -> None:
        query = query_of(place.fake.authorize(await ann.begin("google")))
        fields = {**query, "iss": f"https://{CANARY}.example"}
        await ann.client.get("/oauth/google/callback", params=fields)
        reference = await found(place, await ann.get("/connections"))
        assert (reference.kind, reference.error) == ("failed", "other_issuer")
        record = str(await records(place.redis))
        assert not [value for value in fields.values() if value in record]

    async def test_that_tells_what_the_person_decided_shows_none(
        self, place: Place, ann: Browser
    ) -> None:
        state = query_of(await ann.begin("github"))["state"]
        await ann.get(f"/oauth/github/callback?error=access_denied&state={state}")
        assert await ann.state_of("github") == "denied"
        assert await records(place.redis) == []

    async def test_of_a_link_from_chat_that_failed_before_anybody_was_known(
        self, place: Place
    ) -> None:
        url = await place.bot.generate_connect_url("ann", "github", place.redis)
        state = query_of(url)["state"]
        nobody = await place.browser()
        answer = await nobody.come_back(f"/oauth/github/callback?error=server_error&state={state}")
        reference = await found(place, answer)
        told = ("connecting.provider_trouble", "server_error")
        assert (reference.kind, reference.error) == told
        assert (reference.provider, reference.user) == ("github", "")
        assert state not in str(await records(place.redis))


# Limits


class TestTheLimit:
    async def test_is_for_each_person_and_then_the_page_shows_none(
        self, place: Place, ann: Browser, ben: Browser
    ) -> None:
        again = await place.signed_in("ann")
        most = allowed("reference")
        for number in range(most):
            shown_reference(await failed(place, (ann, again)[number % 2], "ann"))
        for browser in (ann, again):
            answer = await failed(place, browser, "ann")
            assert (answer.status_code, heading(answer.text)) == (400, "GitHub is not answering")
            assert QUOTE not in answer.text
        assert len(await records(place.redis)) == most
        shown_reference(await failed(place, ben, "ben"))

    async def test_is_for_each_address_of_people_who_are_not_signed_in(self, place: Place) -> None:
        stranger, other = await place.browser(), await place.browser()
        for _ in range(allowed("reference") + 5):
            await failed(place, stranger, "owner")
        assert len(await records(place.redis)) == allowed("reference")
        shown_reference(await failed(place, other, "owner"))

    async def test_previews_of_a_dead_link_keep_nothing(self, place: Place) -> None:
        scanner = await place.browser()
        for _ in range(50):
            assert (await scanner.get(f"/connect/{UNKNOWN}")).status_code == 410
        kinds = {key.split(":")[1] for key in await keys_at(place.redis)}
        assert kinds == {"canary", "web_limit"}

    async def test_of_all_together_leaves_who_is_signed_in(
        self, place: Place, ann: Browser
    ) -> None:
        for _ in range(allowed("anonymous_reference") - 1):
            assert await Limiter(place.redis, place.clock).allows("anonymous_reference", "all")
        shown_reference(await failed(place, await place.browser(), "owner"))
        assert QUOTE not in (await failed(place, await place.browser(), "owner")).text
        shown_reference(await failed(place, ann, "ann"))

    async def test_tells_an_address_and_a_user_of_that_name_apart(self, place: Place) -> None:
        nobody = await place.browser()
        namesake = await place.signed_in("192.0.2.1")
        for _ in range(allowed("reference")):
            await failed(place, nobody, "owner")
        shown_reference(await failed(place, namesake, "192.0.2.1"))


# Without Redis


class TestWithoutRedis:
    @pytest.fixture
    async def proxied(self, redis_url: str, redis: Redis) -> AsyncIterator[SimpleNamespace]:
        async with redis_proxy(redis_url) as proxy, site_at(proxy.url, redis) as place:
            yield SimpleNamespace(proxy=proxy, place=place, ann=await place.signed_in("ann"))

    async def test_the_code_stands_in_the_log_alone_and_redis_is_asked_no_more(
        self, proxied: SimpleNamespace
    ) -> None:
        proxied.proxy.cut = [b"HGETALL"]
        before = proxied.proxy.round_trips
        with capture_logs() as lines:
            answer = await proxied.ann.get("/connections")
        assert proxied.proxy.round_trips == before + 1
        assert answer.status_code == 503
        (line,) = [line for line in lines if line["event"] == "reference"]
        assert line["reference"] == shown_reference(answer)
        assert line["kept"] is False
        assert await records(proxied.place.redis) == []

    async def test_every_page_still_is_one(self, proxied: SimpleNamespace) -> None:
        await proxied.proxy.go()
        nobody = await proxied.place.browser()
        assert (await nobody.get("/nowhere")).status_code == 404
        assert (await proxied.ann.get("/nowhere")).status_code == 404
        assert (await nobody.get(f"/connect/{UNKNOWN}")).status_code == 503
        assert (await nobody.client.post("/signout")).status_code == 403


# Codes


REFERENCE = Reference("", 1.5, "404", 404, "unmatched", "GET", user="ann")


class Rival:
    """A client of Redis whose first ``times`` codes somebody else took just before."""

    def __init__(self, redis: Redis, times: int) -> None:
        self.redis = redis
        self.left = times

    def pipeline(self, **how: Any) -> RivalPipeline:
        return RivalPipeline(self.redis.pipeline(**how), self)


class RivalPipeline:
    def __init__(self, pipe: Any, rival: Rival) -> None:
        self.pipe = pipe
        self.rival = rival

    def eval(self, *call: Any) -> None:
        self.pipe.eval(*call)

    def set(self, key: str, value: str, **how: Any) -> None:
        if self.rival.left:
            self.rival.left -= 1
            self.pipe.set(key, "of somebody else")
        self.pipe.set(key, value, **how)

    async def execute(self) -> Any:
        return await self.pipe.execute()


class TestACodeThatIsTaken:
    async def test_is_left_to_who_has_it_and_another_one_is_used(self, redis: Redis) -> None:
        code = await keep_reference(cast("Any", Rival(redis, 2)), REFERENCE)
        assert await find_reference(redis, code) == replace(REFERENCE, code=code)
        assert (await records(redis)).count("of somebody else") == 2

    async def test_is_tried_a_few_times_only(self, redis: Redis) -> None:
        assert await keep_reference(cast("Any", Rival(redis, 100)), REFERENCE) == ""
        assert len(await records(redis)) == 3


class Shelf:
    """One record, and the keys that were asked for."""

    def __init__(self, **records: str) -> None:
        self.records = {f"stargazer:web_reference:{code}": text for code, text in records.items()}
        self.asked: list[str] = []

    async def execute_command(self, command: str, key: str, **_: Any) -> bytes | None:
        self.asked.append(key)
        return self.records[key].encode() if key in self.records else None


def look_up(shelf: Shelf, typed: str) -> Reference | None:
    return anyio.run(find_reference, cast("Any", shelf), typed)


codes = st.text(CODE_ALPHABET, min_size=6, max_size=6)


class TestLookingUp:
    @given(
        codes, st.lists(st.sampled_from([" ", "\t", "\n", "\u00a0", "-"]), max_size=5), st.data()
    )
    def test_ignores_case_and_blanks(
        self, code: str, blanks: list[str], data: st.DataObject
    ) -> None:
        shelf = Shelf(**{code: '{"code": "x", "at": 1, "kind": "404"}'})
        typed = list(data.draw(st.sampled_from([code, code.lower(), code.title()])))
        for blank in blanks:
            typed.insert(data.draw(st.integers(0, len(typed))), blank)
        assert look_up(shelf, "".join(typed)) == Reference("x", 1, "404")

    @given(st.text())
    def test_asks_only_for_what_can_be_a_code(self, typed: str) -> None:
        shelf = Shelf()
        assert look_up(shelf, typed) is None
        pattern = f"stargazer:web_reference:[{CODE_ALPHABET}]{{6}}"
        assert all(re.fullmatch(pattern, key) for key in shelf.asked)
        assert len(shelf.asked) <= 1

    @every("junk", ["", "{", "[]", "7", '{"code": "x"}', '{"other": 1}', "[" * 9999])
    def test_of_what_is_no_record_finds_nothing(self, junk: str) -> None:
        assert look_up(Shelf(KT49WX=junk), "KT49WX") is None

    async def test_of_a_key_of_another_shape_finds_nothing(self, redis: Redis) -> None:
        await redis.hset("stargazer:web_reference:KT49WX", "a", "b")
        assert await find_reference(redis, "KT49WX") is None

    async def test_finds_each_of_many(self, redis: Redis) -> None:
        numbers = count(1)
        kept = {
            await keep_reference(redis, replace(REFERENCE, status=next(numbers))): number
            for number in range(1, 51)
        }
        assert len(kept) == 50
        for code, number in kept.items():
            reference = await find_reference(redis, f" {code[:3].lower()} {code[3:]} ")
            assert reference == replace(REFERENCE, code=code, status=number)
