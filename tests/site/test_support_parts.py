"""The pure parts of the support pages."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from urllib.parse import unquote, urlsplit

import pytest
from msgspec import structs

from tests.kit.every import every
from tests.kit.screens import BOT, PRODUCT, SCREEN, Document, events, screens
from tests.kit.support_fixtures import IDS
from tests.kit.support_screens import happened
from webui.cards import base_key, make_card
from webui.cards.gallery import CASES, ON, Case, connection
from webui.cards.states import BASES
from webui.oauth_manager import AuditRecord, Event, Status
from webui.support import export
from webui.support.history import KINDS, history
from webui.support.identifiers import masked, spelled
from webui.support.paths import PEOPLE, person_path, user_id_in, with_query
from webui.support.rows import Row, make_row, problems, verdict
from webui.support.search import MOST, Question, results
from webui.text import words
from webui.views.support.gate import reason_fault

NAMES = {"product": PRODUCT, "bot": BOT}
HELD = {name: case for name, case in CASES.items() if case.connection}
EVERY_CASE = every("case", HELD)


class TestMasking:
    @every(
        ("label", "shown"),
        [
            ("octocat", "o•••t"),
            ("mona.lisa@example.org", "m•••@e•••.org"),
            ("mona@mail.example.co.uk", "m•••@m•••.uk"),
            ("Mona Lisa", "M•••a"),
            ("mona#1234", "m•••4"),
            ("abc", "a•••"),
            ("a", "•••"),
            ("", ""),
            ("\u202e\u200b", ""),
            ("a@b@c.org", "a•••g"),
            ("a@b." + "x" * 60 + "y", "a•••y"),
        ],
    )
    def test_shows_just_enough_to_recognise(self, label: str, shown: str) -> None:
        assert masked(label) == shown

    def test_tells_no_length(self) -> None:
        assert masked("o" + "x" * 70 + "t") == masked("oxxt")


class TestSpelling:
    def test_what_can_be_seen_stays(self) -> None:
        assert spelled("Ann Lee 日本#1") == "Ann Lee 日本#1"

    @every("unseen", ["\u200b", "\u202e", "\u00a0", "\ufeff", "\u2028"])
    def test_what_cannot_be_seen_is_written_out(self, unseen: str) -> None:
        assert spelled(f"an{unseen}n") == f"an\\u{ord(unseen):04x}n"

    def test_blanks_at_the_edge_or_in_a_row_are_written_out(self) -> None:
        assert spelled(" a  b ") == "\\u0020a\\u0020\\u0020b\\u0020"


class TestAddresses:
    @every("user", IDS)
    def test_every_id_stands_in_one_segment_and_comes_back(self, user: str) -> None:
        path = person_path(user)
        assert path.startswith(PEOPLE)
        (segment,) = urlsplit(path).path.removeprefix(PEOPLE).split("/")
        once = unquote(segment)
        assert not set(once) & set("/\\")
        assert once.strip(".")
        assert user_id_in(once) == user

    def test_no_two_ids_share_one(self) -> None:
        assert len({person_path(user) for user in IDS}) == len(IDS)

    @every("segment", ["", "%00", "%0d%0aa", "\ud800"])
    def test_what_is_no_id_is_refused(self, segment: str) -> None:
        with pytest.raises(ValueError, match="user id"):
            user_id_in(segment)

    def test_a_query_holds_only_what_says_something(self) -> None:
        assert with_query("/a", reason="x & y", kind="") == "/a?reason=x+%26+y"
        assert with_query("/a", reason="") == "/a"


class TestRows:
    @EVERY_CASE
    def test_the_status_is_in_the_words_of_the_card(self, case: Case) -> None:
        assert case.connection
        row = make_row(case.provider, case.connection, SCREEN)
        shown = make_card(case.provider, case.connection, None, SCREEN)
        assert (row.tag, row.tone) == (shown.tag, shown.tone)

    @EVERY_CASE
    def test_whatever_is_wrong_has_its_problem_and_a_line_to_tell_them(self, case: Case) -> None:
        assert case.connection
        row = make_row(case.provider, case.connection, SCREEN)
        is_wrong = row.stored and row.tone != "ok"
        assert (bool(row.tell), row.problem is not None) == (is_wrong, is_wrong)

    def test_every_base_that_says_something_has_both(self) -> None:
        known = {key for key, base in BASES.items() if base.note} - {"not_set_up", "unavailable"}
        for section in ("problem", "tell"):
            prefix = f"support.{section}."
            assert {
                k.removeprefix(prefix) for k in words.CATALOGUE if k.startswith(prefix)
            } == known

    def test_the_account_is_masked_and_the_rest_is_told(self) -> None:
        case = CASES["limited"]
        assert case.connection
        row = make_row(case.provider, case.connection, SCREEN)
        assert row.account == "o•••t"
        assert row.ends_text == "Renews automatically"
        assert [said for _, said in row.missing] == [
            "see your main Google e-mail address",
            "odd:one",
        ]
        missing = "see your main Google e-mail address; odd:one"
        assert row.tell.startswith(f"Stargazer does not have permission to: {missing}.")
        assert "<code>connect google</code>" in row.tell

    def test_an_end_is_told_with_code_trace_and_time(self) -> None:
        profile = {"problem": "invalid_grant", "problem_since": 5.0, "problem_trace": "0a1b"}
        ended = connection("google", Status.RECONNECT_NEEDED, profile=profile)
        row = make_row(ON["google"], ended, SCREEN)
        assert row.problem
        assert structs.asdict(row.problem) == {
            "text": "Google ended access",
            "brief": "Google needs reconnecting",
            "since": 5.0,
            "code": "invalid_grant",
            "trace": "0a1b",
            "staff": "",
        }
        assert row.ends_text == ""

    def test_trouble_is_told_with_its_code(self) -> None:
        profile = {"trouble": "provider", "trouble_since": 5.0, "trouble_code": "http_503"}
        troubled = connection("google", profile=profile, has_refresh_token=True)
        assert base_key(ON["google"], troubled, SCREEN.now) == "troubled"
        row = make_row(ON["google"], troubled, SCREEN)
        assert row.problem
        assert (row.problem.since, row.problem.code) == (5.0, "http_503")

    def test_hostile_features_and_permissions_stay_text(self) -> None:
        hostile = "<script>\u202e"
        limited = connection(
            "google", missing_scopes=(hostile,), has_refresh_token=True, lacking_features=(hostile,)
        )
        row = make_row(ON["google"], limited, SCREEN)
        assert row.lost == "<script>"
        assert "&lt;script&gt;" in row.tell
        assert "<script>" not in row.tell


class TestTheVerdict:
    def rows(self, *names: str) -> list[Row]:
        found = (CASES[name] for name in names)
        return [make_row(c.provider, c.connection, SCREEN) for c in found if c.connection]

    def test_counts_the_problems_and_names_them_the_worst_first(self) -> None:
        rows = self.rows("limited", "endless", "ended")
        said = verdict(rows)
        assert said.lead == "2 problems:"
        assert said.text.endswith("needs reconnecting, Google is limited.")
        assert said.line == "broken"
        assert [row.tone for row in problems(rows)] == ["bad", "warn"]

    def test_says_that_there_is_one_or_none(self) -> None:
        assert verdict(self.rows("limited")).lead == "1 problem:"
        assert (verdict(self.rows("endless")).lead, verdict([]).lead) == (
            "No problems.",
            "Nothing is connected.",
        )

    @EVERY_CASE
    def test_has_words_for_every_problem(self, case: Case) -> None:
        assert case.connection
        row = make_row(case.provider, case.connection, SCREEN)
        assert row.problem is None or row.problem.brief.startswith(case.provider.label)


class TestTheTimeline:
    def test_has_no_word_that_is_said_to_the_person(self) -> None:
        for one in history(happened(events()), ON, PRODUCT, BOT):
            said = f"{one.text} {one.more}".lower().replace(",", "").replace(".", "")
            assert not {"you", "your"} & set(said.split())

    def test_names_what_nobody_has_words_for(self) -> None:
        (one,) = history([Event("of_later", "gone", "web", 1.0)], ON, PRODUCT, BOT)
        assert (one.text.striptags(), one.more) == ("of_later gone", "By them, in the browser")

    def test_masks_accounts(self) -> None:
        event = Event(
            "account_switched", "github", "web", 1.0, account="mona@example.org", was="hubert"
        )
        (one,) = history([event], ON, PRODUCT, BOT)
        assert one.text.striptags() == "GitHub now uses m•••@e•••.org instead of h•••t"

    def test_shows_a_code_only_if_there_are_no_words_for_it(self) -> None:
        known = Event("connect_failed", "github", "web", 1.0, "provider_trouble")
        unknown = Event("access_ended", "github", "provider", 1.0, "invalid_grant")
        assert [e.code for e in history([known, unknown], ON, PRODUCT, BOT)] == [
            "",
            "invalid_grant",
        ]

    def test_names_the_ticket_of_what_support_did(self) -> None:
        event = Event("support_checked", "github", "support", 1.0, ticket="4711")
        (one,) = history([event], ON, PRODUCT, BOT)
        assert (one.text, one.more.striptags()) == ("Support checked GitHub", "Ticket 4711")

    def test_every_kind_that_has_words_can_be_asked_for(self) -> None:
        found = {event.kind for event in happened(events())} - {"of a later release"}
        narrowed = [kind for kinds in KINDS.values() for kind in kinds]
        assert len(narrowed) == len(set(narrowed))
        assert found <= set(narrowed)


class TestResults:
    def test_are_ten_at_most(self) -> None:
        many = {f"p{number}": "GitHub account" for number in range(11)}
        found = results(Question("octo", "why"), many, None, NAMES)
        assert len(found.people) == MOST == 10
        assert found.has_more
        assert found.said == "10 people found for “octo”"

    def test_lead_on_with_the_reason_and_say_where_it_was_found(self) -> None:
        (one,) = results(Question("a/b", "t 1"), {"a/b": "GitHub account"}, None, NAMES).people
        assert one.url == "/support/people/a%252Fb?reason=t+1"
        assert one.where == "GitHub account"


class TestTheExport:
    record = AuditRecord(
        "carol",
        "sso",
        "viewed",
        "ann\r\n2026 forged",
        "",
        "a 'reason'\x1b[2J",
        "shown",
        "ab12",
        0.0,
    )

    def test_a_line_is_one_line_and_tells_words_from_words(self) -> None:
        assert export.as_line(self.record) == (
            "1970-01-01T00:00:00Z who=carol via=sso action=viewed whom='ann\\r\\n2026 forged' "
            "reason=\"a 'reason'\\x1b[2J\" result=shown request_id=ab12"
        )

    def test_an_object_is_one_line_of_ascii_and_complete(self) -> None:
        line = export.as_json(self.record)
        assert line.isascii()
        assert line.isprintable()
        assert AuditRecord(**json.loads(line)) == self.record

    def test_since_is_a_day_a_moment_or_so_long_ago(self) -> None:
        now = time.time()
        day = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
        assert export.since("2026-11-01", now) == day
        assert export.since("2026-11-01T01:00", now) == day + 3600
        assert export.since("2026-11-01T01:00+01:00", now) == day
        assert export.since("7d", now) == now - 7 * 86_400
        assert export.since("24h", now) == now - 86_400
        assert export.since("99999d", now) == 0.0

    @every("text", ["", "0d", "-1d", "7", "d", "yesterday", "2026-13-01", "1e3d"])
    def test_nothing_else_is_a_time(self, text: str) -> None:
        with pytest.raises(ValueError):  # noqa: PT011 - some of them are datetime's own
            export.since(text, 1.0)


@every(
    "reason",
    [
        "",
        "42",
        "T-4",
        ".-,!?",
        "\u3164" * 9,
        "\u115f\u1160\uffa0\u3164",
        "a\u3164\u3164\u3164b",
        "\U00013441\U00013442" * 3,
        "\u200b" * 9,
        "\u2800" * 9,
        "\U000e0061" * 9,
        "\u034f\u034f\u034f",
        "e\u0301\u0301\u0301\u0301",
        "😀😀😀",
    ],
)
def test_a_reason_without_three_letters_or_digits_that_can_be_seen_is_none(reason: str) -> None:
    assert reason_fault(reason) == "reason"


@every("reason", ["abc", "T-42", "4711", "a b c", "票据号", "a\u200bb\u200bc", "٤٢٣"])
def test_three_letters_or_digits_of_any_script_are_a_reason(reason: str) -> None:
    assert reason_fault(reason) == ""


def test_a_picture_names_every_button_that_the_person_sees() -> None:
    shown = screens()
    after = Document(shown["support did disconnect"]).text
    assert "Buttons: Try again, Remove Stargazer at Google yourself" in after
    assert "Buttons: Connect" in after
    text = Document(shown["support preview"]).text
    for names in (
        "Allow the rest, Keep as it is",
        "Reconnect",
        "Check now, Disconnect",
        "Connect",
    ):
        assert f"Buttons: {names}" in text
