"""Token records under the older system's keys: found beside ours, and moved on the first write.

The older system wrote a user id into its key as it was; ours are encoded.  So tokens of an id
such as ``@ann:example.org`` have two places, which no command reaches at once: they may be on
two servers of a cluster.  Ours counts if both hold something.  A write begins with a claim:

1. a claim is put in our place, if nothing is there;
2. the older place's present value is the one that the claim is for;
3. our place is written by compare-and-set against the claim;
4. the older place is cleared, if it still holds what was seen.

A disconnect clears the older place first and ours after it, so that step 2 finds nothing or
step 3 no claim.  A crash leaves the record where it was, or in both places.

Callers bound and name the calls to Redis.
"""

from __future__ import annotations

import secrets

from ..errors import RecordUnreadable
from ..values import replace
from . import keys, scripts
from .calls import exact, read_text
from .storage import Storage, Subject

CLAIM_MS = 10_000  # longer than any call that writes
_CLAIM = "moving:"  # no sealed record begins like this


def is_claim(text: str) -> bool:
    """Tell whether a place only waits for a record that is being moved there."""
    return text.startswith(_CLAIM)


def in_use(storage: Storage, subject: Subject, ours: str, older: str) -> tuple[str, str]:
    """Return the tokens that count, and those in the older place, from both places' values.

    Those of somebody else are not among them: the older place of one id can be ours of
    another (``a%3Ab`` and ``a:b``).  A record of the older system names no user and
    belongs to the literal id in its key; one of ours names its user.
    """
    if keys.encoded(subject.user_id) == subject.user_id:
        return ours, ""  # there is one place
    is_ours = not is_claim(ours) and _other(storage, subject, ours) is None
    theirs = older if _is_of(storage, subject, older) else ""
    return (ours if is_ours else "") or theirs, theirs


def _other(storage: Storage, subject: Subject, ours: str) -> Subject | None:
    """Return the other person whose older record is in our place, if any."""
    try:
        other = keys.check_user_id(keys.encoded(subject.user_id))
        if ours and other != subject.user_id and storage.sealer.is_older(ours):
            storage.sealer.open("tokens", other, subject.place, ours)
            return replace(subject, user_id=other)
    except (RecordUnreadable, ValueError):
        pass
    return None


def _is_of(storage: Storage, subject: Subject, older: str) -> bool:
    """Tell whether the older place holds this person's record.

    One that nobody can open counts as theirs, unless it may be ours of another id.
    """
    try:
        return bool(older) and storage.sealer.is_older(older)
    except RecordUnreadable:
        return not keys.decoded(subject.user_id)


async def read(storage: Storage, subject: Subject) -> str:
    """Read this person's record in the older place, ``""`` if there is none."""
    _, older = keys.token_places(subject.user_id, subject.place)
    if not older:
        return ""
    _, theirs = in_use(storage, subject, "", await read_text(subject.redis, older))
    return theirs


async def clear(subject: Subject, seen: str) -> bool:
    """Empty the older place if it still holds what was seen there."""
    if not seen:
        return False
    _, older = keys.token_places(subject.user_id, subject.place)
    return int(await subject.redis.eval(scripts.DELETE_IF_SAME, 1, older, exact(seen))) == 1


async def take(storage: Storage, subject: Subject) -> None:
    """Empty the older place, whatever this person has there."""
    while seen := await read(storage, subject):
        await clear(subject, seen)


async def claim(storage: Storage, subject: Subject, expected: str = "") -> str:
    """Claim our place for the older record, and return the claim.

    ``""`` if our place is taken, or the older one is empty or not as ``expected``, if given.
    """
    await make_room(storage, subject)
    ours = keys.tokens(subject.user_id, subject.place)
    text = _CLAIM + secrets.token_hex(16)
    if not int(await subject.redis.eval(scripts.CLAIM, 1, ours, text, CLAIM_MS)):
        return ""
    now = await read(storage, subject)
    if now and now == (expected or now):
        return text
    await subject.redis.eval(scripts.DELETE_IF_SAME, 1, ours, text)
    return ""


async def make_room(storage: Storage, subject: Subject) -> None:
    """Move another person's older record out of our place."""
    ours, older = keys.token_places(subject.user_id, subject.place)
    if older and (other := _other(storage, subject, await read_text(subject.redis, ours))):
        await move(storage, other)
        if _other(storage, subject, await read_text(subject.redis, ours)):
            raise RecordUnreadable("another person's record is in the way")


async def move(storage: Storage, subject: Subject) -> bool:
    """Move the older record to our place, sealed as ours; return whether it is there alone.

    The record may change meanwhile, or our place be taken: then ours counts, and the older
    one goes if ours can be read.  Raises ``RecordUnreadable``, and everything stays as it is.
    """
    redis, sealer = subject.redis, storage.sealer
    seen = await read(storage, subject)
    if not seen:
        return False
    record = sealer.open("tokens", subject.user_id, subject.place, seen)
    sealed = sealer.seal("tokens", subject.user_id, subject.place, record)
    ours = keys.tokens(subject.user_id, subject.place)
    if text := await claim(storage, subject, seen):
        is_ours = int(await redis.eval(scripts.REPLACE, 1, ours, text, sealed)) == 1
    else:
        now = await read_text(redis, ours)
        is_ours = bool(now) and not is_claim(now)
        if is_ours:
            sealer.open("tokens", subject.user_id, subject.place, now)
    return is_ours and await clear(subject, seen)


async def remove(storage: Storage, subject: Subject, seen: str) -> int:
    """Empty the older place and, if ours is a claim, ours too: for a disconnect.

    1 if it held what was ``seen``, 0 if nothing is there any more, -1 if something else is.
    """
    is_cleared = await clear(subject, seen)
    ours = keys.tokens(subject.user_id, subject.place)
    is_taken = int(await subject.redis.eval(scripts.UNCLAIM, 1, ours))
    # Another person's record may be there: that is not ours to remove, and stays.
    if is_taken and _other(storage, subject, await read_text(subject.redis, ours)) is None:
        return -1
    if is_cleared:
        return 1
    return -1 if await read(storage, subject) else 0
