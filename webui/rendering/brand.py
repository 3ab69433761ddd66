"""The operator's own colour and logos: static files of one application, beside everybody's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from webui.rendering import assets
from webui.rendering.assets import Asset
from webui.settings.accent import LIGHT, stylesheet, tokens
from webui.settings.logo import Logo
from webui.settings.settings import Settings
from webui.site import site_of

_MEDIA_TYPES = {"svg": "image/svg+xml", "png": "image/png"}
_MOST = 16  # applications with a look of their own in one process


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """The addresses that pages name, ``""`` for what is not set; known by its identity.

    ``mark_urls`` are those of the providers' own logos.
    """

    accent_url: str
    logo_url: str
    mark_urls: Mapping[str, str]

    def mark_url(self, provider: str) -> str:
        """Return the address of a provider's logo or its usual mark, ``""`` if it has neither.

        Of a place as well.
        """
        name = provider.partition("~")[0]
        return self.mark_urls.get(name) or assets.mark_url(name)


@dataclass(frozen=True, slots=True)
class Brand:
    """The look of an application, and every static file."""

    look: Look
    icon_name: str
    files: Mapping[str, Asset] = field(repr=False)

    @property
    def icon(self) -> Asset:
        """Return the icon of the tab: the logo, or the usual sign in the operator's colour."""
        return self.files[self.icon_name]

    @property
    def icon_url(self) -> str:
        return self.icon.url(self.icon_name)


def brand_of(settings: Settings) -> Brand:
    """Return the look of one application; equal settings share it."""
    marks = tuple(sorted(settings.provider_logos.items()))
    return _made(settings.product_colour, settings.product_logo, marks)


@lru_cache(maxsize=_MOST)
def _made(colour: str, logo: Logo | None, marks: tuple[tuple[str, Logo], ...]) -> Brand:
    own = {}
    if colour:
        own["accent.css"] = assets.asset(stylesheet(colour).encode(), "text/css; charset=utf-8")
        own["favicon.svg"] = _favicon(colour)
    if logo:
        own[f"logo.{logo.kind}"] = _asset(logo)
    urls = {name.partition(".")[0]: file.url(name) for name, file in own.items()}
    icon_name = f"logo.{logo.kind}" if logo else "favicon.svg"
    drawn = {f"marks/{name}.{each.kind}": _asset(each) for name, each in marks}
    mark_urls = {Path(name).stem: file.url(name) for name, file in drawn.items()}
    files = {**assets.load(), **own, **drawn}
    look = Look(urls.get("accent", ""), urls.get("logo", ""), mark_urls)
    return Brand(look, icon_name, files)


def _asset(logo: Logo) -> Asset:
    return assets.asset(logo.body, _MEDIA_TYPES[logo.kind])


def _favicon(colour: str) -> Asset:
    """Draw the usual sign in another colour; it can read no token of a page."""
    usual, found = assets.load()["favicon.svg"], tokens(colour, LIGHT)
    body = usual.body
    for was, name in ((b"#0F5468", "accent"), (b"#FFFFFF", "on-brand")):
        body = body.replace(was, found[name].encode())
    return assets.asset(body, usual.media_type)


async def serve(request: Request) -> Response:
    """Serve ``/static/{path:path}``, the application's own files among them."""
    return assets.answer(request, brand_of(site_of(request).settings).files)


async def icon(request: Request) -> Response:
    """Serve ``/favicon.ico``, for browsers that are shown no page of ours."""
    return assets.answer_icon(brand_of(site_of(request).settings).icon)
