"""py-key-value: a Redis store behind its Fernet wrapper."""

from __future__ import annotations

from cryptography.fernet import Fernet
from key_value.aio.stores.redis import RedisStore
from key_value.aio.wrappers.encryption import FernetEncryptionWrapper

from bench.meter import Call
from tests.kit.library import KEY


async def reader(redis_url: str, token: str) -> Call:
    from redis.asyncio import Redis

    # Its own URL reader knows no Unix sockets.
    client = Redis.from_url(redis_url, decode_responses=True)
    store = FernetEncryptionWrapper(RedisStore(client=client), fernet=Fernet(KEY))
    await store.put(key="alice:google", value={"access_token": token}, collection="tokens")

    async def read() -> str:
        found = await store.get(key="alice:google", collection="tokens")
        return str((found or {})["access_token"])

    return read
