"""Erasure of a person: their grants ended at the providers, every record of them removed.

Every step may be killed and repeated.  What has not come to its end is marked
(:mod:`..storage.erasures`), so that the next run knows that it goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ..errors import OAuthUnavailable, StoreUnavailable
from ..journal import traces
from ..journal.audit import Audit, AuditRecord
from ..links import open_links
from ..models import Account, RevokeOutcome
from ..protocol import answers
from ..protocol.transport import DEADLINE_WHILE_WAITING
from ..providers.provider import OAuthProvider
from ..storage import account_index, canary, erasures, keys, lookup, switch_offers
from ..storage.calls import RedisClient, redis_call
from ..storage.keys import UserId
from ..storage.storage import Storage, Subject
from ..token_data import TokenData
from . import disconnect, holdings, revocation
from .look import look_at_all
from .services import Services

_ROUNDS = 5  # in which somebody may store another connection meanwhile


class Answer(StrEnum):
    """The end of one grant, as far as it went."""

    REVOKED = "revoked"  # the provider confirmed
    ENDED = "ended"  # it had ended the access before
    UNCONFIRMED = "unconfirmed"  # it was asked and did not confirm
    UNSUPPORTED = "unsupported"  # it has no way to ask
    NOT_SET_UP = "not_set_up"  # its client id and secret are not set here, so it was not asked
    UNREADABLE = "unreadable"  # no key here opens the tokens, so it was not asked


@dataclass(frozen=True, slots=True)
class EndedGrant:
    """One grant that is gone here, and what its provider answered."""

    provider: str
    answer: Answer
    account: str = ""

    @property
    def is_over(self) -> bool:
        """Return whether the provider has ended it for certain."""
        return self.answer in (Answer.REVOKED, Answer.ENDED)


@dataclass(frozen=True, slots=True)
class Erasure:
    """The result: every grant with its answer; ``was_there`` if there was anything at all."""

    grants: tuple[EndedGrant, ...]
    was_there: bool


async def require_age(
    storage: Storage, redis: RedisClient, user_id: UserId, providers: Iterable[OAuthProvider]
) -> None:
    """Raise ``TooOld`` if a newer version wrote a connection, so that nothing is half erased."""
    subjects = [Subject(redis, user_id, provider) for provider in providers]
    for subject, stored in zip(subjects, await lookup.read(storage, subjects), strict=True):
        canary.require_age(subject.provider.name, "erase", is_newer=stored.is_newer)


async def erase(
    services: Services, redis: RedisClient, user_id: UserId, providers: Iterable[OAuthProvider]
) -> Erasure:
    """End and remove everything; :func:`finish` comes after it.

    The caller has seen that our keys fit.  Raises ``StoreUnavailable``, then it is to be repeated.
    """
    storage = services.storage
    was_there = await erasures.begin(storage, redis, user_id)
    was_there |= bool(await open_links.cancel(redis, user_id))
    firsts = [Subject(redis, user_id, provider) for provider in providers]
    looks = await look_at_all(storage, firsts)
    subjects = [seen.first.at(slot) for seen in looks for slot in seen.stored]
    ends = [_end(services, subject) for subject in subjects]
    grants: list[EndedGrant] = []
    for found in await asyncio.gather(*ends, return_exceptions=True):
        if isinstance(found, BaseException):  # the others have come to their end
            raise found
        grants += found
    removed = await _sweep(storage, redis, user_id, subjects)
    return Erasure(tuple(grants), was_there or bool(grants or removed))


async def remove_unlisted(storage: Storage, subjects: Iterable[Subject]) -> None:
    """Remove records that nobody can ask a provider with any more."""
    for subject in subjects:
        stored = await lookup.read_one(storage, subject)
        await _unlist(storage, subject, [stored.profile.account])
        places = keys.token_places(subject.user_id, subject.place)
        for key in filter(None, (*places, *keys.beside_tokens(subject.user_id, subject.place))):
            await _drop(subject, key)


async def finish(
    storage: Storage, redis: RedisClient, user_id: UserId, erasure: Erasure, via: str
) -> None:
    """Write the one line of the audit, which names nobody, and mark the end."""
    if erasure.was_there:
        result = ", ".join(f"{grant.provider} {grant.answer}" for grant in erasure.grants)
        record = AuditRecord("", via, "erased", result=result or "no connection")
        await Audit(storage.clock).write(redis, record)
    await erasures.finish(storage, redis, user_id)


async def _end(services: Services, subject: Subject) -> list[EndedGrant]:
    """Disconnect, and ask again with whatever an earlier disconnect has left."""
    grants: list[EndedGrant] = []
    for _ in range(_ROUNDS):
        stored = await lookup.read_one(services.storage, subject)
        offer = await switch_offers.peek(services.storage, subject)
        if offer and not subject.slot:  # first, since a disconnect would end it without a word
            answer = await _ask(services, subject, offer.token)
            grants.append(EndedGrant(subject.provider.name, answer, offer.new.label))
            await switch_offers.claim(services.storage, subject, offer.id)
        if not stored.is_there and stored.held:
            answer = await _ask(services, subject, stored.held.token)
            grants.append(EndedGrant(subject.provider.name, answer, stored.held.account))
            await _drop(subject, keys.revoke(subject.user_id, subject.place))
        if not stored.is_there:
            return grants
        ending = await disconnect.disconnect(services, subject, "chat")
        ended = await ending.result
        account = ended.account.label or stored.profile.account.label
        answer = _answer(subject.provider, ended.at_provider, stored.fault)
        if ended.at_provider is not RevokeOutcome.NOTHING:
            grants.append(EndedGrant(subject.provider.name, answer, account))
        await _drop(subject, keys.revoke(subject.user_id, subject.place))
        await _unlist(services.storage, subject, [stored.profile.account])
    raise StoreUnavailable("erase a person", "changing")


async def _ask(services: Services, subject: Subject, token: TokenData) -> Answer:
    outcome, _ = await revocation.ask(services, subject, token)
    provider = (await services.servers.about_if_known(subject)).provider
    if outcome is RevokeOutcome.UNCONFIRMED and await _is_refused(services, provider, token):
        # An interrupted erasure had asked already: there is nothing more to end.
        return Answer.ENDED
    return _answer(provider, outcome, "")


async def _is_refused(services: Services, provider: OAuthProvider, token: TokenData) -> bool:
    """Return whether the provider refuses a token that should still work by the clock."""
    if not provider.account_url or token.is_over(services.storage.clock.now()):
        return False
    try:
        answer = await services.client.account(provider, token, DEADLINE_WHILE_WAITING)
    except OAuthUnavailable:
        return False
    return answers.refuses_token(provider, answer)


def _answer(provider: OAuthProvider, outcome: RevokeOutcome, fault: str) -> Answer:
    if outcome in (RevokeOutcome.REVOKED, RevokeOutcome.ENDED):
        return Answer(outcome)
    if fault:
        return Answer.UNREADABLE
    if not provider.is_configured:
        return Answer.NOT_SET_UP
    return Answer.UNSUPPORTED if outcome is RevokeOutcome.UNSUPPORTED else Answer.UNCONFIRMED


async def _sweep(
    storage: Storage, redis: RedisClient, user_id: UserId, subjects: Sequence[Subject]
) -> int:
    """Remove everything but tokens, of which there are none any more; return how much it was."""
    accounts = await _accounts_told(storage, redis, user_id)
    for subject in subjects:
        named = accounts.get(subject.provider.name, ())
        await _unlist(storage, subject, [Account(label=label) for label in named])
    own = keys.of_person(user_id)
    for subject in subjects:
        own += keys.beside_tokens(user_id, subject.place)
    async with redis_call("remove a person's records"):
        pipe = redis.pipeline(transaction=False)
        for key in own:
            pipe.delete(key)
        deleted = sum(await pipe.execute())
    return int(deleted) + await traces.remove(storage, redis, user_id)


async def _accounts_told(
    storage: Storage, redis: RedisClient, user_id: UserId
) -> dict[str, set[str]]:
    """Collect the names of accounts that the timeline tells of, by provider."""
    named: dict[str, set[str]] = {}
    for event in await holdings.events(storage, redis, user_id):
        named.setdefault(event.provider, set()).update({event.account, event.was} - {""})
    return named


async def _unlist(storage: Storage, subject: Subject, accounts: Iterable[Account]) -> None:
    """Take the person off the index of accounts."""
    pipe = subject.redis.pipeline(transaction=False)
    for account in accounts:
        account_index.remove(storage, pipe, subject, account)
    if len(pipe):
        async with redis_call("take a person off an index"):
            await pipe.execute()


async def _drop(subject: Subject, key: str) -> None:
    async with redis_call("remove a person's records"):
        await subject.redis.delete(key)
