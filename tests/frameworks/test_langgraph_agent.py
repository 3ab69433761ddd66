"""The example for LangGraph: an agent with a scripted model, which waits and goes on."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import Field
from redis.asyncio import Redis

from examples import langgraph_agent
from examples.langgraph_agent import Caller, Graph, make_graph, on_message
from tests.kit.fake_provider import FakeProvider
from tests.kit.library import BASE_URL, connected
from webui.chat import ACTIONS, split_link
from webui.oauth_manager import LinkRequest, OAuthManager
from webui.rate_limits import LIMITS

pytestmark = pytest.mark.anyio

LINK = re.compile(rf"{BASE_URL}/connect/[\w-]{{40,}}")


class Scripted(BaseChatModel):
    """A model that says what a function says; ``read`` is all that it was ever given."""

    script: Callable[[list[BaseMessage]], AIMessage]
    read: list[str] = Field(default_factory=list)
    tools: list[Any] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Any, **_: Any) -> Any:
        self.tools.extend(tools)
        return self

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        self.read.extend(str(message) for message in messages)
        return ChatResult(generations=[ChatGeneration(message=self.script(messages))])


def calls(*names: str, **arguments: Any) -> AIMessage:
    found = [
        {"name": name, "args": arguments, "id": f"call-{number}", "type": "tool_call"}
        for number, name in enumerate(names)
    ]
    return AIMessage("", tool_calls=found)


def once(first: AIMessage) -> Callable[[list[BaseMessage]], AIMessage]:
    """Call a tool after the person's first message, and then repeat what came last."""

    def script(messages: list[BaseMessage]) -> AIMessage:
        last = messages[-1]
        return first if len(messages) == 1 else AIMessage(f"I read: {last.content}")

    return script


@pytest.fixture
def caller(
    redis: Redis, manager: OAuthManager, api: str, monkeypatch: pytest.MonkeyPatch
) -> Caller:
    monkeypatch.setattr(langgraph_agent, "GITHUB_API", f"{api}/github/account?")
    return Caller("alice", redis)


async def kept(graph: Graph) -> str:
    """Everything that the checkpoints hold."""
    config: Any = {"configurable": {"thread_id": "alice"}}
    return str([state async for state in graph.aget_state_history(config)])


async def test_the_agent_waits_for_the_person_and_goes_on_where_it_was(
    caller: Caller, manager: OAuthManager, fake: FakeProvider, redis: Redis
) -> None:
    model = Scripted(script=once(calls("whoami")))
    graph = make_graph(model, InMemorySaver())
    (said,) = await on_message(graph, caller, "who am I?")
    assert LINK.fullmatch(split_link(said)[1])
    await connected(manager, fake, redis, "alice", "github")
    assert await on_message(graph, caller, "done") == ["I read: done"]
    assert any("They are mona." in text for text in model.read)
    assert not LINK.search(str(model.read) + await kept(graph))


async def test_a_person_who_does_not_connect_is_answered_all_the_same(caller: Caller) -> None:
    model = Scripted(script=once(calls("whoami")))
    graph = make_graph(model, InMemorySaver())
    await on_message(graph, caller, "who am I?")
    assert await on_message(graph, caller, "never mind") == ["I read: never mind"]
    assert any("github is not connected" in text for text in model.read)
    assert "://" not in str(model.read)


async def test_what_the_person_writes_meanwhile_reaches_the_model_after_the_tools_answer(
    caller: Caller, manager: OAuthManager, fake: FakeProvider, redis: Redis
) -> None:
    model = Scripted(
        script=once(calls("whoami", "connect_service", action="connect", provider="x"))
    )
    graph = make_graph(model, InMemorySaver())
    assert len(await on_message(graph, caller, "who am I?")) == 2
    await connected(manager, fake, redis, "alice", "github")
    assert await on_message(graph, caller, "done") == ["I read: done"]
    config: Any = {"configurable": {"thread_id": "alice"}}
    kinds = [m.type for m in (await graph.aget_state(config)).values["messages"]]
    assert kinds == ["human", "ai", "tool", "tool", "human", "ai"]


async def test_the_model_is_offered_no_code_and_a_code_of_the_person_goes_past_it(
    caller: Caller, manager: OAuthManager, redis: Redis
) -> None:
    model = Scripted(script=once(AIMessage("Hello.")))
    graph = make_graph(model, InMemorySaver())
    assert "confirm" not in str(model.tools)
    secret = await manager.proofs.start(redis, LinkRequest("alice", "github"))
    proof = await manager.proofs.peek(redis, secret)
    assert proof
    (said,) = await on_message(graph, caller, proof.code)
    assert "That matches." in said
    assert model.read == []
    assert await on_message(graph, caller, "hello") == ["Hello."]


async def test_in_a_thousand_turns_a_hostile_model_reads_no_link_code_or_token(
    caller: Caller,
    manager: OAuthManager,
    fake: FakeProvider,
    redis: Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(LIMITS, "link", "2000/minute")
    monkeypatch.setitem(LIMITS, "check", "2000/minute")
    await connected(manager, fake, redis, "alice", "google")
    secret = await manager.proofs.start(redis, LinkRequest("alice", "github"))
    proof = await manager.proofs.peek(redis, secret)
    assert proof
    choice = random.Random(7)  # noqa: S311
    services = [*manager.providers, "", proof.code, "nowhere", 7, None]
    turns = 0

    def script(messages: list[BaseMessage]) -> AIMessage:
        nonlocal turns
        turns += 1
        if turns % 5 == 0 and isinstance(messages[-1], ToolMessage):
            return AIMessage("Enough for now.")
        given: dict[str, Any] = {
            "action": choice.choice([*ACTIONS, "token", "", 1, ["list"], None]),
            "provider": choice.choice(services),
            choice.choice(["caller", "user_id", "self"]): "bob",
        }
        if choice.random() < 0.2:
            given["code"] = proof.code
        return calls("connect_service" if choice.random() < 0.8 else "whoami", **given)

    model = Scripted(script=script)
    told = ""
    while turns < 1000:
        graph = make_graph(model, InMemorySaver())
        for text in ("hello", "go on", "and?", "so?"):
            told += "\n".join(await on_message(graph, caller, text))
    links, read = LINK.findall(told), str(model.read)
    assert links
    assert "://" not in read
    assert not [link for link in links if link.rpartition("/")[2] in read]
    assert not [token for token in fake.issued if token in read]
    passed_on = await manager.proofs.confirm(redis, "alice", proof.code)
    assert passed_on is None, "nobody had passed the code on"
