"""An export: everything that is held about a person, in a shape that docs/data.md describes."""

from __future__ import annotations

import asyncio
import json
import re
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.kit.site_fixtures import Place
from tests.kit.whole_person import STRANGE, everything, fill
from tests.site.test_commands import run
from webui.oauth_manager import OAuthManager, TokenData
from webui.people_data.export import collect, is_empty

pytestmark = pytest.mark.anyio

DATA = (Path(__file__).parents[2] / "docs" / "data.md").read_text()
EXPORT = DATA.partition("## The export")[2].partition("\n## ")[0]
KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="


async def exported(place: Place, user: str = STRANGE, **options: bool) -> dict[str, Any]:
    return await collect(place.bot, place.redis, user, walks=True, **options)


class TestTheDocument:
    async def test_holds_something_of_every_kind(self, place: Place) -> None:
        await fill(place, STRANGE)
        document = await exported(place)
        assert [name for name, value in document.items() if not value] == []
        providers = [one["provider"] for one in document["connections"]]
        assert providers == ["github", "google", "microsoft", "gitea"]
        assert [one["provider"] for one in document["ended_connections"]] == ["discord"]
        assert [one["account"]["label"] for one in document["waiting_accounts"]]

    async def test_changes_nothing(self, place: Place) -> None:
        await fill(place, STRANGE)
        before = await everything(place.redis)
        await exported(place, with_tokens=True)
        assert await everything(place.redis) == before

    async def test_has_no_token_and_nothing_that_opens_anything(self, place: Place) -> None:
        await fill(place, STRANGE)
        text = json.dumps(await exported(place))
        assert [secret for secret in place.fake.issued if secret in text] == []
        links = [k for k in await everything(place.redis) if k.startswith("stargazer:oauth_link:")]
        assert [code for k in links if (code := k.rpartition(":")[2]) in text] == []

    async def test_has_the_tokens_if_they_are_asked_for(self, place: Place) -> None:
        await fill(place, STRANGE)
        document = await exported(place, with_tokens=True)
        github = document["connections"][0]["tokens"]
        assert TokenData.from_dict(github).to_dict() == github
        assert github["access_token"] in place.fake.issued
        assert document["ended_connections"][0]["tokens"]["access_token"] in place.fake.issued
        assert document["waiting_accounts"][0]["tokens"]["access_token"] in place.fake.issued

    async def test_names_nobody_else(self, place: Place) -> None:
        await fill(place, STRANGE)
        text = json.dumps(await exported(place))
        assert re.findall(r"\b(carol|ben)\b", text) == []

    async def test_says_that_nothing_is_held(self, place: Place) -> None:
        assert is_empty(await exported(place, "nobody"))

    async def test_has_the_shape_that_is_described(self, place: Place) -> None:
        await fill(place, STRANGE)
        document = await exported(place)
        rows = re.findall(r"^\| `([a-z_]+)` \| [^|]* \|(.*)\|$", EXPORT, re.M)
        described = {name: set(re.findall(r"`(\w+)`", fields)) for name, fields in rows}
        assert described == {
            name: {field for one in value for field in one} if isinstance(value, list) else set()
            for name, value in document.items()
        }


def filled(redis_url: str, work: Callable[[Any], Awaitable[object]]) -> None:
    async def begin() -> None:
        async with Redis.from_url(redis_url) as redis:
            await redis.flushall()
            await work(redis)

    asyncio.run(begin())


async def one_token(redis: Any) -> None:
    token = TokenData("canary-token", "canary-more", 4e9, ["gist"], provider="github")
    await OAuthManager(KEY).store_token(redis, "ann", token)


class TestTheCommand:
    def test_prints_the_document_without_tokens(self, redis_url: str) -> None:
        filled(redis_url, one_token)
        done = run(redis_url, "export", "ann")
        assert (done.exit_code, "canary" in done.output) == (0, False)
        assert json.loads(done.output)["connections"][0]["scopes"] == ["gist"]

    def test_writes_a_file_that_its_owner_alone_may_read(
        self, redis_url: str, tmp_path: Path
    ) -> None:
        filled(redis_url, one_token)
        file = tmp_path / "ann.json"
        file.write_text("before")
        file.chmod(0o644)
        done = run(redis_url, "export", "ann", "--with-tokens", "--output", str(file))
        assert (done.exit_code, done.output) == (0, "")
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        token = json.loads(file.read_text())["connections"][0]["tokens"]
        assert token["access_token"] == "canary-token"
        assert list(tmp_path.iterdir()) == [file]

    def test_says_so_if_the_file_cannot_be_written(self, redis_url: str, tmp_path: Path) -> None:
        filled(redis_url, one_token)
        done = run(redis_url, "export", "ann", "--output", str(tmp_path / "none" / "a.json"))
        assert done.exit_code == 1
        assert "could not be written" in done.output
