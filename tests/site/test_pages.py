"""Every screen, as a page and as a fragment."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import re
from functools import cache
from pathlib import Path
from urllib.parse import urljoin

import pytest
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.testclient import TestClient

from tests.kit.every import every
from tests.kit.screens import (
    BOT,
    DETAIL,
    PRODUCT,
    SCREEN,
    Document,
    card,
    card_html,
    list_html,
    request,
    screens,
)
from webui.cards import News, Screen, confirm_card, make_card, summarize
from webui.cards.gallery import CASES, ON, Case, connection
from webui.rendering import assets
from webui.rendering import render as pages
from webui.text import words

SCREENS = screens()
read = cache(Document)  # each screen is looked at by many rules
EVERY_SCREEN = every("html", SCREENS)
EVERY_CASE = every("case", CASES)
TEMPLATES = {
    path.name: path.read_text("utf-8") for path in sorted(assets.folder("templates").glob("*.html"))
}
PACKAGE = Path(words.__file__).parents[2]

HTMX_SHA256 = "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130"


def _title(html: str) -> list[str]:
    (title,) = (e.text for e in read(html).elements if e.tag == "title")
    return title.split(" \N{EN DASH} ")


@pytest.mark.parametrize("screen", [SCREEN, DETAIL], ids=["list", "detail"])
@EVERY_CASE
def test_page_and_fragment_say_the_same(case: Case, screen: Screen) -> None:
    shown = card(case, screen)
    other = card(CASES["endless" if shown.name == "wiki" else "own provider"])
    is_list = screen is SCREEN
    page = Document(list_html([shown, other]) if is_list else card_html(shown))
    fragment = Document(card_html(shown, htmx=True))
    for part in ("",) if is_list else ("", "-about"):
        texts = [d.by_id(f"conn-{shown.name}{part}").text.split() for d in (page, fragment)]
        assert texts[0] == texts[1]


@EVERY_SCREEN
def test_ids_are_unique(html: str) -> None:
    ids = [e.attributes["id"] for e in read(html).elements if "id" in e.attributes]
    assert len(ids) == len(set(ids))


# What an HTML checker says is wrong (HTML, 4.10.18.7.1; ARIA in HTML, 4).
OWN_ROLES = {
    "table": {"table"},
    "thead": {"rowgroup"},
    "tbody": {"rowgroup"},
    "tr": {"row"},
    "th": {"columnheader", "rowheader"},
    "td": {"cell"},
    "ul": {"list"},
    "ol": {"list"},
    "li": {"listitem"},
    "nav": {"navigation"},
    "main": {"main"},
    "button": {"button"},
    "article": {"article"},
    "h1": {"heading"},
    "h2": {"heading"},
}


@EVERY_SCREEN
def test_no_role_is_given_that_an_element_has_by_itself(html: str) -> None:
    for element in read(html).elements:
        assert element.attributes.get("role") not in OWN_ROLES.get(element.tag, ()), element


@EVERY_SCREEN
def test_a_hidden_field_has_nothing_to_complete(html: str) -> None:
    for element in read(html).elements:
        if element.attributes.get("type") == "hidden":
            assert "autocomplete" not in element.attributes


@EVERY_SCREEN
def test_a_section_has_a_name(html: str) -> None:
    document = read(html)
    for element in document.elements:
        if element.tag == "section":
            assert document.by_id(element.attributes["aria-labelledby"]).tag in ("h2", "h3")


@EVERY_SCREEN
def test_what_opens_a_new_tab_says_so_and_tells_it_nothing(html: str) -> None:
    for element in read(html).elements:
        if "target" in element.attributes:
            assert element.attributes["target"] == "_blank"
            assert element.attributes["rel"] == "noopener noreferrer"
            assert words.text("site.new_tab") in element.text


@EVERY_SCREEN
def test_nothing_is_inline(html: str) -> None:
    for element in read(html).elements:
        assert element.tag != "style"
        assert element.tag != "script" or element.attributes["src"].startswith("/static/")
        for name, value in element.attributes.items():
            assert name != "style"
            assert not name.startswith(("on", "hx-on", "hx-vals", "hx-headers"))
            assert not re.match(r"\s*(javascript|js|data):", value, re.IGNORECASE)
            assert name != "hx-trigger" or "[" not in value


@EVERY_SCREEN
def test_every_control_works_without_the_script(html: str) -> None:
    for element in read(html).elements:
        a = element.attributes
        if "hx-post" in a:
            assert (element.tag, a["method"]) == ("form", "post")
            assert a["action"] == a["hx-post"]
        if "hx-get" in a and element.tag == "form":
            assert (a["method"], a["action"]) == ("get", a["hx-get"])
        elif "hx-get" in a and element.tag != "div":
            assert element.tag == "a"
            assert a["href"].startswith("/connections")
        if "hx-get" in a or "hx-post" in a:
            assert a["hx-target"].startswith("#")
            swap = "none" if a.get("id") == "cards-poll" else "outerHTML"
            assert (a["hx-swap"], a["hx-sync"]) == (swap, "this:drop")
        else:
            assert not {"hx-target", "hx-swap", "hx-sync", "hx-trigger", "hx-include"} & a.keys()


@EVERY_SCREEN
def test_pages_have_one_heading_and_headings_in_order(html: str) -> None:
    levels = [int(e.tag[1]) for e in read(html).elements if re.fullmatch("h[1-6]", e.tag)]
    if "<!doctype" in html:
        assert levels.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in itertools.pairwise(levels))


@EVERY_SCREEN
def test_words_that_people_do_not_use_are_not_used(html: str) -> None:
    said = read(html).text
    banned = (
        r"\b(oops|tokens?|scopes?|oauth|revoked?|authenticat\w*|invalid|authori[sz]\w* code)\b|!"
    )
    assert not re.search(banned, said, re.IGNORECASE)


def test_every_sentence_of_the_catalogue_is_on_some_screen() -> None:
    """Those of the bot are not: ``test_chat.py`` has the same test for them."""
    documents = [read(html) for html in SCREENS.values()]
    said = " ".join(document.text for document in documents)
    for name in ("aria-label", "data-copied", "data-marked"):
        said += " ".join(e.attributes.get(name, "") for d in documents for e in d.elements)
    said = re.sub(r"\s+([,.])", r"\1", said)
    for key, sentence in words.CATALOGUE.items():
        if key.startswith(("chat.", "notice.")):
            continue
        pieces = (" ".join(piece.split()) for piece in re.split(r"\{\w+\}", sentence))
        assert all(piece.strip(" .,") in said for piece in pieces), key


def test_every_section_of_the_catalogue_names_the_templates_and_modules_that_show_it() -> None:
    lines = Path(words.__file__).with_name("en.toml").read_text("utf-8").splitlines()
    for above, line in itertools.pairwise(lines):
        if line.startswith("["):
            named = re.findall(r"[\w/]+\.html|[\w/]+\.py", above) if above[:1] == "#" else []
            assert named, line
            for name in named:
                assert name in TEMPLATES or (PACKAGE / name).exists(), name


@every("key", sorted(words.CATALOGUE))
def test_a_sentence_has_at_most_19_words(key: str) -> None:
    for sentence in re.split(r"[.?!:]", words.CATALOGUE[key]):
        assert len(sentence.split()) < 20, sentence


@every("key", sorted(words.CATALOGUE))
def test_a_sentence_is_free_of_idioms_and_idle_words(key: str) -> None:
    idle = ["put right", "whoever", "lets you in", "lets nobody", "at the moment", "any more"]
    idle += ["anew", "right now", "all the same"]
    assert [said for said in idle if said in words.CATALOGUE[key].lower()] == []
    if key not in ("ago.now", "link.only", "switch.just_now"):  # there it is the time that is meant
        assert "just now" not in words.CATALOGUE[key].lower()


def test_the_catalogue_tells_of_a_missing_key_or_value() -> None:
    with pytest.raises(KeyError):
        words.text("card.nonsense")
    with pytest.raises(KeyError):
        words.markup("card.reconnect.title")


@EVERY_CASE
def test_every_button_names_its_service(case: Case) -> None:
    shown = card(case)
    document = Document(card_html(shown, htmx=True))
    for action in shown.every_action:
        name = " ".join(document.by_id(action.id).text.split())
        assert name.startswith(action.label)
        assert case.provider.label in name


@every(
    "hostile",
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "{{ 7 * 7 }}",
        "{product}",
        "\u202egnp.exe",
        "x" * 300,
    ],
)
def test_a_hostile_label_stays_text(hostile: str) -> None:
    shown = make_card(ON["github"], connection("github", label=hostile), None, SCREEN)
    asked = confirm_card(ON["github"], connection("github", label=hostile), SCREEN)
    for html in (card_html(shown), card_html(shown, htmx=True), card_html(asked, htmx=True)):
        document = read(html)
        assert "\u202e" not in html
        assert "x" * 81 not in html
        assert not any("onerror" in e.attributes for e in document.elements)
        assert {e.attributes.get("src", "/static/")[:8] for e in document.elements} == {"/static/"}
        assert "49" not in document.text


@EVERY_CASE
def test_only_a_fragment_moves_the_focus(case: Case) -> None:
    shown = card(case, focus="result")
    focused = [
        e.attributes["id"]
        for e in Document(card_html(shown, htmx=True)).elements
        if "autofocus" in e.attributes
    ]
    assert focused == [shown.focus]
    assert "autofocus" not in card_html(shown)


def test_the_question_is_focused_and_answered_by_pages_on_its_own_page() -> None:
    asked = confirm_card(ON["github"], connection("github"), SCREEN)
    assert "autofocus" in card_html(asked, htmx=True)
    page = card_html(asked, "disconnect.html")
    assert "hx-post" not in page
    assert _title(page) == ["Disconnect GitHub?", "Stargazer"]


def test_a_fragment_is_marked_and_brings_the_summary_and_the_announcement() -> None:
    shown = card(CASES["ended"])
    summary = summarize([shown], SCREEN)
    answer = pages.render_card(
        request(htmx=True), shown, summary, page="connection.html", announce="Tea <is> ready."
    )
    assert answer.headers["x-fragment"] == "1"
    html = bytes(answer.body).decode()
    document = read(html)
    assert document.elements[0].tag == "li"
    assert document.by_id("cards-summary").attributes["hx-swap-oob"] == "outerHTML"
    assert document.by_id("announce").attributes["hx-swap-oob"] == "innerHTML"
    assert "Tea &lt;is&gt; ready." in html


def test_no_news_is_an_empty_answer() -> None:
    answer = pages.render_changes(request(htmx=True), News(), summarize([], SCREEN), "")
    assert (answer.status_code, answer.body) == (204, b"")


def test_news_swaps_each_card_where_it_stands_and_moves_no_focus() -> None:
    cards = [card(CASES["ended"]), card(CASES["endless"])]
    summary = summarize(cards, SCREEN)
    answer = pages.render_changes(request(htmx=True), News(tuple(cards)), summary, "Tea is ready")
    assert answer.headers["x-fragment"] == "1"
    document = Document(bytes(answer.body).decode())
    swapped = [e for e in document.elements if "hx-swap-oob" in e.attributes]
    assert [e.attributes["id"] for e in swapped] == [
        "conn-microsoft",
        "conn-github",
        "cards-summary",
        "announce",
    ]
    assert swapped[-1].text == "Microsoft: Reconnect needed. GitHub: Connected."
    assert _title(document.html) == ["Tea is ready", PRODUCT]
    assert not any("autofocus" in e.attributes for e in document.elements)


def test_a_page_that_asks_for_news_says_what_it_shows() -> None:
    for name, where in (("list", "/connections"), ("ended, alone", "/connections?return=detail")):
        poll = Document(SCREENS[name]).by_id("cards-poll").attributes
        assert (poll["hx-get"], poll["hx-include"]) == (where, "[name=seen]")
    seen = [e.attributes for e in Document(SCREENS["list"]).elements if e.tag == "input"]
    shown = [card(CASES[name]).seen for name in ("ended", "limited", "endless")]
    assert [a["value"] for a in seen if a["name"] == "seen"] == shown


def test_a_question_is_not_asked_about() -> None:
    assert 'name="seen"' not in SCREENS["ask endless"]


@EVERY_CASE
def test_where_an_outcome_is_told_there_is_a_place_to_go_to(case: Case) -> None:
    if case.note:
        for screen in (SCREEN, DETAIL):
            page = Document(card_html(card(case, screen)))
            assert "tabindex" in page.by_id(f"conn-{case.provider.name}-n").attributes


def test_the_page_one_is_on_is_marked_in_the_navigation() -> None:
    for name, label in (("list", "Connections"), ("activity", "Activity")):
        current = [e for e in Document(SCREENS[name]).elements if "aria-current" in e.attributes]
        assert [e.text for e in current] == [label]


def test_both_accounts_are_offered_alike() -> None:
    buttons = [
        e
        for e in Document(SCREENS["switch"]).elements
        if e.tag == "button" and e.attributes.get("name") == "choice"
    ]
    assert [(b.text, b.attributes["value"]) for b in buttons] == [
        ("ocKeep octocat Connected until now", "old"),
        ("huUse hubot instead Just signed in", "new"),
    ]
    assert len({b.attributes["class"] for b in buttons}) == 1


def test_pages_are_not_marked() -> None:
    answer = pages.render(request(), "signed_out.html")
    assert "x-fragment" not in answer.headers


def test_the_title_starts_with_the_outcome() -> None:
    html = card_html(card(CASES["disconnected"]))
    assert _title(html) == ["GitHub disconnected", "Stargazer"]


def test_the_way_out_is_offered_only_to_who_is_signed_in() -> None:
    assert "/signout" in bytes(pages.render(request(), "signed_out.html").body).decode()
    answer = pages.render(request(signed_in=False), "signed_out.html")
    assert "/signout" not in bytes(answer.body).decode()


def test_the_boxes_for_messages_are_on_every_page() -> None:
    for name, html in SCREENS.items():
        if "<!doctype" in html:
            document = read(html)
            assert document.by_id("announce").attributes["role"] == "status", name
            assert document.by_id("page-alert").text == "", name
            assert {"tpl-server", "tpl-offline"} <= {
                e.attributes.get("id") for e in document.elements
            }


def test_htmx_is_told_to_stay_here_and_keep_nothing() -> None:
    document = Document(SCREENS["list"])
    (meta,) = (e for e in document.elements if e.attributes.get("name") == "htmx-config")
    config = json.loads(meta.attributes["content"])
    assert config["mode"] == "same-origin"
    assert config["history"] is False
    assert config["includeIndicatorCSS"] is False
    assert config["noSwap"] == [204, 304]


def test_leaving_goes_by_a_page_that_moves_on_by_itself() -> None:
    document = Document(SCREENS["handoff"])
    (refresh,) = (e for e in document.elements if e.attributes.get("http-equiv") == "refresh")
    assert refresh.attributes["content"] == "0; url=https://github.com/login?a=1&b=2"
    assert "check that the address starts with github.com" in document.text


def test_leaving_with_htmx_is_a_full_navigation() -> None:
    answer = pages.hand_off(request(htmx=True, method="POST"), ON["github"], "https://g.example/a")
    assert (answer.status_code, answer.headers["hx-redirect"]) == (200, "https://g.example/a")
    assert answer.body == b""


@every("url", ["javascript:alert(1)", "//g.example/", "/connections", ""])
def test_leaving_goes_to_a_web_address_only(url: str) -> None:
    with pytest.raises(ValueError, match="not a web address"):
        pages.hand_off(request(), ON["github"], url)


def test_a_wrong_method_looks_like_a_wrong_address() -> None:
    assert SCREENS["GET 405"] == SCREENS["GET 404"]


def test_an_error_says_nothing_was_changed_only_where_that_is_true() -> None:
    assert "Nothing was changed." in Document(SCREENS["GET 500"]).text
    assert "We do not know whether it worked." in Document(SCREENS["POST 500"]).text


def test_an_unknown_error_is_told_like_its_kin() -> None:
    def heading(status: int) -> str:
        html = bytes(pages.render_error(request(), status).body).decode()
        return next(e.text for e in read(html).elements if e.tag == "h1")

    assert heading(418) == heading(400)
    assert heading(507) == heading(500)


def test_an_error_with_htmx_goes_to_the_alert_and_takes_the_focus() -> None:
    answer = pages.render_error(request(htmx=True, method="POST"), 403, "stale")
    assert answer.status_code == 403
    assert answer.headers["x-fragment"] == "1"
    assert answer.headers["hx-retarget"] == "#page-alert"
    assert answer.headers["hx-reswap"] == "innerHTML"
    assert "autofocus" in Document(bytes(answer.body).decode()).elements[0].attributes


def test_a_code_is_shown_in_two_halves_and_spelled_out() -> None:
    said = Document(SCREENS["proof"]).text
    assert "KT4 9WX" in said
    assert "K, T, 4, 9, W, X" in said
    assert said.index("KT4 9WX") < said.index("I have sent it"), "it comes first"


@EVERY_SCREEN
def test_a_copy_button_names_what_it_copies_and_says_what_it_did(html: str) -> None:
    document = read(html)
    for element in document.elements:
        if copied := element.attributes.get("data-copy"):
            assert document.by_id(copied).text.strip()
            assert "only-js" in element.attributes["class"].split()
            assert element.attributes["type"] == "button"
            assert "<!doctype" not in html or document.by_id("announce").attributes["data-marked"]


def test_each_answer_about_the_accounts_says_which_and_since_when() -> None:
    assert "Not now Leave everything as it is" in Document(SCREENS["switch, ended"]).text
    assert "Connected until now" not in Document(SCREENS["switch, ended"]).text


@every("name", ["link", "proof", "link done"])
def test_a_page_of_the_way_says_how_far_it_is(name: str) -> None:
    steps = {"link": "Step 1 of 3", "proof": "Step 2 of 2", "link done": "Done"}
    assert f"<span>{steps[name]}</span></p>" in SCREENS[name]


def test_the_way_back_to_chat_says_what_to_send_there() -> None:
    """From every end of a link that another one can mend."""
    for name, html in SCREENS.items():
        if name.startswith("link ") and 'id="command"' in html:
            document = read(html)
            assert document.by_id("command").text.partition(" ")[0] == "connect"
            if name.endswith(", signed in"):
                assert "Open chat" in document.text


def test_permissions_stand_open_before_the_question() -> None:
    page = SCREENS["link"]
    main = page[page.index("<main") :]
    assert "<details" not in main
    said = Document(main).text
    order = ["will be able to", "Only go on if", "Did someone send", "Yes, I asked for this"]
    assert [said.index(part) for part in order] == sorted(said.index(part) for part in order)


def test_a_dead_link_tells_a_stranger_nothing() -> None:
    said = Document(SCREENS["link dead"]).text
    assert not re.search("used|ran out|newer", said)


def test_the_page_of_one_service_shows_its_permissions_unfolded() -> None:
    html = card_html(card(CASES["endless"], DETAIL))
    assert "<details" not in html
    assert f"What {BOT} can do in GitHub" in read(html).text


@every("name", list(TEMPLATES))
def test_templates_name_no_provider(name: str) -> None:
    assert not re.search("github|google|discord|microsoft", TEMPLATES[name], re.IGNORECASE)


@every("name", list(TEMPLATES))
def test_templates_turn_escaping_off_nowhere(name: str) -> None:
    assert not re.search(r"\|\s*safe\b|autoescape", TEMPLATES[name])


def test_the_code_to_send_is_all_there_is_to_select_in_its_place() -> None:
    """The text that spells it out for a screen reader stands outside."""
    (code,) = [
        e for e in Document(SCREENS["proof"]).elements if e.attributes.get("class") == "code"
    ]
    assert code.text.strip() == "KT4 9WX"
    assert "K, T, 4, 9, W, X" in SCREENS["proof"]


def test_the_vendored_library_is_the_published_one() -> None:
    body = assets.load()["htmx-4.0.1.min.js"].body
    assert hashlib.sha256(body).hexdigest() == HTMX_SHA256
    assert "htmx-LICENSE.txt" in assets.load()


def test_the_first_page_is_small() -> None:
    own = len(assets.load()["app.js"].gzipped)
    assert own < 2600
    shared = sum(
        len(assets.load()[name].gzipped) for name in ("app.css", "htmx-4.0.1.min.js", "favicon.svg")
    )
    assert own + shared + len(gzip.compress(SCREENS["list"].encode())) < 40_000


def test_marks_are_drawings_alone() -> None:
    for name, asset in assets.load().items():
        if name.endswith(".svg"):
            assert not re.search(rb"script|href|on\w+=|<style|style=", asset.body), name


@pytest.fixture(scope="module")
def client() -> TestClient:
    return TestClient(Starlette(routes=[Route("/static/{path:path}", assets.serve)]))


def test_a_file_is_kept_for_ever_under_its_own_hash(client: TestClient) -> None:
    for name in ("app.css", "marks/github.svg", "htmx-4.0.1.min.js"):
        answer = client.get(assets.static_url(name))
        assert answer.content == assets.load()[name].body
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["content-encoding"] == "gzip"


@pytest.mark.parametrize("name", ["app.css", "app.000000000000.css"])
def test_a_file_under_another_hash_is_not_kept(client: TestClient, name: str) -> None:
    answer = client.get(f"/static/{name}", headers={"Accept-Encoding": "identity"})
    assert answer.content == assets.load()["app.css"].body
    assert answer.headers["cache-control"] == "no-cache"


@every(
    ("accepted", "is_packed"),
    [
        ([], False),
        ([""], False),
        (["gzip"], True),
        (["GZip"], True),
        (["x-gzip"], True),
        (["gzip, deflate, br, zstd"], True),
        (["br;q=1.0, gzip;q=0.8, *;q=0.1"], True),
        (["br", "gzip"], True),
        (["gzip;q=0"], False),
        (["gzip;q=0.0"], False),
        (["gzip ; q=0.000"], False),
        (["gzip;Q=0"], False),
        (["gzip;q=0.001"], True),
        (["gzip;q=0, *"], False),
        (["*"], True),
        (["*;q=0"], False),
        (["*;q=0, gzip"], True),
        (["identity"], False),
        (["identity;q=0"], False),
        (["identity;q=0, *"], True),
        (["identity;q=0, gzip;q=0.1"], True),
        (["identity;q=0.5, gzip;q=0.4"], False),
        (["identity;q=0.5, gzip;q=0.5"], True),
        (["gzip;q=0.5, *;q=1"], False),
        (["gzip", "gzip;q=0"], False),
        (["gzip;q=2"], False),
        (["gzip;q=-1"], False),
        (["gzip;q=0.0001"], False),
        (["gzip;q="], False),
        (["gzip;level=9"], False),
        (["notgzip, gzipped"], False),
    ],
)
def test_a_file_is_packed_for_whoever_takes_it(accepted: list[str], is_packed: bool) -> None:
    assert assets.takes_gzip(accepted) is is_packed


@pytest.mark.parametrize(("accepted", "coding"), [("gzip;q=0", None), ("gzip;q=1", "gzip")])
def test_a_file_is_sent_as_it_was_asked_for(
    client: TestClient, accepted: str, coding: str | None
) -> None:
    answer = client.get("/static/app.css", headers={"Accept-Encoding": accepted})
    assert answer.content == assets.load()["app.css"].body
    assert answer.headers.get("content-encoding") == coding
    assert answer.headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize(
    "path", ["", "nothing.css", "marks", "marks/README.md", "../pyproject.toml", "%2e%2e/LICENSE"]
)
def test_nothing_else_is_served(client: TestClient, path: str) -> None:
    assert client.get(urljoin("/static/", ".") + path).status_code == 404


def test_a_service_without_a_mark_is_shown_by_its_letter() -> None:
    html = card_html(card(CASES["own provider"]))
    assert re.search(r'class="tile" aria-hidden="true">\s*W\s*</span>', html)
