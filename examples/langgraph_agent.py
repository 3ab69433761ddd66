"""An agent of LangGraph that waits while the person connects a service, and then goes on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Literal

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolCall, ToolMessage
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command, Send, interrupt
from redis.asyncio import Redis

from webui.chat import answer_model, connect_service, connect_service_tool, sent_code
from webui.oauth_manager import OAuthError, OAuthNotConnected, oauth_client

GITHUB_API = os.environ.get("GITHUB_API", "https://api.github.com")
WHOAMI = {
    "title": "whoami",
    "description": "Name the person's GitHub account.",
    "type": "object",
    "properties": {},
}


@dataclass
class Caller:
    """The context of a run, which the model neither sees nor sets."""

    user_id: str
    redis: Redis


class State(MessagesState):
    said: str  # what the person wrote while the agent waited


Graph = CompiledStateGraph[State, Caller, State, State]


def make_graph(model: BaseChatModel, checkpointer: BaseCheckpointSaver[Any]) -> Graph:
    bound = model.bind_tools([connect_service_tool("json-schema"), WHOAMI])

    async def think(state: State) -> dict[str, Any]:
        new = [HumanMessage(state["said"])] if state.get("said") else []
        return {"messages": [*new, await bound.ainvoke([*state["messages"], *new])], "said": ""}

    def route(state: State) -> list[Send] | Literal["__end__"]:
        last = state["messages"][-1]
        calls = last.tool_calls if isinstance(last, AIMessage) else []
        return [Send("act", call) for call in calls] or "__end__"  # each waits for itself

    builder = StateGraph(State, context_schema=Caller)
    builder.add_node("think", think)
    builder.add_node("act", act, input_schema=ToolCall)
    builder.add_edge(START, "think")
    builder.add_conditional_edges("think", route, ["act", END])
    builder.add_edge("act", "think")
    return builder.compile(checkpointer)


async def act(state: ToolCall, *, runtime: Runtime[Caller]) -> dict[str, Any]:
    """Carry out one call of the model.  It begins anew when the person has written."""
    try:
        if state["name"] == "whoami":
            text = await whoami(runtime.context)
        else:
            text = await connections(runtime.context, state["args"])
    except OAuthNotConnected as missing:
        interrupt(("connect", missing.provider))  # no link: the state is kept, and the model's
        text = missing.for_model
    except OAuthError as error:
        text = error.for_model
    return {"messages": [ToolMessage(text, tool_call_id=state["id"])]}


async def whoami(caller: Caller) -> str:
    async with oauth_client(caller, "github") as github:
        return f"They are {(await github.get(f'{GITHUB_API}/user')).json()['login']}."


async def connections(caller: Caller, arguments: dict[str, Any]) -> str:
    action, provider = arguments.get("action"), arguments.get("provider")
    account = arguments.get("account")
    if action in ("connect", "manage"):
        interrupt((action, provider, "", account))
        action = "list"
    return (await answer_model(caller, action, provider, account)).for_model


async def on_message(graph: Graph, caller: Caller, text: str) -> list[str]:
    """Answer a message that the person wrote in their own chat; the thread is theirs."""
    if code := await sent_code(caller, text):
        return [await connect_service(caller, "confirm", code=code)]
    config: Any = {"configurable": {"thread_id": caller.user_id}}
    waits = (await graph.aget_state(config)).interrupts
    begin: Any = {"messages": [HumanMessage(text)]}
    if waits:
        begin = Command(resume={each.id: True for each in waits}, update={"said": text})
    await graph.ainvoke(begin, config, context=caller)
    state = await graph.aget_state(config)
    if state.interrupts:  # the links go to the person by their chat, and to no model
        return [await connect_service(caller, *each.value) for each in state.interrupts]
    return [str(state.values["messages"][-1].content)]
