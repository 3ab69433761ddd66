"""Addresses of Redis: one server, the primary that Sentinels watch, or a Cluster."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from ..values import replace
from . import Malformed, check_letters, text_of

PORTS = {"server": 6379, "sentinel": 26379, "cluster": 6379}
"""The port of a host that names none, by kind."""

_SCHEME = re.compile(r"(redis|rediss|unix)(?:\+(sentinel|cluster))?://")
_CERTIFICATES = frozenset({"ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile"})
# Options that every address may carry; certificate checks cannot be turned off there.
_OPTIONS = _CERTIFICATES | {"client_name", "db", "username", "password"}
_OF_SENTINELS = frozenset({"sentinel_username", "sentinel_password"})
_HOST = re.compile(r"(?P<name>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")
_LOGIN = ("username", "password")
_NUMBER = re.compile(r"[0-9]{1,5}")


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """An address in parts.

    ``kind`` is ``server``, ``sentinel`` or ``cluster``; ``hosts`` are the Sentinels, or
    the nodes to ask first.  ``options`` and ``sentinel_options`` are redis-py's, for the
    servers with the data and for the Sentinels.
    """

    kind: str
    hosts: tuple[tuple[str, int], ...]
    is_tls: bool = False
    path: str = ""
    name: str = ""
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    sentinel_options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def server(self, host: str, port: int) -> RedisAddress:
        """Return the address of one of the servers with the data."""
        return replace(self, kind="server", hosts=((host, port),), name="")

    def sentinels(self) -> list[RedisAddress]:
        """Return the addresses of the Sentinels, with each login that they may want in turn.

        They are asked with their own password, if the address has one; else without any,
        and those that refuse that with the password of the data.
        """
        tls = {key: text for key, text in self.options.items() if key.startswith("ssl_")}
        login = {key: text for key, text in self.options.items() if key in _LOGIN}
        logins = [self.sentinel_options] if self.sentinel_options else [{}, login]
        return [
            replace(self.server(*host), options={**tls, **own})
            for own in (logins if login else logins[:1])
            for host in self.hosts
        ]


def redis_address(value: object) -> RedisAddress:
    """Read an address of Redis.  Raises ``Malformed``."""
    return _read(text_of(value))


def _read(text: str) -> RedisAddress:
    check_letters(text)
    found = _SCHEME.match(text)
    if not found or found[0] in ("unix+sentinel://", "unix+cluster://"):
        raise Malformed(
            "must begin with redis://, redis+sentinel:// or redis+cluster://, the same with "
            "rediss for TLS, or unix://"
        )
    try:
        parts = urlsplit(text)
    except ValueError:
        raise Malformed("is not an address") from None
    kind = found[2] or "server"
    is_tls = found[1] == "rediss"
    given = _options(parts, kind, is_tls=is_tls)
    login, _, hosts = parts.netloc.rpartition("@")
    options = given | _login(login)
    if found[1] == "unix":
        if hosts or len(parts.path) < 2:
            raise Malformed("must name a socket: unix:///path/to/redis.sock")
        return RedisAddress(kind, (), path=unquote(parts.path), options=_whole(options))
    name, database = _place(kind, parts.path)
    if database:
        options.setdefault("db", database)
    own = {key: options.pop(key) for key in _OF_SENTINELS & options.keys()}
    return RedisAddress(
        kind,
        _hosts(kind, hosts),
        is_tls=is_tls,
        name=name,
        options=_whole(options),
        sentinel_options={key.removeprefix("sentinel_"): text for key, text in own.items()},
    )


def _options(parts: SplitResult, kind: str, *, is_tls: bool) -> dict[str, Any]:
    allowed = _OPTIONS | _OF_SENTINELS if kind == "sentinel" else _OPTIONS
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    if parts.fragment or not allowed.issuperset(given):
        raise Malformed(f"may have no fragment and no options but {', '.join(sorted(allowed))}")
    if not is_tls and not _CERTIFICATES.isdisjoint(given):
        raise Malformed("names certificates, which only an address that begins with rediss uses")
    if "ssl_keyfile" in given and "ssl_certfile" not in given:
        raise Malformed("names a key (ssl_keyfile) without its certificate (ssl_certfile)")
    if "sentinel_username" in given and "sentinel_password" not in given:
        raise Malformed("has a sentinel_username without a sentinel_password")
    return given


def _whole(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with the database as a number, for redis-py."""
    database = options.get("db", "0")
    if not _NUMBER.fullmatch(database):
        raise Malformed("has a database that is no number: db=0")
    return {**options, "db": int(database)}


def _login(text: str) -> dict[str, str]:
    user, _, password = text.partition(":")
    named = {"username": unquote(user), "password": unquote(password)}
    return {name: value for name, value in named.items() if value}


def _hosts(kind: str, text: str) -> tuple[tuple[str, int], ...]:
    written = text.split(",")
    if kind == "server" and len(written) > 1:
        raise Malformed(
            "names several hosts; write redis+sentinel:// or redis+cluster:// for those"
        )
    hosts = []
    for each in written:
        found = _HOST.fullmatch(each)
        if not found:
            raise Malformed(f"must look like {_EXAMPLES[kind]}")
        port = int(found["port"] or PORTS[kind])
        if not 0 < port < 65536:
            raise Malformed("has no usable port")
        hosts.append((found["name"].strip("[]"), port))
    return tuple(hosts)


def _place(kind: str, path: str) -> tuple[str, str]:
    """Return the name of the primary, and the database's number; ``""`` for none."""
    first, _, rest = path.removeprefix("/").partition("/")
    name, database = (unquote(first), rest) if kind == "sentinel" else ("", first)
    is_whole = kind == "sentinel" or not rest
    if not is_whole or (database and not _NUMBER.fullmatch(database)):
        raise Malformed(f"must look like {_EXAMPLES[kind]}")
    if kind == "sentinel" and not name:
        raise Malformed(
            f"must name the primary that the Sentinels watch, like {_EXAMPLES['sentinel']}"
        )
    if kind == "cluster" and database not in ("", "0"):
        raise Malformed("names a database, and a Cluster has only 0")
    return name, database


_EXAMPLES = {
    "server": "redis://host:port/0",
    "sentinel": "redis+sentinel://host:26379,host:26379/name/0",
    "cluster": "redis+cluster://host:6379,host:6379",
}
