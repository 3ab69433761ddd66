"""Held tokens: of no connection any more, sealed aside for at most an hour.

They are stored before anything is removed, so that a killed process leaves behind the
tokens to ask the provider with.  Nothing else reads them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from ..errors import RecordUnreadable
from ..shapes import shaped
from ..token_data import TokenData
from ..values import replace
from . import keys, scripts
from .calls import Commands, Pipeline, redis_call
from .storage import Storage, Subject

HELD_SECONDS = 3600
# Longest time of asking a provider, in seconds; after that the asking process is gone.
ASKING_SECONDS = 12.0

ASKING = "asking"  # it is being asked to end the access
UNCONFIRMED = "unconfirmed"  # it was asked and did not confirm
ENDED = "ended"  # it ended the access itself


@dataclass(frozen=True, slots=True)
class HeldTokens:
    """Tokens to ask the provider with, kept ``until`` then; times in epoch seconds.

    ``state`` is ``ASKING`` since ``asked_at``, ``UNCONFIRMED`` or ``ENDED``; ``by`` is
    who disconnected, ``at`` when, ``account`` and ``name`` what its account was called there
    and here.  ``sealed`` is the record as it was read or written.
    """

    token: TokenData = field(repr=False)
    until: float
    state: str = UNCONFIRMED
    asked_at: float = 0.0
    by: str = ""
    at: float = 0.0
    account: str = ""
    name: str = ""
    sealed: str = field(default="", repr=False, compare=False)

    def is_interrupted(self, now: float) -> bool:
        """Return whether the asking process stopped before it could write the answer down.

        Its clock may be a little ahead of ours.
        """
        return self.state == ASKING and abs(now - self.asked_at) >= ASKING_SECONDS


def sealed(storage: Storage, subject: Subject, held: HeldTokens) -> HeldTokens:
    """Return the same with its sealed record, for :func:`put` and the like."""
    left_out = {"sealed"} if held.name else {"sealed", "name"}
    payload = {name: value for name, value in asdict(held).items() if name not in left_out}
    payload["token"] = held.token.to_record()
    text = storage.sealer.seal("revoke", subject.user_id, subject.place, payload)
    return replace(held, sealed=text)


def opened(storage: Storage, subject: Subject, text: str) -> HeldTokens | None:
    """Open a record; None if there is none, or its time has passed."""
    if not text:
        return None
    try:
        record = storage.sealer.open("revoke", subject.user_id, subject.place, text)
        token = TokenData.from_dict(record["token"])
        held = shaped(HeldTokens, record, token=token, sealed=text)
    except (RecordUnreadable, KeyError, TypeError, ValueError):
        return None
    return held if held.until > storage.clock.now() else None


def is_idle(storage: Storage, text: str) -> bool:
    """Tell whether nobody is asking with a record just now, who would compare it afterwards."""
    try:
        record = storage.sealer.open("revoke", None, None, text)
    except RecordUnreadable:
        return False
    asked_at = record.get("asked_at")
    is_over = not isinstance(asked_at, (int, float)) or (
        abs(storage.clock.now() - asked_at) >= ASKING_SECONDS
    )
    return is_over or record.get("state") != ASKING


def put(storage: Storage, pipe: Commands, subject: Subject, held: HeldTokens) -> Any:
    """Queue it on a pipeline, or on a client: then await what is returned."""
    return pipe.set(_key(subject), held.sealed, px=_life(storage, held))


def drop(pipe: Commands, subject: Subject) -> Any:
    """Forget any; ``pipe`` is a pipeline or a client, as for :func:`put`."""
    return pipe.delete(_key(subject))


def forget(pipe: Pipeline, subject: Subject, held: HeldTokens) -> Any:
    """Forget this one, unless another has taken its place."""
    return pipe.eval(scripts.DELETE_IF_SAME, 1, _key(subject), held.sealed)


def exchange(
    storage: Storage, pipe: Commands, subject: Subject, before: HeldTokens, after: HeldTokens
) -> Any:
    """Replace one by another, if it still is there: 1 if it was."""
    life = _life(storage, after)
    return pipe.eval(scripts.REPLACE, 1, _key(subject), before.sealed, after.sealed, life)


async def claim(storage: Storage, subject: Subject, held: HeldTokens) -> HeldTokens | None:
    """Claim the asking: of any number of callers at once, one gets it."""
    asking = replace(held, state=ASKING, asked_at=storage.clock.now())
    asking = sealed(storage, subject, asking)
    async with redis_call("ask once more with held tokens"):
        is_ours = int(await exchange(storage, subject.redis, subject, held, asking)) == 1
    return asking if is_ours else None


def _key(subject: Subject) -> str:
    return keys.revoke(subject.user_id, subject.place)


def _life(storage: Storage, held: HeldTokens) -> int:
    return max(int((held.until - storage.clock.now()) * 1000), 1)
