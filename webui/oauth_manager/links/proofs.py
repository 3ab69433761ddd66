"""The proof that a browser belongs to the person a link was made for.

The browser shows a short code and the person sends it to the bot in their own
chat: browser to chat, never the other way, because a code shown in chat could
be forwarded together with the link.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from ..errors import RecordUnreadable
from ..protocol.requests import is_one_time_value, new_secret
from ..shapes import shaped
from ..storage import keys
from ..storage.calls import (
    RedisClient,
    as_text,
    raw,
    read_field,
    read_texts,
    redis_call,
    run,
    text_of,
)
from ..storage.link_index import LinkRequest
from ..storage.storage import Storage
from ..values import replace
from .codes import Attempt
from .proof_scripts import ALL, CONFIRM, IS_WAITING, START
from .readable_codes import new_code

TRIES = 5
MAX_OPEN = 3  # proofs a person may have open at once; the oldest gives way

# One hash for each person: proof id -> "digest:tries:status:expires" (epoch seconds).
_ENTRY = re.compile(r"([0-9a-f]+):[0-9]+:([a-z]+):([0-9]{1,11})")
CONFIRMED = "confirmed"  # by the bot, in the person's own chat
VOUCHED = "vouched"  # the same, by the word of who holds a service key


@dataclass(frozen=True, slots=True)
class Parked:
    """An authorization that came back before the proof: its code is not exchanged yet."""

    attempt: Attempt
    authorization_code: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof under way, as seen by the browser that shows its code."""

    request: LinkRequest
    code: str = field(repr=False)
    confirmed: bool
    expires_at: float  # epoch seconds
    parked: Parked | None = None
    vouched: bool = False  # by the holder of a service key, who is not believed in all


def as_typed(text: str) -> str:
    """Reduce a person's message to a code: only letters and digits count, and no case."""
    return "".join(c for c in text.upper() if c.isascii() and c.isalnum())


class Proofs:
    """Proofs: started, confirmed and consumed.

    The browser holds a secret (its cookie); Redis knows only that secret's
    hash, so nothing found there opens a proof.
    """

    def __init__(self, storage: Storage) -> None:
        self._sealer = storage.sealer
        self._clock = storage.clock

    async def start(
        self, redis: RedisClient, request: LinkRequest, parked: Parked | None = None
    ) -> str:
        """Begin a proof and return the secret the browser is to keep.

        One round trip, and one more if an older proof has to give way.
        """
        index = keys.proofs(request.user_id)
        browser_secret = new_secret()
        identifier = _identifier(browser_secret)
        code = new_code()
        payload = {
            "scopes": list(request.scopes),
            "by_key": request.by_key,
            **({"account": request.account} if request.account else {}),
            "asked": list(request.asked),
            "code": code,
            "parked": {**asdict(parked), "attempt": parked.attempt.record()} if parked else None,
        }
        sealed = self._sealer.seal("proof", request.user_id, request.provider, payload)
        digest = self._sealer.digests("proof", f"{request.user_id}\0{code}")[0]
        ttl = keys.PARKED_TTL if parked else keys.LINK_CODE_TTL
        async with redis_call("start a proof"):
            pipe = redis.pipeline(transaction=False)
            pipe.set(keys.pending(identifier), sealed, ex=ttl)
            pipe.eval(START, 1, index, identifier, digest, ttl, MAX_OPEN, keys.LINK_CODE_TTL)
            _, gone = await pipe.execute()
            if gone:
                pipe = redis.pipeline(transaction=False)
                for other in gone:
                    pipe.delete(keys.pending(as_text(other)))
                await pipe.execute()
        return browser_secret

    async def confirm(
        self, redis: RedisClient, user_id: str, typed: str, *, by_key: bool = False
    ) -> int | None:
        """Check a code that the person sent in chat: ``None`` if it matches, else the tries left.

        Valid only for the person the link was made for.  ``by_key``: the holder of a
        service key says that they sent it.
        """
        told = TRIES, VOUCHED if by_key else CONFIRMED, *self._digests(user_id, typed)
        async with redis_call("confirm a proof"):
            answer = as_text(await redis.eval(CONFIRM, 1, keys.proofs(user_id), *told))
        return None if answer == "ok" else int(answer)

    def _digests(self, user_id: str, typed: str) -> list[str]:
        return self._sealer.digests("proof", f"{keys.check_user_id(user_id)}\0{as_typed(typed)}")

    async def meant(self, redis: RedisClient, user_id: str, typed: str) -> LinkRequest | None:
        """Return the request of the waiting proof with this code, if any; uses up no try."""
        digests = self._digests(user_id, typed)
        async with redis_call("look for a proof"):
            found = await run(redis, ALL, keys.proofs(user_id))
            entries = zip(found[::2], found[1::2], strict=True)
            known = [(as_text(i), _ENTRY.fullmatch(as_text(entry))) for i, entry in entries]
            places = [keys.pending(i) for i, e in known if e and e[1] in digests]
            sealed = await read_texts(redis, places)
        for text in sealed:
            with suppress(RecordUnreadable, TypeError, ValueError):
                return _proof(self._sealer.open("proof", user_id, None, text), 0.0).request
        return None

    async def is_waiting(self, redis: RedisClient, user_id: str) -> bool:
        """Return whether a page waits for this person's code.  Uses up no try.  One round trip."""
        async with redis_call("look for a proof"):
            return bool(await redis.eval(IS_WAITING, 1, keys.proofs(user_id)))

    async def peek(self, redis: RedisClient, browser_secret: str) -> Proof | None:
        """Return the browser's proof; ``None`` once it is over.  Two round trips."""
        if not is_one_time_value(browser_secret):
            return None
        identifier = _identifier(browser_secret)
        async with redis_call("read a proof"):
            pipe = redis.pipeline(transaction=False)
            raw(pipe, "GET", keys.pending(identifier))
            pipe.ttl(keys.pending(identifier))
            sealed, ttl = await pipe.execute(raise_on_error=False)
            sealed = text_of(sealed)
        try:
            record = self._sealer.open("proof", None, None, sealed)
            proof = _proof(record, self._clock.now() + int(ttl))
        except (RecordUnreadable, TypeError, ValueError):
            return None
        async with redis_call("read a proof"):
            index = keys.proofs(proof.request.user_id)
            entry = _ENTRY.fullmatch(await read_field(redis, index, identifier))
        if entry is None:
            return None
        status = entry[2]
        return replace(proof, confirmed=status in (CONFIRMED, VOUCHED), vouched=status == VOUCHED)

    async def take(
        self, redis: RedisClient, browser_secret: str, *, by_code: bool = True
    ) -> Proof | None:
        """Consume a proof, for exactly one caller; ``None`` unless it is confirmed.

        ``by_code=False`` takes it unconfirmed, if the browser's word is enough.
        """
        proof = await self.peek(redis, browser_secret)
        if proof is None or (by_code and not proof.confirmed):
            return None
        return proof if await self._end(redis, proof.request, browser_secret) else None

    async def cancel(self, redis: RedisClient, browser_secret: str) -> LinkRequest | None:
        """End a proof that somebody declined; return its request, if it was open."""
        proof = await self.peek(redis, browser_secret)
        if proof is None or not await self._end(redis, proof.request, browser_secret):
            return None
        return proof.request

    async def _end(self, redis: RedisClient, request: LinkRequest, browser_secret: str) -> bool:
        identifier = _identifier(browser_secret)
        async with redis_call("end a proof"):
            pipe = redis.pipeline(transaction=False)
            pipe.delete(keys.pending(identifier))
            pipe.hdel(keys.proofs(request.user_id), identifier)
            deleted, _ = await pipe.execute()
        return bool(deleted)


def _proof(record: Mapping[str, Any], expires_at: float) -> Proof:
    """Build a proof from its record.  Raises ``TypeError``, ``ValueError``."""
    request, parked = shaped(LinkRequest, record), record.get("parked")
    if parked is not None:
        attempt = parked.get("attempt") if isinstance(parked, Mapping) else None
        parked = shaped(Parked, parked, attempt=Attempt.from_dict(attempt))
    return shaped(
        Proof, record, request=request, confirmed=False, expires_at=expires_at, parked=parked
    )


def under_way(entries: Mapping[Any, Any]) -> Iterator[tuple[str, float]]:
    """List a person's proofs: id, and end in epoch seconds."""
    for identifier, entry in entries.items():
        if known := _ENTRY.fullmatch(as_text(entry)):
            yield as_text(identifier), float(known[3])


def _identifier(browser_secret: str) -> str:
    return hashlib.sha256(browser_secret.encode()).hexdigest()
