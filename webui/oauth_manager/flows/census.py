"""A count of everything that is stored: people, connections by state, open links, notices.

For an operator and for gauges, never for a request: it walks all keys, in pages.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from ..connection import describe
from ..journal import unread_notices
from ..models import Status
from ..providers.provider import OAuthProvider
from ..storage import account_index, canary, key_pages, keys, lookup
from ..storage.calls import RedisClient, raw, read_text, read_texts, redis_call, unless_mistyped
from ..storage.canary import Fit
from ..storage.key_pages import TurnLost, WalkTurn
from ..storage.link_index import listed
from ..storage.records import Stored
from ..storage.storage import Storage, Subject
from .census_week import remember
from .look import first_accounts

_SHORTEST = 10.0  # seconds between two walks; so many times longer than a walk takes,
_TIMES = 19
_LONGEST = 3600.0  # and at most so many
_PAGE_SECONDS = 300  # without a page, after which a walk counts as abandoned
_MOMENT = re.compile(r"[0-9]{1,11}(\.[0-9]{1,9})?")


@dataclass(frozen=True, slots=True)
class Census:
    """The counts.  ``connections`` is by provider and state, a word of :class:`Status`.

    ``notices_unread`` are those that no bot has acknowledged, and those whose
    time has come; ``fit`` is that of our keys, by the canary or else the records.
    """

    people: int
    connections: Mapping[str, Mapping[str, int]]
    open_links: int
    notices_unread: int
    fit: Fit
    last_rotation: float = 0.0  # epoch seconds, 0 if there was none
    last_keep_alive: float = 0.0


async def _always() -> None:
    """Stand for a walk that needs nobody's leave."""


async def count(
    storage: Storage,
    redis: RedisClient,
    providers: Mapping[str, OAuthProvider],
    go_on: Callable[[], Awaitable[None]] = _always,
) -> Census:
    """Walk all keys once for records and once for links.  Memory does not grow with them.

    What changes meanwhile is counted as it is met.  ``go_on`` is called after each page, and
    ends the walk by raising.  Raises ``StoreUnavailable``.
    """
    walk = _Walk(storage, redis, providers)
    links = 0
    async for page in key_pages.portions(redis, keys.RECORD_PATTERN):
        await walk.visit(page)
        await go_on()
    async for page in key_pages.portions(redis, keys.LINKS_PATTERN):
        links += await _open_links(storage, redis, page)
        await go_on()
    connections: dict[str, dict[str, int]] = {}
    for (provider, state), number in sorted(walk.states.items()):
        connections.setdefault(provider, {})[state] = number
    fit = await canary.look(redis, storage.sealer)
    if fit is Fit.NOTHING and {state for _, state in walk.states} == {Status.UNREADABLE}:
        fit = Fit.NO_RECORD_OPENS
    unread = await unread_notices.count(storage, redis)
    async with redis_call("read what was done last"):
        done = await read_texts(redis, [keys.LAST_ROTATION, keys.LAST_KEEP_ALIVE])
    return Census(walk.people, connections, links, unread, fit, *map(_moment, done))


async def recent(
    storage: Storage, redis: RedisClient, providers: Mapping[str, OAuthProvider]
) -> Census | None:
    """Return a count that all processes share, by a walk of this one if it is due.

    Of any number of processes one walks, for at most a twentieth of the time.  None
    until the first walk has ended.  Raises ``StoreUnavailable``.
    """
    now = storage.clock.now()
    async with redis_call("read the counts"):
        kept, next_at = _read(await read_text(redis, keys.CENSUS))
        if kept and now < next_at <= now + _LONGEST:
            return kept
    turn = WalkTurn(redis, keys.CENSUS_LOCK, _PAGE_SECONDS)
    if not await turn.begin():
        return kept
    since = storage.clock.monotonic()
    try:
        found = await count(storage, redis, providers, turn.keep)
        took = storage.clock.monotonic() - since
        pause = min(max(_SHORTEST, took * _TIMES), _LONGEST)
        text = json.dumps({**asdict(found), "next_at": storage.clock.now() + pause})
        async with redis_call("keep the counts"):
            await redis.set(keys.CENSUS, text, ex=round(2 * _LONGEST))
    except TurnLost:
        return kept
    finally:
        await turn.end()
    await remember(redis, found.connections, now)
    return found


def _read(text: str) -> tuple[Census | None, float]:
    """Read the counts of another process; None if they cannot be read."""
    try:
        record = json.loads(text)
        next_at = float(record.pop("next_at"))
        return Census(**{**record, "fit": Fit(record["fit"])}), next_at
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        return None, 0.0


def _moment(text: str) -> float:
    """Read epoch seconds; 0 for anything else."""
    return float(text) if _MOMENT.fullmatch(text) else 0.0


@dataclass
class _Walk:
    """One walk over the records, with its counts so far.

    Each person is counted at the one of their providers that the walk met first at all:
    so nobody has to be remembered.
    """

    storage: Storage
    redis: RedisClient
    providers: Mapping[str, OAuthProvider]
    states: Counter[tuple[str, str]] = field(default_factory=Counter)
    people: int = 0
    met: list[str] = field(default_factory=list)  # names of providers

    async def visit(self, page: Sequence[bytes]) -> None:
        subjects = {}
        for key in page:
            name = key.decode("utf-8", "replace")
            if keys.record_kind(key) == "names":
                continue
            ours = keys.parse_record(name)
            owner = ours or keys.parse_older_record(name)
            if owner:
                place = keys.is_token_key(name), ours is None
                subjects[*place, *owner] = account_index.subject(self.redis, self.providers, *owner)
        if not subjects:
            return
        stored = await lookup.read(self.storage, list(subjects.values()))
        counted = [
            (subject, one)
            for (is_token, is_older, *_), subject, one in zip(
                subjects, subjects.values(), stored, strict=True
            )
            if _is_counted_here(one, is_token=is_token, is_older=is_older)
        ]
        for subject, one in counted:
            self._count(subject, one)
        self.people += await self._new_people([subject for subject, _ in counted])

    def _count(self, subject: Subject, stored: Stored) -> None:
        provider, now = subject.provider, self.storage.clock.now()
        state = (
            Status.UNREADABLE
            if stored.fault
            else describe(provider, stored.token, stored.facts, now).status
        )
        if state is not Status.NOT_CONNECTED:
            self.states[provider.name, state.value] += 1

    async def _new_people(self, subjects: Sequence[Subject]) -> int:
        """Count those who have no record at a provider that was met before theirs.

        Of several accounts of one service the first counts, or else that of the first name.
        """
        subjects = await first_accounts(self.storage, subjects)
        asked: list[int] = []
        async with redis_call("count people"):
            pipe = self.redis.pipeline(transaction=False)
            for number, subject in enumerate(subjects):
                name = subject.provider.name
                if name not in self.met:
                    self.met.append(name)
                for other in self.met[: self.met.index(name)]:
                    places = keys.record_places(subject.user_id, other)
                    for key in (*places, keys.names(subject.user_id, other)):
                        raw(pipe, "EXISTS", key)
                        asked.append(number)
            answers = await pipe.execute() if asked else []
        known = {number for number, is_there in zip(asked, answers, strict=True) if is_there}
        return len(subjects) - len(known)


def _is_counted_here(stored: Stored, *, is_token: bool, is_older: bool) -> bool:
    """Return whether a connection is counted at this key: at that of the tokens in use.

    Without tokens it is counted at that of its profile.
    """
    if stored.sealed.tokens:
        return is_token and is_older == stored.is_older
    return not is_token and bool(stored.sealed.profile)


async def _open_links(storage: Storage, redis: RedisClient, page: Sequence[bytes]) -> int:
    now = storage.clock.now()
    async with redis_call("count the open links"):
        pipe = redis.pipeline(transaction=False)
        for key in page:
            raw(pipe, "HGETALL", key)
        answers = await pipe.execute(raise_on_error=False)
    entries = (listed(unless_mistyped(answer, {})) for answer in answers)
    return sum(bool(code) and expires > now for one in entries for _, code, expires in one)
