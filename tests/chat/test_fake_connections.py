"""Connections for a bot's own tests."""

from __future__ import annotations

import httpx
import pytest

from webui.chat import connect_service, sent_code
from webui.oauth_manager import (
    Health,
    HostRefused,
    OAuthMisconfigured,
    OAuthNotConnected,
    OAuthUnavailable,
    Status,
    TokenData,
    access,
    get_oauth_manager,
    oauth_client,
    require_oauth_token,
)
from webui.testing import FakeConnections

pytestmark = pytest.mark.anyio

USER = "https://api.github.com/user"


async def asked(connections: FakeConnections, user_id: str = "u1") -> int:
    async with oauth_client(connections.ctx(user_id), "github") as http:
        return (await http.get(USER)).status_code


async def test_nobody_is_connected_at_first(connections: FakeConnections) -> None:
    with pytest.raises(OAuthNotConnected) as caught:
        await require_oauth_token(connections.ctx("u1"), "github")
    assert caught.value.connect_url.startswith("https://connections.test/connect/")


async def test_a_person_who_is_connected_has_the_token(connections: FakeConnections) -> None:
    token = connections.connect("u1", "github", scopes=["repo"], account="mona")
    assert await require_oauth_token(connections.ctx("u1"), "github", ["repo"]) == token
    with pytest.raises(OAuthNotConnected) as caught:
        await require_oauth_token(connections.ctx("u1"), "github", ["gist"])
    assert caught.value.missing_scopes == ("gist",)
    with pytest.raises(OAuthNotConnected):
        await require_oauth_token(connections.ctx("u2"), "github")


async def test_a_token_that_has_run_out_is_renewed(connections: FakeConnections) -> None:
    token = connections.connect("u1", "github")
    connections.expire("u1", "github")
    async with httpx.AsyncClient(transport=connections.transport) as http:
        headers = {"Authorization": f"Bearer {token}"}
        assert (await http.get(USER, headers=headers)).status_code == 401
    assert await require_oauth_token(connections.ctx("u1"), "github") != token
    assert await asked(connections) == 200


async def test_access_that_has_ended_is_not_connected(connections: FakeConnections) -> None:
    connections.connect("u1", "github")
    connections.revoke("u1", "github", account=None)
    with pytest.raises(OAuthNotConnected):
        await asked(connections)
    known = await connections.manager.connection(connections.redis, "u1", "github")
    assert known.status is Status.RECONNECT_NEEDED
    health = await connections.manager.check(connections.redis, "u1", "github")
    assert health is Health.RECONNECT_NEEDED


async def test_trouble_and_set_up_are_errors_of_their_own(connections: FakeConnections) -> None:
    connections.connect("u1", "github")
    connections.unavailable("u1", "github")
    with pytest.raises(OAuthUnavailable):
        await asked(connections)
    connections.misconfigured("u1", "github")
    with pytest.raises(OAuthMisconfigured):
        await asked(connections)
    assert await connections.manager.check(connections.redis, "u1", "github") == "misconfigured"
    connections.connect("u1", "github")
    assert await asked(connections) == 200


async def test_a_refusal_is_renewed_once_and_another_is_returned(
    connections: FakeConnections,
) -> None:
    connections.connect("u1", "github")
    connections.refuse_next(401)
    assert await asked(connections) == 200
    assert len({r.headers["authorization"] for r in connections.requests}) == 2
    connections.refuse_next(401, times=2)
    assert await asked(connections) == 401
    connections.refuse_next(403)
    assert await asked(connections) == 403


async def test_the_api_is_the_tests_own(connections: FakeConnections) -> None:
    connections.api = lambda request: httpx.Response(200, json={"path": request.url.path})
    connections.connect("u1", "github")
    async with oauth_client(connections.ctx("u1"), "github") as http:
        assert (await http.get(USER)).json() == {"path": "/user"}
        with pytest.raises(HostRefused):
            await http.get("https://evil.example/")
    assert len(connections.requests) == 1


async def test_the_tool_answers_as_ever(connections: FakeConnections) -> None:
    ctx = connections.ctx("u1")
    assert "https://connections.test/connect/" in await connect_service(ctx, "connect", "github")
    connections.connect("u1", "github", account="mona")
    assert "mona" in await connect_service(ctx, "list")
    assert "mona" in await connect_service(ctx, "status", "github")
    assert "already" in await connect_service(ctx, "connect", "github")
    assert await connect_service(ctx, "check", "github")
    assert "https://connections.test/connect/" in await connect_service(ctx, "manage")
    assert await connect_service(ctx, "disconnect", "github")
    assert await connect_service(ctx, "check", "github")
    connections.connect("u1", "github")
    connections.revoke("u1", "github")
    assert await connect_service(ctx, "check", "github")
    assert "new link" in await connect_service(ctx, "connect", "github")
    assert await sent_code(ctx, "KT4 9WX") == ""


async def test_the_managers_methods_of_tokens_work(connections: FakeConnections) -> None:
    manager, redis = connections.manager, connections.redis
    token = TokenData("own", expires_at=4e9, scopes=["repo"], provider="github")
    await manager.store_token(redis, "u1", token)
    assert await manager.get_token("u1", "github", redis) == "own"
    assert await manager.get_token("u1", "github", None) is None
    assert await manager.has_token("u1", "github", redis)
    (row,) = await manager.list_user_connections("u1", redis)
    assert row["provider"] == "github"
    fresh = await manager.renew(redis, "u1", "github", refused="own")
    assert await manager.renew(redis, "u1", "github", refused="own") == fresh != "own"
    assert (await manager.delete_token(redis, "u1", "github")).at_provider == "revoked"
    assert (await manager.delete_token(redis, "u1", "github")).at_provider == "nothing"
    assert not await manager.has_token("u1", "github", redis)


async def test_what_needs_redis_says_so(connections: FakeConnections) -> None:
    with pytest.raises(NotImplementedError, match="no Redis"):
        await connections.manager.activity(connections.redis, "u1")


def test_a_connection_that_is_not_there_cannot_end(connections: FakeConnections) -> None:
    with pytest.raises(LookupError, match="u1 has not been connected to github"):
        connections.expire("u1", "github")
    connections.connect("u1", "github", account="mona")
    with pytest.raises(LookupError):
        connections.revoke("u1", "github", account="other")
    with pytest.raises(ValueError, match="unknown provider"):
        connections.connect("u1", "nowhere")


async def test_the_manager_before_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "_instance", None)
    own = {"authorize_url": "https://p.example/a", "token_url": "https://p.example/t"}
    async with FakeConnections(providers={"wiki": own}) as connections:
        assert get_oauth_manager() is connections.manager
        connections.connect("u1", "wiki", scopes=["read"])
    with pytest.raises(RuntimeError):
        get_oauth_manager()
