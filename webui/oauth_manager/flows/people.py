"""``People``: the manager's methods about a whole person: export, erasure, import."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from ..errors import OAuthError
from ..links import attempts
from ..models import Profile
from ..providers.provider import OAuthProvider
from ..storage import account_index, canary, erasures, imports, key_walk, keys
from ..storage.calls import RedisClient, redis_call
from ..storage.erasures import Unfinished
from ..storage.imports import Entry, Imported
from ..storage.key_pages import WalkTurn
from ..storage.keys import UserId, check_user_id
from ..storage.storage import Subject
from ..token_data import TokenData
from . import erasure, holdings, named_imports
from .display import Display
from .erasure import Erasure

log = logging.getLogger(__name__)

_TURN_SECONDS = 600  # longer than a walk over all keys


class People(Display):
    """Everything about one person at once.

    ``walks``: look at the names of all keys too, which finds services that are set up no
    more, and for an export at the whole audit.  That takes a while in a large Redis, and
    is for commands of an operator.
    """

    async def holdings(
        self, redis: RedisClient, user_id: str, *, with_tokens: bool = False, walks: bool = False
    ) -> dict[str, Any]:
        """Return what is held about a person, as plain values; tokens only if asked for.

        Reads only.  Times are epoch seconds, 0 if there is none.
        """
        checked = check_user_id(user_id)
        self._need(redis)
        known = await self._known(redis, checked, walks=walks)
        options = {"with_tokens": with_tokens, "with_acts": walks}
        return await holdings.collect(self._storage, redis, checked, known, **options)

    async def begin_erasure(
        self, redis: RedisClient, user_id: str, *, is_taken_up: bool = False
    ) -> None:
        """Check the keys before anything of an erasure is done.

        With ``is_taken_up`` :meth:`take_up_erasures` goes on with it if this process ends.
        Raises ``StoreUnavailable``, and ``OAuthMisconfigured`` if the keys do not fit, or a
        newer version of this program wrote a connection.
        """
        checked = check_user_id(user_id)
        self._need(redis)
        await canary.require_ours(redis, self._sealer, "erase")
        if is_taken_up:
            await erasures.enlist(self._storage, redis, checked)  # a newer process can do it
        await erasure.require_age(self._storage, redis, checked, self.providers.values())

    async def erase(self, redis: RedisClient, user_id: str, *, walks: bool = False) -> Erasure:
        """Ask every provider to end its grant, and remove every record of the person.

        :meth:`finish_erasure` comes after it, once everything else is removed too.  Runs
        to its end even if the caller is cancelled; may be repeated after a failure.
        Raises ``StoreUnavailable``, and ``OAuthMisconfigured`` if the keys do not fit.
        """
        checked = check_user_id(user_id)
        self._need(redis)
        await canary.require_ours(redis, self._sealer, "erase")
        known = await self._known(redis, checked, walks=walks)
        if walks:
            await attempts.end(self._storage, redis, checked)
        return await self._tasks.finish(erasure.erase(self._services, redis, checked, known))

    async def erase_unlisted(self, redis: RedisClient, user_id: str) -> None:
        """Remove what services that are set up no more left of a person; walks all keys.

        Nobody can ask those any more.  What the person has begun since stays.
        """
        checked = check_user_id(user_id)
        left = {
            place
            for place in await key_walk.places(redis, checked)
            if "~" in place or place not in self.providers
        }
        unlisted = [
            account_index.subject(redis, self.providers, checked, place) for place in sorted(left)
        ]
        await erasure.remove_unlisted(self._storage, unlisted)

    async def finish_erasure(
        self, redis: RedisClient, user_id: str, erased: Erasure, *, via: str
    ) -> None:
        """Write the audit's line of an erasure, which names nobody: ``via`` which way it came."""
        await erasure.finish(self._storage, redis, check_user_id(user_id), erased, via)

    async def take_up_erasures(
        self, redis: RedisClient, erase: Callable[[UserId], Awaitable[object]]
    ) -> None:
        """Go on with erasures that are taken up and came to no end; one process at a time.

        ``erase`` does all of one, up to :meth:`finish_erasure`; the walk comes after it.
        A failure of one is logged: its turn comes again.  Raises ``StoreUnavailable``.
        """
        if not await erasures.unfinished(self._storage, redis):
            return
        turn = WalkTurn(redis, keys.ERASING_LOCK, _TURN_SECONDS)
        if not await turn.begin():
            return
        try:
            now = self.clock.now()
            for one in await erasures.unfinished(self._storage, redis):
                if one.is_stale(now) and not one.is_walk_left:
                    await _tried(erase(one.user_id))
            for one in await erasures.unfinished(self._storage, redis):
                if one.is_walk_left and await turn.goes_on():
                    await _tried(self._walk_for(redis, one))
        finally:
            await turn.end()

    async def _walk_for(self, redis: RedisClient, one: Unfinished) -> None:
        await self.erase_unlisted(redis, one.user_id)
        await erasures.forget(redis, one)

    async def settle_for_import(self, redis: RedisClient) -> None:
        """Raise ``OAuthMisconfigured`` unless our keys fit; an empty Redis gets the canary."""
        self._need(redis)
        await canary.require_ours(redis, self._sealer, "import")

    async def import_page(
        self,
        redis: RedisClient,
        page: Sequence[tuple[str, TokenData, Profile, str]],
        *,
        replaces: bool = False,
        writes: bool = True,
    ) -> list[Imported]:
        """Store connections of another system: user id, tokens with their provider, profile.

        Each is of another connection; the last is the account's name, ``""`` of the only or
        first one.  What is there already, or was disconnected here,
        stays so unless it ``replaces``; nobody is told, and no provider is asked.  Without
        ``writes`` it only tells what would come of each.
        """
        entries = [
            Entry(self._subject(redis, user_id, token.provider), token, profile)
            for user_id, token, profile, _ in page
        ]
        how = {"replaces": replaces, "writes": writes}
        plain = [entry for entry, row in zip(entries, page, strict=True) if not row[3]]
        ended = [] if replaces else await self._ended([entry.subject for entry in plain])
        outcomes = iter(await imports.put(self._storage, plain, ended=ended, **how))
        return [
            await named_imports.put(self._services, entry, name, **how) if name else next(outcomes)
            for entry, (*_, name) in zip(entries, page, strict=True)
        ]

    async def _ended(self, subjects: Sequence[Subject]) -> list[Subject]:
        """Find the connections that were disconnected here, as the timelines tell."""
        if not subjects:
            return []
        async with redis_call("look for timelines"):
            pipe = subjects[0].redis.pipeline(transaction=False)
            for subject in subjects:
                pipe.exists(keys.events(subject.user_id))
            told = await pipe.execute()
        return [
            subject
            for subject, is_told in zip(subjects, told, strict=True)
            if is_told and await named_imports.is_ended(self._services, subject)
        ]

    async def _known(
        self, redis: RedisClient, user_id: UserId, *, walks: bool
    ) -> list[OAuthProvider]:
        """List the providers that are set up, and those that only records still name."""
        walked = await key_walk.places(redis, user_id) if walks else ()
        found = {keys.split(place)[0] for place in walked}
        told = await holdings.events(self._storage, redis, user_id)
        found |= {event.provider for event in told}
        others = sorted(found - self.providers.keys() - {""})
        return [*self.providers.values(), *map(account_index.unknown, others)]


async def _tried(work: Awaitable[object]) -> None:
    try:
        await work
    except OAuthError as failure:
        log.warning("an erasure stopped, and is tried again: %s", failure)
