"""The courier: brings notices to one destination, in order for each person, until each is taken.

One whom the destination refuses waits alone, longer each time; the notices of other people go
on.  What nobody took for a day is put aside.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime

from webui.chat.notices import notice_data
from webui.oauth_manager import Notice, OAuthManager, OAuthUnavailable, StoreUnavailable
from webui.oauth_manager.protocol.requests import ProviderRequest
from webui.oauth_manager.storage.calls import RedisClient
from webui.webhooks.destination import Destination
from webui.webhooks.queue import Queue, Waiting

DAY = 86_400.0
STEP_SECONDS = 0.5
LONGEST_PAUSE = 600.0  # seconds between two tries for one person
_LONGEST_BREAK = 60.0  # seconds without any try, while nothing at all is taken
_DOWN = 8  # failures in a row, after which the destination is down
_AT_ONCE = 8  # people
_MOST_WAITING = 50_000

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Person:
    """One person's notices, oldest first, and when the first of them is tried next."""

    waiting: deque[Waiting] = field(default_factory=deque)
    failures: int = 0
    next_at: float = 0.0  # epoch seconds


class Courier:
    """Brings notices to one destination; one process at a time does."""

    def __init__(self, manager: OAuthManager, redis: RedisClient, to: Destination) -> None:
        self._manager = manager
        self._redis = redis
        self._to = to
        self._queue = Queue(redis, to)
        self._people: dict[str, _Person] = {}
        self._position: str | None = None  # None until the queue is loaded
        self._failures = 0  # in a row, whoever it was for
        self._break_until = 0.0

    async def run(self) -> None:
        """Go on until cancelled, also while Redis is away."""
        try:
            while True:
                try:
                    await self.step()
                except StoreUnavailable as failure:
                    log.warning("webhooks wait: %s", failure)
                    self._position = None  # what is held here may be old by then
                await asyncio.sleep(STEP_SECONDS)
        finally:
            await self._queue.end_turn()

    async def step(self) -> None:
        """Take up what is new, and try once for each person whose time has come.

        Raises ``StoreUnavailable``.
        """
        if not await self._queue.take_turn():
            self._position = None
            return
        await self._take_up()
        now = self._manager.clock.now()
        if now < self._break_until:
            return
        due = [one for one in self._people.values() if one.waiting and one.next_at <= now]
        places = asyncio.Semaphore(1 if self._failures >= _DOWN else _AT_ONCE)
        await asyncio.gather(*(self._serve(person, places) for person in due))
        self._people = {user: one for user, one in self._people.items() if one.waiting}

    async def _take_up(self) -> None:
        if self._position is None:
            self._people = {}
            self._position, held = await self._queue.load()
            await self._sort_in(held)
        count = sum(len(one.waiting) for one in self._people.values())
        while count < _MOST_WAITING:
            page = await self._manager.sealed_notices(self._redis, self._position)
            if page.has_overflowed:
                log.error("more happened than is kept: some notices never became webhooks")
            if page.next == self._position:
                return
            now = self._manager.clock.now()
            new = [Waiting(position, sealed, now) for position, sealed in page.entries]
            await self._queue.add(new, page.next)
            self._position = page.next
            await self._sort_in(new)
            count += len(new)

    async def _sort_in(self, waiting: list[Waiting]) -> None:
        for one in waiting:
            notice = self._manager.open_notice(one.sealed)
            if notice is None:
                log.error("a notice cannot be read, and becomes no webhook")
                await self._queue.remove(one.position)
            else:
                self._people.setdefault(notice.user_id, _Person()).waiting.append(one)

    async def _serve(self, person: _Person, places: asyncio.Semaphore) -> None:
        """Try the person's oldest notice once."""
        one = person.waiting[0]
        notice = self._manager.open_notice(one.sealed)
        async with places:
            # A step may take longer than a turn: a slow receiver has many people's notices.
            if self._manager.clock.now() < self._break_until or not await self._queue.keep_turn():
                return
            is_to_go = notice and await self._queue.holds(one.position)
            if notice and is_to_go and await self._manager.is_news(self._redis, notice):
                pause = await self._try(one, notice)
            else:
                pause = None
        now = self._manager.clock.now()
        if pause is None:
            await self._queue.remove(one.position)
        elif now - one.since >= DAY:
            log.error("a webhook was given up after a day; `webui check` lists it")
            await self._queue.give_up(one)
        else:
            person.failures += 1
            most = min(2.0**person.failures, LONGEST_PAUSE)
            person.next_at = now + max(most * random.uniform(0.5, 1), pause)  # noqa: S311
            return
        person.waiting.popleft()
        person.failures, person.next_at = 0, 0.0

    async def _try(self, one: Waiting, notice: Notice) -> float | None:
        """Send a notice; return None if it was taken, else the pause asked for (seconds)."""
        now = self._manager.clock.now()
        body = body_of(one.position, notice)
        headers = self._to.headers(f"notice_{one.position}", int(now), body)
        request = ProviderRequest(
            "webhook", "notify", "POST", self._to.url, headers, body, self._to.reach
        )
        try:
            answer = await self._manager.transport.send(request)
        except OAuthUnavailable as failure:
            self._fail(now, f"{failure.code}")
            return 0.0
        if 200 <= answer.status < 300:
            self._succeed()
            return None
        self._fail(now, f"http_{answer.status}")
        after = answer.headers.get("retry-after", "")
        return min(float(after), 3600.0) if after.isascii() and after.isdigit() else 0.0

    def _succeed(self) -> None:
        if self._failures >= _DOWN:  # it is back: nobody waits any longer
            log.info("webhooks are taken again")
            for person in self._people.values():
                person.next_at = 0.0
        self._failures = 0

    def _fail(self, now: float, code: str) -> None:
        self._failures += 1
        log.warning("a webhook was not taken: %s", code)
        if self._failures >= _DOWN:
            self._break_until = now + min(2.0 ** (self._failures - _DOWN), _LONGEST_BREAK)


def body_of(position: str, notice: Notice) -> bytes:
    """Return the same bytes at every try: type, time and data, as the specification has it."""
    content = {
        "type": f"connection.{notice.kind.value}",
        "timestamp": datetime.fromtimestamp(notice.at, UTC).isoformat(),
        "data": notice_data(position, notice),
    }
    return json.dumps(content, separators=(",", ":")).encode()
