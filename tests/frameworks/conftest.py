"""The frameworks, which ``make test-frameworks`` installs, and the library in front of the fake."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from importlib.util import find_spec

import pytest

from tests.kit.fake_provider import FakeProvider, serve
from tests.kit.library import BASE_URL, KEY, providers_config
from webui.oauth_manager import OAuthManager, init_oauth_manager

collect_ignore = []

if not os.environ.get("REQUIRE_FRAMEWORKS") and not all(map(find_spec, ["fastmcp", "langgraph"])):
    collect_ignore = ["test_fastmcp_server.py", "test_langgraph_agent.py"]


@pytest.fixture
async def api(fake: FakeProvider) -> AsyncIterator[str]:
    with serve(fake) as url:
        yield url


@pytest.fixture
async def manager(fake: FakeProvider, api: str) -> AsyncIterator[OAuthManager]:
    config = providers_config(fake, api)
    config["github"]["api_hosts"] = (api.removeprefix("http://"),)
    made = init_oauth_manager(KEY, BASE_URL, config)
    yield made
    await made.aclose()
