"""The queue of requests: bounded, fair, and with one deadline for each."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Message, Scope

from webui.middleware.admission import (
    ASKING_SECONDS,
    PAGE_SECONDS,
    PLACES,
    REDIS_SECONDS,
    RETURN_SECONDS,
    WAIT_SECONDS,
    Busy,
    Room,
)
from webui.oauth_manager.clock import seconds_left
from webui.routes import routes

pytestmark = pytest.mark.anyio

SCOPE: Scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}


class Work:
    """A route whose requests wait until they are let go."""

    def __init__(self, room: Room) -> None:
        self.begun: list[str] = []
        self.left: list[float] = []
        self.gate = asyncio.Event()
        self.route = Route("/", self._view)
        room.admit(self.route, 5.0)

    async def _view(self, request: Request) -> Response:
        self.begun.append(request.scope["who"])
        self.left.append(seconds_left())
        await self.gate.wait()
        return PlainTextResponse("done")

    async def ask(self, who: str) -> None:
        async def receive() -> Message:
            return {"type": "http.request"}

        async def send(_: Message) -> None: ...

        await self.route.app({**SCOPE, "who": who}, receive, send)


async def test_no_more_are_at_work_than_there_are_places_and_the_rest_come_in_order() -> None:
    work = Work(Room(places=3))
    async with asyncio.TaskGroup() as group:
        for number in range(7):
            group.create_task(work.ask(str(number)))
        for _ in range(20):
            await asyncio.sleep(0)
        assert work.begun == ["0", "1", "2"]
        work.gate.set()
    assert work.begun == list("0123456")


async def test_who_waits_too_long_is_told_so_and_nothing_was_begun_for_them() -> None:
    work = Work(Room(places=1, wait=0.01))
    async with asyncio.TaskGroup() as group:
        group.create_task(work.ask("first"))
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await work.ask("second")
        work.gate.set()
    assert work.begun == ["first"]
    await work.ask("third")
    assert work.begun == ["first", "third"]


async def test_the_deadline_of_a_request_ends_with_it() -> None:
    work = Work(Room(places=1))
    work.gate.set()
    await work.ask("one")
    assert 0 < work.left[0] <= 5.0
    assert seconds_left() == float("inf")


async def test_who_goes_away_while_waiting_takes_no_place() -> None:
    work = Work(Room(places=1))
    async with asyncio.TaskGroup() as group:
        group.create_task(work.ask("first"))
        await asyncio.sleep(0)
        gone = group.create_task(work.ask("gone"))
        await asyncio.sleep(0)
        gone.cancel()
        last = group.create_task(work.ask("last"))
        await asyncio.sleep(0)
        work.gate.set()
        await last
    assert work.begun == ["first", "last"]


def test_machines_that_ask_whether_we_live_never_queue() -> None:
    open_to_all = {route.path for route in routes() if route.app.__qualname__ != ADMITTED}
    assert open_to_all == {
        *("/healthz", "/metrics", "/readyz"),
        *("/static/{path:path}", "/favicon.ico"),
    }


ADMITTED = "Room.admit.<locals>.admitted"


def test_the_figures_are_those_of_the_operators_page() -> None:
    rush = OPERATING.partition("- **Rush.**")[2].partition("\n- **")[0]
    said = " ".join(rush.split())
    assert PLACES == 64
    assert f"At most {PLACES} pages" in said
    assert f"has {PAGE_SECONDS} seconds in all" in said
    assert (
        f"a provider {ASKING_SECONDS:.0f}, and the way back from one {RETURN_SECONDS:.0f}" in said
    )
    assert (WAIT_SECONDS, REDIS_SECONDS) == (1.5, 1.0)
    assert "after a second and a half" in said
    assert "one call to Redis has a second" in said


OPERATING = (Path(__file__).parents[2] / "docs" / "operating.md").read_text()
