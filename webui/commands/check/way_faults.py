"""Faults that keep a provider from being reached: a sentence and a cure each, by the way there.

Pure; no sentence holds the proxy's login.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from webui.commands.check.wire_faults import Told
from webui.oauth_manager.configuration import is_loopback

REACH_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Way:
    """The way out: straight, or through the proxy, which may be ``is_broken`` itself."""

    proxy: str = field(default="", repr=False)
    is_broken: bool = False

    @property
    def where(self) -> str:
        """Return host and port of the proxy, without its login."""
        return urlsplit(self.proxy).netloc.rpartition("@")[2]

    @property
    def has_login(self) -> bool:
        return "@" in urlsplit(self.proxy).netloc

    def leads_to(self, origin: str) -> bool:
        """Tell whether a call there goes through the proxy: this machine's own do not."""
        return bool(self.proxy) and not is_loopback(urlsplit(origin).hostname or "")

    def is_cut_to(self, origin: str) -> bool:
        """Tell whether asking there is no use, since the proxy itself is at fault."""
        return self.is_broken and self.leads_to(origin)


_PROXY = "If only a proxy leads out from here, name it in OUTGOING_PROXY."
_PLACE = "Correct host and port."
_ADDRESS = "Correct host and port in OUTGOING_PROXY."

STRAIGHT: dict[str, Told] = {
    "dns": ("its name does not resolve.", "Correct the host, or this machine's DNS."),
    "refused": ("nothing listens there: the connection was refused.", _PLACE),
    "unreachable": ("no network leads there.", "Correct the route or the firewall."),
    "timeout": (
        f"no answer came within {REACH_SECONDS:.0f} seconds.",
        "Open the firewall for it.",
    ),
    "closed": ("it ends the connection without a word.", _PLACE),
    "network": ("it cannot be reached.", _PLACE),
}
"""Faults that a proxy may be the cure of, if none is named."""

EVERYWHERE: dict[str, Told] = {
    "certificate_untrusted": (
        "its certificate is signed by nobody whom this machine trusts.",
        "Name a file with that authority's certificate (and all others) in SSL_CERT_FILE.",
    ),
    "certificate_expired": (
        "its certificate has expired.",
        "Whoever runs it has to renew it; if it is fresh, correct this machine's clock.",
    ),
    "certificate_not_yet_valid": (
        "its certificate is not valid yet.",
        "Correct this machine's clock, or the certificate.",
    ),
    "certificate_host": (
        "its certificate is for another host.",
        "Correct the host, or whoever runs it has to issue the certificate for this one.",
    ),
    "not_tls": ("it does not speak TLS.", "Correct the port: https is wanted there."),
    "tls": ("TLS with it does not come about.", "Whoever runs it has to offer TLS 1.2 or newer."),
    "client_certificate": (
        "it wants a client certificate.",
        "That is not supported; use an address that wants none.",
    ),
    "not_http": ("it does not speak HTTP.", _PLACE),
    "unusable_answer": ("its answer makes no sense.", "Correct the address."),
    "own_certificates": (
        "it was not asked, since no certificate could be read from where SSL_CERT_FILE says.",
        "Correct SSL_CERT_FILE: a file of certificates in PEM form that this user may read.",
    ),
}

# What is at the other end of a tunnel; {proxy} and {where} are filled in.
THROUGH: dict[str, Told] = {
    "timeout": (
        f"no answer came through the proxy {{proxy}} within {REACH_SECONDS:.0f} seconds.",
        "Have the proxy reach it: its log and its firewall say why it does not.",
    ),
    "closed": (
        "the proxy {proxy} ends the connection to it without a word.",
        "Have the proxy allow CONNECT to {where}; its log says why it does not.",
    ),
    "not_http": (
        "what comes through the proxy {proxy} is no HTTP.",
        "Have the proxy allow CONNECT to {where}, or correct OUTGOING_PROXY.",
    ),
    "not_tls": (
        "what comes through the proxy {proxy} is no TLS.",
        "Have the proxy pass TLS to {where} on as it is.",
    ),
    "certificate_untrusted": (
        "its certificate, as the proxy {proxy} passes it on, is of nobody that is trusted here.",
        "If the proxy opens TLS, name a file with its authority (and all others) in SSL_CERT_FILE.",
    ),
    "proxy_refused": (
        "the proxy {proxy} refuses to connect to it.",
        "Have the proxy allow CONNECT to {where}; its log says why it does not.",
    ),
    "proxy_unreachable": ("the proxy {proxy} cannot be reached.", _ADDRESS),
    "network": (
        "it cannot be reached through the proxy {proxy}.",
        "Have the proxy reach it; its log says why it does not.",
    ),
}
_LOGIN_REFUSED: Told = (
    "the proxy {proxy} refuses our user name or password (407).",
    "Correct both in OUTGOING_PROXY; percent-encode what is special in them.",
)
_LOGIN_WANTED: Told = (
    "the proxy {proxy} wants a user name and a password (407).",
    "Write http://USER:PASSWORD@host:port in OUTGOING_PROXY.",
)

OF_THE_PROXY: dict[str, Told] = {
    **{fault: (what, _ADDRESS) for fault, (what, _) in STRAIGHT.items()},
    "not_http": ("it does not speak HTTP.", _ADDRESS),
    "plain": (
        "it speaks HTTP without TLS, and OUTGOING_PROXY asks for TLS.",
        "Write http:// instead of https:// in OUTGOING_PROXY, or name its TLS port.",
    ),
    "tls_wanted": (
        "it speaks TLS, and OUTGOING_PROXY asks for none.",
        "Write https:// instead of http:// in OUTGOING_PROXY, or name its plain port.",
    ),
    "not_tls": ("it does not speak TLS.", _ADDRESS),
    "certificate_host": (
        "its certificate is for another host.",
        "Use a name in OUTGOING_PROXY that the certificate has.",
    ),
}


def told_of(fault: str, origin: str, way: Way) -> Told:
    """Return the fault of an origin, and the cure, by a word of ``Transport.reach``."""
    where = urlsplit(origin).netloc
    if not way.leads_to(origin):
        what, cure = EVERYWHERE.get(fault) or STRAIGHT.get(fault, STRAIGHT["network"])
        hint = f" {_PROXY}" if fault not in EVERYWHERE and not way.proxy else ""
        return f"{where}: {what}", cure + hint
    if fault == "proxy_wants_password":
        what, cure = _LOGIN_REFUSED if way.has_login else _LOGIN_WANTED
    elif fault not in THROUGH and fault in EVERYWHERE:
        what, cure = EVERYWHERE[fault]
        what = f"{what.removesuffix('.')}, as seen through the proxy {{proxy}}."
    else:
        what, cure = THROUGH.get(fault, THROUGH["network"])
    names = {"proxy": way.where, "where": where}
    return f"{where}: {what.format(**names)}", cure.format(**names)


def told_of_proxy(fault: str, way: Way) -> Told:
    """Return the fault of the proxy itself, and the cure."""
    what, cure = OF_THE_PROXY.get(fault) or EVERYWHERE.get(fault, OF_THE_PROXY["network"])
    return f"{way.where}: {what}", cure
