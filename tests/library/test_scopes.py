"""Scopes by each provider's own rule of equality, and their sentences allowed and left off."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from tests.kit.every import every
from tests.kit.fake_provider import FakeProvider
from tests.kit.library import age, callback_query, connected, fake_provider, manager_for
from tests.kit.screens import BOT, DETAIL, PRODUCT, SCREEN, Document, card_html
from tests.kit.site_fixtures import Place, card_state, site_at
from webui.cards import make_card
from webui.cards.gallery import ON, connection
from webui.chat.phrases import abilities, details
from webui.oauth_manager import (
    OAuthManager,
    OAuthNotConnected,
    OAuthProvider,
    Profile,
    TokenData,
    require_oauth_token,
)
from webui.oauth_manager import access as access_module
from webui.oauth_manager.connection import describe
from webui.oauth_manager.providers.scope_rules import ScopeRules
from webui.oauth_manager.values import replace
from webui.text.permissions import glossary, permission_groups, sentences

pytestmark = pytest.mark.anyio

MICROSOFT = ON["microsoft"]
GRAPH = "https://graph.microsoft.com/"
ASKED = ["openid", "profile", "offline_access", "User.Read", "Mail.Read"]
# How Microsoft may answer to what was asked, all of it granted.
SPELLINGS = {
    "as asked": "openid profile User.Read Mail.Read",
    "lower case": "openid profile user.read mail.read",
    "with the resource": f"openid {GRAPH}User.Read {GRAPH}Mail.Read",
    "with the resource in another case": f"HTTPS://Graph.Microsoft.com/user.read {GRAPH}MAIL.READ",
    "by the resource's id": (
        "00000003-0000-0000-c000-000000000000/User.Read "
        "00000003-0000-0000-C000-000000000000/Mail.Read"
    ),
    "in the cloud of the US government": (
        "https://graph.microsoft.us/User.Read https://Graph.Microsoft.US/mail.read"
    ),
    "in the cloud of the US department of defense": (
        "https://dod-graph.microsoft.us/User.Read https://dod-graph.microsoft.us/Mail.Read"
    ),
    "in the cloud in China": (
        "https://microsoftgraph.chinacloudapi.cn/User.Read "
        "https://microsoftgraph.chinacloudapi.cn/Mail.Read"
    ),
    "wider": f"{GRAPH}user.readwrite {GRAPH}mail.readwrite",
    "the whole registration": f"{GRAPH}.default",
}


def held(provider: OAuthProvider, granted: list[str], **profile: Any) -> Any:
    return describe(provider, TokenData("-", scopes=granted), Profile(**profile), 0.0)


class TestMicrosoftsEquality:
    @pytest.mark.parametrize("said", SPELLINGS.values(), ids=SPELLINGS.keys())
    async def test_another_spelling_is_not_limited_and_not_asked_for_again(
        self, redis: Redis, monkeypatch: pytest.MonkeyPatch, said: str
    ) -> None:
        fake = fake_provider(scope=said)
        manager = manager_for(fake)
        manager.providers["microsoft"].scopes = list(ASKED)
        known = await connected(manager, fake, redis, "u1", "microsoft")
        assert (known.missing_scopes, known.is_limited) == ((), False)
        monkeypatch.setattr(access_module, "_instance", manager)
        caller = SimpleNamespace(user_id="u1", redis=redis)
        for needed in (["Mail.Read"], ["mail.read"], [f"{GRAPH}Mail.Read", "User.Read"]):
            assert await require_oauth_token(caller, "microsoft", needed)
        await manager.aclose()

    async def test_what_is_truly_lacking_is_raised_with_all_that_is_held_each_once(
        self, redis: Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fake = fake_provider(scope=f"openid {GRAPH}user.read")
        manager = manager_for(fake)
        await connected(manager, fake, redis, "u1", "microsoft")
        monkeypatch.setattr(access_module, "_instance", manager)
        caller = SimpleNamespace(user_id="u1", redis=redis)
        with pytest.raises(OAuthNotConnected) as caught:
            await require_oauth_token(caller, "microsoft", ["User.Read", "mail.send"])
        assert caught.value.missing_scopes == ("mail.send",)
        asked = callback_query(caught.value.connect_url)["scope"].split()
        assert asked == ["openid", "profile", "offline_access", "User.Read", "mail.send"]
        await manager.aclose()

    async def test_a_whole_registration_is_asked_for_alone_and_named_when_more_is_lacking(
        self, redis: Redis, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fake = fake_provider(scope="User.Read Mail.Read")
        manager = manager_for(fake)
        own = manager.providers["microsoft"]
        own.scopes = ["openid", "offline_access", f"{GRAPH}.default"]
        known = await connected(manager, fake, redis, "u1", "microsoft")
        assert (known.missing_scopes, known.unasked_scopes) == ((), ())
        url = await manager.begin(redis, "u1", "microsoft", browser="b")
        assert callback_query(url)["scope"].split() == own.scopes
        monkeypatch.setattr(access_module, "_instance", manager)
        caller = SimpleNamespace(user_id="u1", redis=redis)
        assert await require_oauth_token(caller, "microsoft", ["Mail.Read"])
        with pytest.raises(OAuthNotConnected) as caught:
            await require_oauth_token(caller, "microsoft", ["Mail.Send"])
        asked = callback_query(caught.value.connect_url)["scope"].split()
        assert asked == ["openid", "offline_access", "User.Read", "Mail.Read", "Mail.Send"]
        await manager.aclose()

    async def test_a_refresh_asks_for_each_once(self, redis: Redis) -> None:
        fake = fake_provider(scope=f"openid {GRAPH}user.read OFFLINE_ACCESS")
        manager = manager_for(fake)
        await connected(manager, fake, redis, "u1", "microsoft")
        await age(manager, redis, "u1", "microsoft")
        assert await manager.get_token("u1", "microsoft", redis)
        form = fake.requests[-1].form
        assert form["scope"].split() == ["openid", f"{GRAPH}user.read", "OFFLINE_ACCESS", "profile"]
        await manager.aclose()

    def test_what_the_person_does_without_stays_so_under_another_name(self) -> None:
        own = replace(MICROSOFT, scopes=["User.Read", f"{GRAPH}Mail.Send"])
        known = held(
            own,
            ["user.read"],
            requested_scopes=("User.Read", f"{GRAPH}Mail.Send"),
            accepted_missing=("mail.send",),
        )
        assert known.missing_scopes == (f"{GRAPH}Mail.Send",)
        assert not known.is_limited

    def test_features_count_under_every_name(self) -> None:
        own = replace(
            MICROSOFT,
            scopes=["User.Read", "Mail.Send"],
            features={"mail": (f"{GRAPH}mail.send",)},
        )
        asked = ("User.Read", "Mail.Send")
        assert held(own, [f"{GRAPH}MAIL.SEND"], requested_scopes=asked).lacking_features == ()
        known = held(own, ["user.read"], requested_scopes=asked)
        assert known.lacking_features == ("mail",)
        assert (known.missing_scopes, known.unneeded_scopes) == (("Mail.Send",), ())

    def test_what_came_unasked_is_known_under_every_name(self) -> None:
        granted = [f"{GRAPH}user.read", f"{GRAPH}Files.Read"]
        known = held(MICROSOFT, granted, requested_scopes=("User.Read",))
        assert known.unasked_scopes == (f"{GRAPH}Files.Read",)

    @pytest.mark.parametrize("name", ["user.read", f"{GRAPH}User.Read", "USER.READ"])
    def test_every_name_has_the_same_sentence_and_is_said_once(self, name: str) -> None:
        (group,) = permission_groups(MICROSOFT, ["User.Read", name], "P", "B")
        assert group.sentences == ("see your profile and basic facts about your company",)

    def test_the_page_shows_no_limit_for_another_spelling(self) -> None:
        known = held(MICROSOFT, ["user.read"], requested_scopes=("User.Read",))
        assert make_card(MICROSOFT, known, None, SCREEN).state == "connected"
        assert "I do not have permission to" not in details(MICROSOFT, known, 0.0)

    def test_of_another_resource_nothing_is_held_by_the_whole_of_graph(self) -> None:
        office = "https://outlook.office.com/Mail.Read"
        assert MICROSOFT.missing_scopes([office, "Mail.Read"], [f"{GRAPH}.default"]) == (office,)
        whole = "https://outlook.office.com/.default"
        assert MICROSOFT.missing_scopes([office], [whole]) == ()


class TestEverybodyElsesEquality:
    @pytest.mark.parametrize("name", ["discord", "github", "google"])
    def test_names_are_compared_to_the_letter(self, name: str) -> None:
        provider = ON[name]
        for scope in provider.scopes:
            assert provider.missing_scopes([scope], [scope.upper()]) == (scope,)

    def test_googles_long_and_short_names_are_one(self) -> None:
        long = "https://www.googleapis.com/auth/userinfo.email"
        assert ON["google"].missing_scopes(["openid", "email"], ["openid", long]) == ()
        known = held(ON["google"], ["openid", long], requested_scopes=("openid", "email"))
        assert (known.missing_scopes, known.unasked_scopes) == ((), ())


SCOPES = st.text("aAbB./:", min_size=1, max_size=6)
MANY = st.lists(SCOPES, max_size=6)
RULES = st.builds(
    ScopeRules,
    st.dictionaries(SCOPES, st.lists(SCOPES, max_size=3).map(tuple), max_size=4),
    st.frozensets(SCOPES, max_size=2),
    st.lists(SCOPES, max_size=2).map(tuple),
    st.booleans(),
    st.sampled_from(["", ".a", "b"]),
)


class TestAnyRules:
    @given(RULES, MANY)
    def test_nothing_is_missing_of_what_is_held(self, rules: ScopeRules, scopes: list[str]) -> None:
        assert rules.missing(scopes, scopes) == ()

    @given(RULES, MANY, MANY, MANY)
    def test_more_held_is_never_more_missing(
        self, rules: ScopeRules, wanted: list[str], some: list[str], more: list[str]
    ) -> None:
        missing = rules.keys(rules.missing(wanted, some))
        assert rules.keys(rules.missing(wanted, [*some, *more])) <= missing

    @given(RULES, MANY, MANY)
    def test_what_is_united_names_nothing_twice_and_nothing_new(
        self, rules: ScopeRules, some: list[str], more: list[str]
    ) -> None:
        united = rules.united(some, more)
        assert set(united) <= {*some, *more}
        assert len(rules.keys(united)) == len(united)

    @given(RULES, MANY, MANY)
    def test_without_a_wildcard_uniting_loses_nothing(
        self, rules: ScopeRules, some: list[str], more: list[str]
    ) -> None:
        rules = replace(rules, wildcard="")
        assert rules.keys(rules.united(some, more)) == rules.keys([*some, *more])


LIMITS = r"\b(only|not|no|but|without|except|nothing|never|cannot|none|unless)\b|[()]"
EVERY_SCOPE = {
    f"{p.name} {scope}": (p.name, scope) for p in ON.values() for scope in p.scope_sentences
}


class TestSentences:
    @every("asked_for", EVERY_SCOPE)
    def test_a_sentence_that_stands_after_not_allowed_names_no_limit(
        self, asked_for: tuple[str, str]
    ) -> None:
        name, scope = asked_for
        ((group, said),) = sentences(ON[name], [scope], PRODUCT, BOT, allowed=False)
        assert not re.search(LIMITS, said), said
        assert "{" not in said
        ((same, precisely),) = sentences(ON[name], [scope], PRODUCT, BOT, allowed=True)
        assert same == group != "Unknown"
        assert "{" not in precisely

    @every("asked_for", EVERY_SCOPE)
    def test_it_is_said_so_on_the_page_and_in_chat(self, asked_for: tuple[str, str]) -> None:
        name, scope = asked_for
        asked = replace(ON[name], scopes=[scope], scopes_unlisted=frozenset())
        known = held(asked, ["odd:one"], requested_scopes=(scope,))
        ((_, said),) = sentences(asked, [scope], PRODUCT, BOT, allowed=False)
        page = " ".join(Document(card_html(make_card(asked, known, None, SCREEN))).text.split())
        assert f"{BOT} does not have permission to: {said}" in page
        ((_, mine),) = sentences(asked, [scope], "me", "me", allowed=False)
        assert f"I do not have permission to: {mine}." in details(asked, known, 0.0)

    @every("name", ["discord", "github", "google", "microsoft"])
    def test_nothing_is_said_to_be_lacking_that_another_permission_includes(
        self, name: str
    ) -> None:
        provider = ON[name]
        for outer, inner in provider.scope_contains.items():
            assert provider.missing_scopes(inner, [outer]) == ()

    def test_limits_are_told_of_what_is_allowed(self) -> None:
        (group,) = permission_groups(ON["discord"], ["identify"], PRODUCT, BOT)
        assert group.sentences == ("see your user name, picture and banner, not your e-mail",)
        known = connection("google", scopes=("https://www.googleapis.com/auth/drive.file",))
        said = "work only with Drive files you open or make with me"
        assert said in details(ON["google"], known, 0.0)


OWN = replace(
    ON["wiki"],
    scopes=["wiki.read", "wiki.write", "wiki:odd"],
    scope_texts={"wiki.read": "see your pages of {product}", "wiki.write": "write as {bot}"},
    purpose="Lets {bot} keep notes for you.",
)


class TestTheOperatorsWords:
    def test_they_stand_on_the_card_the_glossary_and_in_chat(self) -> None:
        groups = {g.name: g.sentences for g in permission_groups(OWN, OWN.scopes, "P", "B")}
        assert groups == {"Other": ("see your pages of P", "write as B"), "Unknown": ("wiki:odd",)}
        row, alone = (
            " ".join(Document(card_html(make_card(OWN, None, None, screen))).text.split())
            for screen in (SCREEN, DETAIL)
        )
        assert "Lets Stella keep notes for you." in row
        assert "Lets Stella keep notes for you." in alone
        assert "What we will ask for see your pages of Stargazer write as Stella" in alone
        assert abilities(OWN, ["wiki.write"]) == "write as me"
        assert [(one.group, one.sentence) for one in glossary(OWN, "P", "B").asked] == [
            ("Other", "see your pages of P"),
            ("Other", "write as B"),
            ("Unknown", "wiki:odd"),
        ]

    def test_what_nobody_has_described_is_its_bare_name(self) -> None:
        bare = replace(OWN, scope_texts={})
        html = card_html(make_card(bare, None, None, DETAIL))
        assert "<code><bdi>wiki:odd</bdi></code>" in html
        assert "no description" not in html

    def test_they_go_before_ours_and_keep_the_group(self) -> None:
        own = replace(ON["github"], scope_texts={"repo": "work in the shop's code"})
        (group,) = permission_groups(own, ["repo"], "P", "B")
        assert (group.name, group.sentences) == ("Changes", ("work in the shop's code",))

    async def test_they_reach_a_person_through_the_settings(
        self, redis_url: str, redis: Redis
    ) -> None:
        fake = fake_provider()
        wiki = {
            **fake.endpoints("http://provider.example", "/wiki"),
            "client_id": fake.client_id,
            "client_secret": fake.client_secret,
            "scopes": ["wiki.read"],
            "scope_texts": {"wiki.read": "see your <pages>"},
            "purpose": "Lets {bot} & you keep notes.",
        }
        async with site_at(redis_url, redis, fake, providers_config={"wiki": wiki}) as place:
            ann = await place.signed_in("ann")
            page = (await ann.get("/connections")).text
            assert card_state(page, "wiki") == "not_connected"
            alone = (await ann.get("/connections/wiki")).text
            assert "see your &lt;pages&gt;" in alone
            assert "Lets Stella &amp; you keep notes." in alone
            assert "Lets Stella &amp; you keep notes." in page
            await connect_and_look(place, fake)


async def connect_and_look(place: Place, fake: FakeProvider) -> None:
    manager: OAuthManager = place.bot
    known = await connected(manager, fake, place.redis, "ann", "wiki")
    assert details(manager.providers["wiki"], known, 0.0).endswith("I can now: see your <pages>.")
