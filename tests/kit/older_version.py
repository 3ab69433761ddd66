"""Everything that version 0.1.0 left in Redis, as its site, a bot and support wrote it.

``ann`` is connected everywhere, signed in, and on her way to GitHub; ``be:n ü%`` and ``dan``
are connected with Google, and dan's access is over; ``eve`` has disconnected; ``fay`` has a
link; ``carol`` of support looked at ann.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

RECORDS: dict[str, Any] = json.loads((Path(__file__).parent / "records_0_1_0.json").read_text())
AT: float = RECORDS["at"]  # epoch seconds


async def restore(redis: Redis, records: dict[str, Any] | None = None) -> None:
    """Put it all back, each key with the life that it had left."""
    records = records or RECORDS
    for key, text in records["strings"].items():
        await redis.set(key, text)
    for key, entries in records["hashes"].items():
        await redis.hset(key, mapping=entries)
    for key, pairs in records["sorted"].items():
        await redis.zadd(key, dict(pairs))
    for key, stream in records["streams"].items():
        for number, entry in stream:
            await redis.xadd(key, entry, id=number)
    for key, life in records["lives"].items():
        await redis.pexpire(key, life)
