"""Health of a connection right now: the provider is asked with the token itself.

It is asked by the account address, or by a refresh if the grant can be renewed.  One
refusal deletes nothing: only a refused refresh, or two refusals apart in time, end a
connection.
"""

from __future__ import annotations

from enum import Enum, StrEnum

from ..errors import OAuthRefused, OAuthUnavailable, StoreUnavailable
from ..models import Profile
from ..protocol import answers
from ..protocol.answers import Answer
from ..protocol.transport import DEADLINE_WHILE_WAITING
from ..providers import addresses
from ..storage import account_index, lookup, updates
from ..storage.calls import redis_call
from ..storage.records import Stored
from ..storage.storage import Subject
from ..token_data import TokenData
from ..values import replace
from . import refresh, troubles
from .services import Services

APART = 60.0  # seconds between two refusals that together end a connection


class Health(StrEnum):
    WORKING = "working"
    NOT_CONNECTED = "not_connected"
    RECONNECT_NEEDED = "reconnect_needed"
    PROVIDER_TROUBLE = "provider_trouble"
    REFUSED = "refused"  # renewing, with an unknown error
    REJECTED = "rejected"  # the token, once; that can pass
    UNCHECKED = "unchecked"  # there is no address to ask
    MISCONFIGURED = "misconfigured"


class _Verdict(Enum):
    ACCEPTED = 1
    REJECTED = 2
    NOBODY = 3  # no address, or one that refuses for a reason of its own


async def check(services: Services, subject: Subject) -> Health:
    """Return whether the stored tokens, not yet due for a refresh, work at the provider.

    Raises ``OAuthUnavailable``, ``OAuthMisconfigured`` or ``RecordUnreadable``.
    """
    subject = await services.servers.about(subject)
    stored = await lookup.read_one(services.storage, subject)
    token = stored.require_token()
    if token is None:
        return Health.RECONNECT_NEEDED
    subject = replace(subject, provider=addresses.at(subject.provider, token))
    verdict = await _verdict(services, subject, stored, token)
    if verdict is _Verdict.ACCEPTED:
        return Health.WORKING
    if token.refresh_token:
        return await _by_renewal(services, subject, token, verdict)
    if verdict is _Verdict.NOBODY:
        return Health.UNCHECKED
    return await _rejected(services, subject, token)


async def _verdict(
    services: Services, subject: Subject, stored: Stored, token: TokenData
) -> _Verdict:
    """Judge the token by the account address; a success is written to the profile."""
    known, provider = stored.facts, subject.provider
    if not provider.account_url:
        return _Verdict.NOBODY
    if not addresses.has_issued(provider, token):
        return _Verdict.REJECTED  # and is not shown to the server that is set up now
    try:
        answer = await _answer(services, subject, token)
    except OAuthUnavailable as error:
        await troubles.note(services.storage, subject, stored, error)
        raise
    if not answers.refuses_token(provider, answer):
        profile = replace(known.without_trouble(), checked_at=services.storage.clock.now())
        if known.is_account_unasked:
            profile = await _with_account(services, subject, profile, answer)
        await _write(services, subject, profile, stored, token)
        return _Verdict.ACCEPTED
    # An address that refused at connecting already cannot judge the token.
    return _Verdict.NOBODY if known.is_account_refused else _Verdict.REJECTED


async def _write(
    services: Services, subject: Subject, profile: Profile, stored: Stored, token: TokenData
) -> None:
    """Write the profile, and beside it what an app's installations allow by now."""
    allowed = await services.client.permissions(subject.provider, token, DEADLINE_WHILE_WAITING)
    if allowed is None or allowed == token.scopes:
        await updates.update_profile(services.storage, subject, profile, stored)
    else:
        fresh = replace(token, scopes=allowed)
        await updates.renew(services.storage, subject, fresh, profile, stored)


async def _answer(services: Services, subject: Subject, token: TokenData) -> Answer:
    """Ask the account address.

    Returns that the token is over, an account, or 403, a token that may not read
    it.  Any other answer says nothing about the token, and raises
    ``OAuthUnavailable``.
    """
    provider = subject.provider
    answer = await services.client.account(provider, token, DEADLINE_WHILE_WAITING)
    profile = answers.read_profile(provider, answer)
    is_said = answer.status == 403 or answers.refuses_token(provider, answer)
    if not is_said and profile is None:
        raise OAuthUnavailable(provider.name, "check", f"http_{answer.status}")
    return answer


async def learned(services: Services, subject: Subject, stored: Stored) -> Profile:
    """Return the stored facts with their account, if the provider names it; writes nothing."""
    known, token = stored.facts, stored.require_token()
    subject = await services.servers.about_if_known(subject)
    if token:
        subject = replace(subject, provider=addresses.at(subject.provider, token))
    provider = subject.provider
    if token is None or not provider.account_url or not addresses.has_issued(provider, token):
        return known
    try:
        answer = await _answer(services, subject, token)
    except OAuthUnavailable:
        return known
    return await _with_account(services, subject, known, answer)


async def _with_account(
    services: Services, subject: Subject, known: Profile, answer: Answer
) -> Profile:
    account = answers.read_account(subject.provider, answer, {})
    if not account.id:
        return known
    try:
        async with redis_call("list an account"):
            pipe = subject.redis.pipeline(transaction=False)
            account_index.add(services.storage, pipe, subject, account)
            await pipe.execute()
    except StoreUnavailable:
        return known
    return replace(known, account=account)


async def _by_renewal(
    services: Services, subject: Subject, token: TokenData, verdict: _Verdict
) -> Health:
    """Return the health of a grant by renewing it: if that succeeds, it lives."""
    now = await refresh.refreshed(services, subject, token, is_refused=True)
    if now is None:
        return Health.RECONNECT_NEEDED
    if now == token:
        return Health.UNCHECKED  # renewed too often lately
    stored = await lookup.read_one(services.storage, subject)
    if verdict is _Verdict.NOBODY:
        checked = replace(stored.facts, checked_at=services.storage.clock.now())
        await updates.update_profile(services.storage, subject, checked, stored)
        return Health.WORKING
    verdict = await _verdict(services, subject, stored, now)
    # It has just been renewed: an address that refuses it has another reason.
    return Health.WORKING if verdict is _Verdict.ACCEPTED else Health.PROVIDER_TROUBLE


async def _rejected(services: Services, subject: Subject, token: TokenData) -> Health:
    """Believe a refusal of a token that cannot be renewed the second time, a while later."""
    stored = await lookup.read_one(services.storage, subject)
    if stored.require_token() != token:
        return await check(services, subject)  # of the token that replaced it
    known, now = stored.facts, services.storage.clock.now()
    refusal = OAuthRefused(subject.provider.name, "check", "invalid_token")
    if known.trouble != "rejected":
        noted = known.with_trouble("rejected", refusal.code, now)
        await updates.update_profile(services.storage, subject, noted, stored)
    elif now - known.trouble_since >= APART:
        await refresh.ended(services, subject, stored, refusal)
        return Health.RECONNECT_NEEDED
    return Health.REJECTED
