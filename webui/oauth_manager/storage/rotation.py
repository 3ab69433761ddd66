"""Rotation of the encryption key: for an operator, never for a request.

It walks all records page by page.  If it took up an interrupted walk, or a Cluster may have
moved records behind it, it looks again for what the newest key did not sign.  Whoever changes a
record at the same time wins.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from redis.asyncio import RedisCluster

from ..providers.provider import OAuthProvider
from ..values import Struct
from . import account_index, canary, erasures, key_pages, keys, server_pins
from .calls import RedisClient, redis_call
from .key_pages import Bookmark, Page
from .resealer import AGAIN, BESIDE, INDEX, RECORDS, Findings, Resealer, Task
from .storage import Storage

_BATCH = 2  # pages of each worker between two notes of the place
_LOOKS = 3  # at what is not sealed with the newest key after the walk
AT_ONCE = 2  # pages in one process: Redis works on one while we work on the other

Visit = Callable[[Task], Awaitable[Findings]]
"""A worker, like :meth:`.Resealer.visit`; it may be in another process."""

Told = Callable[[int, int], None]
"""Progress: how many keys are done, and of how many; called after each batch."""


@dataclass(frozen=True, slots=True)
class Rotation:
    """The outcome of a rotation.

    ``done`` were sealed anew, ``moved`` of them from keys of the older system, and ``new``
    had been sealed with the newest key before.  ``unreadable`` cannot be opened, ``unknown``
    were opened or named, and not understood; ``left`` maps the names of these, a thousand
    at the most, to the reason, the end of a sentence.  ``changed`` were written by other
    processes each time we came by.  ``beside`` counts events and held tokens that were
    sealed anew, ``blind`` those that no key here opens, which nobody has seen before either.
    """

    done: int
    moved: int
    left: Mapping[str, str]
    new: int = 0
    unreadable: int = 0
    unknown: int = 0
    changed: int = 0
    beside: int = 0
    blind: int = 0

    @property
    def is_whole(self) -> bool:
        """Return whether nothing remains that the newest key did not seal."""
        return not (self.left or self.changed)


class Work(Struct, frozen=True):
    """The means of a rotation: ``visits`` are its workers, none for those of this process.

    ``told`` is called with its progress.  Without ``writes`` it only looks.
    """

    visits: Sequence[Visit] = ()
    told: Told | None = None
    writes: bool = True


class _Crew(Struct, frozen=True):
    """The workers of a rotation; ``mark`` is what all of them put on entries of the index."""

    redis: RedisClient
    visits: Sequence[Visit]
    mark: str

    async def walk(self, work: str, pattern: str) -> Findings:
        """Have the work done on all keys of a pattern."""
        found = Findings()
        async for batch in self.batches(pattern):
            found.add(await self.visit(work, batch))
        return found

    async def batches(
        self, pattern: str, places: Mapping[str, int] | None = None
    ) -> AsyncIterator[list[Page]]:
        """Walk keys from these places on, in batches between two notes of the place."""
        batch: list[Page] = []
        async for page in key_pages.pages(self.redis, pattern, places):
            batch.append(page)
            if len(batch) == len(self.visits) * _BATCH:
                yield batch
                batch = []
        if batch:
            yield batch

    async def visit(self, work: str, batch: Sequence[Page]) -> Findings:
        """Have the work done on these pages, each by the next worker who is free."""
        found, waiting = Findings(), iter(batch)

        async def visit_all(visit: Visit) -> None:
            for page in waiting:
                found.add(await visit(Task(work, self.mark, page.keys)))

        try:
            async with asyncio.TaskGroup() as group:
                for visit in self.visits:
                    group.create_task(visit_all(visit))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return found


async def reseal(
    storage: Storage,
    redis: RedisClient,
    providers: Mapping[str, OAuthProvider],
    work: Work,
) -> Rotation:
    """Seal every record with the newest key, and rebuild the index of accounts on the way.

    Safe to interrupt and to repeat; one that was interrupted is taken up where it was.
    Raises ``StoreUnavailable``.
    """
    own = Resealer(storage, redis, providers, writes=work.writes).visit
    crew = _Crew(redis, work.visits or [own] * AT_ONCE, account_index.new_value(storage))
    bookmark = Bookmark(redis, keys.ROTATION, storage.sealer.digest("rotation", "")[:16])
    if not work.writes:
        return _rotation(await crew.walk(RECORDS, keys.RECORD_PATTERN))
    found = await _records(crew, bookmark, work.told)
    found.add(await crew.walk(INDEX, keys.ACCOUNT_PATTERN))
    found.add(await crew.walk(BESIDE, keys.BESIDE_PATTERN))
    await erasures.reseal(storage, redis)
    rotation = _rotation(found)
    await bookmark.remove()
    if rotation.is_whole:
        await canary.renew(redis, storage.sealer)
        await server_pins.renew(storage, redis, [p.name for p in providers.values() if p.to_find])
        async with redis_call("note the end of a rotation"):
            await redis.set(keys.LAST_ROTATION, f"{storage.clock.now():.0f}")
    return rotation


def _rotation(found: Findings) -> Rotation:
    words = ("new", "unreadable", "unknown", "changed", "beside", "blind")
    counts = {word: found.counts[word] for word in words}
    return Rotation(found.counts["done"], found.counts["moved"], found.left, **counts)


async def _records(crew: _Crew, bookmark: Bookmark, told: Told | None) -> Findings:
    """Seal all records; what an interrupted rotation by the same key has done is not opened.

    A walk that began anew on one server has met everything that was there all the time.
    """
    places = await bookmark.read()
    found = await _walk_on(crew, bookmark, places, told)
    is_sure = (
        not places and not isinstance(crew.redis, RedisCluster) and not found.counts["changed"]
    )
    for _ in range(0 if is_sure else _LOOKS):
        last = await crew.walk(AGAIN, keys.RECORD_PATTERN)
        for word in ("done", "moved"):
            found.counts[word] += last.counts[word]
        for word in ("unreadable", "unknown"):  # it met those of the walk again
            found.counts[word] = max(found.counts[word], last.counts[word])
        found.counts["changed"] = last.counts["changed"] + last.counts["done"]
        found.add(Findings(left=last.left))
        if not found.counts["changed"]:
            break
    return found


async def _walk_on(
    crew: _Crew,
    bookmark: Bookmark,
    places: Mapping[str, int],
    told: Told | None,
) -> Findings:
    """Walk the records from these places on, and keep the place that it reaches."""
    total = await key_pages.count(crew.redis, keys.RECORD_PATTERN, places) if told else 0
    found, done = Findings(), 0
    async for batch in crew.batches(keys.RECORD_PATTERN, places):
        found.add(await crew.visit(RECORDS, batch))
        for page in {page.run: page for page in batch}.values():
            await bookmark.put(page)
        done += sum(len(page.keys) for page in batch)
        if told:
            told(done, max(total, done))
    return found
