"""The tool as each interface of a model has it, and what a model may read of the answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, get_args

import jsonschema
import mcp.types
import pytest
from redis.asyncio import Redis

from tests.kit.fake_provider import FakeProvider
from tests.kit.library import BASE_URL, KEY, providers_config
from webui.chat import (
    CONNECT_SERVICE_TOOL,
    ToolFormat,
    answer_model,
    connect_service_tool,
    split_link,
)
from webui.oauth_manager import LinkRequest, OAuthManager, init_oauth_manager

pytestmark = pytest.mark.anyio

FORMS = get_args(ToolFormat)
OTHERS = "I can do this: connect, list, status, check, disconnect, manage."


def parameters_of(form: Any) -> dict[str, Any]:
    tool = connect_service_tool(form)
    if form == "openai":
        assert set(tool) == {"type", "function"}
        tool = tool["function"]
    schema = {"openai": "parameters", "anthropic": "input_schema", "mcp": "inputSchema"}.get(form)
    return dict(tool[schema] if schema else tool)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_tool_offers_the_same_and_nothing_that_takes_a_code(form: Any) -> None:
    parameters, tool = parameters_of(form), str(connect_service_tool(form))
    jsonschema.Draft202012Validator.check_schema(parameters)
    fits = jsonschema.Draft202012Validator(parameters).is_valid
    described = CONNECT_SERVICE_TOOL["parameters"]["properties"]
    assert parameters["properties"]["action"] == described["action"]
    assert set(parameters["properties"]) == set(described)
    assert CONNECT_SERVICE_TOOL["description"] in tool
    assert "confirm" not in tool
    assert fits({"action": "connect", "provider": "github", "account": "work"})
    assert fits({"action": "list"}) is (form != "openai")
    assert not fits({"action": "confirm", "provider": "KT4 9WX"})
    assert not fits({"action": "list", "provider": "github", "code": "KT4 9WX"})


def test_the_form_for_openai_fits_its_strict_mode() -> None:
    """Every object is closed and requires all it has; what may be left out is null."""
    tool = connect_service_tool("openai")["function"]
    assert tool["strict"] is True
    parameters = tool["parameters"]
    assert parameters["additionalProperties"] is False
    assert parameters["required"] == list(parameters["properties"])
    known = {"type", "enum", "description"}  # all of them are supported there
    assert all(set(schema) <= known for schema in parameters["properties"].values())
    fits = jsonschema.Draft202012Validator(parameters).is_valid
    assert fits({"action": "list", "provider": None, "account": None})


def test_the_form_for_mcp_is_a_tool_of_its_package() -> None:
    tool = mcp.types.Tool.model_validate(connect_service_tool("mcp"))
    assert tool.name == "connect_service"
    assert tool.input_schema == CONNECT_SERVICE_TOOL["parameters"]


def test_another_form_of_the_tool_is_refused_and_every_form_is_a_copy() -> None:
    with pytest.raises(ValueError, match="known are openai, anthropic, mcp, json-schema"):
        connect_service_tool("xml")  # type: ignore[arg-type]
    for form in FORMS:
        parameters_of(form)["properties"]["action"]["enum"].append("confirm")
        assert "confirm" not in str(connect_service_tool(form))
    assert "confirm" not in str(CONNECT_SERVICE_TOOL)


@pytest.fixture
async def manager(fake: FakeProvider) -> AsyncIterator[OAuthManager]:
    made = init_oauth_manager(KEY, BASE_URL, providers_config(fake))
    yield made
    await made.aclose()


@pytest.fixture
def alice(manager: OAuthManager, redis: Redis) -> Any:
    return SimpleNamespace(user_id="alice", redis=redis)


async def test_a_model_reads_the_answer_without_its_link_which_the_person_has(alice: Any) -> None:
    answer = await answer_model(alice, "connect", "github")
    text, url = split_link(answer.for_person)
    assert url.startswith(f"{BASE_URL}/connect/")
    assert answer.for_model == f"{text} The link is not shown here: it goes to the person alone."
    assert url not in repr(answer)
    assert (await answer_model(alice, "list", None)).for_person == ""


@pytest.mark.parametrize(
    "action", ["confirm", "CONNECT", "connect ", "", None, 1, ["connect"], {"a": 1}, float("nan")]
)
async def test_a_model_is_given_no_other_action(
    manager: OAuthManager, redis: Redis, alice: Any, action: Any
) -> None:
    secret = await manager.proofs.start(redis, LinkRequest("alice", "github"))
    proof = await manager.proofs.peek(redis, secret)
    assert proof
    assert (await answer_model(alice, action, proof.code)).for_model == OTHERS
    assert await manager.proofs.confirm(redis, "alice", proof.code) is None, "nobody passed it on"


@pytest.mark.parametrize("provider", [None, 1, ["github"], {"github": 1}, b"github"])
async def test_a_service_that_is_no_text_is_none(alice: Any, provider: Any) -> None:
    answer = await answer_model(alice, "status", provider)
    assert "github" in answer.for_model
    assert answer == await answer_model(alice, "status", "")
