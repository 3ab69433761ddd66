"""The card of one service: which state, which words, which buttons."""

from __future__ import annotations

import pytest

from tests.kit.every import every
from tests.kit.screens import (
    BOT,
    DETAIL,
    PRODUCT,
    SCREEN,
    Document,
    card,
    card_html,
    events,
    list_html,
)
from webui.cards import (
    News,
    Standing,
    base_key,
    confirm_card,
    make_card,
    news,
    standing,
    summarize,
)
from webui.cards.gallery import CASES, NOW, OFF, ON, RENEWING, Case, connection, gallery
from webui.cards.parts import DAY
from webui.cards.states import OUTCOMES, TROUBLED, WORKING
from webui.cards.timeline import timeline
from webui.oauth_manager.journal.activity import Event
from webui.oauth_manager.models import Status
from webui.oauth_manager.providers.provider import OAuthProvider
from webui.oauth_manager.values import replace
from webui.sessions.note import Note
from webui.text.labels import clean_label, isolated
from webui.text.permissions import GROUPS, glossary, permission_groups, sentences

EVERY_CASE = every("case", CASES)


@EVERY_CASE
def test_a_case_is_shown_in_its_state(case: Case) -> None:
    assert card(case).state == case.state


@EVERY_CASE
def test_a_card_has_at_most_one_primary_button_and_only_if_the_person_must_act(
    case: Case,
) -> None:
    shown = card(case)
    primary = [a for a in shown.every_action if a.style == "primary"]
    assert len(primary) <= 1
    assert not primary or (shown.form, shown.group) == ("card", "needs")


@EVERY_CASE
def test_a_card_is_open_if_the_person_must_act_a_row_if_it_is_stored_else_an_offer(
    case: Case,
) -> None:
    shown = card(case)
    groups = {"card": {"needs"}, "row": {"connected"}, "offer": {"more", "just"}}
    assert shown.group in groups[shown.form]
    assert shown.form != "row" or shown.stored
    assert shown.form != "offer" or not shown.stored
    assert shown.form == "card" or shown.tone not in ("bad", "warn")


@EVERY_CASE
def test_red_is_kept_for_the_last_confirming_press(case: Case) -> None:
    assert all(action.style != "danger" for action in card(case).every_action)
    asked = confirm_card(case.provider, case.connection, SCREEN)
    assert [action.style for action in asked.every_action] == ["", "danger"]
    assert asked.actions[1].label == "Disconnect"


@EVERY_CASE
def test_only_what_can_be_used_is_offered_to_be_kept_connected(case: Case) -> None:
    """Neither in the question, nor where a disconnect has failed."""
    is_usable = base_key(case.provider, case.connection, NOW) in WORKING | TROUBLED
    failed = make_card(case.provider, case.connection, Note("disconnect_failed"), SCREEN)
    for shown in (confirm_card(case.provider, case.connection, SCREEN), failed):
        labels = {action.label for action in shown.every_action} & {"Keep connected", "Not now"}
        assert labels <= {"Keep connected" if is_usable else "Not now"}
        assert labels or shown is failed


@EVERY_CASE
def test_the_focus_is_on_something_that_is_there(case: Case) -> None:
    shown = card(case, focus="result")
    ids = {f"conn-{shown.name}-t", *(action.id for action in shown.every_action)}
    ids |= {f"conn-{shown.name}-n"} if shown.note else set()
    assert shown.focus in ids
    assert card(case, focus="disconnect").focus in ids
    assert card(case).focus == ""


@EVERY_CASE
def test_actions_stay_on_this_site_or_lead_to_a_web_address(case: Case) -> None:
    for action in (*card(case).every_action, *card(case, DETAIL).every_action):
        assert action.url.startswith(("/connections", "https://"))
        assert action.hx_url.startswith("/connections/") or not action.hx_url
        assert action.method == "get" or dict(action.fields)["return"] in ("list", "detail")


def test_access_that_can_renew_itself_looks_connected() -> None:
    expired, fresh = card(CASES["expired, renews"]), card(CASES["renewing"])
    assert replace(expired, state=fresh.state, fingerprint=fresh.fingerprint) == fresh


def test_what_is_left_off_is_named_and_what_is_granted_is_not() -> None:
    about = card(CASES["limited"]).about
    assert about is not None
    assert about.items == (("Sees", "see your main Google e-mail address"), ("Unknown", "odd:one"))


@pytest.mark.parametrize("key", ["disconnected", "still_listed", "own_list"])
def test_a_note_that_is_no_longer_true_is_left_out(key: str) -> None:
    shown = make_card(ON["github"], connection("github"), Note(key), SCREEN)
    assert (shown.state, shown.note, shown.outcome) == ("connected", None, "")


def test_a_note_nobody_knows_is_left_out() -> None:
    shown = make_card(ON["github"], connection("github"), Note("from an older release"), SCREEN)
    assert (shown.state, shown.note) == ("connected", None)


def test_a_failed_disconnect_is_not_shown_once_nothing_is_connected() -> None:
    free = connection("github", Status.NOT_CONNECTED)
    assert make_card(ON["github"], free, Note("disconnect_failed"), SCREEN).state == "not_connected"


@every(
    ("name", "intent"),
    [
        ("free", "connect"),
        ("ended", "reconnect"),
        ("limited", "widen"),
        ("failed", "connect"),
        ("failed again", "reconnect"),
        ("attempt over", "connect"),
    ],
)
def test_the_first_button_asks_for_the_right_thing(name: str, intent: str) -> None:
    shown = card(CASES[name], DETAIL)
    noted = shown.note.actions if shown.note else ()
    action = shown.begin or (*shown.actions, *noted)[0]
    assert action.url == f"/connections/{CASES[name].provider.name}/connect"
    assert dict(action.fields) == {"intent": intent, "return": "detail"}


def test_disconnect_is_offered_only_where_something_is_stored() -> None:
    for case in CASES.values():
        shown = card(case)
        has_it = any(a.id == f"conn-{shown.name}-disconnect" for a in shown.every_action)
        assert shown.stored or not has_it


def test_keeping_leads_back_to_where_the_question_was_asked() -> None:
    def keep(screen: object) -> tuple[str, str]:
        asked = confirm_card(ON["github"], connection("github"), screen)  # type: ignore[arg-type]
        return asked.actions[0].url, asked.actions[0].hx_url

    assert keep(SCREEN) == ("/connections#conn-github-t", "/connections/github?from=confirm")
    assert keep(DETAIL) == ("/connections/github#conn-github-t", "")


@every(
    ("provider", "status", "promise"),
    [
        (ON["github"], Status.CONNECTED, "ask GitHub to cancel our access"),
        (ON["microsoft"], Status.CONNECTED, "keeps its own list of apps"),
        (OFF["github"], Status.CONNECTED, "keeps its own list of apps"),
        (ON["github"], Status.RECONNECT_NEEDED, "no longer has access"),
        (ON["github"], Status.UNREADABLE, "cannot ask GitHub to cancel"),
    ],
)
def test_the_question_promises_only_what_can_be_done(
    provider: OAuthProvider, status: Status, promise: str
) -> None:
    asked = confirm_card(provider, connection(provider.name, status), SCREEN)
    assert asked.about is not None
    assert promise in asked.about.sentences[0]


def test_the_question_isolates_the_account_and_escapes_it() -> None:
    asked = confirm_card(ON["github"], connection("github", label="<b>\u202eeve"), SCREEN)
    for html in (card_html(asked, "disconnect.html"), card_html(asked, htmx=True)):
        assert "<bdi>&lt;b&gt;eve</bdi>" in html
        assert html.count("&lt;b&gt;eve") == 1


@every(
    ("names", "text", "links"),
    [
        (["endless", "renewing", "ended"], "Microsoft needs you.", ["Microsoft"]),
        (["ended", "limited"], "Microsoft and Google need you.", ["Microsoft", "Google"]),
        (
            ["ended", "limited", "refused"],
            "Microsoft, GitHub and Google need you.",
            ["Microsoft", "GitHub", "Google"],
        ),
        (["endless"], "1 connected. Nothing needs you.", []),
        (["endless", "provider trouble"], "2 connected. Nothing needs you.", []),
        (["switched off"], "Nothing is connected yet.", []),
        (["free", "never looked up"], "Nothing is connected yet.", []),
        ([], "No services are set up here yet.", []),
    ],
)
def test_the_summary_counts_and_links(names: list[str], text: str, links: list[str]) -> None:
    cards = [card(CASES[name]) for name in names]
    summary = summarize(cards, SCREEN)
    assert [link.label for link in summary.attention] == links
    names_of = {shown.label: shown.name for shown in cards}
    assert [link.url for link in summary.attention] == [
        f"#conn-{names_of[label]}-t" for label in links
    ]
    assert Document(list_html(cards)).by_id("cards-summary").text == text


def test_the_time_at_which_access_runs_out_is_already_over() -> None:
    assert (
        make_card(ON["google"], connection("google", expires_at=NOW), None, SCREEN).state
        == "reconnect"
    )


@every(
    ("label", "shown"),
    [
        ("octocat", "octocat"),
        ("  spaced\n\tout\x00 ", "spacedout"),
        ("\u202eevil\u2066 \u200fname\u061c", "evil name"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("lone \ud800 surrogate", "lone  surrogate"),
        ("line\u2028separator", "lineseparator"),
        ("x" * 80, "x" * 80),
        ("x" * 300, "x" * 79 + "…"),
        ("\u05d0\u05d1\u05d2", "\u05d0\u05d1\u05d2"),
        (
            "family \U0001f468\u200d\U0001f469\u200d\U0001f467",
            "family \U0001f468\u200d\U0001f469\u200d\U0001f467",
        ),
        ("\u202e", ""),
    ],
)
def test_labels_are_cleaned(label: str, shown: str) -> None:
    assert clean_label(label) == shown


def test_an_isolated_label_stays_text() -> None:
    assert isolated('"><script>') == "<bdi>&#34;&gt;&lt;script&gt;</bdi>"


def test_a_permission_that_another_one_contains_is_left_out() -> None:
    groups = permission_groups(ON["github"], ("repo", "public_repo", "read:user"), "P", "B")
    assert [group.name for group in groups] == ["Sees", "Changes"]
    assert sum(len(group.sentences) for group in groups) == 2


def test_two_spellings_of_one_permission_are_said_once() -> None:
    long = "https://www.googleapis.com/auth/userinfo.email"
    (group,) = permission_groups(ON["google"], ("email", long), "P", "B")
    assert group.sentences == ("see your main Google e-mail address",)
    (group,) = permission_groups(
        ON["microsoft"], ("https://graph.microsoft.com/User.Read", "User.Read"), "P", "B"
    )
    assert group.sentences == ("see your profile and basic facts about your company",)


def test_consent_is_asked_for_with_the_strongest_first() -> None:
    scopes = ("read:user", "delete_repo", "gist", "user:follow", "odd:one")
    names = [g.name for g in permission_groups(ON["github"], scopes, "P", "B")]
    assert names == [*GROUPS, "Unknown"]
    asked = permission_groups(ON["github"], scopes, "P", "B", strongest_first=True)
    assert [g.name for g in asked] == [*reversed(GROUPS), "Unknown"]


@pytest.mark.parametrize("name", ["discord", "github", "google", "microsoft"])
def test_every_permission_asked_for_by_default_has_a_sentence(name: str) -> None:
    provider = ON[name]
    assert set(provider.scopes) <= provider.scope_sentences.keys()
    for sentence, group, *precisely in provider.scope_sentences.values():
        assert group in GROUPS
        for said in (sentence, *precisely):
            assert said[0].islower()
            assert not said.endswith(".")


@every(
    ("left", "state", "title", "moment"),
    [
        (0.0, "reconnect", "Our access to Google has run out", ""),
        (60.0, "ending_soon", "Google ends today", "09:15 UTC</time>."),
        (DAY - 1, "ending_soon", "Google ends today", "09:13 UTC</time>."),
        (DAY, "ending_soon", "Google ends in 1 day", "4 October 2026</time>."),
        (6.9 * DAY, "ending_soon", "Google ends in 6 days", "10 October 2026</time>."),
        (7 * DAY, "connected", "Google", ""),
    ],
)
def test_access_that_cannot_renew_itself_ends_soon_for_a_week(
    left: float, state: str, title: str, moment: str
) -> None:
    shown = make_card(ON["google"], connection("google", expires_at=NOW + left), None, SCREEN)
    assert (shown.state, shown.title) == (state, title)
    assert moment in (shown.about.sentences[0] if shown.about else "")


def test_one_day_before_the_week_is_over_there_is_nothing_to_do_for_what_renews_itself() -> None:
    renewing = connection("google", expires_at=NOW + DAY, **RENEWING)
    assert make_card(ON["google"], renewing, None, SCREEN).state == "connected"


def test_what_was_left_off_by_choice_is_no_trouble_but_still_named_and_still_to_be_had() -> None:
    shown = card(CASES["limited by choice"])
    assert (shown.tone, shown.about, shown.note) == ("ok", None, None)
    assert shown.permissions is not None
    assert [said for _, said in shown.permissions.left_off] == [
        "see your main Google e-mail address",
        "odd:one",
    ]
    assert [(a.label, a.style) for a in shown.every_action] == [
        ("Allow the rest", ""),
        ("Check now", ""),
        ("Disconnect", ""),
    ]


def test_something_more_left_off_is_trouble_again() -> None:
    more = replace(CASES["limited by choice"].connection, missing_scopes=("email", "profile"))  # type: ignore[type-var]
    assert make_card(ON["google"], more, None, SCREEN).state == "limited"


def test_trouble_at_the_provider_or_in_our_set_up_is_not_the_persons() -> None:
    for name in ("provider trouble", "set-up trouble"):
        shown = card(CASES[name])
        assert shown.tone == "neutral"
        assert (shown.form, shown.group) == ("row", "connected")
        assert [(a.label, a.style) for a in shown.every_action] == [
            ("Reconnect", ""),
            ("Check now", ""),
            ("Disconnect", ""),
        ]
        assert [f.term for f in shown.facts] == ["Connected", "Last worked", "Not working since"]
        assert summarize([shown], SCREEN).text == "1 connected. Nothing needs you."


def test_refusals_that_repeat_for_an_hour_ask_for_the_person() -> None:
    shown = card(CASES["has refused for long"])
    assert (shown.tone, shown.actions[0].label, shown.actions[0].style) == (
        "warn",
        "Reconnect",
        "primary",
    )
    assert [link.label for link in summarize([shown], SCREEN).attention] == ["Google"]


@every("name", [n for n, case in CASES.items() if case.provider in ON.values()])
def test_connect_is_on_every_card_but_of_what_works_or_is_being_done(name: str) -> None:
    shown = card(CASES[name])
    leads_there = any(a.url.endswith("/connect") for a in shown.every_action)
    works = shown.tone == "ok" and shown.stored
    passing = shown.state in ("disconnecting", "kept", "unavailable")
    assert leads_there or works or passing


def test_access_that_is_over_is_over_whoever_is_in_trouble() -> None:
    over = connection("google", expires_at=NOW - 1, profile={"trouble": "provider"})
    assert make_card(ON["google"], over, None, SCREEN).state == "reconnect"


def test_a_connection_that_was_never_used_says_so() -> None:
    facts = {f.term: f.text for f in card(CASES["never used"]).facts}
    assert facts["Last used"] == "Not used yet"


@every("key", [key for key, outcome in OUTCOMES.items() if outcome.is_line])
def test_a_line_leaves_what_the_card_says_anyway_where_it_is(key: str) -> None:
    for name in ("renewing", "limited", "provider trouble", "set-up trouble"):
        case = CASES[name]
        plain = card(case)
        shown = make_card(case.provider, case.connection, Note(key, until=NOW), SCREEN)
        is_true_of_it = base_key(case.provider, case.connection, NOW) in OUTCOMES[key].over
        assert (shown.status != plain.status) == is_true_of_it
        if shown.about:
            assert Document(card_html(shown)).text.count(shown.about.title) == 1
        assert (shown.form, shown.title, shown.tag) == (plain.form, plain.title, plain.tag)
        assert (shown.about, shown.note) == (plain.about, plain.note)
        assert shown.every_action == plain.every_action


def test_who_checks_too_often_is_told_from_when_on() -> None:
    shown = card(CASES["too many checks"]).status
    assert shown is not None
    assert shown.text.endswith(
        'Try again after <time datetime="2026-10-03T09:24:00Z" data-local="time">09:24 UTC</time>.'
    )


def test_over_a_connection_that_works_no_outcome_changes_the_tag() -> None:
    for key in OUTCOMES:
        shown = make_card(ON["google"], connection("google", **RENEWING), Note(key), SCREEN)
        assert (shown.tag, shown.tone) == ("Connected", "ok")


def test_the_fingerprint_is_the_same_for_the_same_and_everywhere() -> None:
    assert card(CASES["renewing"]).fingerprint == card(CASES["renewing"], DETAIL).fingerprint
    assert card(CASES["free"]).fingerprint == "6260290105e9"


def test_using_renewing_or_checking_a_connection_is_no_news() -> None:
    plain = card(CASES["renewing"]).fingerprint
    for name in ("never used", "checked", "connected"):
        case = replace(CASES[name], provider=ON["google"])
        known = connection("google", **RENEWING)
        known = case.connection if name == "never used" and case.connection else known
        assert make_card(ON["google"], known, case.note, SCREEN).fingerprint == plain


@every(
    "more",
    [
        {"label": "hubot"},
        {"scopes": ("openid",)},
        {"missing_scopes": ("email",)},
        {"status": Status.RECONNECT_NEEDED},
        {"status": Status.NOT_CONNECTED},
        {"profile": {"connected_at": NOW}},
        {"profile": {"trouble": "provider"}},
    ],
)
def test_how_things_stand_is_news(more: dict[str, object]) -> None:
    then = card(CASES["renewing"])
    now = make_card(ON["google"], connection("google", **{**RENEWING, **more}), None, SCREEN)
    assert news([now], [then.seen]) == News((now,))
    assert not news([now], [now.seen])


@pytest.mark.parametrize("key", ["waiting", "disconnecting"])
def test_what_is_still_going_on_is_news_and_so_is_its_end(key: str) -> None:
    free = connection("github", Status.NOT_CONNECTED)
    during, after = (make_card(ON["github"], free, Note(k), SCREEN) for k in (key, "denied"))
    assert during.seen != after.seen
    assert after.seen == card(replace(CASES["free"], provider=ON["github"])).seen


def test_a_page_is_told_only_of_cards_it_shows_and_of_no_question() -> None:
    assert not news([card(CASES["endless"])], ["google.9c2cd3560eaa"]).changed
    assert confirm_card(ON["github"], connection("github"), SCREEN).seen == ""


@every(
    ("name", "spoken"),
    [
        ("connected", "GitHub is connected."),
        ("checked", "Google checked: working."),
        ("ended", "Microsoft: Reconnect needed."),
        ("disconnected", "GitHub is disconnected."),
    ],
)
def test_a_change_is_spoken_in_one_sentence(name: str, spoken: str) -> None:
    assert card(CASES[name]).spoken == spoken


def test_the_gallery_shows_every_state_each_under_an_id_of_its_own() -> None:
    shown = list(gallery(SCREEN))
    assert {c.state for _, c in shown} == {case.state for case in CASES.values()} | {"asking"}
    assert len({c.name for _, c in shown}) == len({name for name, _ in shown}) == len(shown)


def test_every_outcome_is_in_the_gallery() -> None:
    assert {case.note.key for case in CASES.values() if case.note} == OUTCOMES.keys()


def test_the_timeline_says_what_when_and_by_whom() -> None:
    entries = timeline(events(), ON, PRODUCT, BOT, until=NOW)
    assert [(e.text.striptags(), e.more, e.at) for e in entries[:3]] == [
        ("GitHub connected as octocat", "You, in the browser", NOW),
        ("Stella used GitHub", "", NOW - 5 * 3600),
        ("GitHub connected again as <b>eve", "You, by a link from your chat", NOW - 10 * 3600),
    ]


def test_the_timeline_leaves_out_what_it_has_no_words_for() -> None:
    event = Event("of a later release", "github", "web", NOW)
    assert timeline([event], ON, PRODUCT, BOT, until=NOW) == ()


def test_the_timeline_knows_services_that_are_gone_by_their_name() -> None:
    event = Event("connected", "gone", "web", NOW)
    (entry,) = timeline([event], ON, PRODUCT, BOT, until=NOW)
    assert (entry.text, entry.mark, entry.label) == ("gone connected", "", "gone")


@every("name", ["discord", "github", "google", "microsoft"])
def test_the_glossary_names_every_permission_once(name: str) -> None:
    provider = ON[name]
    shown = glossary(provider, PRODUCT, BOT)
    names = [n for meaning in (*shown.asked, *shown.rest) for n in meaning.names]
    assert len(names) == len(set(names))
    said = {meaning.sentence for meaning in shown.asked}
    for scope in filter(None, {*provider.scope_sentences} - {*names}):
        # Another name of one that is asked for.
        ((_, sentence),) = sentences(provider, [scope], PRODUCT, BOT, allowed=True)
        assert sentence in said
    assert set(filter(None, provider.scopes)) <= set(names)


@every("name", ["discord", "github", "google", "microsoft"])
def test_the_glossary_tells_what_is_asked_for_from_the_rest(name: str) -> None:
    provider = ON[name]
    shown = glossary(provider, PRODUCT, BOT)
    key = provider.scope_rules.key
    asked = provider.scope_rules.keys(provider.scopes)
    assert {key(n) for meaning in shown.asked for n in meaning.names} <= asked
    assert not {key(n) for meaning in shown.rest for n in meaning.names} & asked
    weakest_first = [(*GROUPS, "Other", "Unknown").index(meaning.group) for meaning in shown.rest]
    assert weakest_first == sorted(weakest_first)


def test_a_service_without_scopes_asks_for_what_it_gives_to_everybody() -> None:
    bare = replace(ON["github"], scopes=[])
    (meaning,) = glossary(bare, PRODUCT, BOT).asked
    assert meaning.names == ()


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.connection])
def test_a_standing_is_that_of_the_card(name: str) -> None:
    case = CASES[name]
    assert case.connection
    told = standing(case.provider, case.connection, case.note, SCREEN)
    made = card(case)
    assert told == Standing(made.name, made.label, made.state, made.tone, made.form)
    assert summarize([told], SCREEN) == summarize([made], SCREEN)
