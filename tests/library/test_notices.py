"""Notices for the bot: each reaches it at least once, whatever dies meanwhile."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from tests.kit.fake_answers import Answer
from tests.kit.fake_provider import FakeProvider
from tests.kit.library import (
    BASE_URL,
    KEY,
    OTHER_KEY,
    age,
    connected,
    dumped,
    let_time_pass,
    manager_for,
    time_passes,
)
from tests.kit.redis_fleets import one_url
from tests.kit.redis_proxy import redis_proxy
from tests.kit.site_fixtures import Place
from webui.oauth_manager import LinkRequest, Notice, NoticeKind, OAuthManager, redis_from_url
from webui.oauth_manager.journal import notices
from webui.oauth_manager.storage import keys
from webui.oauth_manager.storage.calls import as_text
from webui.sandbox.embedded_redis import embedded_redis

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
STREAM = "stargazer:oauth_notices"
GROUP = "bot"
HEARD_WITHIN = 20  # seconds
LONG_AGO_MS = 3_600_000
_ENDS = itertools.count()


async def cancel(manager: OAuthManager, redis: Any, *users: str) -> None:
    """The smallest thing that is told: a link of each was cancelled."""
    for user in users:
        await manager.link_cancelled(redis, LinkRequest(user, "github"))


class Bot:
    """One consumer's loop, a step at a time: what was heard is handled when more is asked for."""

    def __init__(self, manager: OAuthManager, redis: Any, name: str = "one") -> None:
        self._notices = manager.notices(redis, consumer=name)

    async def hear(self) -> Notice:
        with anyio.fail_after(HEARD_WITHIN):
            return await anext(self._notices)

    async def hear_of(self) -> str:
        return (await self.hear()).user_id

    async def rest(self, redis: Redis, manager: OAuthManager) -> list[str]:
        """Whom the notices are about that come before one that is written now."""
        await cancel(manager, redis, "the end")
        found: list[str] = []
        while (user := await self.hear_of()) != "the end":
            found.append(user)
        return found


async def all_told(manager: OAuthManager, redis: Redis) -> list[tuple[str, str, str]]:
    """Kind, person and provider of everything told so far and not told before."""
    end = f"the end {next(_ENDS)}"
    await notices.promote(manager._storage, redis)  # what is due comes before it
    await cancel(manager, redis, end)
    bot, found = Bot(manager, redis, "everything"), []
    while (notice := await bot.hear()).user_id != end:
        if not notice.user_id.startswith("the end"):
            found.append((notice.kind.value, notice.user_id, notice.provider))
    return found


async def waiting(redis: Redis) -> int:
    """Notices that somebody has, and has not handled."""
    return int((await redis.xpending(STREAM, GROUP))["pending"])


async def abandon(redis: Redis, consumer: str) -> None:
    """An hour passes over what the consumer left unfinished."""
    pending = await redis.xpending_range(STREAM, GROUP, "-", "+", 100, consumer)
    ids: Any = [entry["message_id"] for entry in pending]
    await redis.xclaim(STREAM, GROUP, consumer, 0, ids, idle=LONG_AGO_MS)


# At least once


async def test_what_is_told_before_anybody_listens_is_heard(
    manager: OAuthManager, redis: Redis
) -> None:
    await cancel(manager, redis, "ann", "bob")
    bot = Bot(manager, redis)
    assert [await bot.hear_of(), await bot.hear_of()] == ["ann", "bob"]


async def test_who_waits_hears_what_is_told_then(manager: OAuthManager, redis: Redis) -> None:
    bot = Bot(manager, redis)
    async with asyncio.TaskGroup() as tasks:
        heard = tasks.create_task(bot.hear_of())
        await cancel(manager, redis, "ann")
    assert heard.result() == "ann"


async def test_a_notice_is_handled_when_the_next_is_asked_for(
    manager: OAuthManager, redis: Redis
) -> None:
    await cancel(manager, redis, "ann", "bob")
    bot = Bot(manager, redis)
    await bot.hear()
    assert await waiting(redis) == 2
    await bot.hear()
    assert await waiting(redis) == 1


async def test_what_was_not_handled_comes_again_after_a_restart_and_first(
    manager: OAuthManager, redis: Redis
) -> None:
    await cancel(manager, redis, "ann", "bob")
    assert await Bot(manager, redis).hear_of() == "ann"
    await cancel(manager, redis, "cid")
    again = Bot(manager, redis)
    assert [await again.hear_of() for _ in range(3)] == ["ann", "bob", "cid"]


async def test_what_was_handled_does_not_come_again(manager: OAuthManager, redis: Redis) -> None:
    await cancel(manager, redis, "ann", "bob")
    first = Bot(manager, redis)
    await first.hear()
    await first.hear()
    second = Bot(manager, redis)
    assert await second.hear_of() == "bob"
    assert await second.rest(redis, manager) == []


async def test_a_handler_that_fails_gets_the_notice_again(
    manager: OAuthManager, redis: Redis
) -> None:
    await cancel(manager, redis, "ann")
    heard: list[str] = []

    async def handle() -> None:
        async for notice in manager.notices(redis, consumer="one"):
            heard.append(notice.user_id)
            raise ConnectionError

    for _ in range(3):
        with pytest.raises(ConnectionError):
            await handle()
    assert heard == ["ann"] * 3


# A process that is killed


async def listen(redis_url: str, stop_at: str) -> None:
    """Run a bot's process: it says whom it heard of, and hangs while handling one."""
    manager = OAuthManager(KEY, BASE_URL)
    async with redis_from_url(redis_url) as redis:
        async for notice in manager.notices(redis, consumer="killed"):
            await redis.rpush("heard", notice.user_id)
            if notice.user_id == stop_at:
                await asyncio.Event().wait()


@contextmanager
def process(redis_url: str, stop_at: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "tests.library.test_notices", redis_url, stop_at]
    with subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "PYTHONWARNINGS": "error"}
    ) as started:
        try:
            yield started
        finally:
            started.kill()


async def heard_by_the_process(redis: Redis) -> str:
    for _ in range(30):
        if found := await redis.blpop(["heard"], timeout=2):
            return as_text(found[1])
    raise AssertionError("it heard nothing")


async def test_a_process_killed_before_it_handled_a_notice_gets_it_again_and_no_other(
    manager: OAuthManager, redis: Redis, redis_url: str
) -> None:
    await cancel(manager, redis, "ann", "bob", "cid")
    with process(redis_url, stop_at="bob") as first:
        assert [await heard_by_the_process(redis) for _ in range(2)] == ["ann", "bob"]
        first.send_signal(signal.SIGKILL)
        assert first.wait(30) == -signal.SIGKILL
    with process(redis_url, stop_at="cid"):
        assert [await heard_by_the_process(redis) for _ in range(2)] == ["bob", "cid"]


# Several


async def test_two_share_and_none_is_lost_or_told_twice(
    manager: OAuthManager, redis: Redis
) -> None:
    users = {f"u{number}" for number in range(60)}
    await cancel(manager, redis, *users)
    heard: list[str] = []
    by: dict[str, int] = {}

    async def work(name: str) -> None:
        async for notice in manager.notices(redis, consumer=name):
            heard.append(notice.user_id)
            by[name] = by.get(name, 0) + 1
            if len(heard) >= len(users):
                return

    with anyio.fail_after(HEARD_WITHIN):
        async with anyio.create_task_group() as tasks:
            for name in ("one", "two"):
                tasks.start_soon(work, name)
            while len(heard) < len(users):
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
    assert sorted(heard) == sorted(users)
    assert set(by) == {"one", "two"}


async def test_what_one_is_busy_with_is_not_told_by_the_other(
    manager: OAuthManager, redis: Redis
) -> None:
    await cancel(manager, redis, "ann")
    assert await Bot(manager, redis, "busy").hear_of() == "ann"
    assert await Bot(manager, redis, "other").rest(redis, manager) == []


async def test_what_one_left_for_good_is_taken_over(manager: OAuthManager, redis: Redis) -> None:
    await cancel(manager, redis, *(f"u{number:02}" for number in range(25)))
    gone = Bot(manager, redis, "gone")
    assert await gone.hear_of() == "u00"
    await abandon(redis, "gone")
    heard = await Bot(manager, redis, "other").rest(redis, manager)
    assert sorted(heard) == [f"u{number:02}" for number in range(25)]
    assert await waiting(redis) == 1  # the end


async def test_what_was_taken_over_is_not_told_by_the_first_when_it_comes_back(
    manager: OAuthManager, redis: Redis
) -> None:
    await cancel(manager, redis, "ann")
    assert await Bot(manager, redis, "gone").hear_of() == "ann"
    await abandon(redis, "gone")
    assert await Bot(manager, redis, "other").rest(redis, manager) == ["ann"]
    assert await Bot(manager, redis, "gone").rest(redis, manager) == []


# Redis


async def test_a_restart_of_redis_is_survived_by_notices_and_listeners(
    manager: OAuthManager, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    with embedded_redis(tmp_path / "data") as url:
        async with Redis.from_url(url, retry=Retry(NoBackoff(), 0)) as redis:
            await cancel(manager, redis, "ann", "bob", "cid")
            bot = Bot(manager, redis)
            assert [await bot.hear_of(), await bot.hear_of()] == ["ann", "bob"]
    with embedded_redis(tmp_path / "data") as url:
        async with Redis.from_url(url, retry=Retry(NoBackoff(), 0)) as redis:
            again = Bot(manager, redis)
            assert [await again.hear_of(), await again.hear_of()] == ["bob", "cid"]


async def test_who_listens_while_redis_goes_away_hears_everything_afterwards(
    manager: OAuthManager, redis: Redis, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        redis_proxy(redis_url) as proxy,
        Redis.from_url(proxy.url, retry=Retry(NoBackoff(), 0)) as disturbed,
    ):
        bot = Bot(manager, disturbed)
        await cancel(manager, redis, "ann")
        assert await bot.hear_of() == "ann"
        await proxy.go()
        await cancel(manager, redis, "bob")
        async with asyncio.TaskGroup() as tasks:
            heard = tasks.create_task(bot.hear())
            with anyio.fail_after(HEARD_WITHIN):
                while "notices wait" not in caplog.text:
                    await anyio.lowlevel.checkpoint()
            await proxy.come()
        # Its acknowledgement was lost, so the first comes again: at least once.
        users = [heard.result().user_id]
        if users == ["ann"]:
            users.append(await bot.hear_of())
        assert users[-1] == "bob"


async def test_a_flushed_redis_is_listened_to_again(manager: OAuthManager, redis: Redis) -> None:
    bot = Bot(manager, redis)
    await cancel(manager, redis, "ann")
    assert await bot.hear_of() == "ann"
    await redis.flushall()
    await cancel(manager, redis, "bob")
    assert await bot.hear_of() == "bob"


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("decodes", [False, True])
async def test_every_kind_of_client_hears(
    manager: OAuthManager, redis: Redis, redis_url: str, protocol: int, decodes: bool
) -> None:
    await cancel(manager, redis, "ann", "b\u00f6b")
    async with Redis.from_url(
        one_url(redis_url), protocol=protocol, decode_responses=decodes
    ) as client:
        bot = Bot(manager, client)
        assert [await bot.hear_of(), await bot.hear_of()] == ["ann", "b\u00f6b"]
        again = Bot(manager, client)
        assert await again.hear_of() == "b\u00f6b"
        await abandon(redis, "one")
        assert await Bot(manager, client, "two").hear_of() == "b\u00f6b"


async def test_what_cannot_be_read_is_passed_over(manager: OAuthManager, redis: Redis) -> None:
    await cancel(OAuthManager(OTHER_KEY, BASE_URL), redis, "stranger")
    await redis.xadd(STREAM, {"sealed": "nonsense"})
    await redis.xadd(STREAM, {"other": "field"})
    await cancel(manager, redis, "ann")
    bot = Bot(manager, redis)
    assert await bot.hear_of() == "ann"
    assert await bot.rest(redis, manager) == []


# What is told


async def test_connecting_and_disconnecting_are_told_once_each(
    manager: OAuthManager, fake: FakeProvider, redis: Redis
) -> None:
    await connected(manager, fake, redis, "ann", "github")
    await manager.delete_token(redis, "ann", "github")
    await manager.delete_token(redis, "ann", "github")
    assert await all_told(manager, redis) == [
        ("connected", "ann", "github"),
        ("disconnected", "ann", "github"),
    ]


async def test_a_disconnect_in_chat_is_answered_there_and_not_told_again(
    manager: OAuthManager, fake: FakeProvider, redis: Redis
) -> None:
    await connected(manager, fake, redis, "ann", "github")
    await manager.delete_token(redis, "ann", "github", by="chat")
    assert await all_told(manager, redis) == [("connected", "ann", "github")]
    (event, _) = (await manager.activity(redis, "ann")).events
    assert (event.kind, event.by) == ("disconnected", "chat")


async def test_a_disconnect_by_support_is_told_as_such(
    manager: OAuthManager, fake: FakeProvider, redis: Redis
) -> None:
    await connected(manager, fake, redis, "ann", "github")
    await manager.delete_token(redis, "ann", "github", by="support")
    assert (await all_told(manager, redis))[1:] == [("support_disconnected", "ann", "github")]


async def test_what_support_did_is_told_by_whoever_did_it(
    manager: OAuthManager, redis: Redis
) -> None:
    await manager.create_link_code(redis, "ann", provider="github")
    await manager.cancel_links(redis, "ann")
    assert not await redis.exists(STREAM)
    await manager.tell(redis, "ann", NoticeKind.SUPPORT_CANCELLED_LINKS)
    await manager.tell(redis, "ann", NoticeKind.SUPPORT_CHECKED, "github")
    assert await all_told(manager, redis) == [
        ("support_cancelled_links", "ann", ""),
        ("support_checked", "ann", "github"),
    ]


@pytest.mark.parametrize(("user", "provider"), [("a\nb", "github"), ("ann", "nope")])
async def test_nobody_is_told_of_what_cannot_be(
    manager: OAuthManager, redis: Redis, user: str, provider: str
) -> None:
    with pytest.raises(ValueError, match=r"user id|unknown provider"):
        await manager.tell(redis, user, NoticeKind.SUPPORT_CHECKED, provider)
    assert not await redis.exists(STREAM)


async def test_a_notice_says_which_account(
    manager: OAuthManager, fake: FakeProvider, redis: Redis
) -> None:
    await connected(manager, fake, redis, "ann", "github")
    assert (await Bot(manager, redis).hear()).account == "mona"


DAY = 86_400.0


async def test_an_end_that_nothing_can_move_is_told_a_day_before(
    manager: OAuthManager, redis: Redis, fake: FakeProvider
) -> None:
    fake.gives_refresh_token, fake.expires_in = False, 60 * DAY
    await connected(manager, fake, redis, "ann", "github")
    assert await all_told(manager, redis) == [("connected", "ann", "github")]
    for days, told in ((58, []), (1.5, [("ends_soon", "ann", "github")]), (1, [])):
        time_passes(manager, days * DAY)
        await let_time_pass(redis, days * DAY)
        assert await all_told(manager, redis) == told, days


@pytest.mark.parametrize("mended", ["by connecting again", "by disconnecting"])
async def test_an_end_that_does_not_come_is_not_told(
    manager: OAuthManager, redis: Redis, fake: FakeProvider, mended: str
) -> None:
    fake.gives_refresh_token, fake.expires_in = False, 60 * DAY
    await connected(manager, fake, redis, "ann", "github")
    fake.gives_refresh_token = True
    if mended == "by connecting again":
        await connected(manager, fake, redis, "ann", "github")
    else:
        await manager.delete_token(redis, "ann", "github")
    assert await redis.zcard(keys.DUE) == 0


@pytest.mark.parametrize("life", [3600, DAY - 1, None])
async def test_nothing_is_told_ahead_of_a_life_of_less_than_a_day_or_without_an_end(
    manager: OAuthManager, redis: Redis, fake: FakeProvider, life: float | None
) -> None:
    fake.gives_refresh_token, fake.expires_in = False, life
    await connected(manager, fake, redis, "ann", "github")
    assert await redis.zcard(keys.DUE) == 0


async def test_a_breakage_is_told_once_however_many_found_it(
    manager: OAuthManager, fake: FakeProvider, redis: Redis
) -> None:
    kinds = []
    for _ in range(2):  # a second breakage is told as well
        await connected(manager, fake, redis, "ann", "google")
        await age(manager, redis, "ann", "google")
        fake.withdraw()
        others = [manager_for(fake) for _ in range(5)]
        found = await asyncio.gather(
            *(each.get_token("ann", "google", redis) for each in others * 10)
        )
        assert set(found) == {None}
        for each in others:
            await each.aclose()
        await let_time_pass(redis)
        kinds += [kind for kind, *_ in await all_told(manager, redis)]
    assert kinds == ["connected", "reconnect_needed"] * 2


async def test_trouble_at_the_provider_is_not_told(
    manager: OAuthManager, fake: FakeProvider, redis: Redis
) -> None:
    await connected(manager, fake, redis, "ann", "google")
    fake.always["account"] = Answer(503)
    await manager.check(redis, "ann", "google")
    assert await all_told(manager, redis) == [("connected", "ann", "google")]


async def test_access_found_to_be_over_by_a_check_is_told_once(
    manager: OAuthManager, fake: FakeProvider, redis: Redis
) -> None:
    await connected(manager, fake, redis, "ann", "google")
    fake.withdraw()
    for _ in range(3):
        await manager.check(redis, "ann", "google")
    await let_time_pass(redis)
    kinds = [kind for kind, *_ in await all_told(manager, redis)]
    assert kinds == ["connected", "reconnect_needed"]


async def link_to(place: Place, user: str) -> str:
    code = await place.bot.create_link_code(place.redis, user, provider="github")
    return f"/connect/{code}"


async def test_a_declined_link_is_told_once(place: Place) -> None:
    link, stranger = await link_to(place, "ann"), await place.browser()
    for _ in range(3):
        await stranger.post(f"{link}/decline")
    assert await all_told(place.bot, place.redis) == [("link_cancelled", "ann", "github")]


async def test_a_declined_proof_is_told(place: Place) -> None:
    link, stranger = await link_to(place, "ann"), await place.browser()
    await stranger.post(f"{link}/start")
    await stranger.post("/connect/proof/decline")
    assert await all_told(place.bot, place.redis) == [("link_cancelled", "ann", "github")]


async def test_a_link_used_by_somebody_else_is_told_to_its_owner_alone(place: Place) -> None:
    bob = await place.signed_in("bob")
    await bob.post(f"{await link_to(place, 'ann')}/start")
    told = await all_told(place.bot, place.redis)
    assert ("link_cancelled", "ann", "github") in told
    assert "bob" not in [user for _, user, _ in told]


async def test_looking_at_a_link_is_not_told(place: Place) -> None:
    link, preview = await link_to(place, "ann"), await place.browser()
    for _ in range(20):
        await preview.get(link)
    assert await all_told(place.bot, place.redis) == []


async def test_no_secret_and_no_name_is_in_the_stream(
    manager: OAuthManager, fake: FakeProvider, redis: Redis
) -> None:
    await connected(manager, fake, redis, "ann@chat", "github")
    await age(manager, redis, "ann@chat", "github")
    fake.withdraw()
    await manager.get_token("ann@chat", "github", redis)
    code = await manager.create_link_code(redis, "ann@chat", provider="github")
    await cancel(manager, redis, "ann@chat")
    stored = repr(await redis.xrange(STREAM))
    for secret in (*fake.issued, code, "ann@chat", "mona", "github"):
        assert secret not in stored
    everything = await dumped(redis)
    assert not any(secret.encode() in everything for secret in fake.issued)


async def test_a_notice_shows_no_more_than_it_has_to(
    manager: OAuthManager, fake: FakeProvider, redis: Redis
) -> None:
    await connected(manager, fake, redis, "ann", "github")
    shown = repr(await Bot(manager, redis).hear())
    assert not any(secret in shown for secret in fake.issued)
    assert not re.search("https?://", shown)


async def test_the_stream_does_not_grow_for_ever(manager: OAuthManager, redis: Redis) -> None:
    async with redis.pipeline(transaction=False) as pipe:
        for _ in range(10_500):
            pipe.xadd(STREAM, {"sealed": "x"})
        await pipe.execute()
    await cancel(manager, redis, "ann")
    assert await redis.xlen(STREAM) <= 10_200


if __name__ == "__main__":
    asyncio.run(listen(*sys.argv[1:]))
