"""Client of providers: exchange, refresh, revoke, account.  Builds, sends, and reads the answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Any

from ..clock import Clock
from ..errors import Meaning, OAuthMisconfigured, OAuthRefused, OAuthUnavailable
from ..providers import addresses
from ..providers.provider import OAuthProvider
from ..token_data import TokenData
from . import answers, pushed, requests, token_answers
from .answers import Answer
from .meanings import meaning_of
from .requests import ProviderRequest
from .steps import Steps, answer_class
from .transport import DEADLINE, Transport

log = logging.getLogger(__name__)

# Seconds after its issue in which a token may be refused though it works: it has not
# reached all of the provider's machines yet.  How long to wait before asking again.
FRESH = 60.0
PAUSES = (1.0, 2.0)


class ProviderClient:
    """The four calls of RFC 6749, RFC 7009 and each provider's account address."""

    def __init__(self, transport: Transport, clock: Clock, steps: Steps) -> None:
        self._transport = transport
        self._clock = clock
        self._steps = steps
        self.pauses: tuple[float, ...] = PAUSES

    async def _send(self, request: ProviderRequest, deadline: float = DEADLINE) -> Answer:
        if not request.url:
            raise OAuthUnavailable(request.provider, request.step, "not_found_yet")
        since = self._steps.now()
        outcome = "cancelled"
        try:
            answer = await self._transport.send(request, deadline)
            outcome = answer_class(answer.status)
            return answer
        except OAuthUnavailable as failure:
            outcome = failure.code
            raise
        finally:
            self._steps.tell("call", request.provider, outcome, since, request.step)

    def _assertion(self, provider: OAuthProvider) -> str:
        """Sign a request for a client that has a key; ``""`` for any other."""
        if provider.token_auth != "private_key_jwt":
            return ""
        now = self._clock.now()
        return provider.signing_key.assertion(provider.client_id, provider.audience, now)

    async def push(self, provider: OAuthProvider, params: Mapping[str, str]) -> str:
        """Push an authorization request; return the address that leads to it.

        Raises ``OAuthMisconfigured`` or ``OAuthUnavailable``: without the push nobody leaves.
        """
        request = pushed.push_request(provider, params, self._assertion(provider))
        try:
            request_uri = pushed.read_pushed(provider, await self._send(request))
        except OAuthMisconfigured as fault:
            log.error("%s: push failed (%s): %s", provider.name, fault.meaning, fault.code)
            raise
        return pushed.pushed_url(provider, request_uri)

    async def exchange(
        self,
        provider: OAuthProvider,
        redirect_uri: str,
        code: str,
        verifier: str,
        scopes: Iterable[str],
    ) -> tuple[TokenData, Mapping[str, Any]]:
        """Trade a code for tokens, once; the answer's fields come along for the account reader.

        ``scopes`` are those that were requested, in case the answer names none.  Raises
        ``OAuthRefused``, ``OAuthMisconfigured`` or ``OAuthUnavailable``.
        """
        request = requests.exchange_request(
            provider, redirect_uri, code, verifier, self._assertion(provider)
        )
        answer = await self._send(request)
        try:
            fields = token_answers.read_token_answer(provider, "exchange", answer)
        except OAuthMisconfigured as fault:
            log.error("%s: exchange failed (%s): %s", provider.name, fault.meaning, fault.code)
            raise
        now = self._clock.now()
        return token_answers.token_data(provider, fields, now=now, scopes=scopes), fields

    async def refresh(self, provider: OAuthProvider, token: TokenData) -> TokenData:
        """Return the renewed tokens; fields that the answer omits are kept.

        Raises ``OAuthRefused``, ``OAuthMisconfigured`` or ``OAuthUnavailable``.
        """
        if not provider.is_configured:
            raise OAuthMisconfigured(provider.name, "refresh", "not_set_up")
        if not provider.is_found:
            raise OAuthUnavailable(provider.name, "refresh", "not_found_yet")
        provider = addresses.at(provider, token)
        if not addresses.has_issued(provider, token):
            raise OAuthRefused(provider.name, "refresh", "another_server", meaning=Meaning.MOVED)
        answer = await self._send(
            requests.refresh_request(provider, token, self._assertion(provider))
        )
        fields = token_answers.read_token_answer(
            provider, "refresh", answer, issued_to=token.client_id
        )
        fresh = token_answers.token_data(
            provider,
            fields,
            now=self._clock.now(),
            scopes=token.scopes,
            refresh_token=token.refresh_token,
        )
        fresh.generation = token.generation
        return fresh

    async def permissions(
        self, provider: OAuthProvider, token: TokenData, deadline: float = DEADLINE
    ) -> list[str] | None:
        """Return what the installations of an app allow; None if that is not known now."""
        if not provider.is_of_app(can_renew=bool(token.refresh_token)):
            return None
        request = requests.permissions_request(provider, token.access_token)
        try:
            return answers.read_permissions(provider, await self._send(request, deadline))
        except OAuthUnavailable:
            return None

    async def revoke(
        self, provider: OAuthProvider, token: TokenData, deadline: float = DEADLINE
    ) -> bool:
        """Ask the provider to end the grant; return whether it confirmed.  Raises nothing."""
        provider = addresses.at(provider, token)
        is_ours = addresses.has_issued(provider, token)
        if not provider.can_revoke or not provider.is_configured or not is_ours:
            return False
        try:
            request = requests.revoke_request(provider, token, self._assertion(provider))
            answer = await self._send(request, deadline)
        except OAuthUnavailable:
            return False
        is_confirmed = answers.confirms_revocation(answer)
        if not is_confirmed:
            said = answers.everything_in(answer, answers.any_json(answer.body))
            meaning, word = meaning_of(provider, "revoke", said)
            level = logging.ERROR if meaning is Meaning.SETUP else logging.WARNING
            log.log(level, "%s: revoke not confirmed: %s %s", provider.name, answer.status, word)
        return is_confirmed

    async def account(
        self, provider: OAuthProvider, token: TokenData, deadline: float = DEADLINE
    ) -> Answer:
        """Ask whose token it is, once more if a fresh one is refused.

        Each request has ``deadline`` seconds.  Raises ``OAuthUnavailable``.
        """
        provider = addresses.at(provider, token)
        request = requests.account_request(provider, token.access_token)
        answer = await self._send(request, deadline)
        is_fresh = 0 <= self._clock.now() - token.issued_at < FRESH
        for pause in self.pauses if is_fresh else ():
            if answers.refuses_token(provider, answer):
                await asyncio.sleep(pause)
                answer = await self._send(request, deadline)
        return answer
