"""Tokens as they are stored: those that another program got, and whether there are any."""

from __future__ import annotations

from ..errors import RecordUnreadable
from ..storage import given_tokens, lookup
from ..storage.storage import Subject
from ..token_data import TokenData
from ..values import replace
from . import accounts
from .look import look
from .services import Services


async def put(services: Services, subject: Subject, account: str | None, token: TokenData) -> None:
    """Store tokens that another program got, for an account that is known.

    Raises ``ValueError`` for a name that no account has, and ``OAuthAmbiguous``.
    """
    storage = services.storage
    if account is not None:
        subject = await accounts.place_of(services, subject, account)
        if subject.slot and not (await lookup.read_one(storage, subject)).is_there:
            raise ValueError("no such account is connected")
    else:
        any_one = replace(subject, is_any=True)
        stored = await lookup.read_one(storage, any_one)
        subject = await accounts.settled(services, any_one, stored)
    await given_tokens.put(storage, subject, token)


async def are_there(services: Services, first: Subject, account: str | None) -> bool:
    """Tell whether tokens of the account are stored, or of any one if none is named."""
    try:
        if account is not None:
            return (await accounts.named(services, first, account))[1] is not None
        if await lookup.read_token(services.storage, first) is not None:
            return True
    except RecordUnreadable:
        if account is not None:
            return False
    seen = await look(services.storage, first)
    return any(one.token is not None for one in seen.stored.values())
