"""``OwnAccounts``: the manager's methods for a person who has several accounts of one service."""

from __future__ import annotations

from ..errors import RecordUnreadable, StoreUnavailable
from ..models import Connection
from ..storage import lookup, name_list
from ..storage.account_names import Names, account_name, as_shown, slot_of
from ..storage.calls import RedisClient
from ..storage.records import open_token
from ..storage.storage import Subject
from ..token_data import TokenData
from ..values import replace
from . import accounts
from .display import Display
from .look import Look, look


class OwnAccounts(Display):
    """The names of accounts, which one is meant if none is named, and a token without a choice."""

    async def _live(
        self,
        redis: RedisClient,
        user_id: str,
        provider: str,
        account: str | None,
        min_valid: float,
    ) -> tuple[TokenData, Connection] | None:
        """Return a token like ``valid_token``, and the connection that it is of.  One trip.

        ``None`` if that takes more than a look: a renewal, or a choice among accounts.
        ``account`` is a handle: a name takes more.
        """
        subject = self._subject(redis, user_id, provider)
        if account is not None:
            slot = slot_of(account)
            if slot is None:
                return None
            subject = subject.at(slot)
        is_named = account is not None
        sealed = await lookup.read_in_use(subject, with_names=is_named)
        if sealed.older:
            return None
        try:
            token = open_token(self._storage, subject, sealed.tokens)
        except RecordUnreadable:
            return None
        if token is None or token.is_due(self.clock.now(), min_valid):
            return None
        if token.has_others and not is_named:
            return None
        connection = self._shown(subject, sealed, resume=False)
        if connection.profile.generation != token.generation:
            return None
        self._uses.note(subject, token.access_token)
        return token, connection

    async def rename_account(
        self, redis: RedisClient, user_id: str, provider: str, account: str, name: str
    ) -> bool:
        """Give an account another name; ``False`` if it is not there.

        Raises ``ValueError``, the end of a sentence, if it is no name, or another account's.
        """
        shown = as_shown(name)
        subject = await self._of_account(redis, user_id, provider, account)
        seen = await self._looked_at(subject)
        if subject.slot not in seen.live:
            return False

        def renamed(names: Names) -> Names:
            known = names.by_name(account_name(shown))
            if known and known.slot != subject.slot:
                if known.slot in seen.live or known.since:
                    raise ValueError("another account has this name")
                names = names.without(known.slot)
            before = names.at(subject.slot) or seen.entry(subject.slot)
            return names.with_one(replace(before, shown=shown))

        await name_list.change(self._storage, seen.first, renamed, seen.names)
        return True

    async def use_by_default(
        self, redis: RedisClient, user_id: str, provider: str, account: str | None
    ) -> bool:
        """Let a call that names no account mean this one; ``None``: none of several.

        ``False`` if it is not there.
        """
        subject = self._subject(redis, user_id, provider)
        if account is not None:
            subject = await self._of_account(redis, user_id, provider, account)
        seen = await self._looked_at(subject)
        if account is not None and subject.slot not in seen.live:
            return False
        slot = None if account is None else subject.slot

        def chosen(names: Names) -> Names:
            if slot is not None and not names.at(slot):
                names = names.with_one(seen.entry(slot))
            return replace(names, default=slot)

        await name_list.change(self._storage, seen.first, chosen, seen.names)
        return True

    async def _name_of(self, redis: RedisClient, user_id: str, provider: str, slot: str) -> str:
        """Return what an account is called, ``""`` if that cannot be told now.  One round trip."""
        subject = self._subject(redis, user_id, provider)
        try:
            names = await name_list.read(self._storage, subject)
        except (StoreUnavailable, RecordUnreadable):
            return ""
        return names.shown(slot) if names else ""

    async def _looked_at(self, subject: Subject) -> Look:
        seen = await look(self._storage, subject)
        accounts.mend(self._services, seen)
        return seen
