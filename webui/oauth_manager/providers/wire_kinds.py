"""Readers of what requests are made of: addresses, hosts, parameters, header fields, paths."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl

from .. import configuration
from ..configuration import Malformed
from .asked import without_places
from .texts import text, words

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_PATH = re.compile(r"[\w@:-]+([./][\w@:-]+){0,7}", re.ASCII)
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_HEADER_VALUE = re.compile(r"[!-~]([ -~]{0,498}[!-~])?")
_OTHER_HEADER = re.compile(
    "accept|accept-encoding|authorization|connection|content-.*|cookie|expect|host|te|trailer"
    "|transfer-encoding|upgrade",
    re.IGNORECASE,
)
_TOKEN_HEADER = re.compile(r"([A-Za-z][A-Za-z0-9-]{0,63}): ?(([!-~]{1,32} )?\{access_token\})")
_HOST = re.compile(
    r"\{[a-z_.]+\}|(\{[a-z_]+\}\.)?[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?(:[0-9]{1,5})?"
    r"|[a-z0-9.-]+\{[a-z_]+\}[a-z0-9.-]+(:[0-9]{1,5})?"
)
_OWN_HOST = re.compile(r"[a-z0-9.:\[\]-]+(/[A-Za-z0-9._~-]+)*")
_SECRET = re.compile("(access_|refresh_|id_|session_)?token|code|state|(client_)?secret|password")
_OUR_PARAMETER = re.compile(
    "client_(id|secret|assertion(_type)?)|code(_challenge(_method)?|_verifier)?|grant_type|nonce"
    "|redirect_uri|refresh_token|request(_uri)?|response_(mode|type)|scope|state"
)


def endpoint(value: object) -> str:
    """Read an address, whose host may be the operator's ``{host}``, or have a value asked."""
    if not isinstance(value, str):
        raise Malformed("must be an https address")
    configuration.endpoint(without_places(value.replace("://{host}", "://host.example")))
    return value


def host(value: object) -> str:
    """Read a host, with a port and a path if need be."""
    configuration.endpoint(f"https://{text(value)}")
    if not _OWN_HOST.fullmatch(text(value)):
        raise Malformed("must be a host, and a path if need be: id.example.org/realms/main")
    return text(value)


def name(value: object) -> str:
    """Read the name of a parameter."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise Malformed("must be the name of a parameter")
    return value


def pair(value: object) -> tuple[str, ...]:
    """Read the names of two parameters."""
    names = words(value)
    if len(set(names)) != 2 or len(names) != 2 or not all(map(_NAME.fullmatch, names)):
        raise Malformed("must be the names of two parameters: clientId clientSecret")
    return names


def path(value: object) -> str:
    """Read a path into an answer: names and numbers between dots."""
    if not isinstance(value, str) or not _PATH.fullmatch(value):
        raise Malformed("must be a path of names between dots: user.id")
    return value


def keep(value: object) -> tuple[str, ...]:
    """Read paths of facts to keep; a token is none."""
    paths = tuple(map(path, words(value)))
    if any(_SECRET.fullmatch(one.rpartition(".")[2].lower()) for one in paths):
        raise Malformed("must name no token, code or secret")
    return paths


def parameters(value: object) -> dict[str, str]:
    """Read parameters: a table, or ``a=b&c=d``."""
    pairs = list(value.items()) if isinstance(value, Mapping) else []
    if isinstance(value, str):
        try:
            pairs = parse_qsl(value, keep_blank_values=True, strict_parsing=True, max_num_fields=20)
        except ValueError:
            raise Malformed("must be written like a query string: a=b&c=d") from None
    elif not isinstance(value, Mapping):
        raise Malformed("must be a table of texts")
    if len(dict(pairs)) < len(pairs):
        raise Malformed("names a parameter twice")
    if any(_OUR_PARAMETER.fullmatch(one) for one, _ in pairs):
        raise Malformed("names a parameter that belongs to the flow itself")
    return {one: str(said) if type(said) is int else text(said) for one, said in pairs}


def headers(value: object) -> dict[str, str]:
    """Read header fields: a table, or ``Name: value; Other: value``."""
    if isinstance(value, str):
        parts = [part.partition(":") for part in value.split(";") if part.strip()]
        value = {one.strip(): said.strip() for one, _, said in parts}
    if not isinstance(value, Mapping) or not all(
        isinstance(said, str) and _HEADER.fullmatch(one) and _HEADER_VALUE.fullmatch(said)
        for one, said in value.items()
    ):
        raise Malformed("must be header fields of printable ASCII: Name: value; Other: value")
    if any(_OTHER_HEADER.fullmatch(one) for one in value):
        raise Malformed("names a header field that the request itself decides")
    return dict(value)


def token_header(value: object) -> str:
    """Read how a token travels: a header field with ``{access_token}`` at its end."""
    if not isinstance(value, str) or not _TOKEN_HEADER.fullmatch(value):
        raise Malformed("must look like Authorization: Bearer {access_token}")
    return value


def json_text(value: object) -> str:
    """Read JSON, kept as it is written."""
    try:
        json.loads(str(value))
    except (ValueError, RecursionError):
        raise Malformed("must be JSON") from None
    return str(value)


def hosts(value: object) -> tuple[str, ...]:
    """Read hosts with their ports, or ``{value}`` of the connection."""
    found = words(value)
    if not all(map(_HOST.fullmatch, found)):
        raise Malformed("must be hosts: api.example.com")
    return found
