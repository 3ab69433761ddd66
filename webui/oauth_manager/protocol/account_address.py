"""The provider's address that names a token's account."""

from __future__ import annotations

import asyncio
import time

from ..providers.provider import OAuthProvider
from ..token_data import TokenData
from . import requests
from .answers import Answer, refuses_token
from .transport import DEADLINE, Transport

# Seconds after its issue in which a token may be refused though it works: it has not
# reached all of the provider's machines yet.  How long to wait before asking again.
FRESH = 60.0
PAUSES = (1.0, 2.0)


class AccountAddress:
    """Client of the address, which asks once more if a fresh token is refused."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.pauses: tuple[float, ...] = PAUSES

    async def ask(
        self, provider: OAuthProvider, token: TokenData, deadline: float = DEADLINE
    ) -> Answer:
        """Return the answer, each within ``deadline`` seconds.  Raises ``OAuthUnavailable``."""
        request = requests.account_request(provider, token.access_token)
        answer = await self._transport.send(request, deadline)
        is_fresh = 0 <= time.time() - token.issued_at < FRESH
        for pause in self.pauses if is_fresh else ():
            if refuses_token(provider, answer):
                await asyncio.sleep(pause)
                answer = await self._transport.send(request, deadline)
        return answer
