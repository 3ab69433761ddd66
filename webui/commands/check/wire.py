"""Check of the wire: whether a connection to Redis is possible, and if not, why.

Only a PING is sent; redis-py would name these faults alike.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import anyio
from anyio.abc import ByteStream
from anyio.streams.tls import TLSStream

from webui.oauth_manager.protocol.network_faults import fault_of, is_tls
from webui.oauth_manager.storage import RedisAddress

SECONDS = 3.0


async def wire_fault(address: RedisAddress) -> str:
    """Connect to the first host, with TLS if the address says so, and check that Redis answers.

    Returns ``""``, or a word of ``wire_faults.UNREACHED``.
    """
    try:
        context = _context(address.options) if address.is_tls else None
    except (OSError, ValueError):
        return "own_certificates"
    try:
        stream = await _connect(address)
    except (OSError, TimeoutError) as error:
        return fault_of(error)
    async with stream:
        fault = await _talk(stream, context, _host(address))
    if fault in ("not_tls", "tls", "silent", "closed") and address.is_tls:
        if await _answers_plainly(address):
            return "plain"
        return "client_certificate" if fault == "closed" else _as_known(fault)
    if fault and not address.is_tls and await _takes_tls(address):
        return "tls_wanted"
    return _as_known(fault)


def _as_known(fault: str) -> str:
    return "not_redis" if fault in ("not_tls", "tls", "network") else fault


async def _connect(address: RedisAddress) -> ByteStream:
    with anyio.fail_after(SECONDS):
        if address.path:
            return await anyio.connect_unix(address.path)
        host, port = address.hosts[0]
        return await anyio.connect_tcp(host, port)


def _host(address: RedisAddress) -> str:
    return address.hosts[0][0] if address.hosts else ""


def _context(options: Mapping[str, Any]) -> ssl.SSLContext:
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


async def _answers_plainly(address: RedisAddress) -> bool:
    with suppress(OSError):
        async with await _connect(address) as stream:
            return await _talk(stream, None, "") == ""
    return False


async def _takes_tls(address: RedisAddress) -> bool:
    """Return whether a handshake gets as far as the certificate, whichever that is."""
    if address.path:
        return False
    context = ssl.create_default_context()
    try:
        async with await _connect(address) as stream:
            with anyio.fail_after(SECONDS):
                await with_tls(stream, context, _host(address))
    except (OSError, anyio.BrokenResourceError, anyio.EndOfStream) as error:
        return fault_of(error).startswith("certificate_")
    return True
