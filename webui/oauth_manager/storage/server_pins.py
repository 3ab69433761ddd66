"""Pinned metadata of the servers that are found by their issuers: sealed, for every process."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

from ..errors import OAuthMisconfigured, RecordUnreadable
from ..protocol.metadata import STEP, ServerMetadata
from ..shapes import seconds
from . import keys, scripts
from .calls import RedisClient, read_text, redis_call
from .storage import Storage

KIND = "server"


@dataclass(frozen=True, slots=True)
class Pin:
    """The metadata that are in use, and others that wait for an operator's word.

    ``checked_at`` (epoch seconds) is when the server last told the same; ``sealed`` is the
    record as it was read, for compare-and-set.
    """

    metadata: ServerMetadata
    checked_at: float
    waiting: ServerMetadata | None = None
    sealed: str = field(default="", repr=False)


async def read(storage: Storage, redis: RedisClient, name: str) -> Pin | None:
    """Read the pin of a provider, None if there is none.  One round trip.

    Raises ``StoreUnavailable``, and ``OAuthMisconfigured`` if our keys do not open it: to
    believe the server once more would make the pin worthless.
    """
    async with redis_call("read a pinned server"):
        sealed = await read_text(redis, keys.server(name))
    if not sealed:
        return None
    try:
        record = storage.sealer.open(KIND, "", name, sealed)
        waiting = record.get("waiting")
        return Pin(
            ServerMetadata.from_dict(record.get("metadata")),
            seconds(record.get("checked_at")),
            ServerMetadata.from_dict(waiting) if waiting else None,
            sealed,
        )
    except (RecordUnreadable, TypeError):
        raise OAuthMisconfigured(name, STEP, "unreadable_pin") from None


async def put(storage: Storage, redis: RedisClient, name: str, pin: Pin) -> bool:
    """Write a pin in the place of the one that was read (``pin.sealed``).

    False if another process has written meanwhile.  Raises ``StoreUnavailable``.
    """
    record = {
        "metadata": asdict(pin.metadata),
        "checked_at": pin.checked_at,
        "waiting": asdict(pin.waiting) if pin.waiting else None,
    }
    sealed = storage.sealer.seal(KIND, "", name, record)
    async with redis_call("pin a server"):
        if not pin.sealed:
            return bool(await redis.set(keys.server(name), sealed, nx=True))
        place = keys.server(name)
        return int(await redis.eval(scripts.REPLACE, 1, place, pin.sealed, sealed)) == 1


async def renew(storage: Storage, redis: RedisClient, names: Iterable[str]) -> None:
    """Seal pins with the newest key: for a rotation.  One that others write meanwhile is theirs."""
    for name in names:
        try:
            pin = await read(storage, redis, name)
        except OAuthMisconfigured:
            continue  # kept as it is, like every record that does not open
        if pin:
            await put(storage, redis, name, pin)
