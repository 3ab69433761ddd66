"""Several named accounts of one service, as a bot and a site meet them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.kit.account_provider import AccountProvider, added, came_back
from tests.kit.library import KEY, OTHER_KEY, connected, manager_for
from tests.kit.redis_wire import Wire
from webui.oauth_manager import (
    Connection,
    FlowRefused,
    Health,
    OAuthAmbiguous,
    OAuthManager,
    OAuthNotConnected,
    RecordUnreadable,
    RevokeOutcome,
    Status,
    SwitchOffer,
    oauth_client,
    replace_oauth_manager,
    require_oauth_token,
)
from webui.oauth_manager.storage.account_names import account_name, proposed
from webui.oauth_manager.storage.calls import as_text
from webui.oauth_manager.storage.keys import record_kind
from webui.oauth_manager.storage.sealer import read_record

pytestmark = pytest.mark.anyio

BARE = "stargazer:oauth_tokens:ann:github"


@dataclass
class Ctx:
    redis: Any
    user_id: str = "ann"
    account: str | None = None


@pytest.fixture
def fake() -> AccountProvider:
    return AccountProvider()


@pytest.fixture
def manager(fake: AccountProvider) -> OAuthManager:
    return manager_for(fake)


@pytest.fixture
async def two(manager: OAuthManager, fake: AccountProvider, redis: Redis) -> OAuthManager:
    """Ann is connected as mona, and as hubert, which she calls Work."""
    await added(manager, fake, redis, "mona", is_adding=False)
    await added(manager, fake, redis, "hubert", account="Work")
    return manager


async def whose(manager: OAuthManager, fake: AccountProvider, redis: Redis, account: str) -> str:
    return fake.whose(await manager.get_token("ann", "github", redis, account=account))


class TestAdding:
    async def test_the_first_account_stays_at_the_bare_key_and_the_second_gets_one_beside_it(
        self, two: OAuthManager, redis: Redis
    ) -> None:
        assert await redis.exists(BARE, f"{BARE}~work") == 2
        assert await redis.exists("stargazer:oauth_connection:ann:github~work")

    async def test_each_is_addressed_by_its_name(
        self, two: OAuthManager, fake: AccountProvider, redis: Redis
    ) -> None:
        assert await whose(two, fake, redis, "mona") == "mona"
        assert await whose(two, fake, redis, "work") == "hubert"
        assert await whose(two, fake, redis, "Work") == "hubert"

    async def test_a_call_without_a_name_is_a_question(
        self, two: OAuthManager, redis: Redis
    ) -> None:
        with pytest.raises(OAuthAmbiguous) as caught:
            await two.get_token("ann", "github", redis)
        assert caught.value.accounts == ["mona", "work"]
        assert str(caught.value) == "Which GitHub: mona or work?"
        assert caught.value.connect_url == "https://bot.example/connections"
        assert isinstance(caught.value, OAuthNotConnected)
        assert await two.has_token("ann", "github", redis)
        for refused in (
            two.delete_token(redis, "ann", "github"),
            two.check(redis, "ann", "github"),
            two.renew(redis, "ann", "github", refused="x"),
            two.accept_missing(redis, "ann", "github"),
            two.ask_again(redis, "ann", "github"),
            two.connection(redis, "ann", "github"),
        ):
            with pytest.raises(OAuthAmbiguous):
                await refused

    async def test_the_list_has_every_account_with_name_and_label(
        self, two: OAuthManager, redis: Redis
    ) -> None:
        rows = await two.list_user_connections("ann", redis)
        assert [(row["provider"], row["account"], row["label"]) for row in rows] == [
            ("github", "mona", "mona"),
            ("github", "work", "hubert"),
        ]
        shown = await two.connections(redis, "ann")
        github = [(row.name, row.handle) for row in shown if row.provider == "github"]
        assert github == [("mona", "~"), ("Work", "~work")]

    async def test_the_same_account_of_the_provider_is_renewed_instead(
        self, two: OAuthManager, fake: AccountProvider, redis: Redis
    ) -> None:
        again = await added(two, fake, redis, "hubert", account="other")
        assert (again.name, again.slot) == ("Work", "work")
        assert again.was_there
        (told, *_) = (await two.activity(redis, "ann")).events
        assert (told.kind, told.detail, told.slot) == ("reconnected", "was_there", "work")
        assert len(await two.list_user_connections("ann", redis)) == 2
        first = await added(two, fake, redis, "mona")
        assert first.slot == ""
        renewed = await came_back(two, fake, redis, "hubert", account="work")
        assert isinstance(renewed, Connection)
        assert not renewed.was_there

    async def test_reconnecting_one_as_the_account_of_the_other_renews_the_other(
        self, two: OAuthManager, fake: AccountProvider, redis: Redis
    ) -> None:
        before = await two.get_token("ann", "github", redis, account="mona")
        back = await came_back(two, fake, redis, "hubert", account="~")
        assert isinstance(back, Connection)
        assert back.slot == "work"
        assert await two.get_token("ann", "github", redis, account="mona") == before
        assert await whose(two, fake, redis, "work") == "hubert"

    async def test_there_are_at_most_five(
        self, manager: OAuthManager, fake: AccountProvider, redis: Redis
    ) -> None:
        for number in range(5):
            await added(manager, fake, redis, f"mona{number}")
        with pytest.raises(FlowRefused, match="too_many"):
            await came_back(manager, fake, redis, "mona5", is_adding=True)
        assert len(await manager.list_user_connections("ann", redis)) == 5
        await manager.aclose()
        assert fake.calls["revoke"] == 1

    async def test_the_limit_of_a_provider_is_its_own(
        self, manager: OAuthManager, fake: AccountProvider, redis: Redis
    ) -> None:
        manager.providers["github"].max_accounts = 1
        await added(manager, fake, redis, "mona")
        with pytest.raises(FlowRefused, match="too_many"):
            await came_back(manager, fake, redis, "hubert", is_adding=True)

    async def test_two_accounts_of_one_label_get_two_names(
        self, manager: OAuthManager, fake: AccountProvider, redis: Redis
    ) -> None:
        await added(manager, fake, redis, "mona")
        second = await added(manager, fake, redis, "hubert", account="mona")
        assert second.name == "mona-2"

    async def test_it_asks_the_provider_for_its_account_picker(
        self, two: OAuthManager, redis: Redis
    ) -> None:
        adding: dict[str, Any] = {"browser": "b", "is_adding": True}
        assert "prompt=select_account" in await two.begin(redis, "ann", "github", **adding)
        google = await two.begin(redis, "ann", "google", **adding)
        assert "prompt=select_account+consent" in google
        microsoft = await two.begin(redis, "ann", "microsoft", **adding)
        assert "prompt=select_account" in microsoft
        assert "prompt" not in await two.begin(redis, "ann", "github", browser="b", account="work")

    async def test_an_account_without_an_id_is_asked_about(
        self, manager: OAuthManager, fake: AccountProvider, redis: Redis
    ) -> None:
        await added(manager, fake, redis, "mona")
        manager.providers["github"].account_url = ""
        offer = await came_back(manager, fake, redis, "hubert", is_adding=True)
        assert isinstance(offer, SwitchOffer)
        assert offer.can_add
        assert offer.is_replacing

    async def test_the_question_has_a_third_answer(
        self, manager: OAuthManager, fake: AccountProvider, redis: Redis
    ) -> None:
        await added(manager, fake, redis, "mona")
        offer = await came_back(manager, fake, redis, "hubert")
        assert isinstance(offer, SwitchOffer)
        answer: dict[str, Any] = {"offer": offer.id, "use_new": False, "add": True, "name": "Work"}
        made = await manager.switch(redis, "ann", "github", **answer)
        assert isinstance(made, Connection)
        assert made.name == "Work"
        assert await whose(manager, fake, redis, "mona") == "mona"
        assert await whose(manager, fake, redis, "work") == "hubert"


class TestOneOfSeveral:
    async def test_an_account_that_is_not_there_is_not_connected_and_its_link_connects_it(
        self, two: OAuthManager, fake: AccountProvider, redis: Redis
    ) -> None:
        assert await two.get_token("ann", "github", redis, account="school") is None
        before = replace_oauth_manager(two)
        try:
            with pytest.raises(OAuthNotConnected) as caught:
                await require_oauth_token(Ctx(redis), "github", account="school")
            assert caught.value.account == "school"
            assert "github (school) is not connected" in str(caught.value)
            assert not isinstance(caught.value, OAuthAmbiguous)
        finally:
            replace_oauth_manager(before)

    @pytest.mark.parametrize("name", ["", "my account!", "../x", "a" * 500, "wörk", "None?"])
    async def test_what_can_be_no_name_is_a_question_or_a_link_and_never_a_token(
        self, two: OAuthManager, fake: AccountProvider, redis: Redis, name: str
    ) -> None:
        before = replace_oauth_manager(two)
        try:
            with pytest.raises(OAuthAmbiguous) as unclear:
                await require_oauth_token(Ctx(redis), "github", account=name)
            assert unclear.value.accounts == ["mona", "work"]
            if name:
                with pytest.raises(OAuthNotConnected, match="google is not connected"):
                    await require_oauth_token(Ctx(redis), "google", account=name)
        finally:
            replace_oauth_manager(before)

    async def test_an_older_process_uses_no_account_of_several(
        self, two: OAuthManager, redis: Redis
    ) -> None:
        for key in (BARE, f"{BARE}~work", "stargazer:oauth_connection:ann:github~work"):
            sealed = as_text(await redis.get(key))
            assert two._sealer.open(record_kind(key.encode()), "ann", None, sealed)["v"] == 2

    async def test_the_account_of_the_context_counts(
        self, two: OAuthManager, fake: AccountProvider, redis: Redis
    ) -> None:
        before = replace_oauth_manager(two)
        try:
            ctx = Ctx(redis, account="work")
            assert fake.whose(await require_oauth_token(ctx, "github")) == "hubert"
            token = await require_oauth_token(ctx, "github", account="mona")
            assert fake.whose(token) == "mona"
            assert oauth_client(ctx, "github")
        finally:
            replace_oauth_manager(before)

    async def test_disconnecting_one_leaves_the_others(
        self, two: OAuthManager, fake: AccountProvider, redis: Redis
    ) -> None:
        ended = await two.delete_token(redis, "ann", "github", account="work")
        assert ended.at_provider is RevokeOutcome.REVOKED
        assert await whose(two, fake, redis, "mona") == "mona"
        assert await two.get_token("ann", "github", redis, account="work") is None

    @pytest.mark.parametrize("gone", ["mona", "work"])
    async def test_without_a_name_it_stays_unclear_when_one_is_left(
        self, two: OAuthManager, fake: AccountProvider, redis: Redis, gone: str
    ) -> None:
        left = {"mona": "work", "work": "mona"}[gone]
        await two.delete_token(redis, "ann", "github", account=gone)
        await two.connections(redis, "ann")
        for _ in range(2):
            with pytest.raises(OAuthAmbiguous) as caught:
                await two.get_token("ann", "github", redis)
            assert caught.value.accounts == [left]
        await two.use_by_default(redis, "ann", "github", left)
        token = await two.get_token("ann", "github", redis)
        assert fake.whose(token) == {"mona": "mona", "work": "hubert"}[left]

    async def test_the_default_is_meant_without_a_name_until_it_is_gone(
        self, two: OAuthManager, fake: AccountProvider, redis: Redis
    ) -> None:
        assert await two.use_by_default(redis, "ann", "github", "work")
        assert fake.whose(await two.get_token("ann", "github", redis)) == "hubert"
        await two.delete_token(redis, "ann", "github")
        with pytest.raises(OAuthAmbiguous):
            await two.get_token("ann", "github", redis)

    async def test_after_all_are_gone_the_next_one_is_the_only_one(
        self, two: OAuthManager, fake: AccountProvider, redis: Redis
    ) -> None:
        for name in ("mona", "work"):
            await two.delete_token(redis, "ann", "github", account=name)
        assert await two.get_token("ann", "github", redis) is None
        await connected(two, fake, redis, "ann", "github")
        assert await two.get_token("ann", "github", redis)
        (row,) = await two.list_user_connections("ann", redis)
        assert row["account"] is None

    async def test_a_renamed_account_keeps_its_key_and_its_tokens(
        self, two: OAuthManager, fake: AccountProvider, redis: Redis
    ) -> None:
        assert await two.rename_account(redis, "ann", "github", "work", "Office 2")
        assert await whose(two, fake, redis, "office-2") == "hubert"
        assert await two.get_token("ann", "github", redis, account="work") is None
        assert await redis.exists(f"{BARE}~work")
        with pytest.raises(ValueError, match="another account"):
            await two.rename_account(redis, "ann", "github", "office-2", "MONA")
        assert await two.rename_account(redis, "ann", "github", "mona", "work")
        assert await whose(two, fake, redis, "work") == "mona"
        assert not await two.rename_account(redis, "ann", "github", "nobody", "x")

    async def test_refreshes_of_two_accounts_do_not_meet(
        self, two: OAuthManager, fake: AccountProvider, redis: Redis
    ) -> None:
        first = await two.get_token("ann", "github", redis, account="mona")
        assert first
        fresh = await two.renew(redis, "ann", "github", refused=first, account="mona")
        assert fake.whose(fresh) == "mona"
        assert fresh != first
        with pytest.raises(OAuthAmbiguous):  # the mark stayed
            await two.get_token("ann", "github", redis)
        again = await added(two, fake, redis, "mona", account="~", is_adding=False)
        assert again.slot == ""
        with pytest.raises(OAuthAmbiguous):
            await two.get_token("ann", "github", redis)

    async def test_a_check_is_of_one_account(self, two: OAuthManager, redis: Redis) -> None:
        assert await two.check(redis, "ann", "github", account="work") is Health.WORKING
        standing = await two.connection(redis, "ann", "github", account="work")
        assert (standing.status, standing.name) == (Status.CONNECTED, "Work")

    async def test_events_and_notices_name_it(
        self, two: OAuthManager, fake: AccountProvider, redis: Redis
    ) -> None:
        await two.delete_token(redis, "ann", "github", account="work")
        page = await two.activity(redis, "ann", provider="github~work")
        assert [(e.kind, e.name) for e in page.events] == [
            ("disconnected", "Work"),
            ("connected", "Work"),
        ]
        told = two.notices(redis, "bot")
        notices = [await anext(told) for _ in range(3)]
        await told.aclose()  # type: ignore[attr-defined]
        assert [(n.kind, n.name, n.slot) for n in notices] == [
            ("connected", "", ""),
            ("connected", "Work", "work"),
            ("disconnected", "Work", "work"),
        ]

    async def test_support_finds_the_person_by_either_account(
        self, two: OAuthManager, redis: Redis
    ) -> None:
        for label in ("mona", "hubert"):
            assert await two.find_accounts(redis, "github", label) == ("ann",)
        await two.delete_token(redis, "ann", "github", account="work")
        assert await two.find_accounts(redis, "github", "hubert") == ()

    async def test_an_erasure_takes_all_of_them(
        self, two: OAuthManager, fake: AccountProvider, redis: Redis
    ) -> None:
        held = await two.holdings(redis, "ann")
        assert [one.get("name") for one in held["connections"]] == ["mona", "Work"]
        erased = await two.erase(redis, "ann")
        assert len(erased.grants) == 2
        await two.finish_erasure(redis, "ann", erased, via="command")
        assert not [key async for key in redis.scan_iter(match="*ann*")]

    async def test_the_census_counts_two_connections_of_one_person(
        self, two: OAuthManager, fake: AccountProvider, redis: Redis
    ) -> None:
        found = await two.census(redis)
        assert found.people == 1
        assert found.connections["github"] == {"connected": 2}
        await two.delete_token(redis, "ann", "github", account="mona")
        assert (await two.census(redis)).people == 1

    async def test_a_rotation_seals_names_and_accounts_anew(
        self, two: OAuthManager, fake: AccountProvider, redis: Redis
    ) -> None:
        rotation = await manager_for(fake, key=f"{OTHER_KEY},{KEY}").reseal(redis)
        assert rotation.is_whole
        fresh = manager_for(fake, key=OTHER_KEY)
        assert await whose(fresh, fake, redis, "work") == "hubert"
        assert await fresh.find_accounts(redis, "github", "hubert") == ("ann",)


class TestNames:
    @pytest.mark.parametrize(
        "name", ["", " ", "-", "--", "a" * 33, "wörk", "\u212aelvin", "a\n", "a~b", "../x", "a:b"]
    )
    def test_what_is_no_name_is_refused(self, name: str) -> None:
        with pytest.raises(ValueError, match="letters, digits and hyphens"):
            account_name(name)

    @pytest.mark.parametrize(
        ("written", "name"), [("Work", "work"), (" Work  mail ", "work-mail"), ("x-1", "x-1")]
    )
    def test_a_name_is_told_apart_in_small_letters(self, written: str, name: str) -> None:
        assert account_name(written) == name

    @pytest.mark.parametrize(
        ("label", "name"),
        [("mona", "mona"), ("Mona.L@x.org", "mona-l"), ("", "account"), ("玉", "account")],
    )
    def test_a_name_is_proposed_by_the_label(self, label: str, name: str) -> None:
        assert proposed(label) == name


class TestOneAccount:
    async def test_leaves_nothing_of_several_in_redis(
        self, manager: OAuthManager, fake: AccountProvider, redis: Redis
    ) -> None:
        await manager.begin(redis, "ann", "github", browser="b")
        await added(manager, fake, redis, "mona", is_adding=False)
        assert await manager.get_token("ann", "github", redis)
        await manager.renew(redis, "ann", "github", refused="x")
        found = [as_text(key) async for key in redis.scan_iter(match="stargazer:*")]
        assert not [key for key in found if "~" in key or "oauth_names" in key]
        opened = [
            field
            for key in found
            if await redis.type(key) in (b"string", "string")
            for field in _fields(manager, as_text(await redis.get(key)))
        ]
        assert "access_token" in opened
        assert not {"has_others", "name", "slot", "is_adding", "can_add"} & set(opened)

    async def test_of_the_older_system_has_no_name_until_a_second_is_added(
        self, manager: OAuthManager, fake: AccountProvider, redis: Redis
    ) -> None:
        fake.chosen = "mona"
        answer = fake.grant("/github", "one")
        older = {name: answer[name] for name in ("access_token", "refresh_token")}
        sealed = manager._fernet.encrypt(json.dumps({**older, "provider": "github"}).encode())  # type: ignore[union-attr]
        await redis.set(BARE, sealed)
        (row,) = await manager.list_user_connections("ann", redis)
        assert row["account"] is None
        assert fake.whose(await manager.get_token("ann", "github", redis)) == "mona"
        await manager.check(redis, "ann", "github")
        await added(manager, fake, redis, "hubert", account="Work")
        rows = await manager.list_user_connections("ann", redis)
        assert [row["account"] for row in rows] == ["mona", "work"]
        assert await whose(manager, fake, redis, "mona") == "mona"


def _fields(manager: OAuthManager, sealed: str) -> list[str]:
    """List the names of the fields in a record, and in those that it holds."""
    try:
        record = read_record(manager._sealer._plain(sealed))
    except RecordUnreadable:
        try:
            record = json.loads(sealed)
        except ValueError:
            return []
    if not isinstance(record, dict):
        return []
    inner = record.get("sealed")
    return [*record, *(_fields(manager, inner) if isinstance(inner, str) else ())]


class TestShownAgain:
    async def test_costs_one_trip_while_nothing_changes(
        self, two: OAuthManager, client: tuple[Redis, Wire]
    ) -> None:
        redis, wire = client
        await two.connections(redis, "ann")
        wire.sent.clear()
        rows = await two.connections(redis, "ann")
        assert wire.round_trips == 1
        assert [row.name for row in rows if row.name] == ["mona", "Work"]

    async def test_is_what_another_process_made_of_it(
        self, two: OAuthManager, fake: AccountProvider, redis: Redis
    ) -> None:
        other = manager_for(fake)
        for _ in range(2):
            await two.connections(redis, "ann")
        await other.rename_account(redis, "ann", "github", "work", "Office")
        assert [r.name for r in await two.connections(redis, "ann") if r.name] == ["mona", "Office"]
        await other.use_by_default(redis, "ann", "github", "mona")
        assert [r.is_default for r in await two.connections(redis, "ann") if r.name] == [
            True,
            False,
        ]
        await added(other, fake, redis, "third", account="Third")
        assert len([r for r in await two.connections(redis, "ann") if r.name]) == 3
        await other.delete_token(redis, "ann", "github", account="office")
        assert len([r for r in await two.connections(redis, "ann") if r.has_tokens]) == 2
