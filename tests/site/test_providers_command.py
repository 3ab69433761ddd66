"""``webui providers``, and files of providers of one's own."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from redis.asyncio import Redis

from tests.kit.clock import FakeClock
from tests.kit.fake_answers import Answer
from tests.kit.issuer import ISSUER, NAME, Issuer, manager_of
from tests.kit.library import KEY
from tests.library.test_catalogue import GOOD
from tests.site.test_settings import fault, faults, settings
from webui.cli import main
from webui.oauth_manager import PROVIDER_TEMPLATES, OAuthManager, OAuthProvider
from webui.oauth_manager.protocol.metadata import FRESH_SECONDS
from webui.oauth_manager.providers import FOLDER, build_providers, names

pytestmark = pytest.mark.anyio

ENVIRON = {"BASE_URL": "https://bot.example", "EXTRA_PROVIDERS": "slack"}


def run(*words: str, **environ: str) -> Result:
    return CliRunner().invoke(main, ["providers", *words], env=ENVIRON | environ)


def test_the_list_has_every_provider_with_its_state(tmp_path: Path) -> None:
    (tmp_path / "acme.toml").write_text(GOOD)
    client = {"SLACK_CLIENT_ID": "id", "SLACK_CLIENT_SECRET": "hush"}
    done = run(PROVIDERS_DIR=str(tmp_path), **client)
    lines = done.output.splitlines()
    assert done.exit_code == 0
    assert {line.split()[0] for line in lines} == {*names(), "acme"}
    states = {line.split()[0]: line[15:32].strip() for line in lines}
    assert states["slack"] == "set up"
    assert states["acme"] == states["github"] == "switched off"
    assert states["notion"] == "in the catalogue"
    assert "hush" not in done.output


def test_one_of_the_settings_alone_is_told_with_all_that_has_to_be_typed() -> None:
    """By its issuer, and as a remote MCP server, of which one name begins like the other."""
    given = {
        "EXTRA_PROVIDERS": "acme acme-mcp",
        "ACME_ISSUER": "https://id.example/realms/a",
        "ACME_CLIENT_SECRET": "hush",
        "ACME_MCP_RESOURCE": "https://mcp.example/mcp",
    }
    done = run("acme", **given)
    assert done.exit_code == 0
    assert "https://bot.example/oauth/acme/callback" in done.output
    assert done.output.splitlines()[-3:] == [
        "  ACME_CLIENT_ID=",
        "  ACME_CLIENT_SECRET=",
        "  ACME_ISSUER=https://id.example/realms/a",
    ]
    done = run("acme-mcp", **given)
    assert "acme-mcp: set up" in done.output
    assert "https://bot.example/oauth/acme-mcp/client.json" in done.output
    assert done.output.splitlines()[-1] == "  ACME_MCP_RESOURCE=https://mcp.example/mcp"
    assert "CLIENT_ID=" not in done.output


def test_one_is_told_with_all_that_has_to_be_typed() -> None:
    done = run("notion")
    assert done.exit_code == 0
    for told in (
        "https://bot.example/oauth/notion/callback",
        "Enter https://bot.example/oauth/notion/callback in Redirect URIs.",
        "EXTRA_PROVIDERS=slack,notion",
        "NOTION_CLIENT_SECRET=",
        "Scopes: none are asked for",
        "Not confirmed by a document of the vendor: register, pkce, manage_url",
        "https://developers.notion.com/reference/create-a-token",
    ):
        assert told in done.output
    assert "{" not in done.output


@pytest.mark.parametrize("name", names())
def test_every_one_can_be_told(name: str) -> None:
    done = run(name)
    assert done.exit_code == 0
    assert f"https://bot.example/oauth/{name}/callback" in done.output
    assert "{" not in done.output


def test_a_provider_that_cannot_be_asked_to_end_access_is_told_with_the_page_for_it() -> None:
    told = "People remove it at https://www.spotify.com/account/apps/ (Apps)\n"
    assert told in run("spotify").output


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("shopify", "Your shop: for instance acme"),
        ("intercom", "Region: United States, Europe, Australia"),
    ],
)
def test_what_people_are_asked_is_told(name: str, line: str) -> None:
    assert f"\nAsked of each person who connects\n  {line}\n" in run(name).output


def test_nothing_is_said_of_it_if_nothing_is_asked() -> None:
    assert "Asked of each person" not in run("github").output


def test_a_name_that_is_not_known_is_told_with_the_nearest() -> None:
    done = run("slak")
    assert (done.exit_code, done.output) == (1, "No provider is called that. Nearest: slack.\n")


def test_a_file_that_is_right_is_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "acme.toml").write_text(GOOD)
    done = run("check", str(tmp_path / "acme.toml"))
    assert done.exit_code == 0
    assert done.output.endswith("acme.toml is right: Acme, 2 scopes.\n")


def test_every_fault_of_a_file_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "acme.toml"
    file.write_text(GOOD.replace('label = "Acme"', "pkce = 1\nlabl = 2"))
    done = run("check", str(file))
    assert done.exit_code == 2
    assert [line.split(": ")[0] for line in done.output.splitlines()] == [f"{file}:1", f"{file}:2"]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("acme.toml", GOOD.encode("utf-16"), "is not UTF-8: save it in that encoding"),
        ("acme.txt", GOOD.encode(), "must have a name that ends in .toml"),
        ("Bad Name.toml", GOOD.encode(), "must be names of lower-case letters"),
        ("slack.toml", GOOD.encode(), "has the name of a provider of the catalogue"),
        ("acme.toml", b"x" * 300_000, "has more than 256 kB"),
    ],
)
def test_a_file_that_the_site_would_not_take_is_not_called_right(
    tmp_path: Path, name: str, content: bytes, told: str
) -> None:
    (tmp_path / name).write_bytes(content)
    done = run("check", str(tmp_path / name))
    assert (done.exit_code, told in done.output) == (1, True), done.output


def test_what_is_no_file_or_not_there_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "acme.toml").mkdir()
    os.mkfifo(tmp_path / "pipe.toml")
    for name in ("acme.toml", "none.toml", "pipe.toml"):
        assert "is no file that can be read." in run("check", str(tmp_path / name)).output


def test_a_file_of_the_catalogue_itself_can_be_checked() -> None:
    assert run("check", str(FOLDER / "slack.toml")).exit_code == 0


@pytest.mark.parametrize("words", [("check",), ("slack", "acme.toml"), ("check", "none.toml")])
def test_a_command_that_cannot_be_meant_is_refused(words: tuple[str, ...]) -> None:
    assert run(*words).exit_code in (1, 2)


def test_a_file_of_ones_own_makes_a_provider(tmp_path: Path) -> None:
    (tmp_path / "acme.toml").write_text(GOOD)
    (tmp_path / "notes.txt").write_text("not a provider")
    client = {"ACME_CLIENT_ID": "id", "ACME_CLIENT_SECRET": "hush", "ACME_LABEL": "The Acme"}
    found = settings(PROVIDERS_DIR=str(tmp_path), **client)
    provider = build_providers(PROVIDER_TEMPLATES, found.providers_config)["acme"]
    assert provider.is_configured
    assert (provider.label, provider.scopes) == ("The Acme", ["read"])
    assert provider.described_scopes["write"] == (
        "Acts",
        "write notes in your name",
        "write, not delete",
    )


def test_its_faults_keep_the_site_from_starting(tmp_path: Path) -> None:
    (tmp_path / "acme.toml").write_text(GOOD + "canary = 1\n")
    (tmp_path / "Bad Name.toml").write_text(GOOD)
    (tmp_path / "slack.toml").write_text(GOOD)
    told = faults(PROVIDERS_DIR=str(tmp_path))
    assert told[0].startswith("PROVIDERS_DIR: Bad Name.toml must be names of lower-case letters")
    assert told[1].startswith("PROVIDERS_DIR: acme.toml, line 8: a scope")
    assert told[2].startswith("PROVIDERS_DIR: slack.toml has the name of a provider of the cat")
    assert len(told) == 3


def test_a_folder_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    assert fault(PROVIDERS_DIR=str(tmp_path / "none")).startswith("PROVIDERS_DIR names no folder")


async def found(manager: OAuthManager, redis: Redis) -> OAuthProvider:
    return await manager.servers.of(redis, manager.providers[NAME])


class TestServerThatMoved:
    """``webui providers accept``: the operator's word for other addresses than the pinned ones."""

    @pytest.fixture
    def environ(self, redis_url: str) -> dict[str, str]:
        return {
            "BASE_URL": "https://bot.example",
            "REDIS_URL": redis_url,
            "ENCRYPTION_KEY": KEY,
            "SESSION_SECRET": "s" + KEY[1:-1],
            "EXTRA_PROVIDERS": NAME,
            "ACME_ISSUER": ISSUER,
            "ACME_CLIENT_ID": "client",
            "ACME_CLIENT_SECRET": "client-secret",
        }

    def accept(self, environ: dict[str, str], said: str = "", name: str = NAME) -> Result:
        return CliRunner().invoke(main, ["providers", "accept", name], input=said, env=environ)

    async def have_moved(self, redis: Redis) -> None:
        server, clock = Issuer(), FakeClock()
        await found(manager_of(server, clock=clock), redis)
        server.document["token_endpoint"] = f"{ISSUER}/other"
        clock.advance(FRESH_SECONDS)
        await found(manager_of(server, clock=clock), redis)

    async def pinned(self, redis: Redis) -> str:
        server = Issuer(answer=Answer(503))
        return (await found(manager_of(server), redis)).token_url

    async def test_is_shown_and_used_after_a_yes(
        self, environ: dict[str, str], redis: Redis
    ) -> None:
        await self.have_moved(redis)
        done = await asyncio.to_thread(self.accept, environ, "n\n")
        assert f"pinned: {ISSUER}/token\n  now:    {ISSUER}/other" in done.output
        assert await self.pinned(redis) == f"{ISSUER}/token"
        done = await asyncio.to_thread(self.accept, environ, "y\n")
        assert done.exit_code == 0
        assert await self.pinned(redis) == f"{ISSUER}/other"
        done = await asyncio.to_thread(self.accept, environ)
        assert done.output == f"Nothing of {NAME} has moved.\n"

    async def test_is_asked_by_its_name(self, environ: dict[str, str]) -> None:
        assert (await asyncio.to_thread(self.accept, environ, name="")).exit_code == 2
        done = await asyncio.to_thread(self.accept, environ, name="other")
        assert done.output == "unknown provider.\n"
