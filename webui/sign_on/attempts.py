"""One sign-in under way, between leaving for the provider and coming back.

Secret values are derived from a secret that this browser alone holds, in a cookie:
Redis knows neither the state nor the nonce nor the PKCE verifier, so nothing found
there finishes a sign-in.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass, field

from webui.oauth_manager import FlowRefused
from webui.oauth_manager.protocol.requests import new_secret
from webui.oauth_manager.storage import texts
from webui.oauth_manager.storage.calls import RedisClient, redis_call, take_text

from .discovery import NAME

ATTEMPT_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt; ``browser`` is its cookie's secret, ``return_to`` the page to come back to."""

    state: str = field(repr=False)
    browser: str = field(repr=False)
    return_to: str

    @property
    def verifier(self) -> str:
        """Return 43 characters (RFC 7636, 4.1) that stay on this site until the token request."""
        return self._derived("verifier")

    @property
    def nonce(self) -> str:
        return self._derived("nonce")

    def _derived(self, purpose: str) -> str:
        message = f"webui.sign_on.{purpose}\0{self.state}".encode()
        digest = hmac.digest(self.browser.encode(), message, "sha256")
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


async def begin_attempt(redis: RedisClient, browser: str, return_to: str) -> Attempt:
    """Store an attempt.  One round trip.  Raises ``StoreUnavailable``."""
    attempt = Attempt(new_secret(), browser, return_to)
    record = [_digest(browser), return_to]
    async with redis_call("begin a sign-on"):
        await redis.set(_key(attempt.state), json.dumps(record), ex=ATTEMPT_SECONDS)
    return attempt


async def take_attempt(redis: RedisClient, state: str, browser: str) -> Attempt:
    """Take the attempt of this browser, for exactly one caller; it is over after any try.

    Raises ``FlowRefused``, ``StoreUnavailable``.
    """
    async with redis_call("take a sign-on"):
        stored = await take_text(redis, _key(state))
    try:
        begun_by, return_to = texts(json.loads(stored))
        begun_by.encode("ascii")  # or it cannot be compared
    except (TypeError, ValueError, RecursionError):
        raise FlowRefused("unknown", NAME) from None
    if not browser or not hmac.compare_digest(begun_by, _digest(browser)):
        raise FlowRefused("other_browser", NAME)
    return Attempt(state, browser, return_to)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _key(state: str) -> str:
    return f"stargazer:web_signon:{_digest(state)}"
