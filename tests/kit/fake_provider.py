"""A scriptable OAuth provider for tests: correct by default, wrong on request.

``FakeProvider`` is an ASGI application.  It runs in process through
``httpx.ASGITransport(fake)`` or on loopback through ``serve(fake)``; answers
that never end (``dripping``, ``endless``) want the latter, since the in-process
transport hands nothing over before an answer is complete.

Any path prefix is a provider of its own (``/github/token``, ``/google/token``):
codes and tokens of one are unknown to another.  Requests are sorted by the
last part of their path into ``authorize``, ``token``, ``revoke``, ``account``.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import threading
from base64 import urlsafe_b64encode
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.kit.fake_answers import Answer, Gate, error_answer, json_answer, redirect
from tests.kit.fake_requests import Endpoint, Recorded, record

Scripted = Answer | Callable[[Recorded], Awaitable[Answer]]


@dataclass
class _Token:
    kind: Literal["access", "refresh"]
    prefix: str
    family: str
    scope: str
    spent: bool = False


@dataclass
class FakeProvider:
    """The settings say how the correct answers look; ``script`` and ``gate`` break them.

    ``expires_in`` and ``scope`` go into token answers as they are; ``None``
    leaves ``expires_in`` out, and lets ``scope`` be the one asked for.
    """

    client_id: str = "client"
    client_secret: str = field(default="client-secret", repr=False)
    expires_in: object = 3600
    scope: str | None = None
    gives_refresh_token: bool = True
    rotates: bool = True
    account: Any = field(default_factory=lambda: {"id": "42", "login": "mona", "name": "Mona"})
    # prefix -> the ``iss`` of its callbacks
    issuers: dict[str, str] = field(default_factory=dict)

    requests: list[Recorded] = field(default_factory=list)
    # By endpoint, and "exchange" and "refresh" for the two kinds of token requests.
    calls: Counter[str] = field(default_factory=Counter)
    # Everything issued that must never be seen in clear: codes and tokens.
    issued: set[str] = field(default_factory=set, repr=False)
    always: dict[Endpoint, Scripted] = field(default_factory=dict)

    _queues: dict[str, deque[Scripted]] = field(default_factory=lambda: defaultdict(deque))
    _gates: dict[str, Gate] = field(default_factory=dict)
    _codes: dict[str, dict[str, str]] = field(default_factory=dict, repr=False)
    _tokens: dict[str, _Token] = field(default_factory=dict, repr=False)

    def endpoints(self, base_url: str, prefix: str = "") -> dict[str, str]:
        """``authorize_url`` and so on, as a provider's settings are called."""
        names = ("authorize", "token", "revoke", "account")
        return {f"{name}_url": f"{base_url}{prefix}/{name}" for name in names}

    def script(self, endpoint: Endpoint, *answers: Scripted) -> None:
        """The next answers of the endpoint, each once, before those of ``always``.

        A callable may ask ``respond`` for the correct answer, and spoil it.
        """
        self._queues[endpoint].extend(answers)

    def gate(self, endpoint: Endpoint) -> Gate:
        """Hold the endpoint's answers, once they are made, until the gate opens."""
        gate = self._gates[endpoint] = Gate()
        return gate

    def authorize(self, url: str) -> str:
        """A person says yes: the callback URL for an authorize URL."""
        split = urlsplit(url)
        prefix = split.path.removesuffix("/authorize")
        query = dict(parse_qsl(split.query, keep_blank_values=True))
        code = self._new("code")
        self._codes[code] = {**query, "prefix": prefix}
        answer = {"code": code, "state": query.get("state", "")}
        if prefix in self.issuers:
            answer["iss"] = self.issuers[prefix]
        joint = "&" if "?" in query["redirect_uri"] else "?"
        return query["redirect_uri"] + joint + urlencode(answer)

    def grant(self, prefix: str = "", scope: str = "", family: str = "") -> dict[str, Any]:
        """A token answer, without any request; of a new authorization unless told which."""
        family = family or secrets.token_hex(4)
        access = self._new("access")
        self._tokens[access] = _Token("access", prefix, family, scope)
        answer: dict[str, Any] = {"access_token": access, "token_type": "Bearer"}
        answer["scope"] = scope if self.scope is None else self.scope
        if self.expires_in is not None:
            answer["expires_in"] = self.expires_in
        if self.gives_refresh_token:
            answer["refresh_token"] = self._new("refresh")
            self._tokens[answer["refresh_token"]] = _Token("refresh", prefix, family, scope)
        return answer

    def is_alive(self, token: str) -> bool:
        """Return True if the provider would still take the token."""
        return token in self._tokens and not self._tokens[token].spent

    def withdraw(self) -> None:
        """The person takes all access away at the provider."""
        self._tokens.clear()

    async def respond(self, request: Recorded) -> Answer:
        """The correct answer, with all that follows from it."""
        match request.endpoint:
            case "authorize":
                query = urlencode(request.query)
                return redirect(self.authorize(f"{request.path}?{query}"), 302)
            case "token":
                return self._token(request)
            case "revoke":
                return self._revoke(request)
            case "account" if self._of(request.bearer, "access", request.prefix):
                return json_answer(self.account)
            case "account":
                return error_answer("invalid_token", 401)
            case _:
                return Answer(404)

    def _new(self, kind: str) -> str:
        value = f"{kind}-{secrets.token_hex(16)}"
        self.issued.add(value)
        return value

    def _of(self, value: str, kind: str, prefix: str) -> _Token | None:
        token = self._tokens.get(value)
        return token if token and (token.kind, token.prefix) == (kind, prefix) else None

    def _token(self, request: Recorded) -> Answer:
        form = request.form
        if request.client != (self.client_id, self.client_secret):
            return error_answer("invalid_client", 401)
        if form.get("grant_type") == "refresh_token":
            return self._refresh(form.get("refresh_token", ""), request.prefix)
        asked = self._codes.pop(form.get("code", ""), {})
        digest = sha256(form.get("code_verifier", "").encode()).digest()
        challenge = urlsafe_b64encode(digest).rstrip(b"=").decode()
        proven = asked.get("code_challenge") == (challenge if "code_verifier" in form else None)
        same = asked.get("prefix") == request.prefix
        if not asked or not proven or not same or form["redirect_uri"] != asked["redirect_uri"]:
            return error_answer("invalid_grant")
        return json_answer(self.grant(request.prefix, asked.get("scope", "")))

    def _refresh(self, value: str, prefix: str) -> Answer:
        """Rotation; a second use of a refresh token ends the family (RFC 9700, 4.14.2)."""
        old = self._of(value, "refresh", prefix)
        if old is None or old.spent:
            self._end(old)
            return error_answer("invalid_grant")
        old.spent = self.rotates
        answer = self.grant(prefix, old.scope, old.family)
        if not self.rotates and "refresh_token" in answer:
            del self._tokens[answer.pop("refresh_token")]
        return json_answer(answer)

    def _revoke(self, request: Recorded) -> Answer:
        """RFC 7009, with or without client authentication, or GitHub's DELETE."""
        as_json = request.method == "DELETE"
        value = request.json["access_token"] if as_json else request.form.get("token", "")
        if (as_json or any(request.client)) and request.client != (
            self.client_id,
            self.client_secret,
        ):
            return error_answer("invalid_client", 401)
        found = self._tokens.get(value)
        self._end(found)
        if as_json:
            return Answer(204 if found else 404)
        return json_answer({})

    def _end(self, token: _Token | None) -> None:
        if token is not None:
            self._tokens = {v: t for v, t in self._tokens.items() if t.family != token.family}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = await record(scope, receive)
        self.requests.append(request)
        self.calls[request.endpoint] += 1
        if request.endpoint == "token":
            is_refresh = request.form.get("grant_type") == "refresh_token"
            self.calls["refresh" if is_refresh else "exchange"] += 1
        queue = self._queues[request.endpoint]
        scripted = queue.popleft() if queue else self.always.get(request.endpoint, self.respond)
        answer = scripted if isinstance(scripted, Answer) else await scripted(request)
        if request.endpoint in self._gates:
            await self._gates[request.endpoint].wait()
        await _send(answer, receive, send)


async def _send(answer: Answer, receive: Receive, send: Send) -> None:
    headers = [(k.lower().encode(), v.encode("latin-1")) for k, v in answer.headers.items()]
    if isinstance(answer.body, bytes) and answer.status != 204:
        headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    if isinstance(answer.body, bytes):
        await send({"type": "http.response.body", "body": answer.body})
        return
    chunks = answer.body()

    async def stream() -> None:
        async for chunk in chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body"})

    async def hang_up() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    tasks = {asyncio.create_task(stream()), asyncio.create_task(hang_up())}
    _, left = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in left:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def serve(app: ASGIApp) -> Iterator[str]:
    """The application on a free loopback port, in a thread of its own; gives the base URL.

    Fit for asynchronous tests too, and for clients in other processes.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        config = uvicorn.Config(
            app, lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
