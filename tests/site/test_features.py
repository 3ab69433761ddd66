"""Features that need a service: their settings, and what people are told without it."""

from __future__ import annotations

import re
import string
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from tests.kit.every import every
from tests.kit.library import BASE_URL, KEY, fake_provider, providers_config
from tests.kit.screens import DETAIL, SCREEN, Document, card, card_html
from tests.kit.site_fixtures import Place, card_state, query_of, site_at
from tests.site.test_settings import GOOD, fault, settings
from webui.cards import make_card
from webui.cards.gallery import BUSY, CASES, ON, granted
from webui.chat import connect_service, notice_text
from webui.chat.phrases import details, standing
from webui.oauth_manager import Notice, NoticeKind, OAuthProvider, init_oauth_manager
from webui.oauth_manager.connection import describe
from webui.oauth_manager.models import Connection, Profile
from webui.oauth_manager.providers import PROVIDER_TEMPLATES, build_providers
from webui.oauth_manager.providers.features import MOST_FEATURES
from webui.oauth_manager.token_data import TokenData
from webui.oauth_manager.values import replace
from webui.settings.features import as_text, features, unasked
from webui.settings.readers import Malformed
from webui.settings.settings import load_settings

pytestmark = pytest.mark.anyio

CALENDAR = "https://www.googleapis.com/auth/calendar"
READING = f"{CALENDAR}.readonly"
USED_FOR = {"meeting reminders": [READING], "greetings": ["email"]}

NAMES = (
    st.text(string.ascii_letters + "äß 漢<>&\"'{}/-.", min_size=1, max_size=64)
    .map(str.strip)
    .filter(bool)
)
SCOPES = st.text(string.ascii_letters + string.digits + ":/._-", min_size=1, max_size=20)
FEATURES = st.dictionaries(NAMES, st.lists(SCOPES, min_size=1, max_size=4, unique=True), max_size=8)


class TestSettingThemUp:
    def test_the_text_names_each_with_its_scopes(self) -> None:
        text = " meeting reminders:  a:read https://b.test/c ; issue updates: repo;"
        assert features(text) == {
            "meeting reminders": ("a:read", "https://b.test/c"),
            "issue updates": ("repo",),
        }

    @given(FEATURES)
    def test_a_table_says_the_same_as_the_text(self, table: dict[str, list[str]]) -> None:
        expected = {name: tuple(scopes) for name, scopes in table.items()}
        assert features(as_text(table)) == expected
        assert features(as_text({n: " ".join(scopes) for n, scopes in table.items()})) == expected

    @given(st.text(max_size=200))
    def test_whatever_is_given_is_features_or_one_kind_of_fault(self, text: str) -> None:
        try:
            found = features(text)
        except Malformed:
            return
        assert all(name.isprintable() and 0 < len(name) <= 64 for name in found)
        assert all(found.values())

    @every(
        ("text", "why"),
        [
            ("meeting reminders", "a scope for each"),
            ("a: email; b:", "a scope for each"),
            (": email", "names of one line"),
            ("x" * 65 + ": email", "names of one line"),
            ("two\nlines: email", "names of one line"),
            ("turned \u202earound: email", "names of one line"),
            ("a: email; a: openid", "twice"),
            (";".join(f"{n}: email" for n in range(MOST_FEATURES + 1)), "at most 20"),
            ("mail: gmail.send", "needs a scope that is not asked for; GOOGLE_SCOPES"),
            ("a b: emails", "needs a scope that is not asked for; GOOGLE_SCOPES"),
        ],
    )
    def test_a_fault_names_the_variable_and_repeats_nothing(self, text: str, why: str) -> None:
        told = fault(GOOGLE_FEATURES=text)
        assert told.startswith("GOOGLE_FEATURES ")
        assert why in told
        assert text not in told

    def test_what_a_scope_contains_is_asked_for_with_it(self) -> None:
        settings(GITHUB_SCOPES="repo", GITHUB_FEATURES="check results: repo:status")
        settings(GOOGLE_SCOPES=f"openid {CALENDAR}", GOOGLE_FEATURES=f"reminders: {READING}")
        assert not unasked({"a": ("x",)}, ["x"], {})
        assert unasked({"a": ("x",)}, [], {})

    def test_a_name_in_a_file_that_the_text_cannot_hold_is_a_fault(self, tmp_path: Any) -> None:
        config = tmp_path / "webui.toml"
        for name in ("a: email; b", "a;b", "a:b"):
            config.write_text(f'[google.features]\n"{name}" = ["email"]\n')
            assert fault(WEBUI_CONFIG=str(config)).startswith("GOOGLE_FEATURES ")

    def test_a_table_of_a_file_is_read(self, tmp_path: Any) -> None:
        config = tmp_path / "webui.toml"
        config.write_text('[google.features]\ngreetings = ["openid", "email"]\nmail = "email"\n')
        found = load_settings(GOOD | {"WEBUI_CONFIG": str(config)}).providers_config["google"]
        assert found == {"features": {"greetings": ("openid", "email"), "mail": ("email",)}}

    @every(
        "given",
        [
            {"mail": []},
            {"mail": ["gmail.send"]},
            {"": ["email"]},
            {"two\nlines": ["email"]},
            {"a:b": ["email"]},
            {str(n): ["email"] for n in range(MOST_FEATURES + 1)},
            "mail: email",
        ],
    )
    def test_the_library_refuses_the_same(self, given: Any) -> None:
        with pytest.raises(ValueError, match=r"provider 'google': features "):
            build_providers(PROVIDER_TEMPLATES, {"google": {"features": given}})

    def test_no_provider_has_any_unless_it_is_told(self) -> None:
        for provider in build_providers(PROVIDER_TEMPLATES, {}).values():
            assert provider.features == {}
            assert provider.needed_scopes == ()
            assert provider.lacking_features(()) == ()


class TestWhatIsLacking:
    """Over every way in which scopes can contain one another."""

    LETTERS = st.sampled_from("abcdef")
    MANY = st.lists(LETTERS, max_size=6, unique=True)
    CONTAINS = st.dictionaries(LETTERS, st.lists(LETTERS, max_size=3).map(tuple), max_size=6)
    USES = st.dictionaries(
        st.sampled_from(["one", "two", "three"]),
        st.lists(LETTERS, min_size=1, max_size=3, unique=True),
    )

    def provider(self, contains: Any, uses: Any) -> OAuthProvider:
        return OAuthProvider(
            "lab",
            "https://lab.test/a",
            "https://lab.test/t",
            scopes=list("abcdef"),
            scope_contains=contains,
            scopes_unlisted=frozenset("f"),
            features=uses,
        )

    def connection(
        self, provider: OAuthProvider, held: Any, asked: Any = (), accepted: Any = ()
    ) -> Connection:
        profile = Profile(requested_scopes=tuple(asked), accepted_missing=tuple(accepted))
        return describe(provider, TokenData("-", scopes=list(held), provider="lab"), profile, 0.0)

    @given(CONTAINS, USES, MANY)
    def test_is_a_feature_with_a_scope_that_cannot_be_reached_from_the_grant(
        self, contains: Any, uses: Any, held: Any
    ) -> None:
        reached = {*held, "f"}
        for _ in "abcdef":
            reached |= {inner for outer in reached for inner in contains.get(outer, ())}
        expected = tuple(name for name, needed in uses.items() if not reached.issuperset(needed))
        assert self.provider(contains, uses).lacking_features(held) == expected

    @given(CONTAINS, USES, MANY, MANY)
    def test_never_grows_with_the_grant(
        self, contains: Any, uses: Any, held: Any, more: Any
    ) -> None:
        provider = self.provider(contains, uses)
        lacking = set(provider.lacking_features(held))
        assert set(provider.lacking_features([*held, *more])) <= lacking
        assert provider.lacking_features([*held, *provider.needed_scopes]) == ()

    @given(CONTAINS, USES, MANY, MANY, MANY)
    def test_decides_alone_whether_a_connection_is_limited(
        self, contains: Any, uses: Any, held: Any, asked: Any, accepted: Any
    ) -> None:
        provider = self.provider(contains, uses)
        known = self.connection(provider, held, asked, accepted)
        missing = set(known.missing_scopes)
        assert missing == set(known.lacking_scopes) | set(known.unneeded_scopes)
        assert missing >= set(provider.missing_scopes(asked, held))
        if uses:
            assert bool(known.lacking_scopes) == bool(known.lacking_features)
            assert set(known.lacking_scopes) <= set(provider.needed_scopes)
            assert set(known.unneeded_scopes).isdisjoint(provider.needed_scopes)
        else:
            assert known.unneeded_scopes == ()
            assert known.missing_scopes == provider.missing_scopes(asked, held)
        assert known.is_limited == (not set(known.lacking_scopes) <= set(accepted))
        assert not self.connection(provider, held, asked, known.lacking_scopes).is_limited

    @given(CONTAINS, MANY, MANY)
    def test_what_nobody_asked_for_is_granted_and_outside_of_what_was_asked(
        self, contains: Any, held: Any, asked: Any
    ) -> None:
        """More than was asked for"""
        provider = self.provider(contains, {})
        unasked = set(self.connection(provider, held, asked, ()).unasked_scopes)
        assert unasked <= set(held)
        reached = provider.scope_rules.reached
        assert unasked.isdisjoint(reached(asked))
        if asked:
            always = provider.scopes_unlisted
            assert set(held) - unasked <= reached({*asked, *always})


@every(
    ("provider", "asked", "granted", "unasked"),
    [
        ("github", ["repo"], ["repo:status", "gist", "repo"], ("gist",)),
        ("google", ["email"], ["https://www.googleapis.com/auth/userinfo.email"], ()),
        ("microsoft", ["User.Read"], ["https://graph.microsoft.com/User.Read", "openid"], ()),
        ("microsoft", ["Mail.Read"], ["Mail.ReadWrite", "Mail.Read"], ("Mail.ReadWrite",)),
        ("discord", [], ["identify"], ()),  # of an older system: nobody knows
    ],
)
def test_other_names_of_what_was_asked_for_are_not_more(
    provider: str, asked: list[str], granted: list[str], unasked: tuple[str, ...]
) -> None:
    token = TokenData("t", scopes=granted, provider=provider)
    known = describe(ON[provider], token, Profile(requested_scopes=tuple(asked)), 0.0)
    assert known.unasked_scopes == unasked


def said(name: str, screen: Any = SCREEN) -> str:
    """Everything that the card of a gallery's case says."""
    return Document(card_html(card(CASES[name], screen), htmx=True)).text


class TestCards:
    def test_a_limited_one_names_what_will_not_work(self) -> None:
        """limited"""
        for screen in (SCREEN, DETAIL):
            text = said("one feature lacks", screen)
            assert "Stella does not have permission to: send mail in your name" in text
            assert re.search(r"So this does not work: mail ?\. .*Allow the rest", text)

    def test_what_was_given_unasked_stands_apart(self) -> None:
        for screen in (SCREEN, DETAIL):
            text = said("more than asked", screen)
            assert "Given, though we did not ask for it create and change your gists" in text
            assert text.count("gists") == 1

    def test_only_what_is_needed_is_missed(self) -> None:
        about = card(CASES["one feature lacks"]).about
        assert about is not None
        assert about.items == (("Acts", "send mail in your name"),)
        shown = card(CASES["one feature lacks"]).permissions
        assert shown is not None
        assert shown.not_needed == (("Sees", "see your main Google e-mail address"),)
        assert (shown.left_off, shown.lost) == ((), "")

    def test_of_many_a_list_names_three_and_the_page_all(self) -> None:
        three, rest = "meeting reminders , mail , notes in Drive", ", birthdays"
        assert f"does not work: {three} and 1 more." in said("many features lack")
        assert f"does not work: {three} {rest}" in said("many features lack", DETAIL)
        assert (
            card(CASES["many features lack"]).seen == card(CASES["many features lack"], DETAIL).seen
        )

    def test_what_was_never_asked_for_was_not_left_off(self) -> None:
        text = said("feature not asked for")
        assert "Stella needs more permission at Google" in text
        assert "lacks" not in text

    def test_what_nothing_needs_is_no_trouble_but_listed(self) -> None:
        shown = card(CASES["no feature lacks"])
        assert (shown.state, shown.tone, shown.about) == ("connected", "ok", None)
        assert [action.label for action in shown.every_action] == ["Check now", "Disconnect"]
        text = said("no feature lacks")
        assert "Left off, and not needed see your main Google e-mail address" in text
        assert "by your choice" not in text

    def test_what_was_given_up_is_named_with_what_it_costs(self) -> None:
        text = said("feature given up")
        chosen = "Left off by your choice change the events in your calendars"
        assert f"{chosen} So this does not work: meeting reminders" in text
        assert "Left off, and not needed see your main Google e-mail address" in text
        assert "Allow the rest" in text

    def test_where_access_has_ended_what_stopped_is_named(self) -> None:
        """reconnect"""
        stopped = "Not working since 2 October 2026 : meeting reminders , mail , notes in Drive"
        assert f"{stopped} and 2 more" in said("features stopped")
        assert f"{stopped} , to-do lists , birthdays" in said("features stopped", DETAIL)

    def test_what_never_worked_has_not_stopped(self) -> None:
        ended = CASES["features stopped"].connection
        assert ended
        known = replace(ended.profile, accepted_missing=(f"{CALENDAR}.events",))
        shown = make_card(BUSY, replace(ended, profile=known), None, DETAIL)
        assert shown.about is not None
        assert "meeting reminders" not in shown.about.quiet
        assert "mail" in shown.about.quiet

    def test_without_features_nothing_of_it_is_said(self) -> None:
        for name in ("limited", "ended", "limited by choice"):
            assert "does not work" not in said(name)
            assert "and not needed" not in said(name)
            about = card(CASES[name]).about
            assert about is None or (about.after, ": " in about.quiet) == ("", False)

    def test_another_feature_that_lacks_is_news(self) -> None:
        one = make_card(BUSY, granted("tasks", "contacts"), None, SCREEN)
        other = make_card(BUSY, granted("tasks"), None, SCREEN)
        assert one.fingerprint != other.fingerprint


class TestInChat:
    def test_missing_permissions_are_told_with_what_they_cost(self) -> None:
        told = details(BUSY, granted("calendar.events", "tasks", "contacts"), 0.0)
        assert "I do not have permission to: send mail in your name; " in told
        assert "So this does not work: mail, notes in Drive." in told

    def test_what_nothing_needs_limits_nothing(self) -> None:
        known = granted("calendar.events", "gmail.send", "drive.file", "tasks", "contacts")
        assert standing(BUSY, known) == "Google: connected as octocat."
        told = details(BUSY, known, 0.0)
        assert "I do not have permission to: see your main Google e-mail address." in told
        assert "does not work" not in told

    def test_a_long_list_is_cut(self) -> None:
        uses = {f"thing {number}": ("email",) for number in range(9)}
        told = details(
            replace(BUSY, features=uses), replace(granted(), lacking_features=(*uses,)), 0.0
        )
        assert "thing 4 and 4 more." in told
        assert "thing 5" not in told

    def test_a_name_from_right_to_left_keeps_that_to_itself(self) -> None:
        known = replace(granted(), lacking_features=("\u05d0\u05d1",))
        assert "work: \u2068\u05d0\u05d1\u2069." in details(BUSY, known, 0.0)


@pytest.fixture
def config() -> dict[str, dict[str, Any]]:
    """The usual four, with something to do for Google."""
    given = providers_config(fake_provider())
    given["google"] |= {"scopes": ["openid", "email", "profile", READING], "features": USED_FOR}
    return given


async def test_the_bot_that_tells_of_a_connection_tells_what_will_not_work_with_it(
    place: Place, redis_url: str, redis: Redis, config: dict[str, dict[str, Any]]
) -> None:
    async with site_at(redis_url, redis, place.fake, providers_config=config) as there:
        place.fake.scope = "openid email"
        await there.connect(await there.signed_in("ann"), "google")
        notice = Notice(NoticeKind.CONNECTED, "ann", "google", "", 0.0)
        told = await notice_text(there.bot, redis, notice)
    assert (
        "Some permissions were left off (send connect google to allow them). "
        "So this does not work: meeting reminders. Not you? Send:"
    ) in told


class TestOnTheSite:
    async def test_leaving_something_off_leads_to_keeping_it_so_or_to_allowing_it(
        self, redis_url: str, redis: Redis, config: dict[str, dict[str, Any]]
    ) -> None:
        """Page and library say the same."""
        async with site_at(redis_url, redis, providers_config=config) as place:
            ann = await place.signed_in("ann")
            place.fake.scope = "openid email"
            await place.connect(ann, "google")
            page = await ann.get("/connections")
            assert card_state(page.text, "google") == "limited"
            assert "So this does not work: <bdi>meeting reminders</bdi>." in page.text
            known = await place.bot.connection(redis, "ann", "google")
            assert known.lacking_features == ("meeting reminders",)
            assert known.unneeded_scopes == ("profile",)

            await ann.post("/connections/google/accept-limited")
            page = await ann.get("/connections")
            assert card_state(page.text, "google") == "connected"
            assert "So this does not work: <bdi>meeting reminders</bdi>." in page.text
            known = await place.bot.connection(redis, "ann", "google")
            assert known.profile.accepted_missing == (READING,)

            place.fake.scope = None
            await place.connect(ann, "google")
            page = await ann.get("/connections")
            assert card_state(page.text, "google") == "connected"
            assert "does not work" not in page.text

    @pytest.mark.parametrize(
        ("scope", "state"),
        [
            (f"openid email profile {READING}", "connected"),
            (f"{READING} email openid", "connected"),  # fewer, and in another order
            (f"email {CALENDAR} openid", "connected"),  # a wider one
            (
                f"openid https://www.googleapis.com/auth/userinfo.email {READING} odd:one",
                "connected",
            ),
            ("openid email profile", "limited"),
            (f"profile {READING}", "limited"),
            ("", "limited"),
        ],
    )
    async def test_whatever_is_granted_only_what_is_needed_counts(
        self,
        redis_url: str,
        redis: Redis,
        config: dict[str, dict[str, Any]],
        scope: str,
        state: str,
    ) -> None:
        async with site_at(redis_url, redis, providers_config=config) as place:
            ann = await place.signed_in("ann")
            place.fake.scope = scope
            await place.connect(ann, "google")
            assert await ann.state_of("google") == state
            known = await place.bot.connection(redis, "ann", "google")
            assert known.is_limited == (state == "limited")

    async def test_what_the_bot_has_learnt_since_is_asked_for_on_the_page_and_in_chat(
        self, place: Place, redis: Redis, redis_url: str, config: dict[str, dict[str, Any]]
    ) -> None:
        ann = await place.signed_in("ann")
        await place.connect(ann, "google")
        async with site_at(redis_url, redis, place.fake, providers_config=config) as later:
            there = await later.browser(ann)
            page = await there.get("/connections")
            assert card_state(page.text, "google") == "limited"
            assert "needs more permission at Google" in page.text
            asked = query_of(await there.begin("google", {"intent": "widen"}))["scope"]
            assert READING in asked.split()
        manager = init_oauth_manager(KEY, BASE_URL, config)
        chat = SimpleNamespace(user_id="ann", redis=redis)
        told = await connect_service(chat, "connect", "google")
        await manager.aclose()
        assert re.match(
            "Google is connected. I do not have permission to: see all calendars you can open. "
            "So this does not work: meeting reminders. Here is a link to allow it.",
            told,
        )
