"""The operator's own colour and logo as Chromium draws them, under the policy of the pages."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.async_api import Browser, Page
from redis.asyncio import Redis

from tests.kit import browser
from tests.kit.browser import window
from tests.kit.hosted import Desk, desk, hosted
from tests.kit.logos import DRAWING, plain_png
from webui.settings.accent import SCHEMES, Scheme, tokens
from webui.settings.colours import oklab
from webui.settings.logo import Logo
from webui.settings.svg import cleaned

pytestmark = pytest.mark.anyio
chromium = browser.chromium

VIOLET = "#5B2A86"
STYLED = DRAWING.replace("<circle", "<style>circle{stroke:red}</style><circle")
LOGOS = {"svg": Logo("svg", cleaned(STYLED.encode())), "png": Logo("png", plain_png(300, 90))}
# Inside the gamut of sRGB at every lightness that the rules ask for, or nearly.
CALM = ("#0F5468", "#5B2A86", "#7A3B2E", "#2F5D3A", "#44506B", "#8D8D8D")
COLOUR = """name => {
  const probe = document.createElement('i');
  probe.style.color = `color-mix(in srgb, var(--${name}) 100%, transparent 0%)`;
  document.body.append(probe);
  const canvas = new OffscreenCanvas(1, 1).getContext('2d');
  canvas.fillStyle = getComputedStyle(probe).color;
  canvas.fillRect(0, 0, 1, 1);
  probe.remove();
  return [...canvas.getImageData(0, 0, 1, 1).data];
}"""
SHIFTS = """() => new Promise(done => {
  let sum = 0;
  const add = entries => entries.forEach(entry => { sum += entry.value; });
  const seen = new PerformanceObserver(list => add(list.getEntries()));
  seen.observe({type: 'layout-shift', buffered: true});
  requestAnimationFrame(() => requestAnimationFrame(() => { add(seen.takeRecords()); done(sum); }));
})"""
DRAWN = """() => [...document.querySelectorAll('img[src*="/static/logo."]')].map(
  i => [i.complete && i.naturalWidth > 0, i.clientWidth, i.clientHeight]
)"""


def written(colour: list[int]) -> str:
    return "#" + "".join(f"{part:02X}" for part in colour[:3])


async def colour_of(page: Page, name: str) -> str:
    return written(await page.evaluate(COLOUR, name))


async def filled(ann: Desk) -> None:
    await ann.connect("github")
    await ann.note("google", "denied")
    await ann.window.go("/connections")


@pytest.mark.parametrize("kind", list(LOGOS))
@pytest.mark.parametrize("width", [320, 1280])
async def test_pages_are_drawn_in_the_operators_look(
    chromium: Browser, redis_url: str, redis: Redis, kind: str, width: int
) -> None:
    look: dict[str, Any] = {"product_colour": VIOLET, "product_logo": LOGOS[kind]}
    async with hosted(redis_url, **look) as host, desk(chromium, host, redis, width=width) as ann:
        await filled(ann)
        page = ann.window.page
        for scheme in SCHEMES:
            await page.emulate_media(color_scheme=scheme.name)  # type: ignore[arg-type]
            for name, colour in tokens(VIOLET, scheme).items():
                assert await colour_of(page, name) == colour, name
        await page.emulate_media(color_scheme="light")
        images = await page.evaluate(DRAWN)
        assert len(images) >= 1
        assert all(is_drawn and 24 <= wide == high <= 56 for is_drawn, wide, high in images)
        assert round(await page.evaluate(SHIFTS), 2) == 0  # a time is written anew
        await ann.window.fits()
        await ann.window.is_accessible()
        await page.emulate_media(forced_colors="active")
        await ann.window.fits()
        assert all(is_drawn for is_drawn, _, _ in await page.evaluate(DRAWN))


@pytest.mark.parametrize("kind", list(LOGOS))
async def test_a_providers_logo_is_drawn_like_any_mark(
    chromium: Browser, redis_url: str, redis: Redis, kind: str
) -> None:
    logos = {"github": LOGOS[kind], "google": LOGOS[kind]}
    async with (
        hosted(redis_url, provider_logos=logos) as host,
        desk(chromium, host, redis, width=320) as ann,
    ):
        await filled(ann)
        for path in ("/connections", "/connections/github"):
            await ann.window.go(path)
            for scheme in ("light", "dark"):
                await ann.window.page.emulate_media(color_scheme=scheme)
                marks = ann.window.page.locator("img[src*='/marks/']")
                drawn = await marks.evaluate_all(
                    "all => all.map(e => [e.complete && e.naturalWidth > 0, e.width, e.height])"
                )
                assert drawn
                assert all(whole and 16 <= wide == high <= 40 for whole, wide, high in drawn)
                await ann.window.fits()
                await ann.window.is_accessible()


async def test_the_look_needs_no_script(chromium: Browser, redis_url: str, redis: Redis) -> None:
    look: dict[str, Any] = {"product_colour": VIOLET, "product_logo": LOGOS["svg"]}
    async with (
        hosted(redis_url, **look) as host,
        window(chromium, host.town, redis, script=False) as anybody,
    ):
        await anybody.go("/signin")
        requested = {re.sub(r"\.[0-9a-f]{12}\.", ".", url) for url in anybody.requested}
        own = {url for url in requested if re.search(r"/static/(accent|logo)\.", url)}
        assert {url.rpartition("/")[2] for url in own} == {"accent.css", "logo.svg"}


@pytest.mark.parametrize("kind", list(LOGOS))
async def test_a_logo_can_be_opened_by_itself(
    chromium: Browser, redis_url: str, redis: Redis, kind: str
) -> None:
    async with (
        hosted(redis_url, product_logo=LOGOS[kind]) as host,
        window(chromium, host.town, redis) as anybody,
    ):
        answer = await anybody.page.goto(f"{host.town.site.base_url}/static/logo.{kind}")
        assert answer is not None
        assert answer.ok
        assert (await anybody.page.evaluate("document.contentType")).startswith("image/")
        if kind == "png":
            anybody.complaints.clear()  # of Chromium's own page around a picture


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
async def test_the_colours_are_those_that_the_stylesheet_works_out_itself(
    chromium: Browser, redis_url: str, redis: Redis, scheme: Scheme
) -> None:
    async with hosted(redis_url) as host, window(chromium, host.town, redis) as anybody:
        await anybody.go("/signin")
        await anybody.page.emulate_media(color_scheme=scheme.name)  # type: ignore[arg-type]
        for accent in CALM:
            await anybody.page.evaluate(
                "colour => document.documentElement.style.setProperty('--accent', colour)", accent
            )
            for name, colour in tokens(accent, scheme).items():
                seen = await colour_of(anybody.page, name)
                assert oklab(seen) == pytest.approx(oklab(colour), abs=0.02), (accent, name, seen)
