"""Against oidc-provider, a certified server of others: by its issuer, and as an MCP server.

It wants pushed requests, S256 and its own ``resource``, rotates refresh tokens, names itself in
every answer, reads our documents, and would take DPoP, which we do not use.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from joserfc.jwk import ECKey
from redis.asyncio import Redis
from starlette.types import Receive, Scope, Send

from tests.kit.fake_provider import serve
from tests.kit.library import KEY, age, impatient, opened
from webui.oauth_manager import (
    Connection,
    FlowRefused,
    OAuthManager,
    OAuthMisconfigured,
    OAuthNotConnected,
    RevokeOutcome,
    Status,
    access,
    oauth_client,
)

pytestmark = pytest.mark.anyio

BASE_URL = "https://bot.example"
ACME, NOTES = "acme", "notes-mcp"
SECRET = "s3cr%et:+ /&=?~-and-long-enough-for-it"
OWN_KEY = ECKey.generate_key("P-256", {"use": "sig"}, auto_kid=True)
METHODS = {
    "basic": "client_secret_basic",
    "post": "client_secret_post",
    "signs": "private_key_jwt",
    "public": "none",
}
SETTINGS: dict[str, dict[str, str]] = {
    "basic": {"client_secret": SECRET},
    "post": {"client_secret": SECRET, "token_auth": "post"},
    "signs": {"client_key": OWN_KEY.as_pem(private=True).decode()},
    "public": {"token_auth": "none"},
}
FEATURES: dict[str, dict[str, Any]] = {
    "documents": {"clientIdMetadataDocument": {"enabled": True, "ack": "draft-02"}},
    "registers": {"registration": {"enabled": True}},
}
PROGRAM = Path(__file__).parents[1] / "kit" / "oidc_provider.mjs"
FOLDER = Path(os.environ.get("OIDC_PROVIDER", ""))
"""A folder with ``node_modules``, into which oidc-provider is installed."""


def lacking() -> str:
    if not shutil.which("node"):
        return "node is not here"
    is_there = (FOLDER / "node_modules" / "oidc-provider").is_dir()
    return "" if is_there else "OIDC_PROVIDER names no folder with oidc-provider"


@dataclass
class Documents:
    """Our documents at ``https://bot.example``, as the site has them for anybody."""

    redis_url: str
    resource: str = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        manager = OAuthManager(KEY, BASE_URL, {NOTES: {"resource": "https://any.example/mcp"}})
        said: Any = {"keys": manager.public_keys()}
        if scope["path"] != "/oauth/jwks.json":
            async with Redis.from_url(self.redis_url) as redis:
                said = await self.document(redis, scope["path"])
        headers = [(b"content-type", b"application/json")]
        status = 200 if said else 404
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(said).encode()})

    async def document(self, redis: Redis, path: str) -> Any:
        manager = OAuthManager(KEY, BASE_URL, {NOTES: {"resource": self.resource}})
        if path != f"/oauth/{NOTES}/client.json":
            return None
        return await manager.client_document(redis, NOTES, "Stargazer (Notes)")


@dataclass
class Server:
    """The program; ``log`` has its own words about what it did."""

    issuer: str
    log: Path
    documents: Documents
    read: int = 0

    @property
    def resource(self) -> str:
        return f"{self.issuer}/mcp"

    def heard(self) -> list[dict[str, Any]]:
        """What it told since it was asked last."""
        lines = self.log.read_text().splitlines()
        new, self.read = lines[self.read :], len(lines)
        return [json.loads(line) for line in new if line.startswith("{")]


@dataclass
class Person:
    """Somebody's browser at the server, and the processes of ours that know it."""

    server: Server
    browser: httpx.AsyncClient
    managers: list[OAuthManager] = field(default_factory=list)

    def manager(self, name: str, **settings: Any) -> OAuthManager:
        made = impatient(OAuthManager(KEY, BASE_URL, {name: settings}))
        self.managers.append(made)
        return made

    def by_issuer(self, client_id: str = "basic", **settings: Any) -> OAuthManager:
        given = settings or {"client_secret": SECRET}
        return self.manager(ACME, issuer=self.server.issuer, client_id=client_id, **given)

    async def allow(self, url: str, *, deny: bool = False) -> dict[str, str]:
        """Sign in and agree, on its own pages; the parameters of the callback."""
        answer = await self.browser.get(url)
        for _ in range(12):
            to = answer.headers.get("location", "")
            if to.startswith(BASE_URL):
                return dict(parse_qsl(urlsplit(to).query))
            if answer.is_redirect:
                answer = await self.browser.get(httpx.URL(self.server.issuer).join(to))
                continue
            assert answer.status_code == 200, answer.text
            (prompt,) = re.findall(r'name="prompt" value="(\w+)"', answer.text)
            if deny and prompt == "consent":
                answer = await self.browser.get(f"{answer.url}/abort")
                continue
            form = {"prompt": prompt, "login": "mona", "password": "any"}
            answer = await self.browser.post(answer.url, data=form)
        raise AssertionError("it leads nowhere")

    async def connect(
        self, manager: OAuthManager, redis: Redis, name: str, scopes: Any = None
    ) -> Connection:
        """As the site's callback has it."""
        url = await manager.begin(redis, "ann", name, browser="a browser", scopes=scopes)
        answer = await self.allow(url)
        attempt = await manager.links.take_attempt(redis, answer["state"], "a browser")
        assert attempt
        manager.check_issuer(name, answer.get("iss"))
        made = await manager.complete(redis, attempt, answer["code"])
        assert isinstance(made, Connection)
        return made


@contextmanager
def running(redis_url: str, features: Mapping[str, Any], folder: Path) -> Iterator[Server]:
    shutil.copy(PROGRAM, FOLDER)  # beside the package that it imports
    documents = Documents(redis_url)
    clients = [client(*row) for row in METHODS.items()]
    with serve(documents) as at, (folder / "told").open("w+") as log:
        setup = {"clients": clients, "documents": at, "features": features}
        words = ["node", str(FOLDER / PROGRAM.name), json.dumps(setup)]
        process = subprocess.Popen(words, stdout=log, stderr=subprocess.DEVNULL)
        try:
            while not (told := Path(log.name).read_text()).endswith("\n"):
                assert process.poll() is None, "it ended"
                time.sleep(0.02)
            server = Server(json.loads(told)["issuer"], Path(log.name), documents, read=1)
            documents.resource = server.resource
            yield server
        finally:
            process.kill()
            process.wait()


@pytest.fixture(scope="module", params=["documents"])
def server(
    request: pytest.FixtureRequest, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    if lack := lacking():
        assert not os.environ.get("REQUIRE_OIDC_PROVIDER"), lack
        pytest.skip(lack)
    with running(redis_url, FEATURES[request.param], tmp_path_factory.mktemp("oidc")) as made:
        yield made


@pytest.fixture
async def person(server: Server) -> AsyncIterator[Person]:
    server.heard()
    async with httpx.AsyncClient(trust_env=False) as browser:
        made = Person(server, browser)
        yield made
        for manager in made.managers:
            await manager.aclose()


def client(client_id: str, method: str) -> dict[str, Any]:
    """Our registration there, by hand."""
    said = {
        "client_id": client_id,
        "redirect_uris": [f"{BASE_URL}/oauth/{ACME}/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": method,
    }
    if method == "private_key_jwt":
        return {**said, "jwks": {"keys": [OWN_KEY.as_dict(private=False)]}}
    return {**said, "client_secret": SECRET} if method != "none" else said


class TestByItsIssuer:
    @pytest.mark.parametrize("client_id", METHODS)
    async def test_a_whole_life_with_pushed_requests_and_refresh_tokens_used_once(
        self, person: Person, redis: Redis, client_id: str
    ) -> None:
        manager = person.by_issuer(client_id, **SETTINGS[client_id])
        made = await person.connect(manager, redis, ACME)
        assert made.profile.account.label == "mona"
        assert made.status is Status.CONNECTED
        assert set(made.scopes) >= {"openid", "profile"}
        tokens = [await manager.get_token("ann", ACME, redis)]
        for _ in range(2):
            await age(manager, redis, "ann", ACME)
            tokens.append(await manager.get_token("ann", ACME, redis))
        assert len({*tokens, None}) == 4
        assert await manager.check(redis, "ann", ACME) == "working"
        ended = await manager.delete_token(redis, "ann", ACME)
        assert ended.at_provider is RevokeOutcome.REVOKED
        bearer = {"Authorization": f"Bearer {tokens[-1]}"}
        asked = await person.browser.get(f"{person.server.issuer}/me", headers=bearer)
        assert asked.status_code == 401

        heard = person.server.heard()
        kinds = [one["kind"] for one in heard if one["kind"] != "revoked"]
        assert kinds == ["pushed", "grant", "grant", "grant"]
        assert {one["method"] for one in heard} == {METHODS[client_id]}

    async def test_a_person_who_says_no_comes_back_with_it(
        self, person: Person, redis: Redis
    ) -> None:
        manager = person.by_issuer()
        url = await manager.begin(redis, "ann", ACME, browser="a browser")
        answer = await person.allow(url, deny=True)
        assert answer["error"] == "access_denied"
        manager.check_issuer(ACME, answer["iss"], is_error=True)

    async def test_an_answer_without_its_name_or_with_anothers_goes_no_further(
        self, person: Person, redis: Redis
    ) -> None:
        manager = person.by_issuer()
        await manager.begin(redis, "ann", ACME, browser="a browser")
        for issuer in (None, "", f"{person.server.issuer}/", "https://evil.example"):
            with pytest.raises(FlowRefused):
                manager.check_issuer(ACME, issuer)

    async def test_a_wrong_secret_is_the_operators_to_look_at_before_anybody_leaves(
        self, person: Person, redis: Redis
    ) -> None:
        manager = person.by_issuer(client_secret="another one")
        with pytest.raises(OAuthMisconfigured) as raised:
            await manager.begin(redis, "ann", ACME, browser="a browser")
        assert raised.value.code == "invalid_client"

    async def test_a_refresh_token_that_somebody_used_before_ends_the_connection(
        self, person: Person, redis: Redis
    ) -> None:
        manager = person.by_issuer("post", **SETTINGS["post"])
        await person.connect(manager, redis, ACME)
        stored = await opened(manager, redis, "ann", ACME)
        assert stored
        form = {
            "grant_type": "refresh_token",
            "refresh_token": stored.refresh_token,
            "client_id": "post",
            "client_secret": SECRET,
        }
        used = await person.browser.post(f"{person.server.issuer}/token", data=form)
        assert used.status_code == 200
        await age(manager, redis, "ann", ACME)
        assert await manager.get_token("ann", ACME, redis) is None
        known = await manager.connection(redis, "ann", ACME)
        assert known.status is Status.RECONNECT_NEEDED
        await person.connect(manager, redis, ACME)
        assert await manager.get_token("ann", ACME, redis)


@pytest.mark.parametrize("server", FEATURES, indirect=True)
async def test_as_an_mcp_server_its_address_alone_leads_to_a_whole_life(
    person: Person, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """We are known by our document, or by a registration; a tool gets more access by a link."""
    server = person.server
    manager = person.manager(NOTES, resource=server.resource)
    monkeypatch.setattr(access, "_instance", manager)
    ann = SimpleNamespace(user_id="ann", redis=redis)

    made = await person.connect(manager, redis, NOTES)
    assert made.scopes[0] == "notes:read"
    assert await _used(ann, server, "notes:read") == (200, "mona")
    await age(manager, redis, "ann", NOTES)
    assert await _used(ann, server, "notes:read") == (200, "mona")
    with pytest.raises(OAuthNotConnected) as raised:
        await _used(ann, server, "notes:write")
    assert raised.value.missing_scopes == ("notes:write",)
    await person.connect(manager, redis, NOTES, [*made.scopes, "notes:write"])
    assert await _used(ann, server, "notes:write") == (200, "mona")
    assert (await manager.delete_token(redis, "ann", NOTES)).at_provider == "revoked"

    done = [one for one in server.heard() if one["kind"] == "grant"]
    kinds = ["authorization_code", "refresh_token", "authorization_code"]
    assert [one["grant_type"] for one in done] == kinds
    assert {one["asked"] for one in done} == {server.resource}
    assert {one["method"] for one in done} == {"private_key_jwt"}


async def _used(ann: Any, server: Server, scope: str) -> tuple[int, str]:
    async with oauth_client(ann, NOTES) as http:
        answer = await http.post(server.resource, json={}, headers={"X-Scope": scope})
    return answer.status_code, answer.json()["account"]
