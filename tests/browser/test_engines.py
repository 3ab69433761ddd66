"""The whole story in Firefox, with scripts and without, and in WebKit: link to disconnect."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from tests.kit.browser import Town, town
from tests.kit.engines import Engine, firefox, wait, webkit

REQUIRED = "REQUIRE_ENGINES"  # `.ci/run` sets it, where it has installed both
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(REQUIRED not in os.environ, reason=f"{REQUIRED} is not set"),
]


@pytest.fixture(scope="module")
def place(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with town(redis_url, tmp_path_factory.mktemp("engines")) as made:
        yield made


async def play(engine: Engine, place: Town, redis: Redis, user: str) -> None:
    """Link, landing, proof in the chat, consent, done, the list, a check, a disconnect."""
    await engine.go(await place.link(redis, user, "github"))
    await engine.click("form[action$='/start'] button")
    shown = await engine.text(".code [aria-hidden]")
    assert await place.bot.proofs.confirm(redis, user, shown) is None
    await engine.go(f"{place.site.base_url}/connect/proof")
    await engine.click("#proof-continue")
    await wait(engine, "button[value=allow]")
    await engine.click("button[value=allow]")
    await wait(engine, ".pair.fresh")
    assert await engine.text("main h1") == "GitHub is connected"

    await engine.go(f"{place.site.base_url}/connections")
    await engine.click("#conn-github summary")
    await engine.click("#conn-github-check")
    await wait(engine, "#conn-github .status")
    assert (await engine.text("#conn-github .status")).startswith("Working. Checked at")
    if not await engine.there("#conn-github details[open]"):  # without scripts it is a new page
        await engine.click("#conn-github summary")
    await engine.click("#conn-github-disconnect")
    await engine.click("#conn-github-confirm")
    await wait(engine, "#conn-github[data-state=disconnected]")
    assert "GitHub is disconnected." in await engine.text("#conn-github-n")


@pytest.mark.parametrize("script", [True, False], ids=["scripts", "no scripts"])
async def test_the_story_goes_through_in_firefox(
    place: Town, redis: Redis, tmp_path: Path, script: bool
) -> None:
    async with firefox(tmp_path / "profile", script=script) as engine:
        await play(engine, place, redis, f"fox-{script}")


async def test_the_story_goes_through_in_webkit(place: Town, redis: Redis, tmp_path: Path) -> None:
    async with webkit(tmp_path / "webkit") as engine:
        await play(engine, place, redis, "kit")
