"""``webui import``: connections of another system, stored once whatever happens."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from tests.kit.account_provider import AccountProvider, added
from tests.kit.every import every
from tests.kit.fake_provider import FakeProvider, serve
from tests.kit.library import KEY, connected, fake_provider, granted, manager_for
from tests.kit.site_fixtures import SESSION_SECRET
from tests.kit.whole_person import STRANGE, everything, mentions
from webui.cli import main
from webui.commands.intake import MOST_TOLD
from webui.oauth_manager import OAuthAmbiguous, OAuthManager, Status, TokenData
from webui.oauth_manager.protocol.transport import Transport
from webui.oauth_manager.storage import keys
from webui.people_data import intake
from webui.people_data.intake import Fault, Report, read_row

pytestmark = pytest.mark.anyio

PROVIDERS = OAuthManager(KEY).providers
SECRET = "canary-0f-a-l1ne"


def line(user: str = "ann", provider: str = "github", **fields: Any) -> dict[str, Any]:
    return {
        "user_id": user,
        "provider": provider,
        "access_token": f"{SECRET}-access",
        "refresh_token": f"{SECRET}-refresh",
        "expires_at": 4e9,
        "scopes": ["repo"],
        "token_type": "Bearer",
        "account": {"id": "42", "label": "mona"},
        **fields,
    }


def lines(*found: Any) -> bytes:
    texts = (one if isinstance(one, bytes) else json.dumps(one).encode() for one in found)
    return b"".join(text + b"\n" for text in texts)


def run(redis_url: str, data: bytes, *options: str, **more: str) -> Result:
    environment = {
        "BASE_URL": "http://localhost:8000",
        "REDIS_URL": redis_url,
        "ENCRYPTION_KEY": KEY,
        "SESSION_SECRET": SESSION_SECRET,
    }
    arguments = ["import", *options, "-"]
    return CliRunner().invoke(main, arguments, input=data, env=environment | more)


def look(redis_url: str, work: Callable[[Any], Any]) -> Any:
    async def begin() -> Any:
        async with Redis.from_url(redis_url) as redis:
            return await work(redis)

    return asyncio.run(begin())


class TestTheCommand:
    def test_what_is_stored_works_without_a_consent(self, empty_redis_url: str) -> None:
        done = run(empty_redis_url, lines(line(), line(STRANGE, "google", scopes="email openid")))
        assert (done.exit_code, done.output) == (0, "2 stored.\n")

        async def used(redis: Any) -> Any:
            manager = OAuthManager(KEY)
            connection = await manager.connection(redis, "ann", "github")
            token = await manager.valid_token(redis, STRANGE, "google")
            people = await manager.find_accounts(redis, "github", "Mona")
            return connection, token, people, await manager.get_token("ann", "github", redis)

        connection, token, people, access = look(empty_redis_url, used)
        assert connection.status is Status.CONNECTED
        assert connection.profile.account.label == "mona"
        assert token.scopes == ["email", "openid"]
        assert people == ("ann",)
        assert access == f"{SECRET}-access"

    def test_a_second_run_changes_nothing(self, empty_redis_url: str) -> None:
        data = lines(line(), line("ben"), line("ann"))
        first = run(empty_redis_url, data)
        assert (first.exit_code, first.output) == (0, "2 stored.\n1 were there already.\n")
        before = look(empty_redis_url, everything)
        again = run(empty_redis_url, data)
        assert (again.exit_code, again.output) == (0, "3 were there already.\n")
        replacing = run(empty_redis_url, data, "--replace")
        assert (replacing.exit_code, replacing.output) == (0, "3 were there already.\n")
        assert look(empty_redis_url, everything) == before

    def test_another_connection_stays_unless_it_is_to_be_replaced(
        self, empty_redis_url: str
    ) -> None:
        run(empty_redis_url, lines(line()))
        other = lines(line(access_token="another", account={"id": "43", "label": "lisa"}))
        kept = run(empty_redis_url, other)
        assert (
            kept.output == "1 left alone: another connection is there, or was disconnected here.\n"
        )
        assert kept.exit_code == 0
        replaced = run(empty_redis_url, other, "--replace")
        assert (replaced.exit_code, replaced.output) == (0, "1 replaced what was there.\n")

        async def found(redis: Any) -> Any:
            manager = OAuthManager(KEY)
            names = [await manager.find_accounts(redis, "github", n) for n in ("mona", "lisa")]
            return names, await manager.get_token("ann", "github", redis)

        assert look(empty_redis_url, found) == ([(), ("ann",)], "another")

    def test_a_dry_run_writes_nothing(self, empty_redis_url: str) -> None:
        done = run(empty_redis_url, lines(line()), "--dry-run")
        assert (done.exit_code, done.output) == (0, "1 stored.\nNothing was changed.\n")
        assert look(empty_redis_url, everything) == {}

    def test_a_faulty_line_is_named_by_its_number_and_the_others_are_stored(
        self, empty_redis_url: str
    ) -> None:
        data = lines(line(), b"{" + SECRET.encode(), b"", line("ben", access_token=""), line("cid"))
        done = run(empty_redis_url, data)
        assert done.exit_code == 1
        assert done.output == (
            "Line 2 is no JSON.\nLine 4 has no access_token.\n2 stored.\n2 not understood.\n"
        )

    def test_of_many_faulty_lines_the_first_are_named(self, empty_redis_url: str) -> None:
        done = run(empty_redis_url, b"x\n" * (MOST_TOLD + 7))
        assert done.output.splitlines()[MOST_TOLD:] == [
            "7 more lines were not understood.",
            f"{MOST_TOLD + 7} not understood.",
        ]

    def test_an_empty_file_is_said_to_be_empty(self, empty_redis_url: str) -> None:
        done = run(empty_redis_url, b"\n\n")
        assert (done.exit_code, done.output) == (0, "There was nothing to store.\n")

    def test_a_file_is_read_by_its_name(self, empty_redis_url: str, tmp_path: Path) -> None:
        (tmp_path / "old.jsonl").write_bytes(b"\xef\xbb\xbf" + lines(line()))
        environment = {
            "BASE_URL": "http://localhost:8000",
            "REDIS_URL": empty_redis_url,
            "ENCRYPTION_KEY": KEY,
            "SESSION_SECRET": SESSION_SECRET,
        }
        file = str(tmp_path / "old.jsonl")
        assert CliRunner().invoke(main, ["import", file], env=environment).output == "1 stored.\n"

    def test_with_another_key_nothing_is_stored(self, empty_redis_url: str) -> None:
        run(empty_redis_url, lines(line()))
        other = "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA="
        done = run(empty_redis_url, lines(line("ben")), ENCRYPTION_KEY=other)
        assert done.exit_code == 1
        assert "encryption key" in done.output

    def test_to_verify_and_to_write_nothing_do_not_go_together(self, redis_url: str) -> None:
        assert run(redis_url, b"", "--verify", "--dry-run").exit_code == 2


class TestVerify:
    @pytest.fixture
    def client(self, fake: FakeProvider) -> Iterator[dict[str, str]]:
        with serve(fake) as url:
            found = {**fake.endpoints(url, "/google"), "client_id": fake.client_id}
            found["client_secret"] = fake.client_secret
            yield {f"google_{name}".upper(): value for name, value in found.items()}

    def test_each_provider_is_asked_and_what_it_refused_is_told(
        self, empty_redis_url: str, fake: FakeProvider, client: dict[str, str]
    ) -> None:
        good = granted(fake, "google", expires_at=4e9)
        data = lines(line("ann", **good.to_dict()), line("ben", "google", access_token="over"))
        done = run(empty_redis_url, data, "--verify", **client)
        assert done.exit_code == 1
        assert done.output == (
            "2 stored.\n1 work at their provider.\n"
            "1 refused by their provider: the person has to connect again.\n"
        )
        assert not [secret for secret in fake.issued if secret in done.output]
        assert not [key for key in look(empty_redis_url, everything) if "oauth_due" in key]

    def test_a_provider_that_is_not_set_up_cannot_say(self, empty_redis_url: str) -> None:
        done = run(empty_redis_url, lines(line(provider="microsoft", expires_at=1)), "--verify")
        assert done.exit_code == 1
        assert "1 not verified: their provider did not say." in done.output


FAULTS = {
    b"[]": "is no object",
    b"{": "is no JSON",
    b"[" * 100_000: "is no JSON",
    b"\xff\xfe": "is no JSON",
    b" " * (intake.LONGEST + 1): "is too long",
}
NO_NAME = "has an account name that is not 1 to 32 letters, digits, hyphens"
NO_MOMENT = "has an expires_at that is no moment in epoch seconds"
WRONG = {
    "a person without a name": ({"user_id": ""}, "has no user_id that can be one"),
    "a number": ({"user_id": 42}, "has no user_id that can be one"),
    "no person": ({"user_id": None}, "has no user_id that can be one"),
    "a long name": ({"user_id": SECRET * 99}, "has no user_id that can be one"),
    "an unknown service": ({"provider": SECRET}, "has a provider that is not known here"),
    "no service": ({"provider": None}, "has a provider that is not known here"),
    "a list of tokens": (
        {"access_token": [SECRET]},
        "has something else than text as its access_token",
    ),
    "no token": ({"access_token": None}, "has no access_token"),
    "a refresh number": ({"refresh_token": 7}, "has something else than text as its refresh_token"),
    "a day": ({"expires_at": "tomorrow"}, NO_MOMENT),
    "milliseconds": ({"expires_at": 4e12}, NO_MOMENT),
    "nonsense": ({"expires_at": float("nan")}, NO_MOMENT),
    "scopes by number": ({"scopes": 7}, "has a field that cannot be read"),
    "an account of numbers": ({"account": [1]}, "has a field that cannot be read"),
    "a half character": ({"account": "\ud800"}, "has a field that cannot be read"),
    "a name of signs": ({"account": {"name": "<b>"}}, NO_NAME),
    "a name by number": ({"account": {"id": "42", "name": 7}}, NO_NAME),
    "half a token": ({"access_token": "\ud800"}, "has a field that cannot be read"),
}


@every(("data", "said"), list(FAULTS.items()))
def test_a_line_that_is_no_entry_says_why(data: bytes, said: str) -> None:
    with pytest.raises(Fault, match=said):
        read_row(data, PROVIDERS)


@every(("fields", "said"), WRONG)
def test_a_field_that_is_wrong_is_named_and_not_quoted(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(Fault) as caught:
        read_row(json.dumps(line(**fields)).encode(), PROVIDERS)
    assert str(caught.value) == said


@given(
    st.binary(max_size=300)
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=9),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(sorted(line())), inner, max_size=8)
        ),
        max_leaves=12,
    ).map(lambda value: json.dumps(value).encode())
)
def test_any_line_is_an_entry_or_a_fault(data: bytes) -> None:
    try:
        user_id, token, *_ = read_row(data, PROVIDERS)
    except Fault:
        return
    assert user_id
    assert token.access_token


class TestPages:
    async def test_many_lines_take_no_more_memory_than_a_few(
        self, fake: FakeProvider, redis: Redis
    ) -> None:
        manager = manager_for(fake)

        async def most(count: int) -> int:
            file = BytesIO(lines(*(line(f"u{number % 550}") for number in range(count))))
            tracemalloc.start()
            await intake.run(manager, redis, file, Report(str))
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            return peak

        few = await most(600)
        assert await most(1800) < few * 1.5

    async def test_one_that_was_killed_is_finished_by_the_next(
        self, fake: FakeProvider, redis: Redis, client: Any
    ) -> None:
        wired, wire = client
        manager, data = manager_for(fake), lines(line(), line("ben"))
        await manager.settle_for_import(redis)
        wire.torn[b"oauth_tokens:ben"] = 1
        wire.before = None
        first = TokenData.from_dict(line())
        try:
            await intake.run(manager, wired, BytesIO(data), Report(str))
        except Exception as failure:  # noqa: BLE001
            assert "not available" in str(failure)  # noqa: PT017
        await intake.run(manager, redis, BytesIO(data), Report(str))
        for user in ("ann", "ben"):
            connection = await manager.connection(redis, user, "github")
            assert connection.profile.account.label == "mona"
            assert await manager.get_token(user, "github", redis) == first.access_token


def several(*names: str, **fields: Any) -> bytes:
    """A line for each account that ann has at GitHub."""
    return lines(
        *(
            line(
                access_token=f"{SECRET}-{name}",
                account={"id": str(number), "label": f"mona{number}", "name": name},
                **fields,
            )
            for number, name in enumerate(names, 1)
        )
    )


class TestAccountsWithNames:
    async def run(self, redis: Any, data: bytes, **how: bool) -> dict[str, int]:
        report = Report(str)
        await intake.run(OAuthManager(KEY), redis, BytesIO(data), report, **how)
        return dict(report.counts)

    async def test_each_is_stored_beside_the_others_and_addressed_by_its_name(
        self, redis: Redis
    ) -> None:
        data = several("Work", "My home", "third")
        assert await self.run(redis, data, writes=False) == {"stored": 3}
        assert await everything(redis) == {}
        assert await self.run(redis, data) == {"stored": 3}
        manager = OAuthManager(KEY)
        rows = await manager.list_user_connections("ann", redis)
        assert [(row["account"], row["label"]) for row in rows] == [
            ("work", "mona1"),
            ("my-home", "mona2"),
            ("third", "mona3"),
        ]
        for name in ("Work", "My home", "third"):
            token = await manager.get_token("ann", "github", redis, account=name)
            assert token == f"{SECRET}-{name}"
        with pytest.raises(OAuthAmbiguous):
            await manager.get_token("ann", "github", redis)
        assert await manager.find_accounts(redis, "github", "mona3") == ("ann",)
        before = await everything(redis)
        assert await self.run(redis, data) == {"same": 3}
        assert await everything(redis) == before

    async def test_one_with_a_name_is_the_one_account(self, redis: Redis) -> None:
        assert await self.run(redis, several("Work")) == {"stored": 1}
        manager = OAuthManager(KEY)
        assert await manager.get_token("ann", "github", redis) == f"{SECRET}-Work"
        assert await manager.get_token("ann", "github", redis, account="work")
        assert await redis.exists(keys.tokens("ann", "github"))

    async def test_one_that_is_connected_without_a_name_stays_beside_it(self, redis: Redis) -> None:
        assert await self.run(redis, lines(line())) == {"stored": 1}
        assert await self.run(redis, several("Work")) == {"stored": 1}
        rows = await OAuthManager(KEY).list_user_connections("ann", redis)
        assert [row["account"] for row in rows] == ["mona", "work"]

    async def test_the_same_account_under_another_name_stays_as_it_is(self, redis: Redis) -> None:
        await self.run(redis, several("Work"))
        assert await self.run(redis, several("Other"), replaces=True) == {"kept": 1}
        rows = await OAuthManager(KEY).list_user_connections("ann", redis)
        assert [row["account"] for row in rows] == ["work"]

    async def test_more_than_there_may_be_are_left_out_and_told(self, redis: Redis) -> None:
        most = OAuthManager(KEY).providers["github"].max_accounts
        data = several(*(f"number-{n}" for n in range(most + 1)))
        assert await self.run(redis, data) == {"stored": most, "full": 1}
        report = Report(str)
        report.counts["full"] = 1
        assert not report.is_whole

    async def test_one_that_was_disconnected_here_stays_so(self, redis: Redis) -> None:
        data = several("Work", "Home")
        await self.run(redis, data)
        manager = OAuthManager(KEY, transport=Transport(httpx.ASGITransport(fake_provider())))
        await manager.delete_token(redis, "ann", "github", account="home")
        assert await self.run(redis, data) == {"same": 1, "kept": 1}
        assert await self.run(redis, data, replaces=True) == {"same": 1, "stored": 1}
        await manager.erase(redis, "ann")
        assert await self.run(redis, data) == {"kept": 2}
        assert await mentions(redis, "ann") == []


class TestWhatCameSince:
    """A repetition, and what people did after the first run."""

    async def run(self, manager: OAuthManager, redis: Any, *, replaces: bool = False) -> Report:
        report = Report(str)
        await intake.run(manager, redis, BytesIO(lines(line())), report, replaces=replaces)
        return report

    async def test_what_a_person_disconnected_stays_so(
        self, fake: FakeProvider, redis: Redis
    ) -> None:
        manager = manager_for(fake)
        await self.run(manager, redis)
        await manager.delete_token(redis, "ann", "github")
        assert (await self.run(manager, redis)).counts == {"kept": 1}
        assert await manager.get_token("ann", "github", redis) is None
        assert (await self.run(manager, redis, replaces=True)).counts == {"stored": 1}

    async def test_what_was_held_of_an_ended_connection_goes(
        self, fake: FakeProvider, redis: Redis
    ) -> None:
        manager = manager_for(fake)
        await self.run(manager, redis)
        await manager.delete_token(redis, "ann", "github")
        await redis.set(keys.revoke("ann", "github"), "held")
        await self.run(manager, redis, replaces=True)
        assert await redis.exists(keys.revoke("ann", "github")) == 0

    async def test_of_somebody_who_is_being_erased_nothing_is_stored(
        self, fake: FakeProvider, redis: Redis
    ) -> None:
        manager = manager_for(fake)
        await manager.erase(redis, "ann")
        assert (await self.run(manager, redis)).counts == {"kept": 1}
        assert await manager.get_token("ann", "github", redis) is None

    async def test_what_was_stored_after_the_look_is_not_replaced(
        self, fake: FakeProvider, redis: Redis, client: Any
    ) -> None:
        wired, wire = client
        manager = manager_for(fake)
        await manager.settle_for_import(redis)
        await connected(manager, fake, redis, "ann", "github")

        async def renewed() -> None:
            sealed = manager._sealer.seal("tokens", "ann", "github", {"access_token": "newer"})
            await redis.set(keys.tokens("ann", "github"), sealed)

        wire.ahead[b"EVAL"] = renewed
        assert (await self.run(manager, wired, replaces=True)).counts == {"kept": 1}
        assert await manager.get_token("ann", "github", redis) == "newer"


class TestBesideSeveralAccounts:
    """ann has connected GitHub as mona, and as hubert, which she calls Work."""

    @pytest.fixture
    async def two(self, redis: Redis) -> OAuthManager:
        fake = AccountProvider()
        manager = manager_for(fake)
        await added(manager, fake, redis, "mona", is_adding=False)
        await added(manager, fake, redis, "hubert", account="Work")
        return manager

    async def brought(
        self, manager: OAuthManager, redis: Redis, token: TokenData, *, verifies: bool
    ) -> Report:
        report = Report(print)
        row = line(access_token=token.access_token, refresh_token=token.refresh_token)
        file = BytesIO(lines(row))
        await intake.run(manager, redis, file, report, replaces=True, verifies=verifies)
        return report

    async def test_the_connection_that_was_stored_is_the_one_that_is_verified(
        self, two: OAuthManager, redis: Redis
    ) -> None:
        token = await two.valid_token(redis, "ann", "github", account="mona")
        assert token
        report = await self.brought(two, redis, token, verifies=True)
        assert report.counts == {"replaced": 1, "verified": 1}

    async def test_what_is_stored_does_not_become_the_account_that_is_meant(
        self, two: OAuthManager, redis: Redis
    ) -> None:
        token = await two.valid_token(redis, "ann", "github", account="mona")
        assert token
        await two.delete_token(redis, "ann", "github", account="mona")
        report = await self.brought(two, redis, token, verifies=False)
        assert report.counts == {"stored": 1}
        with pytest.raises(OAuthAmbiguous):
            await two.get_token("ann", "github", redis)
