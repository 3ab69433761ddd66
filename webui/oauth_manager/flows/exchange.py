"""The exchange of a code: tokens, and the account at the provider that they are of."""

from __future__ import annotations

from ..errors import OAuthMisconfigured, OAuthUnavailable
from ..links.codes import Attempt
from ..models import Account
from ..protocol import answers, facts
from ..storage.storage import Subject
from ..token_data import TokenData, new_generation
from ..values import Struct
from .services import Services

_NOBODY = Account()


class Exchanged(Struct, frozen=True):
    """The result of an exchange; account and handle are empty if they are not known."""

    token: TokenData
    account: Account = _NOBODY
    handle: str = ""
    is_refused: bool = False  # by the account address
    kept: tuple[str, ...] = ()


async def exchanged(
    services: Services, subject: Subject, attempt: Attempt, code: str, redirect_uri: str
) -> Exchanged:
    """Exchange the code, and find out its account.

    It is empty if the provider does not name it in a way we can read.
    """
    client, provider = services.client, subject.provider
    try:
        token, fields = await client.exchange(
            provider, redirect_uri, code, attempt.verifier, attempt.scopes
        )
    except OAuthMisconfigured as failure:
        await services.servers.refused(subject.redis, provider, failure)
        raise
    token.generation = new_generation()
    allowed = await client.permissions(provider, token)
    token.scopes = token.scopes if allowed is None else allowed
    kept = facts.kept(provider, fields, attempt.returned)
    if not provider.account_url:
        return Exchanged(token, kept=kept)
    try:
        answer = await client.account(provider, token)
    except OAuthUnavailable:
        return Exchanged(token, kept=kept)
    account = answers.read_account(provider, answer, fields)
    handle = answers.read_handle(provider, answer)
    is_refused = answers.refuses_token(provider, answer)
    return Exchanged(token, account, handle, is_refused, kept)
