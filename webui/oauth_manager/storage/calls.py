"""Calls to Redis: bounded, named when they fail, and indifferent to how the client decodes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from redis.asyncio import RedisCluster
from redis.exceptions import RedisClusterException, RedisError, ResponseError

from ..clock import bounded, redis_seconds
from ..errors import StoreUnavailable

log = logging.getLogger(__name__)

WAIT_MS = 200  # at most, for replicas to confirm a write
DEADLINE = 2.0  # seconds, for one round trip

FAULTS = (RedisError, RedisClusterException, OSError)
"""Everything that redis-py raises, but for time-outs of our own."""

# redis-py's errors for answers of a server that is up.
_REFUSALS = {"NoPermissionError", "OutOfMemoryError", "ReadOnlyError", "ResponseError"}

# In place of a value that is not text; no sealed record looks like it.
FOREIGN = "\0"


class Commands(Protocol):
    """The commands we send, each as redis-py takes it.

    redis-py answers with a value, with an awaitable of one, or with itself, by the kind
    of client: so nothing more than the name is promised here.
    """

    def delete(self, *names: Any) -> Any: ...
    def eval(self, script: str, numkeys: int, *keys_and_args: Any) -> Any: ...
    def execute_command(self, *args: Any, **options: Any) -> Any: ...
    def expire(self, *args: Any, **options: Any) -> Any: ...
    def hdel(self, *args: Any) -> Any: ...
    def hexists(self, *args: Any) -> Any: ...
    def hget(self, *args: Any) -> Any: ...
    def hgetall(self, *args: Any) -> Any: ...
    def hmget(self, *args: Any) -> Any: ...
    def hset(self, *args: Any, **options: Any) -> Any: ...
    def set(self, *args: Any, **options: Any) -> Any: ...
    def ttl(self, *args: Any) -> Any: ...
    def xadd(self, *args: Any, **options: Any) -> Any: ...
    def xdel(self, *args: Any) -> Any: ...
    def xinfo_groups(self, *args: Any) -> Any: ...
    def xtrim(self, *args: Any, **options: Any) -> Any: ...
    def zrem(self, *args: Any) -> Any: ...


class Pipeline(Commands, Protocol):
    """Commands that ``execute`` sends together."""

    def execute(self, *args: Any, **options: Any) -> Any: ...
    def __len__(self) -> int: ...


class RedisClient(Commands, Protocol):
    """A client of ``redis.asyncio``: ``Redis`` or ``RedisCluster``."""

    def aclose(self) -> Any: ...
    def hscan_iter(self, *args: Any, **options: Any) -> Any: ...
    def pipeline(self, *args: Any, **options: Any) -> Any: ...
    def ping(self, *args: Any, **options: Any) -> Any: ...
    def pttl(self, *args: Any) -> Any: ...
    def scan_iter(self, *args: Any, **options: Any) -> Any: ...
    def xack(self, *args: Any) -> Any: ...
    def xgroup_create(self, *args: Any, **options: Any) -> Any: ...
    def xrange(self, *args: Any, **options: Any) -> Any: ...
    def xrevrange(self, *args: Any, **options: Any) -> Any: ...


waiting: WeakKeyDictionary[RedisClient, int] = WeakKeyDictionary()
"""How many replicas have to confirm tokens, for clients that ask for that."""


@asynccontextmanager
async def redis_call(step: str, seconds: float = DEADLINE) -> AsyncIterator[None]:
    """Bound a Redis call and name its failure; no cause is chained, it may quote a value."""
    failure = ""
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    try:
        async with bounded(redis_seconds(seconds)):
            yield
        if task and task.cancelling() > before:
            # Before Python 3.12 the client's own time-out may swallow a cancellation.
            raise asyncio.CancelledError
    except TimeoutError:
        failure = "timeout"
    except FAULTS as error:
        failure = type(error).__name__
    if failure:
        raise StoreUnavailable(step, failure) from None


def queue_wait(redis: RedisClient, pipe: Pipeline) -> int:
    """Have replicas confirm the write just queued, if the client asks for that; returns 0 or 1."""
    if not (wanted := waiting.get(redis, 0)):
        return 0
    pipe.execute_command("WAIT", wanted, WAIT_MS)
    return 1


def heed_wait(redis: RedisClient, answers: Sequence[Any], place: int) -> None:
    """Log if too few replicas confirmed; the write stands all the same."""
    wanted = waiting.get(redis, 0)
    if wanted and answers[place] not in range(wanted, 1000):
        log.warning("tokens are stored, and fewer replicas than %d confirmed that", wanted)


def is_refusal(failure: StoreUnavailable) -> bool:
    """Return whether Redis answered and refused: reads may work all the same."""
    return failure.code in _REFUSALS


def is_full(failure: StoreUnavailable) -> bool:
    """Return whether Redis has no room: it removes and does not add."""
    return failure.code == "OutOfMemoryError"


def as_text(value: Any) -> str:
    """Return a Redis answer as text, however the client decodes; ``""`` for nothing."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else ""


def raw(client: Commands, command: str, key: str | bytes, *more: Any) -> Any:
    """Ask for bytes, even of a client that decodes: undecodable values must not break it."""
    return client.execute_command(command, key, *more, NEVER_DECODE=True)


def run(client: Commands, script: str, key: str, *arguments: Any) -> Any:
    """Run a script that answers with a stored value; returns bytes, like :func:`raw`."""
    return client.execute_command("EVAL", script, 1, key, *arguments, NEVER_DECODE=True)


async def queued(redis: RedisClient, commands: Iterable[Sequence[Any]]) -> list[Any]:
    """Send commands together, in any order; an error stands in the place of its answer."""
    pipe = redis.pipeline(transaction=False)
    if isinstance(redis, RedisCluster):
        pipe.any_order = True
    for command in commands:
        pipe.execute_command(*command, NEVER_DECODE=True)
    answers: list[Any] = await pipe.execute(raise_on_error=False)
    return answers


async def read_texts(redis: RedisClient, places: Iterable[str | bytes]) -> list[str]:
    """Read the value of each key, like :func:`text_of`.  One round trip."""
    return [text_of(answer) for answer in await queued(redis, [("GET", p) for p in places])]


async def read_page(redis: RedisClient, places: Sequence[str | bytes]) -> list[str]:
    """Read many values at the cost of one command; ``""`` also for a key of another type.

    A Cluster has no command for keys on several servers, and is asked for each.
    """
    if isinstance(redis, RedisCluster):
        return await read_texts(redis, places)
    answers = await redis.execute_command("MGET", *places, NEVER_DECODE=True)
    return [text_of(answer) for answer in answers]


async def answer_of(asked: Awaitable[Any]) -> Any:
    """Return the answer of one command, its error in its place, as a pipeline does."""
    try:
        return await asked
    except ResponseError as error:
        return error


async def read_text(redis: RedisClient, key: str | bytes) -> str:
    """Read a key's value, like :func:`text_of`."""
    return text_of(await answer_of(raw(redis, "GET", key)))


async def read_field(redis: RedisClient, key: str, field: str) -> str:
    """Read one field of a hash as text, ``""`` if it is absent or the key holds no hash."""
    return as_text(unless_mistyped(await answer_of(raw(redis, "HGET", key, field)), ""))


async def take_text(redis: RedisClient, key: str) -> str:
    """Read a key, like :func:`read_text`, and delete it."""
    answer = await answer_of(raw(redis, "GETDEL", key))
    text = text_of(answer)
    if is_mistyped(answer):
        await redis.delete(key)
    return text


def unless_mistyped(answer: Any, nothing: Any) -> Any:
    """Return one answer of a pipeline, or ``nothing`` if the key is of another type.

    Any other error that stands in the answer's place is raised.
    """
    if is_mistyped(answer):
        return nothing
    if isinstance(answer, Exception):
        raise answer
    return answer


def is_mistyped(answer: Any) -> bool:
    return isinstance(answer, ResponseError) and "WRONGTYPE" in str(answer)


def text_of(answer: Any) -> str:
    """Return one answer of a pipeline as text: ``FOREIGN`` if the key is of another type.

    Bytes that are no text are kept, so that :func:`exact` gives them back.  Raises any
    other error in the answer's place.
    """
    answer = unless_mistyped(answer, FOREIGN)
    is_bytes = isinstance(answer, bytes)
    return answer.decode("utf-8", "surrogateescape") if is_bytes else as_text(answer)


def exact(text: str) -> bytes:
    """Give back the bytes that :func:`text_of` read, to be compared in Redis."""
    return text.encode("utf-8", "surrogateescape")
