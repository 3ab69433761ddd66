"""Checks of addresses, switches and providers' fields, for settings and ``OAuthManager`` alike.

Every reader returns the value to use, or raises :class:`Malformed` with the end of a
sentence that begins with the value's name.  No message repeats the value: it may be secret.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import SplitResult, urlsplit

from .credentials import (
    Malformed,
    client_id,
    client_secret,
    fernet_key,
    is_example,
    is_placeholder,
    is_quoted,
    text_of,
    unmarked,
    unquoted,
)

__all__ = [
    "Malformed",
    "address",
    "base_url",
    "check_letters",
    "check_provider",
    "checked_base_url",
    "client_id",
    "client_secret",
    "endpoint",
    "fernet_key",
    "half_moved",
    "host_of",
    "is_example",
    "is_loopback",
    "is_placeholder",
    "is_quoted",
    "issuer",
    "origin",
    "split",
    "switch",
    "text_of",
    "unmarked",
    "unquoted",
]

_URL_TEXT = re.compile(r"[!-\[\]-~]+")  # printable ASCII without blank and backslash
_HOSTNAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")  # 127.1 and 0x7f.1 are addresses in disguise
_HOST_PART = re.compile(r"[A-Za-z+.-]+://(?:[^/?#]*@)?([^/?#:]*)")


def is_loopback(host: str) -> bool:
    """Tell whether a host, as written in an address, is this machine by name or number.

    Names below ``.localhost`` are looked up nowhere (RFC 6761, section 6.3).
    """
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_loopback


def base_url(value: object) -> str:
    """Read the site's address as a browser writes it: lower case, no default port, no final slash.

    A path stays: another site than ours may be served below one.
    """
    text = text_of(value)
    parts = split(text)
    if parts.scheme not in ("http", "https"):
        raise Malformed("must begin with https://")
    if "@" in parts.netloc or "?" in text or "#" in text:
        raise Malformed("must be scheme and host alone: no path, query, fragment or user")
    host = host_of(parts)
    if parts.scheme == "http" and not is_loopback(host):
        raise Malformed("must be https unless it is on this machine (localhost, 127.0.0.1)")
    shown = f"[{host}]" if ":" in host else host
    is_default = parts.port in (None, {"http": 80, "https": 443}[parts.scheme])
    port = "" if is_default else f":{parts.port}"
    return f"{parts.scheme}://{shown}{port}{parts.path.rstrip('/')}"


def endpoint(value: object) -> str:
    """Check a provider's address: https, or http on this machine (RFC 6749, 3.1 and 3.2)."""
    text = address(value)
    parts = split(text)
    if parts.scheme != "https" and not is_loopback(host_of(parts)):
        raise Malformed("must be an https address")
    return text


def address(value: object) -> str:
    """Check an address of the web, whose server may be reached without protection."""
    text = text_of(value)
    parts = split(text)
    if "@" in parts.netloc or "#" in text:
        raise Malformed("must have no user and no fragment")
    host_of(parts)
    if parts.scheme not in ("http", "https"):
        raise Malformed("must be an https address")
    return text


def issuer(value: object) -> str:
    """Check an issuer, kept as given: it is compared exactly (RFC 9207, section 2.4)."""
    if "?" in text_of(value):
        raise Malformed("must have no query")
    return endpoint(value)


def check_letters(text: str) -> None:
    """Check that an address has only characters that one can have."""
    host = _HOST_PART.match(unmarked(text))
    if host and not host[1].isascii():
        raise Malformed(
            "has a host name with letters beyond ASCII; write it in the form that begins with xn--"
        )
    if not _URL_TEXT.fullmatch(text):
        raise Malformed("has a character that an address cannot have; percent-encode it")


def split(text: str) -> SplitResult:
    """Split an address, if it is one."""
    check_letters(text)
    try:
        parts = urlsplit(text)
        has_port = parts.port != 0
    except ValueError:
        raise Malformed("is not an address") from None
    if not has_port or parts.netloc.endswith(":"):
        raise Malformed("has no usable port")
    return parts


def host_of(parts: SplitResult) -> str:
    """Return the host of an address, an IP address in its shortest form."""
    host = parts.hostname or ""
    if "%" not in host:  # a zone index or an encoded name
        with suppress(ValueError):
            return ipaddress.ip_address(host).compressed
    last = host.rpartition(".")[2]
    if not _HOSTNAME.fullmatch(host) or ".." in host or _NUMBER.fullmatch(last):
        raise Malformed("has no usable host name")
    return host


def origin(url: str) -> str:
    """Return scheme and host of an address, with the port; ``""`` if it has none."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""


def switch(value: object) -> bool:
    """Check a boolean; text is refused, since any text would count as true."""
    if not isinstance(value, bool):
        raise Malformed("must be True or False")
    return value


_OF_A_PROVIDER: dict[str, Callable[[object], object]] = {
    "authorize_url": endpoint,
    "token_url": endpoint,
    "install_url": endpoint,
    "par_url": endpoint,
    "permissions_url": endpoint,
    "resource": endpoint,
    "revoke_url": endpoint,
    "account_url": endpoint,
    "manage_url": endpoint,
    "status_url": endpoint,
    "issuer": issuer,
    "iss_required": switch,
    "pkce": switch,
    "client_id": client_id,
    "client_secret": client_secret,
}


def checked_base_url(value: object) -> str:
    """Check a base URL, if there is one; a bot that makes no links needs none.

    The message is a whole sentence.
    """
    try:
        return base_url(value) if value != "" else ""
    except Malformed as fault:
        raise Malformed(f"base_url {fault}") from None


def check_provider(
    given: Mapping[str, Any], template: Mapping[str, Any], *, is_out_there: bool
) -> None:
    """Check the given settings of a provider; empty values count as not given.

    Without ``is_out_there`` no call leaves this process, so http may go anywhere.
    """
    for name, value in given.items():
        read = _OF_A_PROVIDER.get(name)
        if read is None or value in ("", None):
            continue
        if read in (endpoint, issuer) and not is_out_there:
            read = address
        try:
            read(value)
        except Malformed as fault:
            raise Malformed(f"{name} {fault}") from None
    if lacking := half_moved(given, template):
        raise Malformed(f"{lacking} is missing: the other one names another server")


def half_moved(given: Mapping[str, Any], template: Mapping[str, Any]) -> str:
    """Name the endpoint that did not move along with the other, ``""`` if neither moved alone.

    A code of one server, and our client secret, must not go to another.
    """
    names = ("authorize_url", "token_url")
    moved = [name for name in names if given.get(name)]
    if not template or len(moved) != 1:
        return ""
    (own,) = moved
    is_moved = urlsplit(given[own]).netloc != urlsplit(template[own]).netloc
    return next(name for name in names if name != own) if is_moved else ""
