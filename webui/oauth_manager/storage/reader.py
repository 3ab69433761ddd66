"""Reads of values: those that are asked for in one turn of the event loop go out together.

Nobody joins a read that has been sent: it may be older than a disconnect.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any
from weakref import WeakKeyDictionary

from redis.asyncio import RedisCluster
from redis.exceptions import RedisError, ResponseError

from ..clock import Timer, bounded, redis_seconds
from ..errors import StoreUnavailable
from .calls import DEADLINE, FAULTS, RedisClient, raw, text_of

MOST = 100  # keys in one command: a long one holds up everybody else's


async def read(
    step: str, redis: RedisClient, keys: Sequence[str], *, are_there: bool = False
) -> list[str]:
    """Read values as text, like :func:`.calls.text_of`.

    ``are_there``: most often each has a value.  ``step`` names the read in the
    ``StoreUnavailable`` that it raises.  Cancelling one caller harms no other.
    """
    loop = asyncio.get_running_loop()
    turn = _turns.get(redis)
    if turn is None or turn.loop is not loop:
        turn = _turns[redis] = _Turn(redis, loop)
    found = await _in_time(turn.ask(keys, may_be_absent=len(keys) > 1 and not are_there))
    if isinstance(found, str):
        raise StoreUnavailable(step, found)
    try:
        return [text_of(value) for value in found]
    except RedisError as error:  # a refusal in the place of one value
        failure = type(error).__name__
    raise StoreUnavailable(step, failure)


async def _in_time(answer: asyncio.Future[Any]) -> Any:
    left = redis_seconds()
    if left == math.inf:  # the turn's own deadline will do, and costs nothing here
        return await answer
    try:
        async with bounded(left):
            return await answer
    except TimeoutError:
        return "timeout"


class _Turn:
    """The reads of one turn of an event loop from one Redis; its callers keep it alive."""

    def __init__(self, redis: RedisClient, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._redis = redis
        self._asked: list[tuple[asyncio.Future[Any], Sequence[str]]] = []
        self._listed: set[str] = set()
        self._failure = "cancelled"  # by the end of the loop, if nothing else happens
        # Not by the loop's own factory: an eager one would send before anybody has asked.
        self._sending = asyncio.Task(self._send(), loop=loop)

    def ask(self, keys: Sequence[str], *, may_be_absent: bool) -> asyncio.Future[Any]:
        """Return what will be the values, or the name of the failure."""
        answer = self.loop.create_future()
        if may_be_absent:
            self._listed.update(keys)
        self._asked.append((answer, keys))
        return answer

    async def _send(self) -> None:
        """Send everything; who asks from now on, in the next turn, is in another one."""
        if _turns.get(self._redis) is self:
            del _turns[self._redis]
        found: dict[str, Any] = {}
        # Nobody else cancels this task while the loop runs: a plain timer will do, at a
        # third of the cost of ``asyncio.timeout``.
        timer = Timer(DEADLINE, self._give_up)
        try:
            asked = dict.fromkeys(key for _, keys in self._asked for key in keys)
            found = await _values(self._redis, list(asked), self._listed)
            self._failure = ""
        except TimeoutError:
            self._failure = "timeout"
        except FAULTS as error:
            self._failure = type(error).__name__
        finally:
            timer.cancel()
            for answer, keys in self._asked:
                if not answer.done():
                    answer.set_result(self._failure or [found[key] for key in keys])

    def _give_up(self) -> None:
        self._failure = "timeout"
        self._sending.cancel()


async def _values(
    redis: RedisClient, keys: Sequence[str], listed: Collection[str]
) -> dict[str, Any]:
    """Read bytes, None, or the error in the place of a value of another type.

    Of the keys that are ``listed`` it is usual that something is absent.
    """
    if len(keys) < 2 or isinstance(redis, RedisCluster):
        return await _one_by_one(redis, keys)
    # MGET says nothing of a value of another type.  EXISTS counts it, which saves a second
    # look at those that are listed.
    pipe = redis.pipeline(transaction=False)
    for some in _portions(keys):
        pipe.execute_command("MGET", *some, NEVER_DECODE=True)
    commands = len(pipe)
    for some in _portions(list(listed)):
        pipe.execute_command("EXISTS", *some)
    answers = await pipe.execute()
    found = dict(zip(keys, chain.from_iterable(answers[:commands]), strict=True))
    unsure = _unsure(found, listed, sum(answers[commands:]))
    return found | await _one_by_one(redis, unsure)


def _unsure(found: Mapping[str, Any], listed: Collection[str], there: int) -> list[str]:
    """List the keys without a value that may hold one of another type.

    ``there`` is how many of the ``listed`` ones exist.
    """
    is_certain = there == sum(found[key] is not None for key in listed)
    absent = (key for key, value in found.items() if value is None)
    return [key for key in absent if not (is_certain and key in listed)]


async def _one_by_one(redis: RedisClient, keys: Sequence[str]) -> dict[str, Any]:
    """Read them so that a value of another type is told from none."""
    if not keys:
        return {}
    if len(keys) == 1:
        try:
            return {keys[0]: await raw(redis, "GET", keys[0])}
        except ResponseError as error:
            return {keys[0]: error}
    pipe = redis.pipeline(transaction=False)
    for key in keys:
        raw(pipe, "GET", key)
    return dict(zip(keys, await pipe.execute(raise_on_error=False), strict=True))


def _portions(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    return (keys[start : start + MOST] for start in range(0, len(keys), MOST))


_turns: WeakKeyDictionary[RedisClient, _Turn] = WeakKeyDictionary()
