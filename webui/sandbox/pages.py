"""Pages of the demo: their templates, their headers, their style and scripts."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from webui.rendering import assets

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_FOLDER = assets.folder("templates") / "sandbox"
_FILES = {
    "demo.css": "text/css",
    "chat.js": "text/javascript",
    "guide.js": "text/javascript",
    "steps.js": "text/javascript",
}
TEMPLATES = Environment(
    loader=FileSystemLoader(_FOLDER),
    autoescape=True,
    auto_reload=False,
    undefined=StrictUndefined,
    trim_blocks=True,
)
TEMPLATES.globals.update(static=assets.static_url, mark=assets.mark_url)


def page(template: str, *, frames: str = "", **values: Any) -> Response:
    """Make one page; ``frames`` are the origins that it may show in its frames."""
    headers = dict(HEADERS)
    if frames:
        headers["Content-Security-Policy"] += f"; frame-src {frames}"
    return HTMLResponse(TEMPLATES.get_template(template).render(values), headers=headers)


def files() -> list[Route]:
    """List the routes of style and scripts; the pages have the site's style too."""
    own = [Route(f"/{name}", _file) for name in _FILES]
    return [*own, Route("/static/{path:path}", assets.serve)]


async def _file(request: Request) -> Response:
    name = request.url.path.removeprefix("/")
    source = (_FOLDER / name).read_bytes()
    return Response(source, headers=HEADERS, media_type=_FILES[name])
