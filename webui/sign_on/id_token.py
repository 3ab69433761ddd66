"""Id tokens: the provider's signed statements about a sign-in.  They are read by joserfc."""

from __future__ import annotations

import hmac
import warnings
from typing import Any

from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError, SecurityWarning
from joserfc.jwk import KeySet, import_key
from joserfc.jws import JWSRegistry

from webui.oauth_manager.protocol.answers import read_json

from .identity import LEEWAY, IdTokenRefused, KeyUnknown

# Signatures alone, made with a key that only the provider has: never "none", and never an HMAC,
# for which the public key could be passed off as the secret.
ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
)
_KEY_TYPES = ("RSA", "EC", "OKP")
_MOST_KEYS = 100
_LONGEST_HEADER = 16 * 1024  # characters; the certificates of the key may be in it (x5c)

PublicKeys = KeySet


def read_keys(body: bytes) -> PublicKeys | None:
    """Read the signature keys of a JWK set (RFC 7517, 5); ``None`` if it has none.

    Keys of an unknown kind, broken or too short ones are ignored.
    """
    given = (read_json(body) or {}).get("keys")
    found = []
    for jwk in given[:_MOST_KEYS] if isinstance(given, list) else ():
        if not isinstance(jwk, dict) or jwk.get("kty") not in _KEY_TYPES or jwk.get("use") == "enc":
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", SecurityWarning)  # RSA below 2048 bits
                found.append(import_key(jwk))
        except (JoseError, SecurityWarning, ValueError, TypeError, KeyError):
            continue
    return KeySet(found) if found else None


def read_id_token(
    token: str, keys: PublicKeys, *, issuer: str, client_id: str, nonce: str, now: float
) -> dict[str, Any]:
    """Return the claims, once every check of OpenID Connect Core 3.1.3.7 has passed.

    ``now`` is in epoch seconds.  Raises ``KeyUnknown``, ``IdTokenRefused``.
    """
    claims = _signed(token, keys)
    _check(claims, issuer, client_id, now)
    given = claims.get("nonce")
    # As bytes: of text, compare_digest takes ASCII alone.
    if not isinstance(given, str) or not hmac.compare_digest(
        given.encode("utf-8", "replace"), nonce.encode()
    ):
        raise IdTokenRefused("nonce")
    return claims


def _signed(token: str, keys: PublicKeys) -> dict[str, Any]:
    # RFC 7515, 4.1: unknown header parameters are ignored, unless "crit" names them.
    registry = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
    registry.max_header_length = _LONGEST_HEADER
    reason = ""
    try:
        with warnings.catch_warnings():
            # RFC 9864 prefers the name Ed25519; providers still write EdDSA.
            warnings.simplefilter("ignore", SecurityWarning)
            return jwt.decode(token, keys, registry=registry).claims
    except InvalidKeyIdError:
        raise KeyUnknown from None
    except JoseError as error:
        reason = error.error
    except (ValueError, TypeError, KeyError, RecursionError):
        reason = "malformed"
    # Outside the handlers: a cause may quote the token.
    raise IdTokenRefused(reason)


def _check(claims: dict[str, Any], issuer: str, client_id: str, now: float) -> None:
    rules = jwt.JWTClaimsRegistry(
        now=int(now),
        leeway=LEEWAY,
        iss={"essential": True, "value": issuer},
        sub={"essential": True},
        aud={"essential": True, "value": client_id},
        exp={"essential": True},
        iat={"essential": True},
    )
    reason = ""
    try:
        rules.validate(claims)
    except JoseError as error:
        reason = f"{error.error} {getattr(error, 'claim', '')}"
    if reason:
        raise IdTokenRefused(reason)
    audience = claims["aud"]
    party = claims.get("azp", "" if isinstance(audience, list) and len(audience) > 1 else client_id)
    if party != client_id:  # made for somebody else, or for several without naming one
        raise IdTokenRefused("azp")
