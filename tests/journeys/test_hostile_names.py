"""Whatever others call themselves stays text, on every page that shows it.

The pages of somebody with hostile names are held against those of somebody with
harmless ones: the same elements with the same attributes, and no name in any of them.
"""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from tests.kit.library import fake_provider, providers_config
from tests.kit.screens import Document
from tests.kit.site_fixtures import Browser, Place, handed_off, offer_on, site_at
from tests.site.test_settings import fault
from webui.cards.gallery import ON
from webui.chat import notice_text
from webui.chat.phrases import details
from webui.oauth_manager import Notice, NoticeKind
from webui.oauth_manager.connection import describe
from webui.oauth_manager.models import Account, Profile
from webui.oauth_manager.token_data import TokenData
from webui.text.labels import clean_label

pytestmark = pytest.mark.anyio

HARMLESS = "octocat"
HOSTILE = {
    "markup": "<script>alert(1)</script><img src=x onerror=alert(1)><b hx-get=/signout>x",
    "quotes": '"\' autofocus onfocus=alert(1) hx-get=/signout x="',
    "a comment": "--><!-- ]]> </title></textarea></article>",
    "a template": "{{7*7}}{% raw %}{product}{provider}${7*7}",
    "an entity": "&lt;script&gt;&quot;&#x202e;&amp;",
    "from right to left": "\u05d0\u05d1 abc \u05d2",
    "emoji": "\U0001f468\U0001f3ff\u200d\U0001f469 \U0001f1e9\U0001f1ea",
    "long": "W" * 300,
    "an address": "javascript:alert(1)//https://evil.test/",
    "a header": "x, HX-Redirect: https://evil.test",
}
TURNING = {
    "turned around": "\u202emoc.live \u2066x",
    "marks": "a\u200fb\u061cc\ufeffd",
    "lines": "one\u2028two",
}
EVERY_NAME = pytest.mark.parametrize(
    "name", (HOSTILE | TURNING).values(), ids=(HOSTILE | TURNING).keys()
)


def scope(name: str) -> str:
    """A name as it can stand among scopes (RFC 6749, section 3.3)."""
    return re.sub(r'[^!-~]|[",\\]', "", name)[:200] or "odd"


def feature(name: str) -> str:
    """A name as whoever runs the site could give it."""
    printable = "".join(filter(str.isprintable, name))
    return re.sub("[:;]", ".", printable)[:64].strip()


def calling_everything(name: str) -> dict[str, dict[str, Any]]:
    """GitHub as a provider that has nothing harmless about it.

    What turns or breaks a line does not get past the start where it is set up.
    """
    own = HARMLESS if name in TURNING.values() else name
    config = providers_config(fake_provider(), names=["github"])
    config["github"] |= {
        "label": own,
        "purpose": f"Lets {{bot}} {own}.",
        "manage_label": own,
        "scopes": ["one", "two", "three", scope(name)],
        "features": {feature(name): ["two"], f"{feature(name)[:60]} too": ["two"]},
        "scope_sentences": {"one": (own, "Sees"), "two": (own, "Acts")},
    }
    return config


async def visited(place: Place, name: str) -> dict[str, httpx.Response]:
    """Every page of a person called ``name`` that shows a name of somebody else's."""
    pages: dict[str, httpx.Response] = {}
    fake, user = place.fake, name[:255].replace("\u2028", "")
    browser = await place.browser()
    code = await place.bot.create_link_code(place.redis, user, provider="github")
    pages["landing"] = await browser.get(f"/connect/{code}")
    await browser.post(f"/connect/{code}/start")
    pages["proof"] = await browser.get("/connect/proof")
    pages["hand-off"] = await browser.post("/connect/proof/continue")
    fake.account = {"id": "1", "login": name}
    fake.scope = f"one {scope(name)}"
    await browser.get(fake.authorize(handed_off(pages["hand-off"])))
    pages["done"] = await browser.get("/connect/done/github")
    await _look_around(browser, pages, "limited")
    pages["end of all"] = await browser.get("/everything/disconnect")
    await browser.post("/connections/github/accept-limited")
    await _look_around(browser, pages, "kept")
    fake.account = {"id": "2", "login": f"{name}2"}
    await browser.get(fake.authorize(await browser.begin("github")))
    pages["switch"] = await browser.get("/connections/github/switch")
    await browser.post(
        "/connections/github/switch", {"choice": "new", "offer": offer_on(pages["switch"])}
    )
    fake.withdraw()
    pages["checked"] = await browser.post("/connections/github/check", htmx=True)
    await _look_around(browser, pages, "ended")
    pages["question"] = await browser.get("/connections/github/disconnect")
    pages["disconnected"] = await browser.post("/connections/github/disconnect", htmx=True)
    await _look_around(browser, pages, "gone")
    return pages


async def _look_around(browser: Browser, pages: dict[str, httpx.Response], when: str) -> None:
    pages[f"{when}, list"] = await browser.get("/connections")
    pages[f"{when}, alone"] = await browser.get("/connections/github")
    pages[f"{when}, fragment"] = await browser.get("/connections/github", htmx=True)
    pages[f"{when}, activity"] = await browser.get("/activity")
    pages[f"{when}, permissions"] = await browser.get("/help/permissions")


def skeleton(page: httpx.Response) -> list[tuple[str, tuple[str, ...]]]:
    """Elements with the names of their attributes; ``hidden`` depends on the day."""
    return [
        (element.tag, tuple(name for name in element.attributes if name != "hidden"))
        for element in Document(page.text).elements
    ]


@EVERY_NAME
async def test_a_name_changes_no_element_no_attribute_and_no_header(
    redis_url: str, redis: Redis, name: str
) -> None:
    found = {}
    for shown in (HARMLESS, name):
        await redis.flushall()
        how: dict[str, Any] = {"providers_config": calling_everything(shown)}
        async with site_at(redis_url, redis, link_proof="confirm", **how) as place:
            found[shown] = await visited(place, shown)
    said = ""
    for place_name, page in found[name].items():
        assert page.status_code == 200, place_name
        assert skeleton(page) == skeleton(found[HARMLESS][place_name]), place_name
        document = Document(page.text)
        said += document.text
        # A page's title is text wherever it stands; the order is only compared.
        kept = {"data-title", "data-order"}
        values = [v for e in document.elements for k, v in e.attributes.items() if k not in kept]
        # The address at the provider asks for scopes by their names.
        values = [value for value in values if "/authorize?" not in value]
        for part in {name, scope(name), feature(name)}:
            assert not any(part in value for value in values), place_name
            assert not any(part in value for value in page.headers.values()), place_name
        assert not {"\u202e", "\u2066", "\u200f", "\u061c", "\ufeff", "\u2028"} & set(page.text)
        assert "/authorize?" not in "".join(page.headers.values())
        assert page.headers.keys() == found[HARMLESS][place_name].headers.keys()
    assert " ".join(clean_label(name).split()) in said


@EVERY_NAME
def test_a_feature_or_label_that_turns_or_breaks_a_line_does_not_start(name: str) -> None:
    if name in TURNING.values() or len(name) > 64:
        for variable in ("GOOGLE_FEATURES", "GOOGLE_LABEL"):
            text = f"{name}: email" if variable.endswith("FEATURES") else name
            assert fault(**{variable: text}).startswith(variable)


@EVERY_NAME
async def test_in_chat_a_name_is_cut_and_turns_nothing(name: str) -> None:
    profile = Profile(Account("1", name), requested_scopes=("one", scope(name)))
    known = describe(ON["wiki"], TokenData("-", scopes=[scope(name)]), profile, 0.0)
    told = details(ON["wiki"], known, 0.0)
    assert clean_label(name) in told
    assert "W" * 81 not in told
    assert not {"\u202e", "\u2066", "\u200f", "\u061c", "\ufeff", "\u2028"} & set(told)


async def test_a_notice_about_a_service_that_is_unknown_here_turns_nothing(place: Place) -> None:
    notice = Notice(NoticeKind.CONNECTED, "ann", "wiki", TURNING["turned around"], 0.0)
    assert "\u202e" not in await notice_text(place.bot, place.redis, notice)
