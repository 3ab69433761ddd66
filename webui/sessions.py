"""Who is signed in: sessions in Redis, found by an unguessable id in a signed cookie.

A session is one hash: ``user``, ``created`` (epoch seconds) and one field
``note:{provider}`` per note.  Fields of their own, so that two tabs never write
over each other.  The key holds the hash of the id: a copy of the database
signs nobody in.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from itsdangerous import BadSignature, Signer
from redis.asyncio import Redis
from redis.exceptions import ResponseError
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webui.cards import Note
from webui.oauth_manager.redis_io import redis_call
from webui.settings import Settings

IDLE_SECONDS = 12 * 3600
LIFE_SECONDS = 7 * 24 * 3600

# Characters of 256 bits in URL-safe base64, for the id and for its signature.
_COOKIE_VALUE = re.compile(r"[A-Za-z0-9_-]{43}\.[A-Za-z0-9_-]{43}")
_LOADED = "webui.session"
_SET_COOKIE = "webui.session_cookie"

# A note must not bring back a session that has just ended.
_PUT_IF_ALIVE = """
if redis.call('HEXISTS', KEYS[1], 'user') == 0 then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
"""


@dataclass(frozen=True, slots=True)
class Session:
    """One browser, signed in as ``user``.

    ``binding`` is the same for the session's whole life and known to nobody
    else: what it is stored with belongs to this browser.
    """

    user: str
    created: float
    binding: str = field(repr=False)
    redis_key: str = field(repr=False)
    notes: Mapping[str, Note] = field(default_factory=dict, repr=False)


class Sessions:
    """Every method that touches Redis raises ``StoreUnavailable`` where it does not answer."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis = redis
        # itsdangerous signs with the last and accepts all.
        self._signer = Signer(
            list(reversed(settings.session_secrets)),
            salt="webui.session",
            key_derivation="hmac",
            digest_method=hashlib.sha256,
        )
        self.cookie_name = "__Host-session" if settings.is_secure else "session"
        self._attributes = "HttpOnly; Path=/; SameSite=Lax" + (
            "; Secure" if settings.is_secure else ""
        )

    async def load(self, request: HTTPConnection) -> Session | None:
        """The session of this browser, if it has one; one round trip, once per request.

        A cookie that is not ours, doubled, or of a session that has ended is
        taken back with the response.
        """
        if _LOADED not in request.scope:
            request.scope[_LOADED] = await self._load(request)
            if request.scope[_LOADED] is None and self._cookies(request):
                request.scope[_SET_COOKIE] = self._cookie("", 0)
        session: Session | None = request.scope[_LOADED]
        return session

    async def start(self, request: HTTPConnection, user: str) -> Session:
        """A new session under a new id; the one this browser had before ends."""
        session_id = secrets.token_urlsafe(32)
        session = _session(session_id, user, time.time())
        before = self._session_id(request)
        async with redis_call("start session"):
            # One transaction: no moment without an end to its life.  Of one key, for a cluster.
            pipeline = self._redis.pipeline()
            pipeline.hset(
                session.redis_key, mapping={"user": user, "created": repr(session.created)}
            )
            pipeline.expire(session.redis_key, IDLE_SECONDS)
            await pipeline.execute()
            if before:
                await self._redis.delete(_redis_key(before))
        request.scope[_LOADED] = session
        signed = self._signer.sign(session_id).decode("ascii")
        request.scope[_SET_COOKIE] = self._cookie(signed, LIFE_SECONDS)
        return session

    async def end(self, request: HTTPConnection) -> None:
        """End this browser's session, if it has one, for every copy of its cookie."""
        if session_id := self._session_id(request):
            async with redis_call("end session"):
                await self._redis.delete(_redis_key(session_id))
        request.scope[_LOADED] = None
        request.scope[_SET_COOKIE] = self._cookie("", 0)

    async def put_note(self, session: Session, provider: str, note: Note) -> Session:
        """Keep the outcome of a card; it replaces the one before.  ``at`` 0 means now."""
        note = replace(note, at=note.at or time.time())
        value = json.dumps(asdict(note))
        async with redis_call("put note"):
            await self._redis.eval(_PUT_IF_ALIVE, 1, session.redis_key, f"note:{provider}", value)
        return replace(session, notes={**session.notes, provider: note})

    async def drop_note(self, session: Session, provider: str) -> Session:
        """Forget the outcome of a card."""
        async with redis_call("drop note"):
            await self._redis.hdel(session.redis_key, f"note:{provider}")
        return replace(session, notes={k: v for k, v in session.notes.items() if k != provider})

    async def _load(self, request: HTTPConnection) -> Session | None:
        session_id = self._session_id(request)
        if session_id is None:
            return None
        key = _redis_key(session_id)
        async with redis_call("load session"):
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.hgetall(key)
            pipeline.expire(key, IDLE_SECONDS)
            stored, renewed = await pipeline.execute(raise_on_error=False)
            if isinstance(stored, ResponseError) and str(stored).startswith("WRONGTYPE"):
                return None
            for answer in (stored, renewed):
                if isinstance(answer, Exception):
                    raise answer
        return _opened(session_id, stored)

    def _session_id(self, request: HTTPConnection) -> str | None:
        cookies = self._cookies(request)
        if len(cookies) != 1 or not _COOKIE_VALUE.fullmatch(cookies[0]):
            return None
        try:
            return self._signer.unsign(cookies[0]).decode("ascii")
        except BadSignature:
            return None

    def _cookies(self, request: HTTPConnection) -> list[str]:
        """Every value under our name; a parser of ours, since the usual ones hide a second."""
        pairs = ";".join(Headers(scope=request.scope).getlist("cookie")).split(";")
        split = (pair.strip().partition("=") for pair in pairs)
        return [value for name, _, value in split if name == self.cookie_name]

    def _cookie(self, value: str, max_age: int) -> str:
        return f"{self.cookie_name}={value}; Max-Age={max_age}; {self._attributes}"


def loaded_session(request: HTTPConnection) -> Session | None:
    """The session this request has loaded, if it has; asks nobody."""
    session: Session | None = request.scope.get(_LOADED)
    return session


class SessionCookie:
    """Sends the cookie that :class:`Sessions` decided on during the request, if any."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start" and _SET_COOKIE in scope:
                MutableHeaders(scope=message).append("set-cookie", scope[_SET_COOKIE])
            await send(message)

        await self.app(scope, receive, send_with_cookie)


def _redis_key(session_id: str) -> str:
    return f"stargazer:web_session:{hashlib.sha256(session_id.encode('ascii')).hexdigest()}"


def _session(
    session_id: str, user: str, created: float, notes: Mapping[str, Note] | None = None
) -> Session:
    binding = hmac.digest(session_id.encode("ascii"), b"webui.binding", "sha256").hex()
    return Session(user, created, binding, _redis_key(session_id), notes or {})


def _opened(session_id: str, stored: Mapping[bytes, bytes]) -> Session | None:
    """A stored hash as a session; ``None`` where it is none or too old."""
    try:
        user = stored[b"user"].decode("utf-8")
        created = float(stored[b"created"])
    except (KeyError, ValueError):
        return None
    if not user or not time.time() - created < LIFE_SECONDS:  # not >=, since NaN is neither
        return None
    notes = {
        name.removeprefix(b"note:").decode("utf-8", "replace"): note
        for name, value in stored.items()
        if name.startswith(b"note:") and (note := _note(value))
    }
    return _session(session_id, user, created, notes)


def _note(value: bytes) -> Note | None:
    try:
        raw: dict[str, Any] = json.loads(value)
        return Note(
            key=str(raw["key"]),
            ref=str(raw["ref"]),
            at=float(raw["at"]),
            until=float(raw.get("until", 0.0)),
        )
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
