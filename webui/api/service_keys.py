"""Service keys: what a bot's process may do over the API; kept in Redis, sealed, never the secret.

All are in one hash, by id.  The seal holds the id and the rights, so that who can write to
Redis cannot make a key or widen one; of the secret it holds the SHA-256 alone.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
from dataclasses import asdict, dataclass, field
from typing import Any

from webui.addresses import TrustedNetworks
from webui.oauth_manager import RecordUnreadable
from webui.oauth_manager.storage import Clock, Sealer, shaped
from webui.oauth_manager.storage.calls import Commands, RedisClient, as_text, raw, redis_call

KEYS = "stargazer:api_keys"
RIGHTS = ("token", "links", "proofs", "connections", "notices")
TOKENS_A_MINUTE = 6000
OTHERS_A_MINUTE = 60  # calls of every other kind

_KIND = "service_key"
_ALPHABET = string.ascii_letters + string.digits
_ID_ALPHABET = string.ascii_lowercase + string.digits
_ID_LENGTH = 10
_SECRET_LENGTH = 43  # of 62 characters: 256 bits
_WHOLE = re.compile(
    rf"stargazer_([{_ID_ALPHABET}]{{{_ID_LENGTH}}})_([A-Za-z0-9]{{{_SECRET_LENGTH}}})"
)
_NAMED = re.compile(rf"(?:stargazer_)?([{_ID_ALPHABET}]{{{_ID_LENGTH}}})")
# No key has it, so that an unknown id is compared like a known one.
_NO_DIGEST = "0" * 64
_REPLACE = """
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
"""


@dataclass(frozen=True, slots=True)
class ServiceKey:
    """The record of a key.

    ``may`` are some of ``RIGHTS``; ``providers`` empty for all there are; ``users`` exact ids,
    or beginnings of ids that end in ``*``, empty for everybody; ``networks`` those that it is
    used from, empty for any.  ``created_at`` and ``ends_at`` are in epoch seconds, the latter
    0 if it does not end; ``digest`` is the SHA-256 of the secret (hex).
    """

    id: str
    name: str
    digest: str = field(repr=False)
    may: tuple[str, ...]
    created_at: float
    providers: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    ends_at: float = 0.0
    tokens_a_minute: int = TOKENS_A_MINUTE
    others_a_minute: int = OTHERS_A_MINUTE

    @property
    def prefix(self) -> str:
        """Return the part of the key that is no secret."""
        return f"stargazer_{self.id}"

    def is_over(self, now: float) -> bool:
        return 0 < self.ends_at <= now

    def allows_provider(self, name: str) -> bool:
        return not self.providers or name in self.providers

    def allows_user(self, user_id: str) -> bool:
        return not self.users or any(
            user_id.startswith(one[:-1]) if one.endswith("*") else user_id == one
            for one in self.users
        )

    def allows_peer(self, host: str) -> bool:
        return not self.networks or host in TrustedNetworks(self.networks)


def digest_of(secret: str) -> str:
    """Return the SHA-256 of a secret (hex); it has 256 bits, so that nothing slower is needed."""
    return hashlib.sha256(secret.encode()).hexdigest()


def read_key(text: str) -> tuple[str, str] | None:
    """Return the id and the secret of a whole key; None if it is none."""
    found = _WHOLE.fullmatch(text)
    return (found[1], found[2]) if found else None


def read_id(text: str) -> str:
    """Return the id in a key's beginning, ``stargazer_ID`` or ``ID``.  Raises ``ValueError``."""
    found = _NAMED.fullmatch(text)
    if found is None:
        raise ValueError("a key's id is what `webui keys list` shows")
    return found[1]


def _random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))


class ServiceKeys:
    """The keys in Redis.  Its methods raise ``StoreUnavailable``."""

    def __init__(self, sealer: Sealer, clock: Clock) -> None:
        self._sealer = sealer
        self.clock = clock

    async def create(self, redis: RedisClient, name: str, **limits: Any) -> tuple[str, ServiceKey]:
        """Make a key; return it as its holder sends it, which nobody can read again."""
        secret = _random(_ALPHABET, _SECRET_LENGTH)
        key = ServiceKey(
            id=_random(_ID_ALPHABET, _ID_LENGTH),
            name=name,
            digest=digest_of(secret),
            created_at=self.clock.now(),
            **limits,
        )
        async with redis_call("store a service key"):
            await redis.hset(KEYS, key.id, self._sealed(key))
        return f"{key.prefix}_{secret}", key

    async def everything(self, redis: RedisClient) -> dict[str, ServiceKey | None]:
        """Return every key by its id; None for a record that cannot be read."""
        held = await self._held(redis)
        return {key_id: self.opened(key_id, sealed) for key_id, sealed in held.items()}

    async def revoke(self, redis: RedisClient, key_id: str) -> bool:
        """Remove a key; return whether it was there."""
        async with redis_call("revoke a service key"):
            pipe = redis.pipeline(transaction=False)
            pipe.hdel(KEYS, key_id)
            pipe.delete(use_key(key_id))
            removed, _ = await pipe.execute()
        return bool(removed)

    async def last_uses(self, redis: RedisClient, key_ids: list[str]) -> dict[str, float]:
        """Return when each was used last (epoch seconds, to the minute); 0 if never or unknown."""
        async with redis_call("read the uses of service keys"):
            pipe = redis.pipeline(transaction=False)
            for key_id in key_ids:
                pipe.hget(use_key(key_id), "last")
            answers = await pipe.execute(raise_on_error=False) if key_ids else []
        texts = (as_text(answer) for answer in answers)
        return {
            key_id: float(text) if text.isdigit() else 0.0
            for key_id, text in zip(key_ids, texts, strict=True)
        }

    async def reseal(self, redis: RedisClient) -> int:
        """Seal every key with the newest encryption key; return how many nobody can read."""
        unreadable = 0
        for key_id, held in (await self._held(redis)).items():
            key = self.opened(key_id, held)
            if key is None:
                unreadable += 1
                continue
            async with redis_call("seal a service key anew"):
                await redis.eval(_REPLACE, 1, KEYS, key_id, held, self._sealed(key))
        return unreadable

    async def _held(self, redis: RedisClient) -> dict[str, str]:
        async with redis_call("read the service keys"):
            found = await redis.hgetall(KEYS)
        return {as_text(name): as_text(held) for name, held in found.items()}

    def queue_find(self, pipe: Commands, key_id: str) -> Any:
        """Queue the read of a key; its answer is for :meth:`opened`."""
        return raw(pipe, "HGET", KEYS, key_id)

    def opened(self, key_id: str, held: str) -> ServiceKey | None:
        """Open a record that was sealed for this id; None if it cannot be read."""
        if not held:
            return None
        try:
            record = self._sealer.open(_KIND, key_id, "", held)
            return shaped(ServiceKey, record, id=key_id)
        except (RecordUnreadable, TypeError, ValueError):
            return None

    def _sealed(self, key: ServiceKey) -> str:
        return self._sealer.seal(_KIND, key.id, "", asdict(key))


def use_key(key_id: str) -> str:
    """Return the name of a key's counters in Redis."""
    return f"stargazer:api_use:{key_id}"


def day_key(digest: str) -> str:
    """Return the name of a mark: a person's first token by a key on a day is in the audit."""
    return f"stargazer:api_day:{digest}"


def is_its_secret(key: ServiceKey | None, secret: str) -> bool:
    """Compare a secret; an unknown key takes as long."""
    digest = digest_of(secret)
    return hmac.compare_digest(digest, key.digest if key else _NO_DIGEST) and key is not None
