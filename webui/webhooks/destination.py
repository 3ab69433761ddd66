"""The destination of webhooks: its address, checked, and the secrets that sign what goes there."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from webui.oauth_manager.protocol.reach import LOOPBACK, PRIVATE, PUBLIC, Reach, kind_of


@dataclass(frozen=True, slots=True)
class Destination:
    """An address with the kinds of hosts that it may lead to, and its secrets, newest first."""

    url: str = field(repr=False)  # its path may be a secret
    reach: Reach
    secrets: tuple[str, ...] = field(repr=False)

    @property
    def id(self) -> str:
        """Return a short name of the address for keys in Redis."""
        return hashlib.sha256(self.url.encode()).hexdigest()[:16]

    @property
    def origin(self) -> str:
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}"

    def headers(self, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
        """Return the headers of one attempt; every secret signs it."""
        signed = f"{message_id}.{timestamp}.".encode() + body
        digests = (hmac.digest(_key(one), signed, "sha256") for one in self.secrets)
        return {
            "Content-Type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": " ".join(f"v1,{base64.b64encode(d).decode()}" for d in digests),
        }


def _parts(url: str) -> SplitResult:
    """Split an address that has a host, and nothing that is never sent.  Raises ``ValueError``."""
    try:
        parts = urlsplit(url)
        is_whole = bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise ValueError("the address to send to is none") from None
    if not is_whole or parts.username is not None or parts.fragment or not url.isprintable():
        raise ValueError("the address to send to is https://HOST/PATH, without user and fragment")
    return parts


def _key(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix("whsec_"))


def destination(url: str, secrets: tuple[str, ...], *, may_be_private: bool) -> Destination:
    """Check an address to send to.  Raises ``ValueError`` with a sentence that repeats nothing."""
    parts = _parts(url)
    host = parts.hostname or ""
    is_here = kind_of(host) == LOOPBACK
    if parts.scheme != "https" and not (parts.scheme == "http" and is_here):
        raise ValueError("the address to send to is https://, unless it is on this machine")
    reach = (PUBLIC, *([PRIVATE] if may_be_private else []), *([LOOPBACK] if is_here else []))
    if (kind := kind_of(host)) and kind not in reach:
        raise ValueError("the address to send to is a private one, which WEBHOOK_PRIVATE=on allows")
    return Destination(url, reach, secrets)
