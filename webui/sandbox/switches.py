"""Switches of the guide: trouble that somebody can cause, to see what Stargazer does about it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from webui.oauth_manager import OAuthError, StoreUnavailable, get_oauth_manager
from webui.oauth_manager.storage.calls import RedisClient

from .standin import Standin

PAUSE_SECONDS = 15.0
NO_TOKEN = "GitHub is not connected, so there is no token to age."
AGED = "The token has run out. Send whoami github: Stargazer renews it first."
NO_GRANT = "Stargazer has no access at GitHub that could be removed."
REMOVED = "Stargazer no longer has access at GitHub. Send whoami github: it asks for a new one."
DOWN = "GitHub answers every call with 503. Send whoami github: the connection is kept."
UP = "GitHub answers again."
STOPPED = "Redis answers nothing for {seconds:.0f} seconds. Send list, or look at the site."
BACK = "Redis answers again. Nothing was lost."
_LATER = "That cannot be done now: Redis or GitHub does not answer. Try again in a moment."


@dataclass
class Switches:
    """The switches of one person's connection with the service of ``standin``.

    Redis stops for ``pause`` seconds; it cannot be told to go on before.
    """

    redis: RedisClient
    person: str
    standin: Standin
    pause: float = PAUSE_SECONDS
    told: dict[str, str] = field(default_factory=dict)
    _until: float = 0.0  # monotonic

    @property
    def redis_is_stopped(self) -> bool:
        return time.monotonic() < self._until

    def rows(self) -> list[tuple[str, str, str]]:
        """List name, button and what came of the last press, ``""`` before it."""
        if not self.redis_is_stopped and "redis" in self.told:
            self.told["redis"] = BACK
        down = "End GitHub's trouble" if self.standin.in_trouble else "GitHub is down"
        buttons = {
            "age": "Age the token",
            "down": down,
            "remove": "Remove the access at GitHub",
            "redis": "Stop Redis",
        }
        return [(name, button, self.told.get(name, "")) for name, button in buttons.items()]

    async def press(self, name: str) -> bool:
        """Do it, and keep what to tell; false if there is no such switch."""
        acts: dict[str, Callable[[], Awaitable[str]]] = {
            "age": self._age,
            "down": self._down,
            "remove": self._remove,
            "redis": self._stop_redis,
        }
        if name not in acts:
            return False
        try:
            self.told[name] = _LATER if self.redis_is_stopped else await acts[name]()
        except (StoreUnavailable, OAuthError):
            self.told[name] = _LATER
        return True

    async def _age(self) -> str:
        manager, name = get_oauth_manager(), self.standin.habits.name
        token = await manager.valid_token(self.redis, self.person, name)
        if token is None:
            return NO_TOKEN
        token.expires_at = manager.clock.now() - 1
        await manager.store_token(self.redis, self.person, token)
        return AGED

    async def _down(self) -> str:
        self.standin.in_trouble = not self.standin.in_trouble
        return DOWN if self.standin.in_trouble else UP

    async def _remove(self) -> str:
        grants = self.standin.grants
        given = grants.given_at(self.standin.habits.name)
        for grant in given:
            grants.end_grant(grant.id)
        return REMOVED if given else NO_GRANT

    async def _stop_redis(self) -> str:
        # The server itself ends the pause: a client could not, since it would wait as well.
        await self.redis.execute_command("CLIENT", "PAUSE", round(self.pause * 1000), "ALL")
        self._until = time.monotonic() + self.pause
        return STOPPED.format(seconds=self.pause)
