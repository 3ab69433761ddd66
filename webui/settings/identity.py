"""Settings that identify people: their readers, and rules between them.

The readers are like those of ``webui.settings.readers``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from webui.settings import readers as values
from webui.text.names import read_group

_CLIENT = ("OIDC_ISSUER", "OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET")
NAMES = (
    *_CLIENT,
    "OIDC_SCOPES",
    "OIDC_USER_CLAIM",
    "OIDC_SUPPORT_CLAIM",
    "OIDC_PEOPLE",
    "OIDC_LABEL",
    "PROXY_GROUPS_HEADER",
    "PROXY_USER_HEADER",
    "SUPPORT_GROUP",
    "SUPPORT_USERS",
    "TRUSTED_PROXIES",
)
"""Each is the field of ``Settings`` with this name in lower case."""

# Headers that this site or its server reads for another purpose, so that none can name a
# person.
_OTHER_HEADER = re.compile(
    "connection|content-.*|cookie|expect|forwarded|host|hx-.*|origin|referer|sec-.*|te|trailer"
    "|transfer-encoding|upgrade|x-forwarded-(for|host|port|proto)"
)


def group(text: str) -> str:
    """Read a group as a sign-on names it: a word, a path or a GUID."""
    try:
        if len(text) <= 255:
            return read_group(text)
    except ValueError:
        pass
    raise values.Malformed(
        "must be one line of at most 255 characters, which neither begins nor ends with a blank"
    )


def claim(text: str) -> str:
    """Read a claim's name, which may be an address (OpenID Connect Core, section 5.1.2)."""
    if not re.fullmatch(r"[!-~]{1,255}", text):
        raise values.Malformed("must be the name of a claim: printable ASCII without blanks")
    return text


def sign_on_scopes(text: str) -> tuple[str, ...]:
    """Read scopes; without ``openid`` there is no id token (OpenID Connect Core, 3.1.2.1)."""
    found = tuple(values.scopes(text))
    if "openid" not in found:
        raise values.Malformed("must have openid among the scopes")
    return found


def header_name(text: str) -> str:
    """Read a header's name in lower case, as headers arrive."""
    name = text.lower()
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
        raise values.Malformed("must be the name of a header: letters, digits and -")
    if _OTHER_HEADER.fullmatch(name):
        raise values.Malformed("is a header that means something else")
    return name


def disagreements(
    given: Collection[str], read: Mapping[str, Any], *, is_local: bool
) -> Iterator[str]:
    """Yield faults between these settings that are each well-formed."""
    yield from _sign_on(given, read, is_local=is_local)
    yield from _proxy(given, read)
    if "SUPPORT_GROUP" in given and not {"OIDC_ISSUER", "PROXY_GROUPS_HEADER"}.intersection(given):
        yield "SUPPORT_GROUP is given, but neither OIDC_ISSUER nor PROXY_GROUPS_HEADER."


def _sign_on(given: Collection[str], read: Mapping[str, Any], *, is_local: bool) -> Iterator[str]:
    if not any(name in given for name in _CLIENT):
        return
    for name in _CLIENT[:2]:
        if name not in given:
            yield f"{name} is missing: sign-on needs issuer and client id."
    if not is_local and read.get("OIDC_ISSUER", "").startswith("http:"):
        yield "OIDC_ISSUER must be an https address, since BASE_URL is not on this machine."
    is_for_staff = read.get("OIDC_PEOPLE") == "staff"
    if is_for_staff and not {"SUPPORT_GROUP", "SUPPORT_USERS"}.intersection(given):
        yield "SUPPORT_GROUP is missing: nobody could sign in with OIDC_ISSUER."


def _proxy(given: Collection[str], read: Mapping[str, Any]) -> Iterator[str]:
    needs = {"PROXY_USER_HEADER": "TRUSTED_PROXIES", "PROXY_GROUPS_HEADER": "PROXY_USER_HEADER"}
    for name, needed in needs.items():
        if name in given and needed not in given:
            yield f"{needed} is missing: without it {name} counts for nothing."
    user_header = read.get("PROXY_USER_HEADER")
    if user_header and user_header == read.get("PROXY_GROUPS_HEADER"):
        yield "PROXY_USER_HEADER and PROXY_GROUPS_HEADER must not be the same."
    if "PROXY_GROUPS_HEADER" in given and "," in read.get("SUPPORT_GROUP", ""):
        yield "SUPPORT_GROUP must have no comma: PROXY_GROUPS_HEADER is split there."
