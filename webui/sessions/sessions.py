"""Sessions of signed-in people in Redis, found by an unguessable id in a signed cookie."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, cast

from redis.asyncio import Redis
from starlette.requests import HTTPConnection

from webui.oauth_manager.storage import Clock
from webui.oauth_manager.storage.calls import Commands, is_mistyped, redis_call
from webui.oauth_manager.values import replace
from webui.sessions import index as session_index
from webui.sessions.index import LIFE_SECONDS
from webui.sessions.note import NOTE_SECONDS, Note
from webui.sessions.proxied import ProxiedPerson, proxied_person
from webui.sessions.record import (
    Session,
    fields_of,
    new_session,
    open_notes,
    open_session,
    session_key,
)
from webui.sessions.signed_cookie import SignedCookie
from webui.settings.settings import Settings

__all__ = ["Session", "Sessions", "SignInNeeded", "loaded_session"]

IDLE_SECONDS = 12 * 3600
# For those who signed on as staff.  The support pages want a much newer sign-in
# (webui.access.roles); until the session ends they can say so, and looking at them needs no
# renewal.
STAFF_LIFE_SECONDS = 12 * 3600

_PEOPLE = "session"
_LIVES = {
    _PEOPLE: (IDLE_SECONDS, LIFE_SECONDS),
    "staff": (STAFF_LIFE_SECONDS, STAFF_LIFE_SECONDS),
}

# A note must not bring back a session that has just ended.
_PUT_IF_ALIVE = """
if redis.call('HEXISTS', KEYS[1], 'user') == 0 then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV))
return 1
"""

# The note of one card, unless it has a newer one than that of ARGV[3] (epoch seconds).
_PUT_UNLESS_NEWER = """
if redis.call('HEXISTS', KEYS[1], 'user') == 0 then return 0 end
local is_note, held = pcall(cjson.decode, redis.call('HGET', KEYS[1], ARGV[1]) or '')
local at = is_note and type(held) == 'table' and tonumber(held.at)
if at and at > tonumber(ARGV[3]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
"""


class SignInNeeded(Exception):
    """Nobody is signed in here; :mod:`webui.access.sign_in` answers it."""


class Sessions:
    """The sessions under one cookie: ``session`` is for people, ``staff`` for support.

    Every method that touches Redis raises ``StoreUnavailable`` if it does not answer.
    """

    def __init__(self, redis: Redis, settings: Settings, clock: Clock, name: str = _PEOPLE) -> None:
        self._redis = redis
        self._clock = clock
        self._name = name
        self._loaded = f"webui.{name}"
        self._cookie = SignedCookie(settings, name)
        self._idle, self._life = _LIVES[name]

    async def load(self, request: HTTPConnection, renew: bool = True) -> Session | None:
        """Load this browser's session, if it has one; one round trip, once per request.

        A cookie that is not ours, doubled, or of a session that has ended is deleted
        with the response.  A person that a proxy names is signed in.  ``renew`` false
        looks, and changes nothing at all.
        """
        if self._loaded in request.scope:
            loaded: Session | None = request.scope[self._loaded]
            return loaded
        person = proxied_person(request) if self._name == _PEOPLE else None
        session = await self._load(request, renew)
        if session and not _is_vouched_for(session, person):
            session = None
        if not renew:
            return session
        if session is None and person:
            return await self.start(request, person.user, via="proxy")
        if session is None and self._cookie.is_brought(request):
            self._cookie.take_back(request)
        request.scope[self._loaded] = session
        return session

    async def require(self, request: HTTPConnection) -> Session:
        """Return this browser's session, like :meth:`load`.  Raises ``SignInNeeded``."""
        session = await self.load(request)
        if session is None:
            raise SignInNeeded
        return session

    async def start(
        self,
        request: HTTPConnection,
        user: str,
        *,
        via: str = "chat",
        groups: Sequence[str] = (),
        signed_in_at: float = 0.0,
        sealed_token: str = "",
    ) -> Session:
        """Start a session under a new id; the one this browser had before ends.

        ``signed_in_at`` 0 means now.  Two round trips.
        """
        now = self._clock.now()
        session_id = secrets.token_urlsafe(32)
        session = replace(
            new_session(session_id, user, now),
            via=via,
            groups=tuple(groups),
            signed_in_at=min(signed_in_at or now, now),
            sealed_token=sealed_token,
        )
        before = self._cookie.session_id(request)
        is_alive = await session_index.begin(
            self._redis,
            session.redis_key,
            fields_of(session),
            user=user,
            now=now,
            idle=self._idle,
            before=session_key(before) if before else None,
        )
        request.scope[self._loaded] = session if is_alive else None
        if is_alive:
            self._cookie.give(request, session_id, self._life)
        else:
            self._cookie.take_back(request)
        return session

    async def end(self, request: HTTPConnection) -> str:
        """End this browser's session, for every copy of its cookie; return its ``via``, if any."""
        session_id = self._cookie.session_id(request)
        via = await session_index.end(self._redis, session_key(session_id)) if session_id else ""
        request.scope[self._loaded] = None
        self._cookie.take_back(request)
        return via

    async def end_all(self, user: str) -> int:
        """End every session of a person, of either kind, in every browser; return how many."""
        return await session_index.end_all(self._redis, user)

    async def put_note(self, session: Session, provider: str, note: Note) -> Session:
        """Keep the outcome of a card; it replaces the one before, and counts repeats.

        ``at`` 0 means now.
        """
        return await self.put_notes(session, {provider: note})

    async def put_note_unless_told(self, session: Session, provider: str, note: Note) -> Session:
        """Keep an outcome like :meth:`put_note`, unless another request has just left one.

        The session returned has the notes as they are now.  Two round trips.
        """
        seen, told = session.notes.get(provider), self._told(session, {provider: note})[provider]
        fields = f"note:{provider}", json.dumps(told.record()), repr(seen.at if seen else 0.0)
        async with redis_call("put note"):
            await cast("Any", self._redis.eval(_PUT_UNLESS_NEWER, 1, session.redis_key, *fields))
        return replace(session, notes=await self.notes_now(session))

    async def put_notes(self, session: Session, notes: Mapping[str, Note]) -> Session:
        """Keep several notes at once, like :meth:`put_note`; also those beside the cards."""
        told = self._told(session, notes)
        async with redis_call("put note"):
            await self.queue_notes(self._redis, session, told)
        return replace(session, notes={**session.notes, **told})

    def queue_note(self, pipe: Commands, session: Session, provider: str, note: Note) -> None:
        """Queue the outcome of a card, like :meth:`put_note`, on a pipeline."""
        self.queue_notes(pipe, session, self._told(session, {provider: note}))

    def _told(self, session: Session, notes: Mapping[str, Note]) -> dict[str, Note]:
        """Return the notes as they are kept: dated, and counted if they repeat the one before."""
        now = self._clock.now()
        dated = {name: replace(note, at=note.at or now) for name, note in notes.items()}
        return {name: _counted(session.notes.get(name), note) for name, note in dated.items()}

    def queue_notes(self, pipe: Commands, session: Session, notes: Mapping[str, Note]) -> Any:
        """Queue notes as they are, on a pipeline, or on a client: then await it."""
        fields = []
        for name, note in notes.items():
            fields += [f"note:{name}", json.dumps(note.record())]
        return pipe.eval(_PUT_IF_ALIVE, 1, session.redis_key, *fields)

    async def notes_now(self, session: Session) -> Mapping[str, Note]:
        """Read the session's current notes: another request may have left one."""
        async with redis_call("load session"):
            stored = await self._redis.hgetall(session.redis_key)
        return open_notes(cast("dict[bytes, bytes]", stored))

    async def _load(self, request: HTTPConnection, renew: bool) -> Session | None:
        session_id = self._cookie.session_id(request)
        if session_id is None:
            return None
        key = session_key(session_id)
        async with redis_call("load session"):
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.hgetall(key)
            if renew:
                pipeline.expire(key, self._idle)
            answers = await pipeline.execute(raise_on_error=False)
            if is_mistyped(answers[0]):
                return None
            for answer in answers:
                # Also if it refuses to renew: a replica may not know that the session has ended.
                if isinstance(answer, Exception):
                    raise answer
        return open_session(session_id, answers[0], since=self._clock.now() - self._life)


def _counted(before: Note | None, note: Note) -> Note:
    """Return the note with how often it has come in a row."""
    if before and before.key == note.key and note.at - before.at < NOTE_SECONDS:
        return replace(note, times=before.times + 1)
    return note


def loaded_session(request: HTTPConnection) -> Session | None:
    """Return the session this request has loaded, if any; no I/O."""
    session: Session | None = request.scope.get(f"webui.{_PEOPLE}")
    return session


def _is_vouched_for(session: Session, person: ProxiedPerson | None) -> bool:
    """Tell whether a session counts: if a proxy names a person, the proxy decides."""
    if person is None:
        return session.via != "proxy"
    return session.via == "proxy" and session.user == person.user
