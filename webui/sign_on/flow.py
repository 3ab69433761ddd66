"""Signing in with an OpenID provider: the authorization code flow (OpenID Connect Core 3.1)."""

from __future__ import annotations

import asyncio
from typing import Literal
from urllib.parse import urlencode, urlsplit

from webui.oauth_manager import (
    FlowRefused,
    Meaning,
    OAuthMisconfigured,
    OAuthProvider,
    OAuthRefused,
    OAuthUnavailable,
)
from webui.oauth_manager.protocol import ProviderFailure
from webui.oauth_manager.protocol.callback import AuthorizationResponse
from webui.oauth_manager.protocol.metadata import ServerMetadata
from webui.oauth_manager.protocol.requests import authorize_url, code_challenge, exchange_request
from webui.oauth_manager.protocol.token_answers import read_token_answer
from webui.oauth_manager.protocol.transport import Transport
from webui.oauth_manager.storage import Clock
from webui.oauth_manager.storage.calls import RedisClient
from webui.oauth_manager.values import replace
from webui.settings.settings import Settings

from .attempts import Attempt, begin_attempt
from .discovery import NAME, IssuerMetadata
from .identity import (
    Identity,
    IdTokenRefused,
    claims_request,
    has_groups,
    read_groups,
    read_identity,
)
from .keys import Keys
from .userinfo import UserInfo

SIGN_OUT_SECONDS = 2.0  # the longest wait for the provider's part of signing out


def is_away(failure: ProviderFailure) -> bool:
    """Return whether the provider or our set-up is in trouble; else the sign-in itself is over."""
    return not isinstance(failure, OAuthRefused)


class SignOn:
    """Sign-on by the settings.

    Methods that ask the provider raise ``OAuthUnavailable`` if it is in trouble and
    ``OAuthMisconfigured`` if it, or we, are set up wrongly.
    """

    def __init__(self, settings: Settings, transport: Transport, clock: Clock) -> None:
        self.is_for_staff = settings.oidc_people == "staff"
        self._issuer = settings.oidc_issuer
        self._user_claim = settings.oidc_user_claim
        self._groups_claim = settings.oidc_support_claim
        self._group = settings.support_group
        self.redirect_uri = f"{settings.base_url}/signin/sso/callback"
        self.signed_out_uri = f"{settings.base_url}/signed-out"
        self._transport = transport
        self._clock = clock
        self._discovery = IssuerMetadata(settings.oidc_issuer, transport, clock)
        self._keys = Keys(transport, clock)
        self._userinfo = UserInfo(settings, self._discovery, transport)
        self.provider = OAuthProvider(
            NAME,
            authorize_url="",
            token_url="",
            client_id=settings.oidc_client_id,
            client_secret=settings.oidc_client_secret,
            scopes=list(dict.fromkeys(("openid", *settings.oidc_scopes))),
            label=settings.oidc_label or urlsplit(settings.oidc_issuer).hostname or "",
        )

    async def check(self) -> None:
        """Ask the provider for its metadata."""
        self._at(await self._discovery.metadata())

    async def begin(
        self,
        redis: RedisClient,
        browser: str,
        return_to: str,
        *,
        max_age: int = 0,
        again: bool = False,
    ) -> str:
        """Store an attempt, and return the address to leave for.

        ``max_age`` (seconds) is how old a sign-in there may be, 0 for any age;
        ``again`` wants a new one.  Raises ``StoreUnavailable`` too.
        """
        metadata = await self._discovery.metadata()
        attempt = await begin_attempt(redis, browser, return_to)
        params = {"response_mode": "query", "nonce": attempt.nonce}
        if max_age:
            params["max_age"] = str(max_age)
        if again:
            params["prompt"] = "login"
        if metadata.takes_claims and (wishes := self._wishes(metadata)):
            params["claims"] = wishes
        provider = replace(self._at(metadata), extra_auth_params=params)
        challenge = code_challenge(attempt.verifier)
        return authorize_url(provider, self.redirect_uri, attempt.state, provider.scopes, challenge)

    async def finish(self, attempt: Attempt, answer: AuthorizationResponse) -> Identity:
        """Return the identity that came back.

        Raises ``FlowRefused`` before anything is asked of the provider, and
        ``OAuthRefused`` or ``IdTokenRefused`` for a code or an id token that
        proves nothing.
        """
        metadata = await self._checked(answer)
        provider = self._at(metadata)
        request = exchange_request(provider, self.redirect_uri, answer.code, attempt.verifier)
        fields = read_token_answer(provider, "exchange", await self._transport.send(request))
        token = fields.get("id_token")
        if not isinstance(token, str):
            raise IdTokenRefused("none")
        claims = await self._keys.verify(
            token,
            metadata.jwks_uri,
            issuer=self._issuer,
            client_id=provider.client_id,
            nonce=attempt.nonce,
            reach=metadata.reach,
        )
        identity = read_identity(claims, self._user_claim, self._groups_claim, self._clock.now())
        if not (self._group and metadata.userinfo_endpoint):
            return identity
        return await self._confirmed(identity, fields["access_token"], claims["sub"])

    async def groups_now(self, user: str, sealed_token: str) -> tuple[str, ...]:
        """Ask for a signed-in person's groups; nothing is cached, so that a change acts at once.

        Raises ``OAuthRefused`` if their sign-in at the provider is over.
        """
        try:
            claims = await self._userinfo.claims_again(user, sealed_token)
        except IdTokenRefused:
            return ()
        return read_groups(claims, self._groups_claim)

    async def sign_out_url(self) -> str:
        """Return the provider's sign-out URL (RP-Initiated Logout 1.0, 2); ``""`` if it has none.

        Without ``id_token_hint``: a token must not be in a URL.  The provider may
        therefore ask the person once more.
        """
        try:
            async with asyncio.timeout(SIGN_OUT_SECONDS):
                end = (await self._discovery.metadata()).end_session_endpoint
        except TimeoutError:
            raise OAuthUnavailable(NAME, "discovery", "timeout") from None
        query = urlencode(
            {
                "client_id": self.provider.client_id,
                "post_logout_redirect_uri": self.signed_out_uri,
            }
        )
        return f"{end}{'&' if '?' in end else '?'}{query}" if end else ""

    async def _confirmed(self, identity: Identity, access_token: str, subject: str) -> Identity:
        """Return the identity with the current groups of the userinfo endpoint.

        If it names none at all the id token decides: many providers have them in one
        place only.  Its trouble makes nobody staff, or a lost group could be regained
        by signing in again.
        """
        try:
            claims = await self._userinfo.claims(access_token, subject)
        except (OAuthRefused, OAuthMisconfigured):
            return identity
        except OAuthUnavailable as failure:
            return replace(identity, groups=(), trouble=failure.code)
        if not has_groups(claims, self._groups_claim):
            return identity
        groups = read_groups(claims, self._groups_claim)
        sealed = self._userinfo.seal(identity.user, access_token, subject)
        return replace(identity, groups=groups, sealed_token=sealed)

    def _wishes(self, metadata: ServerMetadata) -> str:
        groups = [self._groups_claim] if self._group else []
        return claims_request(
            id_token=[self._user_claim, *groups],
            userinfo=groups if metadata.userinfo_endpoint else [],
        )

    async def _checked(self, answer: AuthorizationResponse) -> ServerMetadata:
        """Check an answer: its issuer first (RFC 9207, 2.4), then its content."""
        if answer.issuer not in (None, self._issuer):
            raise FlowRefused("issuer", NAME)
        if answer.error:
            kind = OAuthMisconfigured if answer.meaning is Meaning.SETUP else OAuthRefused
            raise kind(NAME, "authorize", answer.error)
        metadata = await self._discovery.metadata()
        if answer.issuer is None and metadata.sends_issuer:
            raise FlowRefused("issuer", NAME)
        return metadata

    def _at(self, metadata: ServerMetadata) -> OAuthProvider:
        return replace(
            self.provider,
            authorize_url=metadata.authorization_endpoint,
            token_url=metadata.token_endpoint,
            token_auth=self._token_auth(metadata),
            reach=metadata.reach,
            found=tuple(metadata.addresses.values()),
        )

    def _token_auth(self, metadata: ServerMetadata) -> Literal["basic", "post"]:
        """Choose client authentication (RFC 6749, 2.3.1); without a secret only the id (3.2.1)."""
        has_secret = bool(self.provider.client_secret)
        if has_secret and "client_secret_basic" in metadata.auth_methods:
            return "basic"
        if has_secret and "client_secret_post" not in metadata.auth_methods:
            raise OAuthMisconfigured(NAME, "discovery", "client_authentication")
        return "post"
