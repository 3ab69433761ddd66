"""The card of one service: which state, which words, which buttons."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.screens import DETAIL, SCREEN, card
from webui.cards import Note, confirm_card, make_card, summarize
from webui.cards.gallery import CASES, NOW, OFF, ON, Case, connection
from webui.labels import clean_label, isolated
from webui.oauth_manager.models import Status
from webui.oauth_manager.provider import OAuthProvider
from webui.permissions import GROUPS, permission_groups

EVERY_CASE = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


@EVERY_CASE
def test_a_case_is_shown_in_its_state(case: Case) -> None:
    assert card(case).state == case.state


@EVERY_CASE
def test_a_card_has_at_most_one_primary_button_and_only_where_the_person_must_act(
    case: Case,
) -> None:
    shown = card(case)
    primary = [a for a in shown.actions if a.style == "primary"]
    assert len(primary) <= 1
    assert not primary or shown.tone in ("bad", "warn")


@EVERY_CASE
def test_red_is_kept_for_the_last_confirming_press(case: Case) -> None:
    assert all(action.style != "danger" for action in card(case).actions)
    asked = confirm_card(case.provider, case.connection, SCREEN)
    assert [(a.label, a.style) for a in asked.actions] == [
        ("Keep connected", "secondary"),
        ("Disconnect", "danger"),
    ]


@EVERY_CASE
def test_the_focus_is_on_something_that_is_there(case: Case) -> None:
    shown = card(case, focus="result")
    ids = {f"conn-{shown.name}-t", *(action.id for action in shown.actions)}
    ids |= {f"conn-{shown.name}-n"} if shown.note else set()
    assert shown.focus in ids
    assert card(case, focus="disconnect").focus in ids
    assert card(case).focus == ""


@EVERY_CASE
def test_actions_stay_on_this_site_or_lead_to_a_web_address(case: Case) -> None:
    for action in (*card(case).actions, *card(case, DETAIL).actions):
        assert action.url.startswith(("/connections", "https://"))
        assert action.hx_url.startswith("/connections/") or not action.hx_url
        assert action.method == "get" or dict(action.fields)["return"] in ("list", "detail")


def test_access_that_can_renew_itself_looks_connected() -> None:
    expired, fresh = card(CASES["expired, renews"]), card(CASES["renewing"])
    assert replace(expired, state=fresh.state) == fresh


def test_what_is_left_off_is_named_and_what_is_granted_is_not() -> None:
    note = card(CASES["limited"]).note
    assert note is not None
    assert note.items == (("Sees", "see your main Google e-mail address"), ("Unknown", "odd:one"))


@pytest.mark.parametrize("key", ["disconnected", "still_listed", "own_list"])
def test_a_note_that_is_no_longer_true_is_left_out(key: str) -> None:
    shown = make_card(ON["github"], connection("github"), Note(key), SCREEN)
    assert (shown.state, shown.note, shown.outcome) == ("S4", None, "")


def test_a_note_nobody_knows_is_left_out() -> None:
    shown = make_card(ON["github"], connection("github"), Note("from an older release"), SCREEN)
    assert (shown.state, shown.note) == ("S4", None)


def test_a_failed_disconnect_is_not_shown_once_nothing_is_connected() -> None:
    free = connection("github", Status.NOT_CONNECTED)
    assert make_card(ON["github"], free, Note("disconnect_failed"), SCREEN).state == "S1"


@pytest.mark.parametrize(
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
    action = card(CASES[name], DETAIL).actions[0]
    assert action.url == f"/connections/{CASES[name].provider.name}/connect"
    assert dict(action.fields) == {"intent": intent, "return": "detail"}


def test_disconnect_is_offered_only_where_something_is_stored() -> None:
    for case in CASES.values():
        shown = card(case)
        has_it = any(a.id == f"conn-{shown.name}-disconnect" for a in shown.actions)
        assert shown.stored or not has_it


def test_keeping_leads_back_to_where_the_question_was_asked() -> None:
    def keep(screen: object) -> tuple[str, str]:
        asked = confirm_card(ON["github"], connection("github"), screen)  # type: ignore[arg-type]
        return asked.actions[0].url, asked.actions[0].hx_url

    assert keep(SCREEN) == ("/connections#conn-github-t", "/connections/github?from=confirm")
    assert keep(DETAIL) == (
        "/connections/github#conn-github-t",
        "/connections/github?from=confirm&return=detail",
    )


@pytest.mark.parametrize(
    ("provider", "status", "promise"),
    [
        (ON["github"], Status.CONNECTED, "ask GitHub to cancel our access"),
        (ON["microsoft"], Status.CONNECTED, "keeps its own list of apps"),
        (OFF["github"], Status.CONNECTED, "keeps its own list of apps"),
        (ON["github"], Status.RECONNECT_NEEDED, "has no access to"),
        (ON["github"], Status.UNREADABLE, "cannot ask GitHub to cancel"),
    ],
)
def test_the_question_promises_only_what_can_be_done(
    provider: OAuthProvider, status: Status, promise: str
) -> None:
    asked = confirm_card(provider, connection(provider.name, status), SCREEN)
    assert promise in asked.body[0]


def test_the_question_isolates_the_account_and_escapes_it() -> None:
    asked = confirm_card(ON["github"], connection("github", label="<b>\u202eeve"), SCREEN)
    assert "<bdi>&lt;b&gt;eve</bdi>" in asked.body[0]


@pytest.mark.parametrize(
    ("names", "text", "lead", "links"),
    [
        (["endless", "renewing", "ended"], "2 connected.", "1 needs attention:", ["Microsoft"]),
        (["ended", "limited"], "", "2 need attention:", ["Microsoft", "Google"]),
        (["endless"], "1 connected.", "", []),
        (
            ["free", "never looked up"],
            "Nothing is connected yet. Connect a service to let Stella work with it.",
            "",
            [],
        ),
        (
            ["store away", "store away"],
            "We cannot look up your connections just now. Nothing has been changed.",
            "",
            [],
        ),
        ([], "No services are set up here yet.", "", []),
    ],
)
def test_the_summary_counts_and_links(
    names: list[str], text: str, lead: str, links: list[str]
) -> None:
    summary = summarize([card(CASES[name]) for name in names], SCREEN)
    assert (summary.text, summary.lead) == (text, lead)
    assert [link.label for link in summary.attention] == links


def test_the_time_at_which_access_runs_out_is_already_over() -> None:
    assert make_card(ON["google"], connection("google", expires_at=NOW), None, SCREEN).state == "S7"


@pytest.mark.parametrize(
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
    for sentence, group in provider.scope_sentences.values():
        assert group in GROUPS
        assert sentence[0].islower()
        assert not sentence.endswith(".")
