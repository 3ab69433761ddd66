"""``Upkeep``: the manager's methods that keep, look after and end a connection."""

from __future__ import annotations

from ..models import Disconnected, RevokeOutcome
from ..storage import held_tokens
from ..storage.calls import RedisClient, redis_call
from ..token_data import TokenData
from . import disconnect, revocation, stored_tokens, tokens
from .check import Health
from .display import Display
from .revocation import Ending


class Upkeep(Display):
    """Tokens that are stored, checks, and disconnecting."""

    async def store_token(
        self, redis: RedisClient, user_id: str, token: TokenData, *, account: str | None = None
    ) -> None:
        """Store ``token`` for the user, under ``token.provider``.

        The profile of another authorization, such as its account, is not shown beside it.
        ``account`` has to be one that is connected already (``ValueError``).
        """
        subject = self._subject(redis, user_id, token.provider)
        await stored_tokens.put(self._services, subject, account, token)

    async def has_token(
        self,
        user_id: str,
        provider: str,
        redis: RedisClient | None,
        *,
        account: str | None = None,
    ) -> bool:
        """Return whether tokens are stored, valid or not; ``False`` if ``redis`` is ``None``.

        Without ``account`` it is about any of several.
        """
        first = self._subject_or_none(redis, user_id, provider)
        return first is not None and await stored_tokens.are_there(self._services, first, account)

    async def delete_token(
        self,
        redis: RedisClient,
        user_id: str,
        provider: str,
        *,
        account: str | None = None,
        by: str = "bot",
    ) -> Disconnected:
        """Disconnect: always locally, and first; then the provider is asked.

        ``by`` names the actor, for the person's timeline: ``web``, ``chat``, ``bot`` or
        ``support``.  A provider that takes longer than ``patience`` counts as one that
        did not confirm; the request goes on.
        """
        ending = await self.disconnect(redis, user_id, provider, account=account, by=by)
        unconfirmed = Disconnected(provider, RevokeOutcome.UNCONFIRMED, ending.account)
        return await ending.within(self.patience) or unconfirmed

    async def disconnect(
        self,
        redis: RedisClient,
        user_id: str,
        provider: str,
        *,
        by: str,
        account: str | None = None,
    ) -> Ending:
        """Disconnect like :meth:`delete_token`, without waiting for the provider.

        If it does not confirm, the tokens to ask it with are kept for
        :meth:`ask_again`, sealed and for at most an hour.  Raises ``StoreUnavailable``,
        and ``OAuthMisconfigured`` if a newer version of this program wrote the connection.
        """
        subject = await self._of_account(redis, user_id, provider, account)
        work = disconnect.disconnect(self._services, subject, by)
        return await self._tasks.finish(work)

    async def ask_again(
        self, redis: RedisClient, user_id: str, provider: str, *, account: str | None = None
    ) -> Ending | None:
        """Ask the provider once more to end the grant that :meth:`disconnect` removed here.

        ``None`` if nothing is kept to ask with, or the service is connected.
        """
        subject = await self._of_account(redis, user_id, provider, account)
        work = revocation.ask_again(self._services, subject)
        return await self._tasks.finish(work)

    async def drop_leftovers(
        self, redis: RedisClient, user_id: str, provider: str, *, account: str | None = None
    ) -> None:
        """Delete the held tokens: those that :meth:`disconnect` put aside."""
        subject = await self._of_account(redis, user_id, provider, account)
        async with redis_call("drop held tokens"):
            await held_tokens.drop(redis, subject)

    async def check(
        self, redis: RedisClient, user_id: str, provider: str, *, account: str | None = None
    ) -> Health:
        """Ask the provider whether the connection works, after a refresh if one is due."""
        subject = await self._of_account(redis, user_id, provider, account)
        return await tokens.health(self._services, subject)

    async def accept_missing(
        self, redis: RedisClient, user_id: str, provider: str, *, account: str | None = None
    ) -> bool:
        """Accept, for the person, that permissions were left off.

        ``False`` if no needed one was, or it is accepted already.
        """
        subject = await self._of_account(redis, user_id, provider, account)
        return await tokens.accept_missing(self._services, subject)
