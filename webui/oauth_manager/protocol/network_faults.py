"""Faults of a network by name, read from an exception and its causes.  Pure.

The exception may be of asyncio, ssl, or an HTTP client that wraps them.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator

from .reach import OutOfReach

# OpenSSL's X509_V_ERR_*; any other fault of a certificate is untrusted.
_CERTIFICATE = {
    9: "certificate_not_yet_valid",
    10: "certificate_expired",
    62: "certificate_host",
    64: "certificate_host",
}
_ERRNO = {
    errno.ECONNREFUSED: "refused",
    errno.ENETUNREACH: "unreachable",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENOENT: "missing",
    errno.ENOTSOCK: "missing",
    errno.EACCES: "permission",
    errno.EPERM: "permission",
    errno.ECONNRESET: "closed",
    errno.EPIPE: "closed",
}
# OpenSSL's words for bytes that are no TLS, and for a server that wants a certificate of ours.
_NOT_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNKNOWN_PROTOCOL")
_WANTS_CERTIFICATE = ("CERTIFICATE_REQUIRED", "ALERT_HANDSHAKE_FAILURE", "ALERT_BAD_CERTIFICATE")


def fault_of(error: BaseException) -> str:
    """Name the fault; ``network`` if there is no closer word.

    Words: ``certificate_expired``, ``certificate_host``, ``certificate_not_yet_valid``,
    ``certificate_untrusted``, ``client_certificate``, ``closed``, ``dns``, ``missing``,
    ``not_tls``, ``out_of_reach``, ``permission``, ``refused``, ``timeout``, ``tls``,
    ``unreachable``.
    """
    return next(filter(None, map(_word, _causes(error))), "network")


def is_tls(fault: str) -> bool:
    """Return whether there was a connection, but TLS on it failed."""
    return fault.startswith("certificate_") or fault in ("client_certificate", "not_tls", "tls")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the exception, then its causes, outermost first."""
    told: set[int] = set()
    pending: list[BaseException | None] = [error]
    while pending:
        found = pending.pop(0)
        if found is None or id(found) in told:
            continue
        told.add(id(found))
        yield found
        pending += [found.__cause__, found.__context__]
        if isinstance(found, BaseExceptionGroup):
            pending += found.exceptions


def _word(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _CERTIFICATE.get(error.verify_code, "certificate_untrusted")
    if isinstance(error, ssl.SSLWantReadError):
        return ""  # a wait that something else ended
    if isinstance(error, ssl.SSLError):
        return _tls_word(error.reason or "")
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, socket.gaierror):
        return "dns"
    if isinstance(error, EOFError):
        return "closed"
    if isinstance(error, OutOfReach):
        return "out_of_reach"
    if isinstance(error, OSError):
        return _ERRNO.get(error.errno or 0, "")
    return ""


def _tls_word(reason: str) -> str:
    if reason.endswith(_NOT_TLS):
        return "not_tls"
    return "client_certificate" if reason.endswith(_WANTS_CERTIFICATE) else "tls"
