"""Private keys of clients: assertions in place of a secret (RFC 7523), and their public halves.

joserfc is imported by the first key: a site without one does not wait for it.
"""

from __future__ import annotations

import json
import secrets
import warnings
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ..configuration import Malformed

LIFETIME = 60  # seconds of an assertion
TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ALGORITHMS = {
    "EC": {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"},
    "RSA": {"": "RS256"},
}


class ClientKey:
    """One private key.  Its repr shows the name of its public half alone."""

    def __init__(self, key: Any) -> None:
        self._key = key
        shown = key.as_dict(private=False)
        self.algorithm: str = _ALGORITHMS[shown["kty"]][shown.get("crv", "")]
        self.name: str = key.thumbprint()  # RFC 7638
        own = {k: v for k, v in shown.items() if k in ("kty", "crv", "x", "y", "n", "e")}
        self.public = {**own, "kid": self.name, "use": "sig", "alg": self.algorithm}

    def __repr__(self) -> str:
        return f"ClientKey({self.name!r})"

    def assertion(self, client_id: str, audience: str, now: float) -> str:
        """Sign who we are, for one server alone and once (RFC 7523 3); ``now`` in epoch seconds.

        The audience is one text, the issuer's: an assertion for one must not do for another.
        """
        from joserfc import jwt

        claims = {
            "iss": client_id,
            "sub": client_id,
            "aud": audience,
            "jti": secrets.token_urlsafe(24),
            "iat": int(now),
            "exp": int(now) + LIFETIME,
        }
        header = {"alg": self.algorithm, "kid": self.name, "typ": "JWT"}
        return jwt.encode(header, claims, self._key, algorithms=[self.algorithm])


@dataclass(frozen=True, slots=True)
class OwnClient:
    """The names of this installation itself, for servers where no operator has registered it.

    Without a key it is a public client.
    """

    site_url: str  # no slash at the end
    key: ClientKey | None = field(default=None, repr=False)

    @property
    def host(self) -> str:
        """Return the host of the site, which is its name to servers that ask for one."""
        return urlsplit(self.site_url).netloc


def read_key(text: str) -> ClientKey:
    """Read a private key in PEM, or as a JWK.  Raises ``Malformed``, which quotes nothing."""
    from joserfc.errors import JoseError, SecurityWarning
    from joserfc.jwk import ECKey, RSAKey

    kinds: tuple[Any, ...] = (ECKey, RSAKey)
    with warnings.catch_warnings():
        warnings.simplefilter("error", SecurityWarning)  # RSA below 2048 bits
        for kind in kinds:
            try:
                key = kind.import_key(json.loads(text) if text.startswith("{") else text)
                if key.is_private:
                    return ClientKey(key)
            except (JoseError, SecurityWarning, ValueError, TypeError, KeyError, RecursionError):
                continue
    raise Malformed(
        "must be a private key in PEM without a password, or a JWK: of the curve P-256, P-384 or "
        "P-521, or RSA of at least 2048 bits"
    )


def derive_key(secret: bytes, purpose: str) -> ClientKey:
    """Make the same key of the same secret in every process, by HKDF (RFC 5869)."""
    from joserfc.jwk import ECKey

    options = {"info": purpose.encode()}
    return ClientKey(ECKey.derive_key(secret, "P-256", kdf_options=options))
