"""The operator's own colour and logo on the pages, and as files of one application."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from tests.kit.fake_provider import FakeProvider
from tests.kit.library import BASE_URL
from tests.kit.logos import DRAWING, plain_png
from tests.kit.site_fixtures import Browser, Place, running, site_settings
from webui.app import create_app
from webui.oauth_manager.values import replace
from webui.rendering import assets
from webui.rendering.assets import folder
from webui.rendering.brand import brand_of
from webui.settings.accent import stylesheet
from webui.settings.logo import Logo
from webui.settings.settings import Settings

pytestmark = pytest.mark.anyio

VIOLET = "#5B2A86"
VECTOR, BITMAP = Logo("svg", DRAWING.encode()), Logo("png", plain_png())
LOGO = re.compile(r'<img[^>]* src="(/static/logo\.[0-9a-f]{12}\.(svg|png))" alt=""[^>]*>')
FOR_EVER = "public, max-age=31536000, immutable"


@asynccontextmanager
async def site(settings: Settings) -> AsyncIterator[Browser]:
    """A browser at a site with these settings."""
    app = create_app(settings)
    transport = httpx.ASGITransport(app)
    async with (
        running(app),
        httpx.AsyncClient(transport=transport, base_url=BASE_URL) as client,
    ):
        yield Browser(client)


@pytest.fixture
def plain(redis_url: str, fake: FakeProvider) -> Settings:
    return site_settings(redis_url, fake)


def icon_of(html: str) -> tuple[str, str]:
    (found,) = re.findall(r'<link rel="icon" href="([^"]+)" type="([^"]+)">', html)
    return found  # type: ignore[no-any-return]


async def test_nothing_is_added_without_colour_and_logo(plain: Settings) -> None:
    async with site(plain) as anybody:
        page = (await anybody.get("/signin")).text
        assert "accent." not in page
        assert not LOGO.search(page)
        assert icon_of(page) == (assets.static_url("favicon.svg"), "image/svg+xml")
        assert (await anybody.get("/static/accent.css")).status_code == 404
        assert (await anybody.get("/static/logo.svg")).status_code == 404
        icon = await anybody.get("/favicon.ico")
        assert icon.content == assets.load()["favicon.svg"].body


async def test_the_colour_is_one_stylesheet_of_our_own_after_the_usual_one(
    plain: Settings,
) -> None:
    async with site(replace(plain, product_colour=VIOLET)) as anybody:
        page = (await anybody.get("/signin")).text
        sheets = re.findall(r'<link rel="stylesheet" href="([^"]+)"', page)
        assert sheets[0] == assets.static_url("app.css")
        assert re.fullmatch(r"/static/accent\.[0-9a-f]{12}\.css", sheets[1])
        assert len(sheets) == 2
        assert VIOLET not in page
        answer = await anybody.get(sheets[1])
        assert answer.text == stylesheet(VIOLET)
        assert answer.headers["content-type"] == "text/css; charset=utf-8"
        assert answer.headers["cache-control"] == FOR_EVER


async def test_the_icon_has_the_colour(plain: Settings) -> None:
    async with site(replace(plain, product_colour=VIOLET)) as anybody:
        url, kind = icon_of((await anybody.get("/signin")).text)
        for path in (url, "/favicon.ico"):
            answer = await anybody.get(path)
            assert VIOLET in answer.text
            assert "#0F5468" not in answer.text
            assert answer.headers["content-type"] == kind == "image/svg+xml"


def test_the_sign_of_the_pages_reads_the_token() -> None:
    symbol = re.findall(r'<symbol id="brand".*</symbol>', assets.load()["icons.svg"].body.decode())
    assert "#" not in re.sub(r'id="brand"', "", symbol[0])
    assert "var(--accent)" in symbol[0]
    assert "var(--on-brand)" in symbol[0]


@pytest.mark.parametrize("logo", [VECTOR, BITMAP], ids=["svg", "png"])
async def test_the_logo_stands_beside_the_name_and_is_the_icon(plain: Settings, logo: Logo) -> None:
    async with site(replace(plain, product_logo=logo)) as anybody:
        page = (await anybody.get("/signin")).text
        (brand,) = re.findall(r'<a class="brand".*?</a>', page)
        found = LOGO.search(brand)
        assert found is not None
        assert found[2] == logo.kind
        assert "#brand" not in page
        kind = {"svg": "image/svg+xml", "png": "image/png"}[logo.kind]
        assert icon_of(page) == (found[1], kind)
        for path in (found[1], "/favicon.ico"):
            answer = await anybody.get(path)
            assert answer.content == logo.body
            assert answer.headers["content-type"] == kind
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert len(answer.headers.get_list("content-security-policy")) == 1
        assert (await anybody.get(found[1])).headers["cache-control"] == FOR_EVER


async def test_a_picture_opened_by_itself_may_do_nothing(plain: Settings) -> None:
    async with site(replace(plain, product_logo=VECTOR)) as anybody:
        paths = ["/favicon.ico", "/static/logo.svg", assets.static_url("icons.svg")]
        for path in paths:
            policy = (await anybody.get(path)).headers["content-security-policy"]
            assert policy == (
                "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
            )


async def test_the_logo_takes_the_place_of_the_sign_in_every_pair(
    place: Place, ann: Browser
) -> None:
    await place.connect(ann, "github")
    usual = (await ann.get("/connections/github")).text
    assert 'class="tile own"' in usual
    async with site(replace(place.settings, product_logo=BITMAP)) as other:
        other.client.cookies = ann.client.cookies
        page = (await other.get("/connections/github")).text
        assert 'class="tile own"' not in page
        assert re.search(rf'<span class="pair [^>]*aria-hidden="true">\s*{LOGO.pattern}', page)
    assert not LOGO.search((await ann.get("/connections/github")).text)


@pytest.mark.parametrize("logo", [VECTOR, BITMAP], ids=["svg", "png"])
async def test_a_provider_with_a_logo_is_drawn_by_it_wherever_it_stands(
    place: Place, ann: Browser, logo: Logo
) -> None:
    await place.connect(ann, "github")
    logos = {"github": logo, "wiki": logo}
    async with site(replace(place.settings, provider_logos=logos)) as other:
        other.client.cookies = ann.client.cookies
        paths = ("/connections", "/connections/github", "/activity")
        pages = [(await other.get(path)).text for path in paths]
        address = re.compile(rf'src="(/static/marks/github\.\w+\.{logo.kind})"')
        found = [address.findall(page) for page in pages]
        assert all(found)
        (url,) = {one for row in found for one in row}
        assert 'src="/static/marks/google.' in pages[0]
        answer = await other.get(url)
        assert answer.content == logo.body
        assert answer.headers["cache-control"] == FOR_EVER
        assert (await other.get(f"/static/marks/wiki.{logo.kind}")).status_code == 200
    assert url not in (await ann.get("/connections")).text


def test_one_of_several_accounts_has_the_mark_of_its_service(plain: Settings) -> None:
    look = brand_of(replace(plain, provider_logos={"wiki": VECTOR})).look
    for name in ("wiki", "github"):
        assert look.mark_url(f"{name}~work") == look.mark_url(name) != ""


async def test_two_applications_of_one_process_differ(plain: Settings) -> None:
    violet = replace(plain, product_colour=VIOLET, product_logo=VECTOR)
    green = replace(plain, product_colour="#1B6E3C", product_logo=BITMAP)
    async with site(violet) as one, site(green) as other, site(plain) as third:
        sheets = [(await browser.get("/static/accent.css")).text for browser in (one, other)]
        assert sheets == [stylesheet(VIOLET), stylesheet("#1B6E3C")]
        assert (await third.get("/static/accent.css")).status_code == 404
        assert (await one.get("/static/logo.png")).status_code == 404
        assert (await other.get("/static/logo.png")).content == BITMAP.body


def test_every_page_takes_its_icon_and_sign_from_the_operators_look() -> None:
    shown = {path.name: path.read_text("utf-8") for path in folder("templates").glob("*.html")}
    for sign in ("#brand", "#star", "tile own"):
        assert {name: text.count(sign) for name, text in shown.items() if sign in text} == {
            "parts.html": 1
        }
    assert [name for name, text in shown.items() if "favicon" in text] == []
