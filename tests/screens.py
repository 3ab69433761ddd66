"""Every screen in every state, for the tests that look at all of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request

from webui import pages, sessions
from webui.cards import Card, Note, Screen, confirm_card, make_card, summarize
from webui.oauth_manager.models import Account, Connection, Profile, Status
from webui.oauth_manager.provider import OAuthProvider, build_providers
from webui.oauth_manager.providers import PROVIDER_TEMPLATES
from webui.permissions import permission_groups

NOW = 1_791_018_840.0  # 3 October 2026 at 09:14 UTC
DAY = 86_400.0
BOT = "Stella"
PRODUCT = "Stargazer"
SCREEN = Screen(PRODUCT, BOT, NOW)
DETAIL = Screen(PRODUCT, BOT, NOW, "detail")

_CLIENT = {"client_id": "an-id", "client_secret": "a-secret"}
OFF = build_providers(PROVIDER_TEMPLATES, {})
ON = build_providers(
    PROVIDER_TEMPLATES,
    {
        **dict.fromkeys(PROVIDER_TEMPLATES, _CLIENT),
        "wiki": {
            **_CLIENT,
            "authorize_url": "https://wiki.example/authorize",
            "token_url": "https://wiki.example/token",
            "manage_url": "javascript:alert(1)",
            "status_url": "javascript:alert(1)",
            "scopes": ["wiki.read"],
        },
    },
)


def connection(
    name: str,
    status: Status = Status.CONNECTED,
    label: str = "octocat",
    problem_since: float = 0.0,
    **more: Any,
) -> Connection:
    profile = Profile(Account("1", label), NOW - 40 * DAY, NOW - 3600, problem_since=problem_since)
    if status is Status.NOT_CONNECTED:
        return Connection(name, status)
    return Connection(name, status, profile=profile, **more)


@dataclass(frozen=True)
class Case:
    """A connection with an outcome, and the state it is to be shown in."""

    state: str
    provider: OAuthProvider
    connection: Connection | None
    note: Note | None = None


def _free(state: str, name: str, note: Note | None = None) -> Case:
    return Case(state, ON[name], connection(name, Status.NOT_CONNECTED), note)


def _held(state: str, name: str, note: Note | None = None, **more: Any) -> Case:
    return Case(state, ON[name], connection(name, **more), note)


_GONE: dict[str, Any] = {"status": Status.RECONNECT_NEEDED, "problem_since": NOW - DAY}
_RENEWING: dict[str, Any] = {"has_refresh_token": True, "scopes": ("openid", "email")}

CASES: dict[str, Case] = {
    "off": Case("S0", OFF["github"], connection("github", Status.NOT_CONNECTED)),
    "switched off": Case("S0", OFF["github"], connection("github", scopes=("repo",))),
    "free": _free("S1", "discord"),
    "never looked up": Case("S1", ON["microsoft"], None),
    "endless": _held(
        "S4", "github", scopes=("repo", "read:user", "delete_repo", "user:follow", "odd:one")
    ),
    "no scopes": _held("S4", "github"),
    "renewing": _held("S4", "google", expires_at=NOW + 60, **_RENEWING),
    "timed": _held("S4", "google", expires_at=NOW + 60),
    "expired, renews": _held("S5", "google", expires_at=NOW - 60, **_RENEWING),
    "expired, does not": _held("S7", "google", expires_at=NOW - 60),
    "ended": _held("S7", "microsoft", **_GONE),
    "limited": _held("S8", "google", missing_scopes=("email", "odd:one"), **_RENEWING),
    "unreadable": _held("unreadable", "discord", status=Status.UNREADABLE, label=""),
    "store away": Case("unavailable", ON["discord"], None, Note("unavailable")),
    "connected": _held("S4", "github", Note("connected"), scopes=("repo",)),
    "disconnected": _free("S12", "github", Note("disconnected")),
    "already": _free("S12", "github", Note("already_disconnected")),
    "still listed": _free("S13", "discord", Note("still_listed")),
    "no link there": _free("S13", "wiki", Note("still_listed")),
    "own list": _free("S13b", "microsoft", Note("own_list")),
    "kept": _held("S14", "github", Note("disconnect_failed", ref="K4T9WX")),
    "denied": _free("S15", "github", Note("denied")),
    "denied again": _held("S15", "github", Note("denied"), **_GONE),
    "failed": _free("S16", "github", Note("failed", ref="K4T9WX")),
    "failed again": _held("S16", "github", Note("failed"), **_GONE),
    "attempt over": _free("S17", "github", Note("attempt_over")),
    "misconfigured": _free("misconfigured", "github", Note("misconfigured")),
    "trouble": _free("trouble", "github", Note("provider_trouble")),
    "no status page": _free("trouble", "wiki", Note("provider_trouble")),
    "own provider": _held("S4", "wiki", scopes=("wiki.read",)),
}


def card(case: Case, screen: Screen = SCREEN, **more: Any) -> Card:
    return make_card(case.provider, case.connection, case.note, screen, **more)


@dataclass(frozen=True)
class _Settings:
    product_name: str = PRODUCT
    bot_name: str = BOT
    host: str = "connect.example.org"


def request(*, htmx: bool = False, method: str = "GET", signed_in: bool = True) -> Request:
    app = Starlette()
    app.state.site = SimpleNamespace(settings=_Settings())
    headers = [(b"hx-request", b"true")] if htmx else []
    return Request(
        {
            "type": "http",
            "method": method,
            "path": "/",
            "query_string": b"",
            "headers": headers,
            "app": app,
            sessions._LOADED: object() if signed_in else None,
        }
    )


def card_html(shown: Card, page: str = "", **how: Any) -> str:
    page = page or ("connection.html" if shown.where == "detail" else "connections.html")
    answer = pages.render_card(
        request(**how), shown, summarize([shown], SCREEN), page=page, cards=[shown], announce="Hm."
    )
    return bytes(answer.body).decode()


def _page(template: str, context: dict[str, Any], *, signed_in: bool = False) -> str:
    answer = pages.render(request(signed_in=signed_in), template, **context)
    return bytes(answer.body).decode()


def _link_pages() -> Iterator[tuple[str, str]]:
    github = ON["github"]
    landing = {"start_url": "/start", "decline_url": "/decline", "expires_at": NOW}
    groups = permission_groups(github, ("repo",), PRODUCT, BOT, strongest_first=True)
    yield "L1", _page("link_landing.html", {"provider": github, "groups": groups, **landing})
    yield "L1 signs in", _page("link_landing.html", {"provider": None, "groups": (), **landing})
    waiting = {
        "confirmed": False,
        "code": "KT49WX",
        "check_url": "/check",
        "decline_url": "/decline",
        "expires_at": NOW,
    }
    yield "L3", _page("link_proof.html", waiting)
    more = {"asked": True, "chat_url": "https://chat.example/", "poll_url": "/poll"}
    yield "L3 asked", _page("link_proof.html", waiting | more)
    for name, provider in {"L3 confirmed": github, "L3 signs in": None}.items():
        context = {"confirmed": True, "continue_url": "/go", "provider": provider}
        yield name, _page("link_proof.html", context)
    yield "L5", _page("link_not_yours.html", {"next": "/connect/x"}, signed_in=True)
    done = {"provider": github, "account": "octocat", "chat_url": "https://chat.example/"}
    yield "L6", _page("link_done.html", done, signed_in=True)
    yield "L7 stranger", _page("link_dead.html", {})
    for reason in ("used", "ran_out", "replaced"):
        context = {"reason": reason, "at": NOW, "chat_url": "https://chat.example/"}
        yield f"L7 {reason}", _page("link_dead.html", context, signed_in=True)
    yield "L8", _page("link_declined.html", {})
    yield "L9", _page("link_other_browser.html", {"again_url": "/again"})
    yield "L9 from chat", _page("link_other_browser.html", {"provider": github})


def _errors() -> Iterator[tuple[str, str]]:
    for status in (400, 403, 404, 405, 408, 410, 413, 429, 500, 503):
        for method in ("GET", "POST"):
            answer = pages.render_error(
                request(method=method), status, ref="K4T9WX", retry_at=NOW if status == 429 else 0
            )
            yield f"{method} {status}", bytes(answer.body).decode()
    for key in ("stale", "attempt"):
        for htmx in (False, True):
            answer = pages.render_error(request(htmx=htmx), 400, key)
            yield f"{key} {htmx}", bytes(answer.body).decode()


def screens() -> dict[str, str]:
    """The HTML of every screen there is, by a name for the test's report."""
    found = {name: card_html(card(case)) for name, case in CASES.items()}
    found |= {f"{name}, alone": card_html(card(case, DETAIL)) for name, case in CASES.items()}
    found |= {f"{name}, fragment": card_html(card(c), htmx=True) for name, c in CASES.items()}
    for name in ("endless", "ended", "unreadable", "own provider", "no scopes"):
        case = CASES[name]
        asked = confirm_card(case.provider, case.connection, SCREEN)
        found[f"ask {name}"] = card_html(asked, "disconnect.html")
    unnamed = connection("google", label="", **_RENEWING)
    asked = confirm_card(ON["google"], unnamed, SCREEN)
    found["ask unnamed"] = card_html(asked, "disconnect.html")
    several = [card(CASES[name]) for name in ("limited", "ended", "endless")]
    for name, cards in {"list": several, "no services": []}.items():
        summary = summarize(cards, SCREEN)
        context = {"cards": cards, "summary": summary}
        found[name] = _page("connections.html", context, signed_in=True)
    leaving = pages.hand_off(request(), ON["github"], "https://github.com/login?a=1&b=2")
    found["handoff"] = bytes(leaving.body).decode()
    found["signin"] = _page("signin.html", {"service": "github"})
    found["signin ended"] = _page("signin.html", {"ended": True})
    found["signin proxy"] = _page("signin.html", {"proxy_url": "/proxy"})
    found["signed out"] = _page("signed_out.html", {})
    return found | dict(_link_pages()) | dict(_errors())


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    text: str = ""


@dataclass
class Document(HTMLParser):
    """What a test asks of HTML: its elements, its visible text."""

    html: str
    elements: list[Element] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    _open: list[Element] = field(default_factory=list)

    _VOID = frozenset({"meta", "link", "img", "input", "br"})

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.elements.append(element)
        if tag not in self._VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop().tag != tag:
            pass

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data
        self.words += data.split()

    @property
    def text(self) -> str:
        return " ".join(self.words)

    def by_id(self, wanted: str) -> Element:
        return next(e for e in self.elements if e.attributes.get("id") == wanted)
