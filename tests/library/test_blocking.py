"""The library for threads without a loop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest
from redis.asyncio import Redis

from tests.kit.fake_answers import error_answer, redirect
from tests.kit.fake_provider import FakeProvider, serve
from tests.kit.library import BASE_URL, KEY, connected, providers_config
from webui.chat import connect_service
from webui.oauth_manager import (
    HostRefused,
    OAuthManager,
    OAuthNotConnected,
    OAuthUnavailable,
    StoreUnavailable,
    blocking,
    get_oauth_manager,
)
from webui.oauth_manager.blocking import calls

pytestmark = pytest.mark.anyio

ANN = SimpleNamespace(user_id="ann")
BOB = SimpleNamespace(user_id="bob")
REFUSED = error_answer("invalid_token", 401)
T = TypeVar("T")


@pytest.fixture
def api(fake: FakeProvider) -> Iterator[str]:
    fake.account = {"sub": "42", "email": "mona@example.org"}
    with serve(fake) as url:
        yield url


@pytest.fixture
async def config(api: str, fake: FakeProvider, redis: Redis) -> dict[str, dict[str, Any]]:
    """Settings of providers, where ann is connected with one."""
    config = providers_config(fake, api)
    config["google"]["api_hosts"] = (api.removeprefix("http://"),)
    manager = OAuthManager(KEY, BASE_URL, config)
    await connected(manager, fake, redis, "ann", "google")
    await manager.aclose()
    return config


@pytest.fixture
def there(
    config: dict[str, dict[str, Any]], redis_url: str
) -> Iterator[Callable[[Callable[[], T]], Any]]:
    """A thread without a loop, once the library is set up."""
    blocking.init_oauth_manager(KEY, BASE_URL, config, redis_url=redis_url)
    yield asyncio.to_thread
    blocking.close()


async def test_a_token_comes_without_a_loop(fake: FakeProvider, there: Any) -> None:
    token = await there(blocking.require_oauth_token, ANN, "google")
    assert fake.is_alive(token)


async def test_of_the_context_only_the_person_is_used(there: Any) -> None:
    ctx = SimpleNamespace(user_id="ann", redis="of another loop")
    assert await there(blocking.require_oauth_token, ctx, "google")


async def test_errors_are_the_librarys_own(there: Any) -> None:
    with pytest.raises(OAuthNotConnected) as caught:
        await there(blocking.require_oauth_token, BOB, "google")
    assert caught.value.connect_url.startswith("http")
    with pytest.raises(OAuthNotConnected) as caught:
        await there(blocking.require_oauth_token, ANN, "google", ["more"])
    assert caught.value.missing_scopes == ("more",)
    with pytest.raises(ValueError, match="unknown provider"):
        await there(blocking.oauth_client, ANN, "nowhere")


async def test_many_threads_that_meet_401_make_one_refresh(
    fake: FakeProvider, api: str, there: Any
) -> None:
    fake.script("account", *[REFUSED] * 16)

    def ask() -> int:
        with blocking.oauth_client(ANN, "google") as http:
            return http.get(f"{api}/google/account").status_code

    def ask_together() -> list[int]:
        with ThreadPoolExecutor(16) as threads:
            return [each.result() for each in [threads.submit(ask) for _ in range(16)]]

    assert set(await there(ask_together)) == {200}
    assert fake.calls["refresh"] == 1


async def test_a_body_that_the_thread_makes_is_sent_once(
    fake: FakeProvider, api: str, there: Any
) -> None:
    def send() -> tuple[int, int, bytes]:
        fake.script("account", REFUSED)
        with blocking.oauth_client(ANN, "google") as http:
            first = http.post(f"{api}/google/account", content=(b"a" for _ in range(3)))
            second = http.post(f"{api}/google/account", files={"f": b"inside"})
            with http.stream("GET", f"{api}/google/account") as answer:
                read = b"".join(answer.iter_bytes())
        return first.status_code, second.status_code, read

    first, second, read = await there(send)
    assert (first, second) == (401, 200)
    assert b"mona" in read
    bodies = [r.body for r in fake.requests if r.method == "POST" and r.endpoint == "account"]
    assert bodies[0] == b"aaa"
    assert b"inside" in bodies[1]
    assert len(bodies) == 2


async def test_the_token_goes_nowhere_else(fake: FakeProvider, api: str, there: Any) -> None:
    elsewhere = api.replace("127.0.0.1", "localhost")

    def ask() -> Any:
        with blocking.oauth_client(ANN, "google") as http:
            with pytest.raises(HostRefused):
                http.get(f"{elsewhere}/google/account")
            with pytest.raises(HostRefused):
                http.get(f"{elsewhere}/google/account", auth=None)
            fake.script("account", redirect(f"{elsewhere}/google/account", 302))
            return http.get(f"{api}/google/account", follow_redirects=True)

    answer = await there(ask)
    assert answer.status_code == 401
    assert fake.requests[-1].bearer == ""
    assert fake.calls["refresh"] == 0


async def test_every_other_coroutine_runs_there_too(there: Any) -> None:
    def say() -> str:
        return blocking.run(connect_service(blocking.caller("ann"), "list"))

    assert "mona@example.org" in await there(say)


async def test_the_loop_itself_cannot_wait(there: Any) -> None:
    async def ask() -> str:
        return blocking.require_oauth_token(ANN, "google")

    with pytest.raises(RuntimeError, match="await the coroutine"):
        await there(blocking.run, ask())


async def test_after_its_end_the_next_call_starts_anew(there: Any) -> None:
    def ask() -> bool:
        first = blocking.require_oauth_token(ANN, "google")
        blocking.close()
        blocking.close()
        return first == blocking.require_oauth_token(ANN, "google")

    assert await there(ask)


async def test_the_managers_methods_are_at_hand(there: Any) -> None:
    def look() -> bool:
        here = blocking.caller("ann")
        manager = get_oauth_manager()
        return blocking.run(manager.has_token(here.user_id, "google", here.redis))

    assert await there(look)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
async def test_a_process_that_forks_has_a_loop_of_its_own(there: Any) -> None:
    def fork() -> int:
        token = blocking.require_oauth_token(ANN, "google")
        child = os.fork()
        if child == 0:
            try:
                os._exit(0 if blocking.require_oauth_token(ANN, "google") == token else 1)
            finally:
                os._exit(2)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    assert await there(fork) == 0


def test_a_wrong_address_of_redis_is_told_at_once() -> None:
    with pytest.raises(ValueError, match="the address of Redis"):
        blocking.init_oauth_manager(KEY, BASE_URL, {}, redis_url="nowhere")


def test_before_it_is_set_up_nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "_state", calls._State())
    with pytest.raises(RuntimeError, match="init_oauth_manager"):
        blocking.require_oauth_token(ANN, "github")
    with pytest.raises(RuntimeError, match="init_oauth_manager"):
        blocking.run(asyncio.sleep(0))


async def test_a_redis_that_is_away_is_an_error_of_its_own() -> None:
    blocking.init_oauth_manager(KEY, BASE_URL, {}, redis_url="redis://127.0.0.1:1")
    with pytest.raises(StoreUnavailable) as caught:
        await asyncio.to_thread(blocking.require_oauth_token, ANN, "github")
    assert isinstance(caught.value, OAuthUnavailable)
    blocking.close()
