"""The guide of the demo: its steps, its attacks and its switches, by HTTP as without a script."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import httpx
import pytest
from redis.asyncio import Redis

from tests.kit.journey import Journey, demo
from tests.kit.library import keys_at
from tests.kit.site_fixtures import free_port, serving, site_environment
from webui.sandbox.attacks import Visitor
from webui.sandbox.demo_secrets import make_secrets

pytestmark = pytest.mark.anyio

STEPS = 7


@pytest.fixture
async def journey(redis: Redis, redis_url: str) -> AsyncIterator[Journey]:
    async with demo(redis_url, token_lifetime=3600) as started:
        yield started


async def steps(journey: Journey) -> str:
    page = await journey.browser.get(f"{journey.sandbox}/guide")
    assert page.status_code == 200
    return html.unescape(page.text)


async def ticked(journey: Journey) -> list[bool]:
    found = re.findall(r'<li class="(joined|parted)"', await steps(journey))
    assert len(found) == STEPS
    return [mark == "joined" for mark in found]


async def told(journey: Journey, name: str) -> str:
    """What stands beside a button."""
    beside = rf'<div class="play" id="{name}">(.*?)\n</div>\n'
    found: list[str] = re.findall(beside, await steps(journey), re.S)
    return found[0]


async def press(journey: Journey, kind: str, name: str) -> str:
    """What the steps tell after a press."""
    sent = await journey.post(f"{journey.sandbox}/guide/{kind}/{name}")
    assert (sent.status_code, sent.headers["location"]) == (303, f"/guide#{name}")
    return await told(journey, name)


# The steps


async def test_the_conversation_has_begun_when_somebody_opens_the_guide(journey: Journey) -> None:
    assert await ticked(journey) == [False] * STEPS
    for _ in range(2):
        assert (await journey.browser.get(journey.sandbox)).status_code == 200
    chat = (await journey.browser.get(f"{journey.sandbox}/chat/alice")).text
    assert chat.count("<p>connect github</p>") == 1
    assert chat.count('class="go ') == 1
    assert await ticked(journey) == [True, *[False] * (STEPS - 1)]


async def test_a_step_is_ticked_when_it_has_happened_and_not_before(journey: Journey) -> None:
    code = await journey.reach_code(await journey.say("connect github"))
    assert await ticked(journey) == [True] * 2 + [False] * 5
    await journey.say(code)
    assert await ticked(journey) == [True] * 3 + [False] * 4
    proof = await journey.browser.get(f"{journey.site}/connect/proof")
    await journey.consent(await journey.press(proof, "proof-continue"))
    assert await ticked(journey) == [True] * 4 + [False] * 3
    await journey.say("whoami github")
    assert await ticked(journey) == [True] * 5 + [False] * 2
    await press(journey, "switch", "age")
    assert await ticked(journey) == [True] * 5 + [False] * 2
    await journey.say("whoami github")
    assert await ticked(journey) == [True] * 6 + [False]
    await journey.say("disconnect github")
    assert await ticked(journey) == [True] * 7


async def test_steps_are_of_this_start_and_a_connection_from_before_counts(
    redis: Redis, redis_url: str
) -> None:
    keys = make_secrets()
    async with demo(redis_url, token_lifetime=3600, keys=keys) as first:
        await first.connect("github")
        await first.say("whoami github")
        assert await ticked(first) == [True] * 5 + [False] * 2
    async with demo(redis_url, token_lifetime=3600, keys=keys) as second:
        await second.browser.get(second.sandbox)
        assert await ticked(second) == [True] * 4 + [False] * 3
        chat = (await second.browser.get(f"{second.sandbox}/chat/alice")).text
        assert "<p>connect github</p>" not in chat


# The attacks


PLAYED = {
    "stranger": ("That code does not match", "GitHub did not reach Mallory"),
    "forwarded": ("That code does not match", "is not signed in as Vera"),
    "planted": ("You came back in another browser", "was not planted on Vera"),
}


@pytest.mark.parametrize("name", PLAYED)
async def test_an_attack_is_played_on_the_site_and_told_with_its_answer(
    journey: Journey, redis: Redis, name: str
) -> None:
    assert 'class="note' not in await told(journey, name)
    outcome = await press(journey, "attack", name)
    answer, verdict = PLAYED[name]
    assert 'class="note joined"' in outcome
    assert answer in outcome
    assert verdict in outcome
    assert "Mallory" in outcome
    assert not [key for key in await keys_at(redis, "token:*") if "mallory" in key or "vera" in key]
    settings = await journey.browser.get(f"{journey.sandbox}/github/settings")
    assert "No app has access." in settings.text


async def test_attacks_leave_alice_and_what_she_is_doing_alone(journey: Journey) -> None:
    code = await journey.reach_code(await journey.say("connect github"))
    for name in PLAYED:
        await press(journey, "attack", name)
    chat = (await journey.browser.get(f"{journey.sandbox}/chat/alice")).text
    assert not re.search("Mallory|Vera|cancelled", chat)
    assert "That matches." in await journey.say(code)


@pytest.mark.parametrize("name", PLAYED)
async def test_an_attack_that_gets_through_is_told_as_such(
    journey: Journey, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    async def connected(_: Visitor) -> bool:
        return True

    monkeypatch.setattr(Visitor, "is_connected", connected)
    outcome = await press(journey, "attack", name)
    assert 'class="note broken"' in outcome
    assert "The attack got through" in outcome
    assert PLAYED[name][1] not in outcome


async def test_an_attack_that_cannot_be_played_claims_nothing(
    journey: Journey, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silent(_: Visitor, text: str) -> str:
        return f"{journey.site}/nowhere?{text}"

    monkeypatch.setattr(Visitor, "say", silent)
    outcome = await press(journey, "attack", "forwarded")
    assert 'class="note limited"' in outcome
    assert "could not be played: there was no button link-yes" in outcome


# The switches


async def test_an_aged_token_is_renewed_at_its_next_use(journey: Journey) -> None:
    assert "no token to age" in await press(journey, "switch", "age")
    await journey.connect("github")
    assert "came with the connection" in await journey.say("whoami github")
    assert "has run out" in await press(journey, "switch", "age")
    assert "The token was renewed" in await journey.say("whoami github")


async def test_a_provider_that_is_down_is_told_and_comes_back(journey: Journey) -> None:
    await journey.connect("github")
    assert "answers every call with 503" in await press(journey, "switch", "down")
    assert "GitHub is not answering." in await journey.say("whoami github")
    assert "GitHub answers again" in await press(journey, "switch", "down")
    assert "GitHub knows you as mona" in await journey.say("whoami github")


async def test_access_removed_at_the_provider_brings_a_new_link(journey: Journey) -> None:
    assert "no access at GitHub" in await press(journey, "switch", "remove")
    await journey.connect("github")
    assert "no longer has access at GitHub" in await press(journey, "switch", "remove")
    assert "GitHub needs reconnecting" in await journey.say("whoami github")


@pytest.mark.long
async def test_redis_stops_and_comes_back_by_itself(redis_url: str, redis: Redis) -> None:
    async with demo(redis_url, token_lifetime=3600, redis_pause=5) as journey:
        await journey.connect("github")
        before = await ticked(journey)
        assert "Redis answers nothing for 5 seconds" in await press(journey, "switch", "redis")
        assert await ticked(journey) == before
        assert "cannot be done now" in await press(journey, "switch", "age")
        page = await journey.browser.get(f"{journey.site}/connections")
        assert page.status_code == 503
        assert "is not answering" in await journey.say("whoami github")
        with anyio.fail_after(10):
            while "Redis answers again" not in await told(journey, "redis"):
                pass
        assert "knows you as mona" in await journey.say("whoami github")


@pytest.mark.parametrize("path", ["attack/other", "switch/other", "switch/in_trouble"])
async def test_there_is_no_other_attack_or_switch(journey: Journey, path: str) -> None:
    assert (await journey.post(f"{journey.sandbox}/guide/{path}")).status_code == 404


@pytest.mark.parametrize("path", ["attack/stranger", "switch/down"])
@pytest.mark.parametrize(
    "headers",
    [{}, {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "same-site"}],
)
async def test_no_other_page_plays_or_switches(
    journey: Journey, path: str, headers: dict[str, str]
) -> None:
    refused = await journey.browser.post(f"{journey.sandbox}/guide/{path}", headers=headers)
    assert refused.status_code == 403
    assert 'class="note' not in await steps(journey)
    assert "answers every call" not in await steps(journey)


# The messages that a press sends


@pytest.mark.long
async def test_the_chips_follow_the_state_and_never_hold_a_code(journey: Journey) -> None:
    async def chips() -> list[str]:
        page = await journey.browser.get(f"{journey.sandbox}/chat/alice")
        return re.findall(r'<button[^>]* name="text" value="([^"]+)">', page.text)

    assert await chips() == ["connect github", "list", "help"]
    await journey.reach_code(await journey.say("connect github"))
    assert await chips() == ["connect github", "list", "help"]
    await journey.connect("github")
    used = ["whoami github", "disconnect github"]
    assert await chips() == [*used, "connect discord", "list", "help"]
    await press(journey, "switch", "remove")
    await journey.say("whoami github")
    assert await chips() == ["connect github", "list", "help"]


# The frames


async def test_only_the_guide_may_hold_pages_in_frames_and_only_of_the_demo(
    journey: Journey,
) -> None:
    guide = await journey.browser.get(journey.sandbox)
    policy = guide.headers["content-security-policy"]
    assert f"frame-src 'self' {journey.site};" in f"{policy};"
    pages = [
        *(journey.sandbox + path for path in ("/guide", "/chat/alice", "/github/settings")),
        *(journey.site + path for path in ("/signin", "/nowhere", "/connect/unknown")),
    ]
    for url in pages:
        page = await journey.browser.get(url)
        policy = page.headers["content-security-policy"]
        assert f"frame-ancestors {journey.sandbox};" in f"{policy};", url
        assert "frame-src" not in policy, url
        assert "x-frame-options" not in page.headers


async def test_the_site_opens_a_link_in_the_guides_frame_and_in_no_other_hosts(
    journey: Journey,
) -> None:
    (link,) = re.findall(r'href="([^"]+)"', await journey.say("connect github"))
    framed = {"Sec-Fetch-Dest": "iframe", "Sec-Fetch-Mode": "navigate"}
    for site, status in (("same-site", 200), ("same-origin", 200), ("cross-site", 403)):
        opened = await journey.browser.get(link, headers={**framed, "Sec-Fetch-Site": site})
        assert opened.status_code == status


async def test_the_cookies_of_chat_and_site_have_names_of_their_own(journey: Journey) -> None:
    await journey.connect("github")  # one host has all of them, whatever the port
    names = [cookie.name for cookie in journey.browser.cookies.jar]
    assert len(set(names)) == len(names)
    assert {"session", "person"} <= set(names)


async def test_the_way_back_to_the_chat_says_in_a_frame_that_it_is_beside(journey: Journey) -> None:
    mine = f"{journey.sandbox}/chat/mine"
    framed = {"Sec-Fetch-Dest": "iframe", "Sec-Fetch-Site": "same-site"}
    beside = (await journey.browser.get(mine, headers=framed)).text
    assert "Your chat is beside this page" in beside
    assert f'href="{journey.site}/connections"' in beside
    assert (await journey.browser.get(mine)).headers["location"].startswith("/chat")


def test_a_served_site_is_never_framed(redis_url: str, tmp_path: Path) -> None:
    environment = site_environment(f"http://127.0.0.1:{free_port()}", redis_url, {})
    framed = {"Sec-Fetch-Dest": "iframe", "Sec-Fetch-Mode": "navigate"}
    with serving(environment, tmp_path) as site:
        for path in ("/signin", "/nowhere", "/healthz", "/connect/unknown"):
            page = httpx.get(site.base_url + path, trust_env=False)
            assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        for where in ("same-site", "same-origin", "cross-site"):
            headers = {**framed, "Sec-Fetch-Site": where}
            link = f"{site.base_url}/connect/unknown"
            assert httpx.get(link, headers=headers, trust_env=False).status_code == 403
