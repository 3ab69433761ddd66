"""The demo's chat page: plain forms, one conversation for each person, nothing from other sites."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import anyio
import httpx
import pytest
from starlette.applications import Starlette

from webui.sandbox.bot import Reply
from webui.sandbox.chat import MAX_MESSAGES, MAX_TEXT, Chat

pytestmark = pytest.mark.anyio

ORIGIN = "http://chat.test"
OWN_PAGE = {"Origin": ORIGIN}


async def echo(person: str, text: str) -> Reply:
    """A bot that says who it heard, with a link."""
    return Reply(f"{person} said: {text}", "https://site.test/?a=1&b=2", "Open <it>")


async def offers(person: str) -> list[str]:
    return [f"{person} first", "<then>"]


async def news() -> Reply:
    return Reply("The bot speaks first.")


@pytest.fixture
def chat() -> Chat:
    return Chat(ORIGIN, echo, offers)


@pytest.fixture
async def browser(chat: Chat) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(Starlette(routes=chat.routes()))
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
        yield client


async def say(browser: httpx.AsyncClient, person: str, text: str) -> httpx.Response:
    return await browser.post(f"/chat/{person}", data={"text": text}, headers=OWN_PAGE)


async def test_a_message_and_its_answer_are_on_the_page_that_the_form_leads_to(
    browser: httpx.AsyncClient,
) -> None:
    sent = await say(browser, "alice", "  connect \n github ")
    assert (sent.status_code, sent.headers["location"]) == (303, "/chat/alice")
    page = await browser.get("/chat/alice")
    assert "<p>connect github</p>" in page.text
    assert "<p>alice said: connect github</p>" in page.text


async def test_everyone_sees_their_own_conversation_alone(browser: httpx.AsyncClient) -> None:
    await say(browser, "alice", "for the bot only")
    assert "for the bot only" not in (await browser.get("/chat/bob")).text


async def test_what_people_and_bots_write_stays_text(browser: httpx.AsyncClient) -> None:
    await say(browser, "bob", "<script>alert(1)</script>")
    page = (await browser.get("/chat/bob")).text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert 'href="https://site.test/?a=1&amp;b=2"' in page
    assert "Open &lt;it&gt;" in page


async def test_links_open_beside_the_chat_and_do_not_tell_where_they_were(
    browser: httpx.AsyncClient,
) -> None:
    await say(browser, "alice", "hello")
    (link,) = re.findall(r"<a class=\"go [^>]*>", (await browser.get("/chat/alice")).text)
    assert 'target="site"' in link  # the guide's frame, or a tab of its own
    assert 'referrerpolicy="no-referrer"' in link


async def test_only_what_is_new_is_fetched(chat: Chat, browser: httpx.AsyncClient) -> None:
    first = (await browser.get("/chat/alice/new")).text
    (last,) = re.findall(r'data-number="(\d+)"', first)
    nothing = await browser.get("/chat/alice/new", params={"after": last})
    assert (nothing.status_code, nothing.text) == (204, "")

    await chat.say("alice", news())

    new = await browser.get("/chat/alice/new", params={"after": last})
    assert new.text.count("<li") == 1
    assert "The bot speaks first." in new.text


async def test_the_bot_finishes_its_answer_before_it_says_anything_else() -> None:
    asked, may_answer = anyio.Event(), anyio.Event()

    async def slowly(_: str, __: str) -> Reply:
        asked.set()
        await may_answer.wait()
        return Reply("The answer.")

    chat = Chat(ORIGIN, slowly, offers)
    transport = httpx.ASGITransport(Starlette(routes=chat.routes()))
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as browser:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(say, browser, "alice", "a question")
            await asked.wait()
            tasks.start_soon(chat.say, "alice", news())
            await chat.say("bob", news())  # does not wait for her
            may_answer.set()
        page = (await browser.get("/chat/alice")).text
    said = ["a question", "The answer.", "The bot speaks first."]
    assert [text for text in re.findall("<p>(.*?)</p>", page) if text in said] == said


@pytest.mark.parametrize("path", ["/chat/bob", "/chat/bob/chips"])
async def test_a_press_sends_what_makes_sense_now(browser: httpx.AsyncClient, path: str) -> None:
    page = (await browser.get(path)).text
    offered = re.findall(r'<button[^>]* name="text" value="([^"]+)">', page)
    assert offered == ["bob first", "&lt;then&gt;"]


@pytest.mark.parametrize("after", ["", "x", "-1", "9" * 30, "²", "1\x00"])
async def test_a_strange_number_means_everything(browser: httpx.AsyncClient, after: str) -> None:
    answer = await browser.get("/chat/alice/new", params={"after": after})
    assert answer.text.count("<li") == 1


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": ORIGIN},
    ],
)
async def test_nothing_is_sent_for_another_site(
    browser: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    before = (await browser.get("/chat/alice")).text
    refused = await browser.post("/chat/alice", data={"text": "disconnect"}, headers=headers)
    assert refused.status_code == 403
    assert (await browser.get("/chat/alice")).text == before


@pytest.mark.parametrize(
    "path", ["/chat", "/chat/alice", "/chat/alice/new", "/chat/alice/chips", "/chat.js"]
)
async def test_reading_changes_nothing_and_is_not_stored(
    browser: httpx.AsyncClient, path: str
) -> None:
    before = (await browser.get("/chat/alice")).text
    for method in ("GET", "HEAD"):
        answer = await browser.request(method, path)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
    assert (await browser.get("/chat/alice")).text == before


@pytest.mark.parametrize("path", ["/chat", "/chat/bob"])
async def test_a_page_runs_only_its_own_script_and_style(
    browser: httpx.AsyncClient, path: str
) -> None:
    page = await browser.get(path)
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy
    assert not re.search(r"<script(?![^>]* src=)|<style| style=| on\w+=", page.text)


async def test_a_message_is_cut_and_an_empty_one_is_none(browser: httpx.AsyncClient) -> None:
    await say(browser, "alice", "x" * (MAX_TEXT + 50))
    page = (await browser.get("/chat/alice")).text
    assert f"<p>{'x' * MAX_TEXT}</p>" in page
    await say(browser, "alice", "   ")
    assert (await browser.get("/chat/alice")).text == page


async def test_a_conversation_keeps_its_newest_messages(browser: httpx.AsyncClient) -> None:
    for number in range(MAX_MESSAGES):
        await say(browser, "alice", f"message {number}")
    page = (await browser.get("/chat/alice")).text
    assert page.count("<li ") == MAX_MESSAGES
    assert f"alice said: message {MAX_MESSAGES - 1}<" in page
    assert "Hello Alice" not in page


@pytest.mark.parametrize("form", [b"text=%ff%00%ed%a0%80", b"", b"other=1", b"text=a&text=b"])
async def test_strange_forms_do_no_harm(browser: httpx.AsyncClient, form: bytes) -> None:
    headers = OWN_PAGE | {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await browser.post("/chat/bob", content=form, headers=headers)).status_code == 303
    assert (await browser.get("/chat/bob")).status_code == 200


@pytest.mark.parametrize("path", ["/chat/eve", "/chat/eve/new", "/chat/eve/chips", "/chat/ALICE"])
async def test_there_is_nobody_else(browser: httpx.AsyncClient, path: str) -> None:
    assert (await browser.get(path)).status_code == 404
    assert (await browser.post(path, headers=OWN_PAGE)).status_code in (404, 405)


async def test_a_browser_is_led_back_to_the_chat_it_looked_at_last(
    browser: httpx.AsyncClient,
) -> None:
    asked = await browser.get("/chat/mine")
    assert (asked.status_code, asked.headers["location"]) == (303, "/chat")
    for person in ("alice", "bob"):
        await browser.get(f"/chat/{person}")
        assert (await browser.get("/chat/mine")).headers["location"] == f"/chat/{person}"
    await browser.get("/chat/alice/new?after=99999999999999")  # its page is in sight again
    assert (await browser.get("/chat/mine")).headers["location"] == "/chat/alice"


async def test_a_cookie_that_names_nobody_leads_to_the_question(browser: httpx.AsyncClient) -> None:
    answer = await browser.get("/chat/mine", headers={"cookie": "person=mallory/../../x"})
    assert answer.headers["location"] == "/chat"
