"""Webhooks: signed so that a library of the standard verifies them, in order, and none lost."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from socket import create_server
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from redis.asyncio import Redis
from standardwebhooks import Webhook
from starlette.types import Receive, Scope, Send

from tests.kit.clock import FakeClock
from tests.kit.every import every
from tests.kit.hosted import listening
from tests.kit.library import BASE_URL, KEY, dumped, fake_provider, manager_for, providers_config
from tests.kit.site_fixtures import site_environment, site_settings
from webui.cli import main
from webui.commands.check.report import Report
from webui.commands.check.webhooks import check_webhooks
from webui.oauth_manager import NoticeKind, OAuthManager, OAuthUnavailable, StoreUnavailable
from webui.oauth_manager.protocol.requests import ProviderRequest
from webui.oauth_manager.protocol.transport import Transport
from webui.people_data.erasure import erase
from webui.settings.settings import SettingsError, load_settings
from webui.webhooks.courier import DAY, Courier
from webui.webhooks.destination import Destination, destination
from webui.webhooks.queue import Queue

pytestmark = pytest.mark.anyio

SECRET = "whsec_" + "c2VjcmV0IG9mIHRoZSB0ZXN0IGFsb25lLCAzMiBieXRlcw=="
OLDER = "whsec_" + "dGhlIHNlY3JldCBiZWZvcmUgaXQsIGFsc28gMzIgYnl0ZXM="
URL = "https://hooks.example/bot/a-path-that-is-a-secret"
KIND = NoticeKind.SUPPORT_CHECKED  # news for ever


@dataclass
class Receiver:
    """A server for webhooks; ``status`` is its answer, for the people in ``refused`` 500."""

    status: int = 204
    refused: set[str] = field(default_factory=set)
    is_down: bool = False
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    seen: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    taken: list[dict[str, Any]] = field(default_factory=list)
    first: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.is_down:
            raise httpx.ConnectError("down")
        body = (await receive())["body"]
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.seen.append((headers, body))
        data = json.loads(body)["data"]
        status = 500 if data["user_id"] in self.refused else self.status
        if status < 300:
            self.taken.append(data)
            self.first.set()
        await send({"type": "http.response.start", "status": status, "headers": self.headers})
        await send({"type": "http.response.body", "body": b""})

    def order(self, user: str) -> list[str]:
        return [data["provider"] for data in self.taken if data["user_id"] == user]


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
async def bot(receiver: Receiver) -> AsyncIterator[OAuthManager]:
    """A manager whose network is the receiver alone."""
    manager = OAuthManager(
        KEY,
        BASE_URL,
        providers_config(fake_provider()),
        transport=Transport(httpx.ASGITransport(receiver)),
        clock=FakeClock(),
    )
    yield manager
    await manager.aclose()


def later(bot: OAuthManager, seconds: float) -> None:
    assert isinstance(bot.clock, FakeClock)
    bot.clock.advance(seconds)


def to(secrets: tuple[str, ...] = (SECRET,)) -> Destination:
    return destination(URL, secrets, may_be_private=False)


async def tell(bot: OAuthManager, redis: Redis, user: str, provider: str) -> None:
    await bot.tell(redis, user, KIND, provider)


async def go_on(courier: Courier, bot: OAuthManager, seconds: float, step: float) -> None:
    """So much time passes, with a look every so often."""
    for _ in range(round(seconds / step)):
        later(bot, step)
        await courier.step()


async def test_a_library_of_the_standard_verifies_them(
    bot: OAuthManager, redis: Redis, receiver: Receiver
) -> None:
    await tell(bot, redis, "ann", "google")
    await Courier(bot, redis, to((SECRET, OLDER))).step()
    ((headers, body),) = receiver.seen
    for secret in (SECRET, OLDER):
        Webhook(secret).verify(body, headers)
    found = json.loads(body)
    assert found["type"] == "connection.support_checked"
    assert found["data"] == {
        "id": headers["webhook-id"].removeprefix("notice_"),
        "event": "support_checked",
        "user_id": "ann",
        "provider": "google",
        "account": None,
        "at": pytest.approx(bot.clock.now(), abs=60),
        "name": None,
        "detail": None,
    }
    assert "http" not in body.decode()


async def test_each_is_delivered_once_if_the_receiver_takes_it(
    bot: OAuthManager, redis: Redis, receiver: Receiver
) -> None:
    courier = Courier(bot, redis, to())
    for provider in ("google", "github", "discord"):
        await tell(bot, redis, "ann", provider)
    for _ in range(5):
        await courier.step()
    assert receiver.order("ann") == ["google", "github", "discord"]
    assert len(receiver.seen) == 3
    await Courier(bot, redis, to()).step()  # whose turn it is not
    assert len(receiver.seen) == 3


async def test_a_receiver_that_was_down_for_an_hour_gets_everything_in_order(
    bot: OAuthManager, redis: Redis, receiver: Receiver
) -> None:
    courier = Courier(bot, redis, to())
    receiver.is_down = True
    people = [f"p{number}" for number in range(12)]
    for provider in ("google", "github", "discord"):
        for user in people:
            await tell(bot, redis, user, provider)
        await go_on(courier, bot, 1200, 20)
    receiver.is_down = False
    await go_on(courier, bot, 90, 1)
    assert [u for u in people if receiver.order(u) != ["google", "github", "discord"]] == []


async def test_while_it_is_down_it_is_asked_once_a_minute_or_so(
    bot: OAuthManager, redis: Redis, receiver: Receiver
) -> None:
    receiver.status = 503
    courier = Courier(bot, redis, to())
    for number in range(30):
        await tell(bot, redis, f"p{number}", "google")
    await go_on(courier, bot, 600, 5)
    before = len(receiver.seen)
    await go_on(courier, bot, 600, 5)
    assert 5 <= len(receiver.seen) - before <= 15


async def test_one_whose_notice_is_refused_waits_alone(
    bot: OAuthManager, redis: Redis, receiver: Receiver
) -> None:
    courier = Courier(bot, redis, to())
    receiver.refused = {"ann"}
    for provider in ("google", "github"):
        for user in ("ann", "ben"):
            await tell(bot, redis, user, provider)
    await go_on(courier, bot, 60, 5)
    assert receiver.order("ben") == ["google", "github"]
    receiver.refused = set()
    await go_on(courier, bot, 600, 5)
    assert receiver.order("ann") == ["google", "github"]
    ids = Counter(headers["webhook-id"] for headers, _ in receiver.seen)
    assert sorted(ids.values())[:3] == [1, 1, 1]  # the same id at every try
    assert len(ids) == 4


async def test_what_nobody_took_for_a_day_is_listed_and_the_next_one_goes_on(
    bot: OAuthManager, redis: Redis, receiver: Receiver
) -> None:
    courier = Courier(bot, redis, to())
    receiver.refused = {"ann"}
    await tell(bot, redis, "ann", "google")
    await go_on(courier, bot, 3600, 600)
    await tell(bot, redis, "ann", "github")
    await go_on(courier, bot, DAY, 1200)
    receiver.refused = set()
    await go_on(courier, bot, 1200, 600)
    assert receiver.order("ann") == ["github"]
    said: list[str] = []
    report = Report(said.append)
    await check_webhooks(bot, redis, report)
    text = "\n".join(said)
    assert "https://hooks.example" in text
    assert "a-path-that-is-a-secret" not in text
    assert "support_checked of google" in text
    assert [finding.level for finding in report.findings] == ["warning"]


async def test_a_crash_before_a_delivery_is_noted_repeats_it_and_loses_nothing(
    bot: OAuthManager, redis: Redis, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for provider in ("google", "github"):
        await tell(bot, redis, "ann", provider)

    async def die(*_: object) -> None:
        raise StoreUnavailable("remove what was delivered")

    courier = Courier(bot, redis, to())
    with monkeypatch.context() as patch:
        patch.setattr(Queue, "remove", die)
        with pytest.raises(StoreUnavailable):
            await courier.step()
    await courier._queue.end_turn()
    again = Courier(bot, redis, to())
    for _ in range(3):
        await again.step()
    assert receiver.order("ann") == ["google", "google", "github"]
    assert len({headers["webhook-id"] for headers, _ in receiver.seen}) == 2


async def test_who_loses_the_turn_in_a_long_step_sends_nothing_more(
    bot: OAuthManager, redis: Redis, receiver: Receiver
) -> None:
    people = [f"user{number}" for number in range(12)]
    for person in people:
        await tell(bot, redis, person, "google")
    turn = f"stargazer:webhook_turn:{to().id}"

    async def take_the_turn() -> None:
        await receiver.first.wait()
        await redis.set(turn, "another process", px=60_000)

    courier, taking = Courier(bot, redis, to()), asyncio.create_task(take_the_turn())
    await courier.step()
    await taking
    sent = len(receiver.seen)
    assert 0 < sent < len(people), "those that were on their way"
    await redis.delete(turn)
    await Courier(bot, redis, to()).step()
    assert {data["user_id"] for data in receiver.taken} == set(people)
    assert len(receiver.seen) == len(people), "and nobody's twice"


async def test_a_turn_is_held_for_as_long_as_a_step_takes(
    bot: OAuthManager, redis: Redis, receiver: Receiver
) -> None:
    for number in range(12):
        await tell(bot, redis, f"user{number}", "google")
    turn = f"stargazer:webhook_turn:{to().id}"

    async def let_time_pass() -> None:
        await receiver.first.wait()
        await redis.pexpire(turn, 2000)

    passing = asyncio.create_task(let_time_pass())
    await Courier(bot, redis, to()).step()
    await passing
    assert len(receiver.seen) == 12
    assert await redis.pttl(turn) > 30_000


async def test_a_crash_between_taking_up_and_the_position_loses_nothing(
    bot: OAuthManager, redis: Redis, receiver: Receiver
) -> None:
    await tell(bot, redis, "ann", "google")
    page = await bot.sealed_notices(redis)
    ((position, sealed),) = page.entries
    waiting = json.dumps([sealed, bot.clock.now()])
    await redis.hset(f"stargazer:webhook_waiting:{to().id}", position, waiting)
    courier = Courier(bot, redis, to())
    for _ in range(3):
        await courier.step()
    assert receiver.order("ann")[:1] == ["google"]
    assert await redis.hlen(f"stargazer:webhook_waiting:{to().id}") == 0


@every("status", [301, 302, 307, 308, 400, 410])
async def test_a_redirect_is_not_followed_and_no_success(
    bot: OAuthManager, redis: Redis, receiver: Receiver, status: int
) -> None:
    receiver.status, receiver.headers = status, [(b"location", b"https://elsewhere.example/")]
    receiver.seen.clear()
    await redis.flushall()
    await tell(bot, redis, "ann", "google")
    await Courier(bot, redis, to()).step()
    assert [headers["host"] for headers, _ in receiver.seen] == ["hooks.example"]
    assert receiver.taken == []


async def test_a_pause_that_the_receiver_asks_for_is_kept(
    bot: OAuthManager, redis: Redis, receiver: Receiver
) -> None:
    receiver.status, receiver.headers = 429, [(b"retry-after", b"900")]
    courier = Courier(bot, redis, to())
    await tell(bot, redis, "ann", "google")
    await courier.step()
    await go_on(courier, bot, 840, 60)
    assert len(receiver.seen) == 1
    await go_on(courier, bot, 120, 60)
    assert len(receiver.seen) == 2


async def test_what_a_later_change_has_overtaken_is_not_sent(
    bot: OAuthManager, redis: Redis, receiver: Receiver
) -> None:
    await bot.tell(redis, "ann", NoticeKind.CONNECTED, "google")
    later(bot, 60)
    await Courier(bot, redis, to()).step()
    assert receiver.seen == []


@every(
    "url",
    [
        "http://hooks.example/",
        "ftp://hooks.example/",
        "https://user:password@hooks.example/",
        "https://hooks.example/#fragment",
        "https://",
        "hooks.example",
        "https://10.0.0.1/",
        "https://192.168.1.1/",
        "https://169.254.169.254/latest/",
        "https://[fd00::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://hooks.example:99999/",
        "http://10.0.0.1/",
    ],
)
def test_an_address_that_is_not_for_webhooks_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="the address to send to"):
        destination(url, (SECRET,), may_be_private=False)


def test_the_operator_allows_addresses_of_a_private_network() -> None:
    reach = destination("https://10.0.0.1/", (SECRET,), may_be_private=True).reach
    assert reach == ("public", "private")
    assert destination("http://127.0.0.1:9/", (SECRET,), may_be_private=False).reach == (
        "public",
        "loopback",
    )
    with pytest.raises(ValueError, match="a private one"):
        destination("https://169.254.169.254/", (SECRET,), may_be_private=True)


async def test_a_name_is_looked_up_within_the_reach_of_the_destination(
    bot: OAuthManager, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[ProviderRequest] = []

    async def send(request: ProviderRequest) -> None:
        asked.append(request)
        raise OAuthUnavailable("webhook", "notify", "out_of_reach")

    monkeypatch.setattr(bot.transport, "send", send)
    await tell(bot, redis, "ann", "google")
    await Courier(bot, redis, to()).step()
    assert [request.reach for request in asked] == [("public",)]


async def test_an_erased_persons_notices_are_not_sent(
    bot: OAuthManager, redis: Redis, receiver: Receiver, redis_url: str
) -> None:
    courier = Courier(bot, redis, to())
    receiver.status = 500
    for user in ("ann", "ben"):
        await tell(bot, redis, user, "google")
    await courier.step()
    settings = site_settings(redis_url, fake_provider())
    await erase(settings, bot, redis, "ann", "page")
    receiver.status = 204
    await go_on(courier, bot, 60, 5)
    assert {data["user_id"] for data in receiver.taken} == {"ben"}
    assert b"ann" not in await dumped(redis)


async def test_the_command_brings_them_until_a_signal(
    redis_url: str, redis: Redis, receiver: Receiver
) -> None:
    manager = manager_for(fake_provider())
    with create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/hook"
        async with listening(receiver, listener):
            environment = site_environment(BASE_URL, redis_url, {})
            environment |= {"WEBHOOK_SECRET": SECRET, "PATH": os.environ["PATH"]}
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-W", "error", "-m", "webui", "notify", "--to", url),
                env=environment,
                stderr=asyncio.subprocess.PIPE,
            )
            await manager.tell(redis, "ann", KIND, "google")
            async with asyncio.timeout(30):
                await receiver.first.wait()
            process.terminate()
            _, said = await process.communicate()
    await manager.aclose()
    assert (process.returncode, b"Traceback" in said) == (0, False), said
    assert SECRET.encode() not in said
    here = destination(url, (SECRET,), may_be_private=False)
    assert await redis.exists(f"stargazer:webhook_turn:{here.id}") == 0


def test_the_command_needs_a_secret_and_an_address(empty_redis_url: str) -> None:
    environment = site_environment(BASE_URL, empty_redis_url, {})
    done = CliRunner().invoke(main, ["notify", "--to", URL], env=environment)
    assert (done.exit_code, "WEBHOOK_SECRET" in done.stderr) == (1, True)
    environment["WEBHOOK_SECRET"] = SECRET
    done = CliRunner().invoke(main, ["notify", "--to", "http://10.0.0.1/"], env=environment)
    assert (done.exit_code, "The address to send to" in done.stderr) == (1, True)


@every("text", ["", "secret", "whsec_", "whsec_c2hvcnQ=", f"{SECRET} {OLDER} {SECRET}", SECRET[6:]])
def test_a_secret_of_another_form_is_refused(text: str) -> None:
    environment = site_environment(BASE_URL, "redis://127.0.0.1:6379/0", {})
    if not text:
        assert load_settings(environment).webhook_secrets == ()
        return
    with pytest.raises(SettingsError, match="WEBHOOK_SECRET"):
        load_settings({**environment, "WEBHOOK_SECRET": text})
    taken = load_settings({**environment, "WEBHOOK_SECRET": f"{SECRET}, {OLDER}"})
    assert taken.webhook_secrets == (SECRET, OLDER)
    assert SECRET not in repr(taken)
