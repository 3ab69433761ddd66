"""Damage to what stands in Redis: every way in which a record can be not what we wrote."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from redis.asyncio import Redis

from tests.kit.library import KEY

JUNK: list[bytes] = [
    b"\0",
    b"a\0b",
    b"\xff\xfe\x80",
    b"junk",
    b":",
    b":::",
    b"-:x",
    b"null",
    b"5",
    b"-1e999",
    b"9" * 5000,
    b"[]",
    b"{}",
    b'"text"',
    b"[[]]",
    b"[" * 100_000,
    b"ann\n{",
    b"ann\n[]",
    b"ann\n" + b"[" * 100_000,
    b"a" * 300,
    "\u202eann".encode(),
]
HUGE = b"x" * 5_000_000
STRANGE: list[Any] = [
    None,
    True,
    -1,
    5,
    10**400,
    float("nan"),
    float("inf"),
    "",
    "text",
    "a\0b",
    "\ud800",
    "x" * 400,
    [],
    {},
    ["x"],
    [["x"]],
    {"a": 1},
]
OTHER_TYPES: dict[str, tuple[Any, ...]] = {
    "string": ("SET", b"x"),
    "list": ("RPUSH", b"x"),
    "hash": ("HSET", b"x", b"x"),
    "set": ("SADD", b"x"),
    "zset": ("ZADD", 1, b"x"),
    "stream": ("XADD", "*", b"x", b"x"),
}


def variants(value: bytes) -> Iterator[bytes]:
    """Everything in a value's place: junk, and the same with a field of another type."""
    yield from [*JUNK, HUGE]
    yield from strange(value)


def strange(value: bytes) -> Iterator[bytes]:
    """The value with one field of what is inside of another type, or without it."""
    before, is_sealed, plain = _opened(value)
    for changed in _changed(plain):
        text = json.dumps(changed).encode()
        yield before + (Fernet(KEY).encrypt(text) if is_sealed else text)


def _opened(value: bytes) -> tuple[bytes, bool, Any]:
    """The text before the JSON, whether that is sealed, and it; None if there is none."""
    prefix, colon, rest = value.rpartition(b":gAAAA")
    before, token = (prefix + b":", b"gAAAA" + rest) if colon else (b"", value)
    try:
        return before, True, json.loads(Fernet(KEY).decrypt(token))
    except (InvalidToken, ValueError):
        pass
    first, line, more = value.partition(b"\n")
    for start, text in ((b"", value), (first + line, more)):
        try:
            return start, False, json.loads(text)
        except ValueError:
            continue
    return b"", False, None


def _changed(plain: Any) -> Iterator[Any]:
    if isinstance(plain, dict):
        for name, inner in plain.items():
            yield {k: v for k, v in plain.items() if k != name}
            yield from ({**plain, name: other} for other in [*STRANGE, *_inside(inner)])
    elif isinstance(plain, list):
        for at in range(len(plain)):
            yield from ([*plain[:at], other, *plain[at + 1 :]] for other in STRANGE)


def _inside(inner: Any) -> Iterator[Any]:
    if isinstance(inner, str) and inner.startswith("gAAAA"):
        yield from (sealed.decode() for sealed in strange(inner.encode()))
    else:
        yield from _changed(inner)


async def mistype(redis: Redis, key: str, kind: str) -> None:
    """Put something of this type where a record is, for as long as that would have lived."""
    life = await redis.pttl(key)
    command, *rest = OTHER_TYPES[kind]
    await redis.delete(key)
    await redis.execute_command(command, key, *rest)  # type: ignore[no-untyped-call]
    if life > 0:
        await redis.pexpire(key, life)


async def values_of(redis: Any, key: str) -> dict[bytes, bytes]:
    """The values that stand at a key, by field; a string's has none."""
    kind = await redis.type(key)
    if kind == b"string":
        return {b"": await redis.get(key)}
    if kind == b"hash":
        return dict(await redis.hgetall(key))
    if kind == b"stream":
        return dict((await redis.xrange(key))[-1][1])
    return {}


async def put(redis: Any, key: str, field: bytes, value: bytes) -> None:
    """Put one value where one of :func:`values_of` stands."""
    kind = await redis.type(key)
    if kind == b"string":
        await redis.set(key, value, keepttl=True)
    elif kind == b"hash":
        await redis.hset(key, field, value)
    elif kind == b"stream":
        await redis.xadd(key, {field: value})
