"""Every screen in every state, for the tests that look at all of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request

from tests.kit.support_screens import support_screens
from webui.cards import (
    Card,
    Screen,
    confirm_card,
    grouped,
    make_card,
    summarize,
    to_start_with,
)
from webui.cards.accounts import shown_as
from webui.cards.gallery import ASKED, CASES, NOW, ON, RENEWING, Case, connection, gallery
from webui.cards.parts import DAY
from webui.cards.questions import Question
from webui.cards.timeline import days, timeline
from webui.oauth_manager import (
    Account,
    Answer,
    Health,
    Meaning,
    OAuthProvider,
    Profile,
    RevokeOutcome,
    Status,
    SwitchOffer,
    TokenData,
)
from webui.oauth_manager.journal.activity import Event
from webui.oauth_manager.values import replace
from webui.rendering import render as pages
from webui.sessions.note import Note
from webui.settings.logo import Logo
from webui.text import words
from webui.text.permissions import glossary, permission_groups
from webui.text.receipts import receipt_of

BOT = "Stella"
CONNECTING_FAILED = sorted({meaning.outcome for meaning in Meaning} - {"denied"})
PRODUCT = "Stargazer"
CHAT = {"chat_url": "https://chat.example/"}
SCREEN = Screen(PRODUCT, BOT, NOW)
DETAIL = Screen(PRODUCT, BOT, NOW, "detail")


def card(case: Case, screen: Screen = SCREEN, **more: Any) -> Card:
    return make_card(case.provider, case.connection, case.note, screen, **more)


@dataclass(frozen=True)
class _Settings:
    product_name: str = PRODUCT
    bot_name: str = BOT
    chat_url: str = ""
    host: str = "connect.example.org"
    product_colour: str = ""
    product_logo: Logo | None = None
    provider_logos: Mapping[str, Logo] = field(default_factory=dict)


def request(
    *, htmx: bool = False, method: str = "GET", path: str = "/", signed_in: bool = True
) -> Request:
    app = Starlette()
    app.state.site = SimpleNamespace(settings=_Settings())
    headers = [(b"hx-request", b"true")] if htmx else []
    return Request(
        {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": b"",
            "headers": headers,
            "app": app,
            "webui.session": object() if signed_in else None,
        }
    )


def card_html(shown: Card, page: str = "", said: str = "Hm.", **how: Any) -> str:
    page = page or ("connection.html" if shown.where == "detail" else "connections.html")
    answer = pages.render_card(request(**how), shown, page=page, announce=said, **listed([shown]))
    return bytes(answer.body).decode()


def listed(cards: Sequence[Card], **more: Any) -> dict[str, Any]:
    """The context of the page of all connections."""
    first = to_start_with(cards, "")
    groups = grouped(card for card in cards if card is not first)
    context = {
        "cards": cards,
        "groups": groups,
        "first": first,
        "summary": summarize(cards, SCREEN),
        "has_stored": any(card.stored for card in cards),
    }
    return {**context, "find": "", "can_find": False, **more}


def list_html(cards: Sequence[Card], **more: Any) -> str:
    """The page of all connections."""
    return _page("connections.html", listed(cards, **more), signed_in=True)


def _page(template: str, context: dict[str, Any], *, signed_in: bool = False) -> str:
    answer = pages.render(request(signed_in=signed_in), template, **context)
    return bytes(answer.body).decode()


def _link_pages() -> Iterator[tuple[str, str]]:
    github = ON["github"]
    landing = {"start_url": "/start", "decline_url": "/decline", "expires_at": NOW, "last": 3}
    landing |= {"questions": (), "is_wrong": False}
    groups = permission_groups(github, ("repo",), PRODUCT, BOT, strongest_first=True)
    yield "link", _page("link_landing.html", {"provider": github, "groups": groups, **landing})
    shop = Question("link-shop", "shop", "Your shop", "", example="acme")
    asks = landing | {"questions": (shop,), "is_wrong": True}
    yield "link asks", _page("link_landing.html", {"provider": github, "groups": groups, **asks})
    yield "link signs in", _page("link_landing.html", {"provider": None, "groups": (), **landing})
    waiting = {
        "confirmed": False,
        "code": "KT49WX",
        "check_url": "/check",
        "decline_url": "/decline",
        "expires_at": NOW,
    }
    yield "proof", _page("link_proof.html", waiting)
    more = {"asked": 2, "poll_url": "/poll", **CHAT}
    yield "proof asked", _page("link_proof.html", waiting | more)
    owner = {"owner": "ann@chat", "continue_url": "/go"}
    yield "proof by name", _page("link_proof.html", waiting | owner)
    came = {"confirmed": True, "continue_url": "/go", "provider": github, "is_parked": True}
    yield "proof of an authorization that waits", _page("link_proof.html", came)
    for name, provider in {"proof confirmed": github, "proof signs in": None}.items():
        context = {"confirmed": True, "continue_url": "/go", "provider": provider}
        yield name, _page("link_proof.html", context)
    groups = permission_groups(github, ("read:user",), PRODUCT, BOT)
    done = {"provider": github, "account": "octocat", "groups": groups, "was_there": False}
    yield "link done", _page("link_done.html", {**done, **CHAT}, signed_in=True)
    yield "link done before", _page("link_done.html", done | {"was_there": True}, signed_in=True)
    unnamed = {"provider": github, "account": "", "groups": (), "was_there": False}
    yield "link done, unnamed", _page("link_done.html", unnamed, signed_in=True)
    yield from _endings()


def _endings() -> Iterator[tuple[str, str]]:
    """Every end of a link, as its view makes it, for somebody signed in and for a stranger."""
    github = ON["github"]
    outcomes = [f"connecting.{outcome}" for outcome in CONNECTING_FAILED]
    reasons = ("used", "ran_out")
    context: dict[str, Any] = {}
    asks = [key for key in words.CATALOGUE if re.fullmatch(r"ended\.[a-z_]+", key)]
    for key in ("dead", "declined", "denied", "not_yours", "other_browser", "over", *outcomes):
        service = github if key in ("denied", *outcomes) else None
        context = {
            "key": f"ended.{key}",
            "provider": service,
            "reason": "",
            "command": f"connect {service.name}" if service else "connect",
            "ask": "ended.to_renew",
            "ref": "K4T9WX" if key in outcomes else "",
            "signs_out": key == "not_yours",
        }
        yield f"link {key}", _page("link_ended.html", context)
        known = {**context, **CHAT}
        yield f"link {key}, signed in", _page("link_ended.html", known, signed_in=True)
    for reason in reasons:
        over = {**context, "key": "ended.dead", "reason": reason, "at": NOW}
        yield f"dead link, {reason}", _page("link_ended.html", over)
    for ask in asks:
        if ask.rpartition(".")[2] not in reasons:
            yield f"link, {ask}", _page("link_ended.html", {**context, "ask": ask})
    yield "link, no way on", _page("link_ended.html", {**context, "command": ""})


def _errors() -> Iterator[tuple[str, str]]:
    for status in (400, 403, 404, 405, 408, 410, 413, 429, 500, 503):
        for method in ("GET", "POST"):
            answer = pages.render_error(
                request(method=method), status, ref="K4T9WX", retry_at=NOW if status == 429 else 0
            )
            yield f"{method} {status}", bytes(answer.body).decode()
    for path in ("/signout", "/connections/github/check", "/connections/github/connect"):
        answer = pages.render_error(request(method="POST", path=path), 503)
        yield f"POST {path} 503", bytes(answer.body).decode()
    off = pages.render_error(request(), 503, "service")
    yield "link, busy", bytes(off.body).decode()
    full = pages.render_error(request(), 503, "busy")
    yield "too much at once", bytes(full.body).decode()
    unanswered = pages.render_error(request(), 503, "unanswered", ref="K4T9WX")
    yield "unanswered", bytes(unanswered.body).decode()
    for key in ("stale", "unsaid"):
        for htmx in (False, True):
            answer = pages.render_error(request(htmx=htmx), 400, key)
            yield f"{key} {htmx}", bytes(answer.body).decode()
    for htmx in (False, True):
        answer = pages.render_error(request(htmx=htmx), 503, "signon_role", label="Acme")
        yield f"role unknown {htmx}", bytes(answer.body).decode()


def events() -> list[Event]:
    """One event of every kind, by everybody, newest first, over three days."""
    kinds = [
        ("connected", "web", "octocat"),
        ("used", "bot", ""),
        ("reconnected", "chat", "<b>\u202eeve"),
        ("checked_working", "web", ""),
        *((f"checked_{health}", "web", "") for health in Health if health != "working"),
        ("limited_accepted", "web", ""),
        ("account_switched", "web", "hubot"),
        ("account_switched", "web", ""),
        ("link_made", "chat", ""),
        ("link_used", "", ""),
        ("link_cancelled", "", ""),
        ("denied", "web", ""),
        ("connect_failed", "chat", ""),
        ("access_ended", "provider", ""),
        ("revoked", "web", ""),
        ("disconnected", "chat", ""),
        ("support_checked", "support", ""),
        ("disconnected", "support", ""),
        ("of a later release", "web", ""),
    ]
    named = [
        Event(kind, "github", by, NOW - number * 5 * 3600, account=account)
        for number, (kind, by, account) in enumerate(kinds)
    ]
    details = {
        "disconnected": ("revoked", "unconfirmed", "unsupported", "ended", "nothing", "asking"),
        "denied": ("not_you",),
        "reconnected": ("was_there",),
        "connect_failed": (*CONNECTING_FAILED, "start_here", "too_many", "<b>"),
    }
    named += [
        Event(kind, "github", "support", NOW - 4 * DAY, detail)
        for kind, values in details.items()
        for detail in values
    ]
    others = [
        ("support_viewed", "support"),
        ("support_cancelled_links", "support"),
        ("support_ended_sessions", "support"),
        ("link_made", "chat"),
        ("link_used", ""),
        ("link_cancelled", ""),
    ]
    looks = Event("support_viewed", "", "support", NOW - 4 * DAY, "3", ticket="4711")
    accounts = {"account": "hubot", "was": "<b>\u202eeve"}
    switched = Event("account_switched", "github", "web", NOW - 4 * DAY, **accounts)
    more = [Event(kind, "", by, NOW - 4 * DAY) for kind, by in others]
    more += [
        Event("disconnected", "google", "web", NOW - 5 * DAY, account="mona"),
        Event("access_ended", "google", "provider", NOW - 5 * DAY, account="mona"),
        Event("support_cancelled_links", "", "support", NOW - 6 * DAY, ticket="1"),
        Event("support_ended_sessions", "", "support", NOW - 6 * DAY, ticket="2"),
        Event("link_used", "google", "", NOW - 7 * DAY),
        Event("link_made", "google", "chat", NOW - 7 * DAY - 60),
    ]
    return [*named, looks, switched, *more]


def _offers() -> Iterator[tuple[str, SwitchOffer]]:
    """Every question that is asked of an account which came back."""
    octocat, hubot, nobody = Account("1", "octocat"), Account("2", "hubot"), Account()
    questions: tuple[tuple[str, Account, Account, dict[str, Any]], ...] = (
        ("switch", octocat, hubot, {}),
        ("switch, or both", octocat, hubot, {"can_add": True}),
        ("switch unnamed", Account("1"), Account("2"), {}),
        ("switch from what is not known", nobody, hubot, {}),
        ("switch to what is not known", octocat, nobody, {}),
        ("whose", nobody, hubot, {"handle": "hubot", "is_replacing": False}),
        ("whose, instead of another", octocat, hubot, {"handle": "hubot"}),
        ("whose, or both", octocat, hubot, {"handle": "hubot", "can_add": True}),
        ("whose, instead of what is not known", nobody, hubot, {"handle": "hubot"}),
    )
    for name, old, new, more in questions:
        token, profile = TokenData("-", provider="github"), Profile(new)
        yield name, SwitchOffer("x" * 43, "github", old, token, profile, until=NOW, **more)


def _reading() -> Iterator[tuple[str, str]]:
    entries = timeline(events(), ON, PRODUCT, BOT, until=NOW)
    found = days(entries, NOW)
    contexts: dict[str, dict[str, Any]] = {
        "activity": {"days": found, "older": "1-0"},
        "activity, older": {"days": found, "older": "", "before": "1-0"},
        "activity, nothing older": {"days": (), "older": "", "before": "1-0"},
        "activity, none": {"days": (), "older": ""},
        "activity, of one service": {"days": found, "older": "1-0", "service": "github"},
        "activity, none of one service": {"days": (), "older": "", "service": "github"},
    }
    services = {"service": "", "services": [(p.name, p.label) for p in ON.values()]}
    for name, context in contexts.items():
        yield name, _page("activity.html", {**services, **context}, signed_in=True)
    recent = {"card": card(CASES["endless"], DETAIL), "entries": entries[:5], "now": NOW}
    yield "one service", _page("connection.html", recent, signed_in=True)
    endless = CASES["endless"]
    assert endless.connection
    for is_default in (False, True):
        one = replace(endless.connection, name="Work", slot="work", is_default=is_default)
        own = make_card(shown_as({one.provider: endless.provider}, one), one, None, DETAIL)
        for refused in ("", "name", "full"):
            several = recent | {"card": replace(own, refused=refused)}
            yield (
                f"one account, default: {is_default}, refused: {refused}",
                _page("connection.html", several, signed_in=True),
            )
        for key in ("saved", "default_saved", "no_default_saved"):
            said = words.text(f"account.{key}", bot=BOT, name="Work")
            yield f"one account, {key}: {is_default}", card_html(own, said=said, htmx=True)
    nothing = replace(ON["wiki"], name="nothing", label="Nothing", scopes=[])
    glossaries = [glossary(p, PRODUCT, BOT) for p in (*ON.values(), nothing)]
    yield "permissions", _page("permissions.html", {"glossaries": glossaries})
    yield "permissions, none", _page("permissions.html", {"glossaries": []})
    for name, offer in _offers():
        context = {"provider": ON["github"], "offer": offer, "old_works": True, "action": "/switch"}
        yield name, _page("switch.html", context, signed_in=True)
        ended = context | {"old_works": False}
        yield f"{name}, ended", _page("switch.html", ended, signed_in=True)
    yield "gallery", _page("gallery.html", {"cards": list(gallery(SCREEN))}, signed_in=True)


def _support() -> Iterator[tuple[str, str]]:
    for name, template, fragment, context in support_screens(SCREEN, events()):
        for htmx in (False, True) if fragment else (False,):
            asked = request(htmx=htmx, signed_in=False)
            answer = pages.render(asked, template, fragment=fragment, **context)
            yield f"{name}{', fragment' if htmx else ''}", bytes(answer.body).decode()


def _sign_on() -> Iterator[tuple[str, str]]:
    acme = OAuthProvider("sign-on", "", "", label="Acme")
    for is_for_staff in (False, True):
        context = {"sign_on": acme, "is_for_staff": is_for_staff, "next": "/connections"}
        yield f"signin, for staff {is_for_staff}", _page("signin.html", context)
        wanted = {**context, "next": "/support", "wants_support": True}
        yield f"signin to support, for staff {is_for_staff}", _page("signin.html", wanted)
    for text in ("text_signin", "text_signout"):
        leaving = pages.hand_off(request(), acme, "https://login.example/", "/signin", text=text)
        yield text, bytes(leaving.body).decode()
    for key in ("signon", "signon_refused", "signon_old", "signon_away"):
        again = "/support" if key == "signon_old" else ""
        context = {"key": key, "label": "Acme", "again": again, "ref": "K4T9WX"}
        yield key, _page("signon_failed.html", context)


def _lists() -> dict[str, list[Card]]:
    """Whole pages of connections, by what they show."""
    lists = {
        "list": ("limited", "ended", "endless"),
        "mixed": ("refused", "limited", "own provider", "ends soon", "never looked up"),
        "well": ("endless", "renewing", "timed", "nobody to renew"),
        "nothing connected": ("free, github", "free, google", "free", "never looked up"),
        "left": ("disconnected", "asked again", "own list", "timed"),
    }
    more = {
        "nobody to renew": Case("connected", ON["microsoft"], connection("microsoft", **RENEWING)),
        "free, github": Case("not_connected", ON["github"], None),
        "free, google": Case("not_connected", ON["google"], None),
    }
    cases = CASES | more
    return {"no services": []} | {
        name: [card(cases[one]) for one in ones] for name, ones in lists.items()
    }


def _answers() -> list[dict[str, object]]:
    """Every answer of a service to an erasure, under a hostile name too."""
    shown = {
        "name": "github",
        "label": "GitHub",
        "account": "mona@example.org",
        "page": "https://github.com/settings/applications",
    }
    return [
        {**shown, "answer": answer.value, "is_over": answer.value in ("revoked", "ended")}
        for answer in Answer
    ]


def _receipts() -> dict[str, str]:
    """What a card says after a disconnect that is on record, by the answer of its service."""
    cards = {}
    for outcome in (*RevokeOutcome, "asking"):
        event = Event("disconnected", "github", "web", NOW, outcome, "octocat")
        said = receipt_of(event, "ann", "GitHub")
        free = connection("github", Status.NOT_CONNECTED)
        cards[outcome] = make_card(ON["github"], free, Note("disconnected", receipt=said), SCREEN)
    return {f"receipt, {outcome}": card_html(shown) for outcome, shown in cards.items()}


def _used() -> dict[str, str]:
    """Healthy rows, by the seconds since their last use."""
    ages = (0, 60, 120, 3600, 7200, DAY, 2 * DAY, 40 * DAY)
    known = {age: connection("github", profile={"used_at": NOW - age}) for age in ages}
    return {
        f"used {age} s ago": card_html(make_card(ON["github"], one, None, SCREEN))
        for age, one in known.items()
    }


def screens() -> dict[str, str]:
    """The HTML of every screen there is, by a name for the test's report."""
    found = {name: card_html(card(case)) for name, case in CASES.items()}
    found |= {f"{name}, alone": card_html(card(case, DETAIL)) for name, case in CASES.items()}
    found |= {f"{name}, fragment": card_html(card(c), htmx=True) for name, c in CASES.items()}
    for name in ASKED:
        case = CASES[name]
        asked = confirm_card(case.provider, case.connection, SCREEN)
        found[f"ask {name}"] = card_html(asked, "disconnect.html")
    unnamed = connection("google", label="", **RENEWING)
    asked = confirm_card(ON["google"], unnamed, SCREEN)
    found["ask unnamed"] = card_html(asked, "disconnect.html")
    for name, cards in _lists().items():
        found[name] = list_html(cards)
    found |= _receipts() | _used()
    held = [CASES[name] for name in ("endless", "ended", "one feature lacks")]
    listed_all = [confirm_card(case.provider, case.connection, SCREEN) for case in held]
    found["everything"] = _page("everything.html", {"listed": listed_all}, signed_in=True)
    found["erase"] = _page("erase.html", {"listed": listed_all}, signed_in=True)
    found["erase nothing"] = _page("erase.html", {"listed": []}, signed_in=True)
    for state in ("done", "goes_on", "stopped"):
        told = {"state": state, "answers": _answers() if state == "done" else []}
        found[f"erased {state}"] = _page("erased.html", {**told, "is_proxied": state == "done"})
    well = _lists()["well"]
    found["list, found"] = list_html(well[:1], find="git", can_find=True)
    found["list, none found"] = list_html([], find="<b>\u202eeve", can_find=True)
    leaving = pages.hand_off(request(), ON["github"], "https://github.com/login?a=1&b=2")
    found["handoff"] = bytes(leaving.body).decode()
    found["signin"] = _page("signin.html", {**CHAT})
    found["signin stale"] = _page("signin.html", {"is_stale": True, "next": "/support"})
    acme = OAuthProvider("sign-on", "", "", label="Acme")
    over = {"is_over": True, "next": "/support", "sign_on": acme, "is_for_staff": True}
    found["signin over"] = _page("signin.html", over)
    found["signed out"] = _page("signed_out.html", {})
    found["signed out, proxied"] = _page("signed_out.html", {"is_proxied": True})
    others = (_reading(), _link_pages(), _sign_on(), _errors(), _support())
    return found | {name: html for kind in others for name, html in kind}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    text: str = ""


@dataclass
class Document(HTMLParser):
    """An HTML document: its elements, its visible text."""

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
