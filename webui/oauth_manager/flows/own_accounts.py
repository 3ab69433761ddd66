"""``OwnAccounts``: the manager's methods for a person who has several accounts of one service."""

from __future__ import annotations

from ..storage import name_list
from ..storage.account_names import Names, account_name, as_shown
from ..storage.calls import RedisClient
from ..storage.storage import Subject
from ..values import replace
from . import accounts
from .display import Display
from .look import Look, look


class OwnAccounts(Display):
    """The names of accounts, and which one is meant if none is named."""

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

    async def _looked_at(self, subject: Subject) -> Look:
        seen = await look(self._storage, subject)
        accounts.mend(self._services, seen)
        return seen
