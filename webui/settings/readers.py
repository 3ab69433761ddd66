"""Readers: from the text of one setting to its value, or to what is wrong with it.

Every reader takes the text as it was given, trimmed and not empty, and raises
:class:`Malformed` with the end of a sentence that begins with the variable's name.  No
message repeats the text: settings hold secrets.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from urllib.parse import urlsplit

from webui.addresses import UNIX_PEER, network_of
from webui.oauth_manager import configuration
from webui.oauth_manager.configuration import (
    Malformed,
    client_id,
    client_secret,
    endpoint,
    fernet_key,
    host_of,
    is_example,
    is_loopback,
    is_quoted,
    issuer,
    split,
    unmarked,
    unquoted,
)
from webui.oauth_manager.storage import redis_address as parsed_address
from webui.text.names import entries, read_user_id

__all__ = [
    "Malformed",
    "client_id",
    "client_secret",
    "endpoint",
    "is_loopback",
    "is_quoted",
    "issuer",
    "unquoted",
]

SHORTEST_SECRET = 32

_SEPARATORS = re.compile(r"[\s,]+")
_PROVIDER = re.compile(r"[a-z][a-z0-9_-]{0,31}")

# An @ after the end of a host: user and password were meant to go on up to it.
_PASSWORD_CUT_SHORT = re.compile(r"[a-z+]+://[^/?#]*[/?#\[\]].*@")


def words(text: str) -> tuple[str, ...]:
    """Split at commas and white space."""
    return tuple(filter(None, _SEPARATORS.split(text)))


def scopes(text: str) -> list[str]:
    """Split like :func:`words`; a provider's default scopes are a list."""
    return [unmarked(word) for word in words(text)]


def line(text: str) -> str:
    """Read a name to show."""
    if len(text) > 64 or not text.isprintable():
        raise Malformed("must be one line of at most 64 characters")
    return text


def people(text: str) -> frozenset[str]:
    """Read user ids between commas; blanks inside an id belong to it."""
    try:
        return frozenset(map(read_user_id, entries(text)))
    except ValueError:
        raise Malformed(
            "must be user ids between commas, of at most 255 characters; none has control "
            "characters or begins or ends with a blank"
        ) from None


def provider_names(text: str) -> tuple[str, ...]:
    """Read names of providers beyond the built-in ones."""
    names = words(text)
    if not all(_PROVIDER.fullmatch(name) for name in names):
        raise Malformed("must be names of lower-case letters, digits, - and _")
    if "oidc" in names:
        raise Malformed("may not name oidc: OIDC_CLIENT_ID is the sign-on's")
    if len({name.replace("-", "_") for name in names}) < len(names):
        raise Malformed("names one provider twice (- and _ count as the same)")
    return names


def tenant(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]{0,253}", text):
        raise Malformed("must be a tenant's id or domain, or common, organizations or consumers")
    return text


def networks(text: str) -> tuple[str, ...]:
    """Read addresses and networks of reverse proxies; the whole Internet is none."""
    try:
        found = [network_of(part) for part in words(text) if part != UNIX_PEER]
    except ValueError:
        raise Malformed("must be IP addresses or networks, or unix") from None
    if any(network.prefixlen == 0 for network in found):
        raise Malformed("would trust everybody")
    return words(text)


def base_url(text: str) -> str:
    """Read the site's own address, which it serves from its root."""
    address = configuration.base_url(text)
    if urlsplit(text).path not in ("", "/"):
        raise Malformed("must be scheme and host alone: no path, query, fragment or user")
    return address


def _whole_password(read: Callable[[str], str]) -> Callable[[str], str]:
    """Tell a password that ends early from other faults of an address."""

    def read_whole(text: str) -> str:
        try:
            return read(text)
        except Malformed:
            if not _PASSWORD_CUT_SHORT.match(text):
                raise
        raise Malformed(
            "has a character in its user name or password that ends them early; percent-encode it "
            "(% is %25, # is %23, / is %2F, ? is %3F, [ is %5B, ] is %5D)"
        )

    return read_whole


@_whole_password
def proxy_address(text: str) -> str:
    """Read an HTTP proxy on the way out, with or without user and password."""
    parts = split(text)
    if parts.scheme not in ("http", "https"):
        raise Malformed("must begin with http:// or https://")
    if "?" in text or "#" in text or parts.path not in ("", "/"):
        raise Malformed("must look like http://user:password@host:3128")
    host_of(parts)
    return text


@_whole_password
def redis_address(text: str) -> str:
    """Read the address of one server, of Sentinels or of a Cluster."""
    parsed_address(text)
    return text


def session_secrets(text: str) -> tuple[str, ...]:
    for secret in words(text) or ("",):
        if len(secret) < SHORTEST_SECRET:
            raise Malformed(f"has a part shorter than {SHORTEST_SECRET} characters")
        if is_example(unmarked(secret)):
            raise Malformed("looks like an example; make one of your own")
    return words(text)


def bearer_token(text: str) -> str:
    """Read one secret for a machine, of characters that a header may hold (RFC 6750, 2.1)."""
    if not re.fullmatch(r"[A-Za-z0-9._~+/-]+=*", text):
        raise Malformed("has other characters than letters, digits and . _ ~ + / - =")
    (secret,) = session_secrets(text)
    return secret


def webhook_secrets(text: str) -> tuple[str, ...]:
    """Read one or two secrets of the form that Standard Webhooks has."""
    found = tuple(unmarked(word) for word in words(text))
    if not 1 <= len(found) <= 2 or not all(map(_is_webhook_secret, found)):
        raise Malformed("must be one or two secrets, each whsec_ and 24 to 64 bytes in base64")
    return found


def _is_webhook_secret(text: str) -> bool:
    mark, _, encoded = text.partition("_")
    try:
        return mark == "whsec" and 24 <= len(base64.b64decode(encoded, validate=True)) <= 64
    except ValueError:
        return False


def few(text: str) -> int:
    """Read a number from 0 to 9."""
    if not re.fullmatch("[0-9]", text):
        raise Malformed("must be a number from 0 to 9")
    return int(text)


def port(text: str) -> int:
    if not re.fullmatch("[0-9]{1,5}", text) or not 0 < int(text) < 65536:
        raise Malformed("must be a port, from 1 to 65535")
    return int(text)


def fernet_keys(text: str) -> tuple[str, ...]:
    return tuple(fernet_key(unmarked(key)) for key in words(text) or ("",))
