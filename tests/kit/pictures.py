"""``make pictures``: every screen in Chromium, in every width and scheme, with what axe finds."""

from __future__ import annotations

import asyncio
import html
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from tests.kit.browser import AXE_RULES, find_chromium, launched
from tests.kit.fake_provider import serve
from tests.kit.screens import screens
from webui.rendering import assets

WIDTHS = (320, 390, 1280)
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "forced": {"forced_colors": "active"},
}
FOLDER = Path("pictures")


def site(found: dict[str, str]) -> Starlette:
    """Serve each screen under its name, as the site would."""

    async def show(asked: Request) -> HTMLResponse:
        return HTMLResponse(found[asked.path_params["name"]])

    return Starlette(
        routes=[Route("/screen/{name:path}", show), Route("/static/{path:path}", assets.serve)]
    )


def pages(found: dict[str, str], wanted: list[str]) -> Iterator[str]:
    """Name the whole pages among the screens; a fragment has no picture of its own."""
    for name, body in found.items():
        is_wanted = not wanted or any(name.startswith(start) for start in wanted)
        if is_wanted and body.lstrip().startswith("<!doctype"):
            yield name


async def take(browser: Browser, url: str, names: list[str], width: int, look: str) -> list[str]:
    """Take one picture of each page; return what axe finds, a line each."""
    findings = []
    context = await browser.new_context(
        viewport={"width": width, "height": 844}, reduced_motion="reduce", **LOOKS[look]
    )
    page = await context.new_page()
    for name in names:
        await page.goto(f"{url}/screen/{quote(name)}")
        target = FOLDER / f"{width}-{look}" / f"{name.replace('/', '_')}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        await page.screenshot(path=target, full_page=True)
        scrolls = await page.evaluate(
            "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        )
        if scrolls:
            findings.append(f"{name}, {width}, {look}: scrolls sideways")
        report = await Axe().run(page, options=AXE_RULES)
        for found in report.response["violations"]:
            where = found["nodes"][0]["target"]
            findings.append(f"{name}, {width}, {look}: {found['id']} at {where}")
    await context.close()
    return findings


def contact_sheet(names: list[str], findings: list[str]) -> str:
    """Write one page with every picture, by screen, and the findings above them."""
    said = "".join(f"<li>{html.escape(line)}" for line in findings) or "<li>axe finds nothing"
    rows = []
    for name in names:
        file = quote(f"{name.replace('/', '_')}.png")
        shown = "".join(
            f'<a href="{width}-{look}/{file}"><img src="{width}-{look}/{file}" width="160"'
            f' loading="lazy" alt="{width} {look}"></a> '
            for width in WIDTHS
            for look in LOOKS
        )
        rows.append(f"<h2>{html.escape(name)}</h2><p>{shown}</p>")
    return f"<!doctype html><meta charset=utf-8><title>Pictures</title><ul>{said}</ul>" + "".join(
        rows
    )


async def main(wanted: list[str]) -> int:
    """Take the pictures of the screens whose names begin so, or of all."""
    found = screens()
    names = list(pages(found, wanted))
    findings: list[str] = []
    with serve(site(found)) as url:
        async with launched(find_chromium()) as browser:
            for look in LOOKS:
                for width in WIDTHS:
                    findings += await take(browser, url, names, width, look)
    (FOLDER / "index.html").write_text(contact_sheet(names, findings))
    lines = [*findings, f"{len(names)} screens: {FOLDER / 'index.html'}"]
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
