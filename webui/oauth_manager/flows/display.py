"""``Display``: the manager's methods that show connections, timelines and open links.

No secret comes out, and none of them renews a token.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from ..journal import activity
from ..journal.activity import PAGE, ActivityPage
from ..links import open_links
from ..links.open_links import OpenLink
from ..models import Connection
from ..storage import account_index, lookup
from ..storage.account_names import Names, account_name, read_names
from ..storage.calls import RedisClient
from ..storage.keys import check_user_id
from ..storage.link_index import LinkRequest
from ..storage.records import Sealed, opened
from ..storage.storage import Subject
from ..values import replace
from . import accounts, disconnect, tokens
from .composition import Composition
from .look import Look, look_beside


class Display(Composition):
    """Connections, timelines and open links as they can be shown."""

    async def _of_account(
        self, redis: RedisClient, user_id: str, provider: str, account: str | None
    ) -> Subject:
        """Return the connection of the named account, or of whichever is meant without a name."""
        first = self._subject(redis, user_id, provider)
        if account is None and "~" in provider:
            return first
        if account is None:
            return replace(first, is_any=True)
        return await accounts.place_of(self._services, first, account)

    async def list_user_connections(
        self, user_id: str, redis: RedisClient | None
    ) -> list[dict[str, Any]]:
        """List the connected accounts: no secrets, no refresh, one round trip.

        Keys: ``provider``, ``scopes``, ``expires_at`` (epoch seconds, or ``None``),
        ``has_refresh_token``, ``account`` (its name, ``None`` if it has none), ``label`` (what
        the provider calls it).  Two round trips if there are several of one service.
        """
        if redis is None:
            return []
        return [
            {
                "provider": connection.provider,
                "scopes": list(connection.scopes),
                "expires_at": connection.expires_at or None,
                "has_refresh_token": connection.has_refresh_token,
                "account": account_name(connection.name) if connection.name else None,
                "label": connection.profile.account.label,
            }
            for connection in await self.connections(redis, user_id)
            if connection.has_tokens
        ]

    async def connections(
        self, redis: RedisClient, user_id: str, *, resume: bool = True
    ) -> list[Connection]:
        """List the user's connections, by provider: one of each that is not connected too.

        One round trip, two if there are several accounts of one service.  A disconnect that
        a dead process left unfinished is resumed meanwhile, unless ``resume`` is false: then
        nothing at all changes.
        """
        checked = check_user_id(user_id)
        self._need(redis)
        firsts = [Subject(redis, checked, provider) for provider in self.providers.values()]
        others = [first.at(slot) for first in firsts for slot in self._several.slots(first)]
        found = await lookup.read_sealed(self._storage, [*firsts, *others], with_names=True)
        likely = list(zip(others, found[len(firsts) :], strict=True))
        rows: list[Connection] = []
        for first, sealed in zip(firsts, found, strict=False):
            if sealed.names:
                own = [text for one, text in likely if one.provider is first.provider]
                rows += await self._several_shown(first, [sealed, *own], resume=resume)
            else:
                rows.append(self._shown(first, sealed, resume=resume))
        return rows

    async def _several_shown(
        self, first: Subject, likely: Sequence[Sealed], *, resume: bool
    ) -> list[Connection]:
        """Describe all accounts of a service; one more trip unless they are as they were."""
        if known := self._several.recall(first, likely, self.clock.now()):
            return known
        sealed = likely[0]
        stored = opened(self._storage, first, sealed)
        (seen,) = await look_beside(self._storage, [(first, stored)])
        is_odd = resume and accounts.mend(self._services, seen)
        rows = self._all_shown(seen, resume=resume)
        texts = [one.sealed for one in seen.stored.values()]
        is_moving = is_odd or any(one.since for one in seen.names.accounts)
        if not (is_moving or any(one.held for one in texts)):
            names = sealed.names  # every place was read with the list beside it
            read = [sealed, *(replace(one, names=names) for one in texts[1:])]
            self._several.keep(first, seen.names.others, read, rows)
        return rows

    async def connection(
        self,
        redis: RedisClient,
        user_id: str,
        provider: str,
        *,
        account: str | None = None,
        resume: bool = True,
    ) -> Connection:
        """Return the user's connection of one provider, like :meth:`connections`.  One trip."""
        subject = await self._of_account(redis, user_id, provider, account)
        (sealed,) = await lookup.read_sealed(self._storage, [subject], with_names=True)
        if subject.is_any and sealed.names:
            subject = await accounts.the_one(self._services, subject)
            (sealed,) = await lookup.read_sealed(self._storage, [subject], with_names=True)
        return self._shown(subject, sealed, resume=resume)

    async def connection_beside(
        self,
        redis: RedisClient,
        user_id: str,
        provider: str,
        also: Callable[[Any], object],
        *,
        account: str | None = None,
    ) -> tuple[Connection, Any]:
        """Return a connection, and the answer to the command that ``also`` queues.

        Both are one trip.  Without ``account`` it is about the first one there.
        """
        subject = await self._of_account(redis, user_id, provider, account)
        sealed, answer = await lookup.read_beside(self._storage, subject, also)
        return self._shown(subject, sealed, resume=True), answer

    def _shown(self, subject: Subject, sealed: Sealed, *, resume: bool) -> Connection:
        if sealed.names:
            names = read_names(self._storage, subject, sealed.names) or Names()
            plain = self._shown(subject, replace(sealed, names=""), resume=resume)
            return replace(plain, name=names.shown(subject.slot), slot=subject.slot)
        if not sealed.held and (known := self._memory.recall(subject, sealed, self.clock.now())):
            return known
        stored = opened(self._storage, subject, sealed)
        if resume:
            disconnect.resume(self._services, subject, stored)
        connection = tokens.shown(self._storage, subject, stored)
        if stored.is_there and not stored.fault:
            self._memory.keep(subject, sealed, connection)
        return connection

    def _all_shown(self, seen: Look, *, resume: bool) -> list[Connection]:
        """Describe every account of a service that is there, or is being ended."""
        rows = [
            self._shown(seen.first.at(slot), seen.stored[slot].sealed, resume=resume)
            for slot in seen.shown
        ]
        return [
            seen.named(replace(row, is_default=slot == seen.names.default), slot)
            for row, slot in zip(rows, seen.shown, strict=True)
        ]

    async def find_accounts(
        self, redis: RedisClient, provider: str, account: str
    ) -> tuple[str, ...]:
        """Find the ids of the users, at most 11, who connected this account of the provider's.

        ``account`` is its id, or its label regardless of case.  Two round trips, reads only.
        """
        known = self._provider(provider)
        self._need(redis)
        return await account_index.find(self._storage, redis, known, account)

    async def activity(
        self,
        redis: RedisClient,
        user_id: str,
        before: str = "",
        *,
        provider: str = "",
        kinds: Collection[str] = (),
        size: int = PAGE,
    ) -> ActivityPage:
        """Read a page of the events of the last 90 days, newest first.  One round trip.

        With ``provider`` or ``kinds`` it holds only events of that provider and
        of these kinds, and may take a few more.
        """
        self._need(redis)
        page = redis, check_user_id(user_id), before
        return await activity.read(self._storage, *page, provider=provider, kinds=kinds, size=size)

    async def open_links(self, redis: RedisClient, user_id: str) -> tuple[OpenLink, ...]:
        """List the person's connect links of the last minutes, without codes.  Reads only."""
        self._need(redis)
        return await open_links.read(self._storage, redis, check_user_id(user_id))

    async def link_cancelled(self, redis: RedisClient, request: LinkRequest) -> None:
        """Tell the link's person that somebody switched it off."""
        await self.stories.cancelled(redis, request)

    async def link_used(self, redis: RedisClient, request: LinkRequest) -> None:
        """Record that somebody used a link; who it is has yet to be proven."""
        await self.stories.used(redis, request)
