"""Faults that prevent a connection to Redis: a sentence and a cure each.  Data."""

from __future__ import annotations

Told = tuple[str, str]
"""What is wrong, and the cure."""

UNREACHED: dict[str, Told] = {
    "dns": (
        "The host's name does not resolve.",
        "Correct the host in REDIS_URL, or this machine's DNS.",
    ),
    "refused": (
        "Nothing listens there: the connection was refused.",
        "Start Redis, or correct host and port in REDIS_URL.",
    ),
    "unreachable": (
        "No network leads there.",
        "Correct the host in REDIS_URL, or the route and the firewall.",
    ),
    "timeout": (
        "No answer came: nothing accepts a connection, or a firewall drops it.",
        "Correct host and port in REDIS_URL, or open the firewall.",
    ),
    "missing": (
        "There is no socket at that path.",
        "Start Redis with `unixsocket`, or correct the path in REDIS_URL.",
    ),
    "permission": (
        "The socket may not be opened by this user.",
        "Set `unixsocketperm 770` and put this user into the socket's group.",
    ),
    "certificate_untrusted": (
        "Its certificate is signed by nobody whom this machine trusts.",
        "Name the authority's file: REDIS_URL=rediss://...?ssl_ca_certs=/path/ca.pem.",
    ),
    "certificate_expired": (
        "Its certificate has expired.",
        "Renew it there; if it is fresh, correct this machine's clock.",
    ),
    "certificate_not_yet_valid": (
        "Its certificate is not valid yet.",
        "Correct this machine's clock, or the certificate.",
    ),
    "certificate_host": (
        "Its certificate is for another host.",
        "Use a name in REDIS_URL that the certificate has, or issue it for this one.",
    ),
    "client_certificate": (
        "It ends the connection when TLS is made: it seems to want a client certificate.",
        "Give one: REDIS_URL=rediss://...?ssl_certfile=/path/cert.pem&ssl_keyfile=/path/key.pem.",
    ),
    "own_certificates": (
        "A file of certificates or keys that REDIS_URL names cannot be read or used.",
        "Correct ssl_ca_certs, ssl_ca_path, ssl_certfile or ssl_keyfile.",
    ),
    "plain": (
        "It speaks Redis without TLS, and REDIS_URL asks for TLS.",
        "Write redis:// instead of rediss://, or name the server's TLS port.",
    ),
    "tls_wanted": (
        "It speaks TLS, and REDIS_URL asks for none.",
        "Write rediss:// instead of redis://, or name the server's plain port.",
    ),
    "not_redis": (
        "Something answers there that is no Redis.",
        "Correct host and port in REDIS_URL.",
    ),
    "silent": (
        "It accepts connections and answers nothing.",
        "See whether Redis hangs or is overloaded, or correct host and port in REDIS_URL.",
    ),
    "closed": (
        "It ends the connection without a word.",
        "See its log: too many clients, or another kind of server.",
    ),
}
"""By the words of ``network_faults`` and some of our own."""
