"""Tests of a bot's tool, without Redis and without a network."""

import asyncio

import httpx

from examples.plain_bot import whoami
from webui.testing import FakeConnections

pytest_plugins = ["webui.testing.fixtures"]


def test_a_person_who_is_connected_gets_their_name(connections: FakeConnections) -> None:
    connections.api = lambda request: httpx.Response(200, json={"login": "mona"})
    connections.connect("ann", "github", scopes=["read:user"])
    assert asyncio.run(whoami(connections.ctx("ann"))) == "You are mona."


def test_a_token_that_the_api_refuses_is_renewed(connections: FakeConnections) -> None:
    connections.api = lambda request: httpx.Response(200, json={"login": "mona"})
    connections.connect("ann", "github")
    connections.refuse_next(401)
    assert asyncio.run(whoami(connections.ctx("ann"))) == "You are mona."
    assert len(connections.requests) == 2


def test_a_person_whose_access_has_ended_gets_a_link(connections: FakeConnections) -> None:
    connections.connect("ann", "github")
    connections.revoke("ann", "github")
    assert "https://connections.test/connect/" in asyncio.run(whoami(connections.ctx("ann")))
    assert not connections.requests
