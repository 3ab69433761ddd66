"""A look at the outgoing proxy itself: whether it listens, and speaks as its address says.

It is asked what it can do (OPTIONS), without its login, and for nothing else.
"""

from __future__ import annotations

import ssl

import anyio
from anyio.abc import ByteStream

from webui.commands.check.wire import SECONDS, with_tls
from webui.oauth_manager.protocol.network_faults import fault_of, is_tls
from webui.oauth_manager.protocol.transport import tls_context

Address = tuple[str, int]


async def proxy_fault(scheme: str, host: str, port: int | None) -> str:
    """Return ``""``, or a word of ``way_faults.OF_THE_PROXY``.

    A proxy that hangs up on the question, or stays silent, may know nothing but CONNECT: that is
    left to those who are reached through it.
    """
    address = host, port or (443 if scheme == "https" else 80)
    try:
        context = tls_context()
    except OSError:
        return "own_certificates"
    try:
        stream = await _connect(address)
    except OSError as error:
        return fault_of(error)
    async with stream:
        if scheme == "https":
            fault = await _handshake(stream, context, host)
        else:
            fault = await _answer(stream)
    if scheme == "https":
        has_met_tls = not fault or fault.startswith(("certificate_", "client_"))
        return fault if has_met_tls or not await _speaks_http(address) else "plain"
    if fault and await _speaks_tls(address, context):
        return "tls_wanted"
    return fault if fault == "not_http" else ""


async def _connect(address: Address) -> ByteStream:
    with anyio.fail_after(SECONDS):
        return await anyio.connect_tcp(*address)


async def _handshake(stream: ByteStream, context: ssl.SSLContext, host: str) -> str:
    try:
        with anyio.fail_after(SECONDS):
            await with_tls(stream, context, host)
    except (OSError, anyio.BrokenResourceError, anyio.EndOfStream) as error:
        fault = fault_of(error)
        return fault if is_tls(fault) or fault == "timeout" else "closed"
    return ""


async def _answer(stream: ByteStream) -> str:
    try:
        with anyio.fail_after(SECONDS):
            await stream.send(b"OPTIONS * HTTP/1.1\r\nHost: proxy\r\nConnection: close\r\n\r\n")
            said = await stream.receive(64)
    except TimeoutError:
        return "timeout"
    except (OSError, anyio.BrokenResourceError, anyio.EndOfStream):
        return "closed"
    return "" if said.startswith(b"HTTP/") else "not_http"


async def _speaks_http(address: Address) -> bool:
    try:
        async with await _connect(address) as stream:
            return await _answer(stream) == ""
    except OSError:
        return False


async def _speaks_tls(address: Address, context: ssl.SSLContext) -> bool:
    """Tell whether a handshake gets as far as the certificate, whichever that is."""
    try:
        async with await _connect(address) as stream:
            fault = await _handshake(stream, context, address[0])
    except OSError:
        return False
    return not fault or fault.startswith(("certificate_", "client_"))
