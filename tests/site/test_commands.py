"""The commands of an operator: what they print, and how they end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from click.testing import CliRunner, Result
from cryptography.fernet import Fernet

from tests.kit.fake_provider import FakeProvider, serve
from tests.kit.library import KEY, OTHER_KEY, tokens_key
from tests.kit.site_fixtures import SESSION_SECRET
from tests.kit.support_fixtures import put
from webui.cli import main
from webui.commands.rotation import Progress
from webui.oauth_manager import Account, OAuthManager, Profile, TokenData, redis_from_url

MATRIX = "@alice:example.org"
OLDER = TokenData("canary-token", provider="github")


def run(redis_url: str, *arguments: str, **more: str) -> Result:
    environment = {
        "BASE_URL": "http://localhost:8000",
        "REDIS_URL": redis_url,
        "ENCRYPTION_KEY": KEY,
        "SESSION_SECRET": SESSION_SECRET,
    }
    return CliRunner().invoke(main, arguments, env=environment | more)


def fill(redis_url: str, work: Callable[[Any], Awaitable[object]]) -> None:
    """Empty Redis, and put into it what ``work`` does."""

    async def begin() -> None:
        client: Any = redis_from_url(redis_url)
        async with client as redis:
            await redis.flushall()
            await work(redis)

    asyncio.run(begin())


async def older(redis: Any) -> None:
    record = Fernet(KEY).encrypt(json.dumps(OLDER.to_dict()).encode())
    await redis.set(tokens_key(MATRIX, "github"), record)


HOSTILE = "evil\x1b[2J\u202emoc.live"


async def hostile(redis: Any) -> None:
    manager = OAuthManager(KEY)
    for provider, label in (("github", HOSTILE), ("google", "Zo\u00eb")):
        asked = tuple(manager.providers[provider].scopes)
        profile = Profile(Account("1", label), connected_at=1e9, requested_scopes=asked)
        scopes = ["read:user"] if provider == "github" else ["email"]
        token = TokenData("canary-a", "canary-r", 4e9, scopes, provider=provider)
        await put(manager, redis, "ann", provider, profile, token)


class TestRotateKeys:
    def test_moves_what_the_older_system_wrote(self, redis_url: str) -> None:
        fill(redis_url, older)
        keys = {"ENCRYPTION_KEY": f"{OTHER_KEY},{KEY}"}
        done = run(redis_url, "rotate-keys", **keys)
        assert done.exit_code == 0
        assert done.stdout.startswith("Sealed anew: 1 (1 had keys of an older system)\n")
        done = run(redis_url, "rotate-keys", ENCRYPTION_KEY=OTHER_KEY)
        assert done.stdout.startswith("Sealed anew: 0\nAlready new: 1\n")

    def test_names_what_it_did_not_understand_and_ends_with_1(self, redis_url: str) -> None:
        async def damaged(redis: Any) -> None:
            await older(redis)
            await redis.set("stargazer:oauth_tokens:a\u202e\x1b[2Jb", "junk")

        fill(redis_url, damaged)
        done = run(redis_url, "rotate-keys", ENCRYPTION_KEY=OTHER_KEY)
        assert done.exit_code == 1
        *counts, _, _, first, second = done.stdout.splitlines()
        assert counts == [
            "Sealed anew: 0",
            "Already new: 0",
            "Unreadable: 1",
            "Not understood: 1",
        ]
        named = first, second
        assert sorted(line.rpartition(": ")[0] for line in named) == [
            f"  stargazer:oauth_tokens:{MATRIX}:github",
            "  stargazer:oauth_tokens:a\\u202e\\u001b[2Jb",
        ]
        assert "canary" not in done.output


class TestProgress:
    def test_is_a_line_at_once_and_one_a_minute_without_a_terminal(self) -> None:
        at, said = [0.0], list[str]()
        progress = Progress(is_watched=False, clock=lambda: at[0], say=said.append)
        for second in range(1, 126):
            at[0] = second
            progress.tell(second * 100, 20_000)
        assert said == [
            "100 of 20000 records done, 100 a second, 19900 remaining (3:19)",
            "6100 of 20000 records done, 100 a second, 13900 remaining (2:19)",
            "12100 of 20000 records done, 100 a second, 7900 remaining (1:19)",
        ]

    def test_on_a_terminal_is_told_each_time(self) -> None:
        said = list[str]()
        progress = Progress(is_watched=True, clock=lambda: 5.0, say=said.append)
        for done in range(3):
            progress.tell(done, 2)
        assert len(said) == 3


class TestConnections:
    def test_says_so_where_nothing_is_connected(self, redis_url: str) -> None:
        fill(redis_url, older)
        done = run(redis_url, "connections", "nob\u202eody")
        assert done.exit_code == 0
        assert done.output.startswith("Nothing is connected for nob\\u202eody. ")
        assert run(redis_url, "connections", "nobody", "--json").output == ""

    def test_lists_a_line_for_each_and_turns_nothing(self, redis_url: str) -> None:
        fill(redis_url, hostile)
        done = run(redis_url, "connections", "ann")
        assert done.output == (
            "github: connected as evil[2Jmoc.live\ngoogle: connected as Zo\u00eb\n"
        )

    def test_lists_an_object_for_each(self, redis_url: str) -> None:
        fill(redis_url, hostile)
        done = run(redis_url, "connections", "ann", "--json")
        github, google = map(json.loads, done.output.splitlines())
        assert done.output.isascii()
        assert github["account"] == HOSTILE
        assert google == {
            "provider": "google",
            "status": "connected",
            "account": "Zo\u00eb",
            "scopes": ["email"],
            "missing_scopes": ["openid"],
            "has_refresh_token": True,
            "expires_at": 4e9,
            "connected_at": 1e9,
            "used_at": None,
            "checked_at": None,
            "problem": "",
        }
        assert "canary" not in done.output


class TestCheck:
    def test_names_what_it_does_not_understand(self, redis_url: str) -> None:
        fill(redis_url, older)
        fake = FakeProvider()
        with serve(fake) as url:
            client = {"GITHUB_CLIENT_ID": "id", "GITHUB_CLIENT_SECRET": "canary-secret"}
            at = {f"GITHUB_{k}".upper(): v for k, v in fake.endpoints(url).items()}
            done = run(redis_url, "check", **client, **at)
        assert done.exit_code == 0
        assert "Records: 1 can be read; 1 have keys of an older system" in done.output
        done = run(redis_url, "check", ENCRYPTION_KEY=OTHER_KEY)
        assert done.exit_code == 1
        assert f"NOT understood: stargazer:oauth_tokens:{MATRIX}:github: " in done.output

    def test_shows_what_each_provider_is_asked_for_and_comes_back_to(self, redis_url: str) -> None:
        client = {
            "GITHUB_CLIENT_ID": "id",
            "GITHUB_CLIENT_SECRET": "canary-secret",
            "GITHUB_AUTHORIZE_URL": "http://localhost:9/a",
            "GITHUB_TOKEN_URL": "http://localhost:9/t",
        }
        done = run(redis_url, "check", **client, GITHUB_SCOPES="gist,read:user")
        assert "http://localhost:8000/oauth/github/callback" in done.output
        assert "asks for gist read:user" in done.output
        assert "canary" not in done.output
