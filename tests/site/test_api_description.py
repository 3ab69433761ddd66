"""The API's description is true: schemathesis believes it, and a table names what stands behind."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import jsonschema
import pytest
import schemathesis
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from msgspec import structs
from redis import Redis as Blocking

from tests.kit.api_caller import Caller, caller
from tests.kit.fake_provider import serve
from tests.kit.library import ACCOUNTS, connected, fake_provider, granted, providers_config
from tests.kit.redis_fleets import one_url
from tests.kit.site_fixtures import Place, SiteProcess, free_port, serving, site_environment
from webui import chat
from webui.api.openapi import ANSWERS, description
from webui.api.operations import OPERATIONS
from webui.api.service_keys import RIGHTS
from webui.cli import main
from webui.oauth_manager import replace_oauth_manager

EXAMPLES = 6  # of each call

pytestmark = pytest.mark.anyio


async def test_the_description_is_open_to_everybody_and_well_formed(place: Place) -> None:
    answer = await Caller(place, "").get("/openapi.json")
    assert answer.status_code == 200
    found = answer.json()
    assert found == description(place.settings.base_url, place.bot.providers)
    assert found["openapi"] == "3.1.0"
    assert set(found["paths"]) == set(ANSWERS) == {one.path for one in OPERATIONS}
    for schema in ANSWERS.values():
        jsonschema.Draft202012Validator.check_schema(schema)


async def test_every_success_has_the_members_that_are_described_and_no_others(
    place: Place,
) -> None:
    place.fake.account = ACCOUNTS["google"]
    await connected(place.bot, place.fake, place.redis, "ann", "google")
    bot = await caller(place)
    asked = {"user_id": "ann", "provider": "google"}
    answers = {
        "/token": await bot.token(),
        "/links": await bot.post("/links", **asked),
        "/proofs": await bot.post("/proofs", user_id="ann", code="AAAAAA"),
        "/connections": await bot.get("/connections", user_id="ann"),
        "/connections/check": await bot.post("/connections/check", **asked),
        "/connections/disconnect": await bot.post("/connections/disconnect", **asked),
        "/notices": await bot.get("/notices"),
    }
    assert answers.keys() == ANSWERS.keys()
    for path, answer in answers.items():
        assert answer.status_code == 200, (path, answer.text)
        jsonschema.validate(answer.json(), _closed(ANSWERS[path]))


def _closed(schema: Any) -> Any:
    """The same schema; an object has no member that it does not name."""
    if isinstance(schema, list):
        return [_closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {name: _closed(one) for name, one in schema.items()}
    if schema.get("type") == "object" and "properties" in schema:
        closed["additionalProperties"] = False
    return closed


@pytest.fixture(scope="module")
def served(
    redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[SiteProcess, str]]:
    """The site as a command, with a key that may do everything as often as it likes."""
    with Blocking.from_url(one_url(redis_url)) as redis, serve(fake_provider()) as provider:
        redis.flushall()
        providers = providers_config(fake_provider(), provider)
        environment = site_environment(f"http://127.0.0.1:{free_port()}", redis_url, providers)
        made = CliRunner().invoke(
            main,
            ["keys", "new", "it", "--may", ",".join(RIGHTS), "--rate", "900000/900000"],
            env=environment,
        )
        with serving(environment, tmp_path_factory.mktemp("site")) as process:
            yield process, made.stdout.strip()


class Watched:
    """A manager that keeps the names of asynchronous methods that are called, of its parts too."""

    def __init__(self, inner: Any, called: set[str], before: str = "") -> None:
        self._inner = inner
        self._called = called
        self._before = before

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if inspect.iscoroutinefunction(found):
            self._called.add(f"{self._before}{name}")
        is_part = name in ("links", "proofs", "stories", "audit")
        return Watched(found, self._called, f"{name}.") if is_part else found


ASKED = {"user_id": "ann", "provider": "google"}
# What stands behind a call of the API, and behind the action of the bot's tool that does the same.
BEHIND = {
    ("/links", "connect"): {"connection", "links.find", "create_link_code"},
    ("/proofs", "confirm"): {"proofs.confirm"},
    ("/connections", "list"): {"connections"},
    ("/connections/check", "check"): {"check"},
    ("/connections/disconnect", "disconnect"): {"disconnect"},
    ("/token", ""): {"token_and_connection", "renew"},
    ("/notices", ""): {"notice_page"},
}
ALONE = {"proofs.meant", "audit.write"}  # a key is looked at, and its deeds are written down


async def test_the_same_methods_stand_behind_the_api_and_the_bots_tool(place: Place) -> None:
    token = granted(place.fake, "google", expires_at=0.0)
    bot = await caller(place)
    calls: dict[str, Callable[[], Awaitable[httpx.Response]]] = {
        "/links": lambda: bot.post("/links", **ASKED),
        "/proofs": lambda: bot.post("/proofs", user_id="ann", code="AAAAAA"),
        "/connections": lambda: bot.get("/connections", user_id="ann"),
        "/connections/check": lambda: bot.post("/connections/check", **ASKED),
        "/connections/disconnect": lambda: bot.post("/connections/disconnect", **ASKED),
        "/token": lambda: bot.token(refused="an-older-one"),
        "/notices": lambda: bot.get("/notices"),
    }
    assert set(calls) == {one.path for one in OPERATIONS} == {path for path, _ in BEHIND}
    manager, all_called = place.site.manager, set[str]()
    for (path, action), expected in BEHIND.items():
        by_api, by_tool = set[str](), set[str]()
        if path != "/links":
            await place.bot.store_token(place.redis, "ann", token)
        structs.force_setattr(place.site, "manager", Watched(manager, by_api))
        assert (await calls[path]()).status_code == 200, path
        structs.force_setattr(place.site, "manager", manager)
        looked = {"connection"}  # which account is meant
        assert by_api - ALONE - looked == expected - looked, path
        all_called |= by_api - ALONE
        if action:
            watched: Any = Watched(manager, by_tool)
            before = replace_oauth_manager(watched)
            speaker = SimpleNamespace(
                user_id="ben" if path == "/links" else "ann", redis=place.redis
            )
            if path == "/connections/disconnect":
                await place.bot.store_token(place.redis, "ann", token)
            await chat.connect_service(speaker, action, "google", "AAAAAA")
            replace_oauth_manager(before)
            assert by_tool == expected, action
    assert len(all_called) == 10


def test_schemathesis_finds_nothing_that_the_description_does_not_say(
    served: tuple[SiteProcess, str],
) -> None:
    process, key = served
    schema = schemathesis.openapi.from_url(f"{process.base_url}/api/v1/openapi.json")
    headers = {"Authorization": f"Bearer {key}"}
    tried = set()
    found: Any
    for found in schema.get_all_operations():
        operation = found.ok()
        tried.add(operation.path)

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def judge(case: Any) -> None:
            if case.path == "/notices":
                case.query = {n: v for n, v in (case.query or {}).items() if n != "wait"}
            case.call_and_validate(headers=headers)

        judge()
    assert tried == set(ANSWERS)
    assert key not in process.log.read_text()
