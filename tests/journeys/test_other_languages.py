"""Bots in JavaScript and Go over the HTTP API, with a service key and no ``ENCRYPTION_KEY``."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis
from starlette.types import Receive, Scope, Send

from tests.kit.fake_provider import serve
from tests.kit.journey import Journey, demo
from webui.api.service_keys import ServiceKeys
from webui.oauth_manager.storage import Clock, Sealer
from webui.sandbox.demo_secrets import make_secrets

pytestmark = pytest.mark.anyio

EXAMPLES = Path(__file__).parents[2] / "examples"
LONGEST = 60  # lines
RIGHTS = ("token", "links", "proofs")


class Google:
    """Google's API in front of the stand-in's: it refuses when told; ``seen`` are the tokens."""

    def __init__(self) -> None:
        self.behind = ""
        self.refusals = 0
        self.elsewhere = ""
        self.seen: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        token = dict(scope["headers"]).get(b"authorization", b"").decode()
        self.seen.append(token)
        status, body, headers = 401, b"{}", []
        if self.elsewhere:
            status, headers = 302, [(b"location", self.elsewhere.encode())]
        elif self.refusals:
            self.refusals -= 1
        else:
            async with httpx.AsyncClient(trust_env=False) as client:
                sent = {"authorization": token}
                answer = await client.get(f"{self.behind}/google{scope['path']}", headers=sent)
            status, body = answer.status_code, answer.content
        headers.append((b"content-type", b"application/json"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@dataclass
class Bot:
    """The program, its chat, and the site that it asks."""

    process: asyncio.subprocess.Process
    journey: Journey
    google: Google

    async def say(self, text: str, person: str = "ann") -> str:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{person}\t{text}\n".encode())
        async with asyncio.timeout(20):
            line = (await self.process.stdout.readline()).decode()
        to, _, said = line.rstrip("\n").partition("\t")
        assert to == person
        return said

    async def connect(self) -> None:
        """Ann goes all the way: the link, the code to the bot, and the consent."""
        journey = self.journey
        (url,) = re.findall(r"https?://\S+", await self.say("whoami"))
        assert url.startswith(f"{journey.site}/connect/")
        started = await journey.press(await journey.browser.get(url), "link-yes")
        proof = await journey.browser.get(journey.site + started.headers["location"])
        shown = re.search(r'aria-hidden="true">(\w{3} \w{3})<', proof.text)
        assert shown
        assert "matches" in await self.say(shown[1].lower())
        proof = await journey.browser.get(f"{journey.site}/connect/proof")
        await journey.consent(await journey.press(proof, "proof-continue"))


def command(language: str, folder: Path) -> list[str]:
    """The program that runs the example; skips if its language is not here."""
    program = {"javascript": "node", "go": "go"}[language]
    if not shutil.which(program):
        assert not os.environ.get("REQUIRE_LANGUAGES"), f"{program} is not here"
        pytest.skip(f"{program} is not here")
    if language == "javascript":
        return [program, str(EXAMPLES / "bot.mjs")]
    built = folder / "bot"
    environ = {**os.environ, "GO111MODULE": "off", "GOFLAGS": ""}
    build = [str(shutil.which(program)), "build", "-o", str(built), str(EXAMPLES / "bot.go")]
    subprocess.run(build, env=environ, check=True, timeout=300)
    return [str(built)]


@pytest.fixture(params=["javascript", pytest.param("go", marks=pytest.mark.long)])
async def bot(
    request: pytest.FixtureRequest, redis: Redis, redis_url: str, tmp_path: Path
) -> AsyncIterator[Bot]:
    words = await asyncio.to_thread(command, request.param, tmp_path)
    secrets, google = make_secrets(), Google()
    keys = ServiceKeys(Sealer(secrets.encryption_key), Clock())
    key, _ = await keys.create(redis, "a bot", may=RIGHTS, providers=("google",))
    with serve(google) as api:
        async with demo(redis_url, token_lifetime=120, keys=secrets) as journey:
            google.behind = journey.sandbox
            process = await asyncio.create_subprocess_exec(
                *words,
                env={
                    "PATH": os.environ["PATH"],
                    "SITE": journey.site,
                    "SERVICE_KEY": key,
                    "GOOGLE_API": api,
                },
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            try:
                yield Bot(process, journey, google)
            finally:
                process.kill()
                await process.wait()


async def test_a_person_connects_by_the_bot_and_their_token_is_renewed_when_it_is_refused(
    bot: Bot,
) -> None:
    """All of it in one life: not connected, the code, the token, and a 401 once and for good."""
    assert (await bot.say("hi there")).strip() == "I know whoami."
    await bot.connect()
    named = re.search(r"mona@[\w.]*\w", await bot.say("whoami"))
    assert named
    assert len(bot.google.seen) == 1

    assert "mona@" in await bot.say(f"whoami {named[0]}")
    assert "mona@" not in await bot.say("whoami leo@example.org"), "another account is none"
    assert len(bot.google.seen) == 2

    bot.google.refusals = 1
    assert "mona@" in await bot.say("whoami")
    old, new = bot.google.seen[2:]
    assert old == bot.google.seen[0] != new, "it was renewed"

    bot.google.refusals = 2
    assert "mona@" not in await bot.say("whoami")
    assert len(bot.google.seen) == 6, "asked once more, and not again"

    assert "connect/" in await bot.say("whoami", person="ben")
    assert len(bot.google.seen) == 6

    bot.google.elsewhere = f"{bot.journey.sandbox}/elsewhere"
    assert "mona@" not in await bot.say("whoami")
    assert len(bot.google.seen) == 7, "no redirect is followed"


async def test_a_bot_asks_which_of_two_accounts_is_meant_and_acts_as_that_one(bot: Bot) -> None:
    await bot.connect()
    journey = bot.journey
    add = await journey.post(f"{journey.site}/connections/google/connect", {"intent": "add"})
    await journey.consent(add, account="hubert")

    unclear = await bot.say("whoami")
    assert not bot.google.seen, "no token was given"
    assert "hubert, mona" in unclear
    for name in ("hubert", "mona"):
        assert f"{name}@example.com" in await bot.say(f"whoami {name}")
    assert len(set(bot.google.seen)) == 2
    bot.google.refusals = 1
    assert "hubert@" in await bot.say("whoami hubert"), "its own token was renewed"


@pytest.mark.parametrize("name", ["bot.mjs", "bot.go"])
def test_a_bot_is_short_and_holds_no_key_of_the_site(name: str) -> None:
    text = (EXAMPLES / name).read_text()
    assert len(text.splitlines()) <= LONGEST
    assert "ENCRYPTION_KEY" not in text


def test_the_example_in_go_is_formatted() -> None:
    program = shutil.which("gofmt")
    if not program:
        pytest.skip("gofmt is not here")
    words = [program, "-l", str(EXAMPLES / "bot.go")]
    done = subprocess.run(words, capture_output=True, check=True, timeout=60)
    assert done.stdout == b""
