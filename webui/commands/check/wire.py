"""Check of the wire: whether a connection to Redis is possible, and if not, why.

Only a PING is sent; redis-py would name these faults alike.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import Any

import anyio
from anyio.abc import ByteStream
from anyio.streams.tls import TLSStream
from redis.asyncio.connection import SSLConnection, UnixDomainSocketConnection, parse_url

from webui.oauth_manager.protocol.network_faults import fault_of, is_tls

SECONDS = 3.0


async def wire_fault(redis_url: str) -> str:
    """Connect, with TLS if the address says so, and check that Redis answers.

    Returns ``""``, or a word of ``wire_faults.UNREACHED``.
    """
    options = dict(parse_url(redis_url))
    wants_tls = options.get("connection_class") is SSLConnection
    try:
        context = _context(options) if wants_tls else None
    except (OSError, ValueError):
        return "own_certificates"
    try:
        stream = await _connect(options)
    except (OSError, TimeoutError) as error:
        return fault_of(error)
    async with stream:
        fault = await _talk(stream, context, _host(options))
    if fault in ("not_tls", "tls", "silent", "closed") and wants_tls:
        if await _answers_plainly(options):
            return "plain"
        return "client_certificate" if fault == "closed" else _as_known(fault)
    if fault and not wants_tls and await _takes_tls(options):
        return "tls_wanted"
    return _as_known(fault)


def _as_known(fault: str) -> str:
    return "not_redis" if fault in ("not_tls", "tls", "network") else fault


async def _connect(options: dict[str, Any]) -> ByteStream:
    with anyio.fail_after(SECONDS):
        if options.get("connection_class") is UnixDomainSocketConnection:
            return await anyio.connect_unix(options["path"])
        return await anyio.connect_tcp(_host(options), options.get("port", 6379))


def _host(options: dict[str, Any]) -> str:
    return str(options.get("host", "localhost"))


def _context(options: dict[str, Any]) -> ssl.SSLContext:
    context = ssl.create_default_context(
        cafile=options.get("ssl_ca_certs"), capath=options.get("ssl_ca_path")
    )
    if options.get("ssl_certfile"):
        context.load_cert_chain(options["ssl_certfile"], options.get("ssl_keyfile"))
    return context


async def _talk(stream: ByteStream, context: ssl.SSLContext | None, host: str) -> str:
    """Return the fault after connecting: of TLS, or of an answer in Redis's protocol."""
    try:
        with anyio.fail_after(SECONDS):
            if context:
                stream = await with_tls(stream, context, host)
            await stream.send(b"PING\r\n")
            answer = await stream.receive(64)
    except TimeoutError:
        return "silent"
    except anyio.EndOfStream:
        return "closed"
    except (OSError, anyio.BrokenResourceError) as error:
        fault = fault_of(error)
        return fault if is_tls(fault) else "closed"
    return "" if answer[:1] in (b"+", b"-") else "not_redis"


async def with_tls(stream: ByteStream, context: ssl.SSLContext, host: str) -> ByteStream:
    """Shake hands; a peer that hangs up without a goodbye is no fault."""
    return await TLSStream.wrap(
        stream, hostname=host, ssl_context=context, standard_compatible=False
    )


async def _answers_plainly(options: dict[str, Any]) -> bool:
    with suppress(OSError):
        async with await _connect(options) as stream:
            return await _talk(stream, None, "") == ""
    return False


async def _takes_tls(options: dict[str, Any]) -> bool:
    """Return whether a handshake gets as far as the certificate, whichever that is."""
    if options.get("connection_class") is UnixDomainSocketConnection:
        return False
    context = ssl.create_default_context()
    try:
        async with await _connect(options) as stream:
            with anyio.fail_after(SECONDS):
                await with_tls(stream, context, _host(options))
    except (OSError, anyio.BrokenResourceError, anyio.EndOfStream) as error:
        return fault_of(error).startswith("certificate_")
    return True
