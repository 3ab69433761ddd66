"""Whether providers and the sign-on can be reached from here, through the proxy if there is one."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import anyio

from webui.commands.check.report import Report
from webui.oauth_manager import OAuthManager, OAuthMisconfigured, OAuthProvider, OAuthUnavailable
from webui.oauth_manager.protocol.network_faults import fault_of
from webui.oauth_manager.protocol.transport import Transport
from webui.settings.settings import Settings
from webui.sign_on import SignOn

REACH_SECONDS = 5.0

_PROXY = "If only a proxy leads out from here, name it in OUTGOING_PROXY."
FAULTS = {
    "dns": ("its name does not resolve.", f"Correct the host, or this machine's DNS. {_PROXY}"),
    "refused": (
        "nothing listens there: the connection was refused.",
        f"Correct host and port. {_PROXY}",
    ),
    "unreachable": ("no network leads there.", f"Correct the route or the firewall. {_PROXY}"),
    "timeout": (
        f"no answer came within {REACH_SECONDS:.0f} seconds.",
        f"Open the firewall for it. {_PROXY}",
    ),
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
    "closed": ("it ends the connection without a word.", f"Correct host and port. {_PROXY}"),
    "not_http": ("it does not speak HTTP.", "Correct host and port."),
    "unusable_answer": ("its answer makes no sense.", "Correct the address."),
    "own_certificates": (
        "it was not asked, since no certificate could be read from where SSL_CERT_FILE says.",
        "Correct SSL_CERT_FILE: a file of certificates in PEM form that this user may read.",
    ),
    "proxy_wants_password": (
        "the proxy refuses our user name or password (407).",
        "Correct both in OUTGOING_PROXY; percent-encode what is special in them.",
    ),
    "proxy_refused": (
        "the proxy refuses to connect to it.",
        "Have the proxy allow it; its log says why it does not.",
    ),
}
_ELSE = ("it cannot be reached.", f"Correct host and port. {_PROXY}")

_DISCOVERY = {
    "other_issuer": (
        "it names another issuer.",
        "Write OIDC_ISSUER as its document has it, to the letter and the slash at the end.",
    ),
    "client_authentication": (
        "it takes none of our ways to send the client secret.",
        "Have it allow client_secret_basic or client_secret_post.",
    ),
    "http_404": (
        "there is no discovery document behind OIDC_ISSUER.",
        "Correct the path of OIDC_ISSUER.",
    ),
}


async def check_proxy(settings: Settings, report: Report) -> None:
    """Show the proxy without its login, and see whether it listens."""
    if not settings.outgoing_proxy:
        report.say("Outgoing proxy: none")
        return
    parts = urlsplit(settings.outgoing_proxy)
    where = parts.netloc.rpartition("@")[2]
    login = ", with user and password" if "@" in parts.netloc else ""
    report.say(f"Outgoing proxy: {parts.scheme}://{where}{login}; not for this machine itself")
    try:
        with anyio.fail_after(REACH_SECONDS):
            port = parts.port or (443 if parts.scheme == "https" else 80)
            stream = await anyio.connect_tcp(parts.hostname or "", port)
    except OSError as error:
        problem = FAULTS.get(fault_of(error), _ELSE)[0]
        report.fault(f"{where}: {problem}", "Correct host and port in OUTGOING_PROXY.")
        return
    await stream.aclose()


async def check_providers(manager: OAuthManager, transport: Transport, report: Report) -> None:
    """Reach every endpoint of every provider that is set up."""
    report.say("Providers")
    for name, provider in manager.providers.items():
        if not provider.is_configured:
            report.say(f"  {name}: not set up (no client id and secret)")
            continue
        report.say(f"  {name}: set up; register the callback {manager.redirect_uri(name)}")
        asked = " ".join(provider.scopes) or "what the provider gives by itself"
        report.say(f"    asks for {asked}")
        await _check_endpoints(provider, transport, report)
    if not manager.list_configured_providers():
        report.fault(
            "No provider is set up, so that nobody can connect anything.",
            "Give one a client id and a secret: GITHUB_CLIENT_ID and GITHUB_CLIENT_SECRET.",
        )


async def _check_endpoints(provider: OAuthProvider, transport: Transport, report: Report) -> None:
    urls = {
        "authorization": provider.authorize_url,
        "tokens": provider.token_url,
        "revocation": provider.revoke_url,
        "account": provider.account_url,
    }
    origins = {what: _origin(url) for what, url in urls.items() if url}
    asked = list(dict.fromkeys(origins.values()))
    found = await asyncio.gather(*(transport.reach(url, REACH_SECONDS) for url in asked))
    faults = dict(zip(asked, found, strict=True))
    told: set[str] = set()
    for what, origin in origins.items():
        where, fault = urlsplit(origin).netloc, faults[origin]
        report.say(f"    {what} at {where}: {'NOT reached' if fault else 'reached'}")
        if fault and fault != "proxy_unreachable" and origin not in told:
            told.add(origin)
            problem, cure = FAULTS.get(fault, _ELSE)
            report.fault(f"{where}: {problem}", cure, indent=6)


def _origin(url: str) -> str:
    """Enough to reach it, and nothing that it would act on."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/"


async def check_sign_on(settings: Settings, transport: Transport, report: Report) -> None:
    if not settings.oidc_issuer:
        report.say("Sign-on: not set up")
        return
    sign_on = SignOn(settings, transport)
    where = urlsplit(settings.oidc_issuer).netloc
    report.say(f"Sign-on: set up; register the callback {sign_on.redirect_uri}")
    report.say(f"  and {sign_on.signed_out_uri} to come back to after signing out")
    if fault := await transport.reach(_origin(settings.oidc_issuer), REACH_SECONDS):
        report.say(f"  discovery at {where}: NOT right ({fault})")
        if fault == "proxy_unreachable":
            return  # told of the proxy itself
        problem, cure = FAULTS.get(fault, _ELSE)
        report.fault(f"{where}: {problem}", cure, indent=4)
        return
    try:
        await sign_on.check()
    except (OAuthMisconfigured, OAuthUnavailable) as failure:
        report.say(f"  discovery at {where}: NOT right ({failure.code})")
        problem, cure = _DISCOVERY.get(failure.code) or (
            f"its discovery document is of no use ({failure.code}).",
            "See what OIDC_ISSUER with /.well-known/openid-configuration behind it answers.",
        )
        report.fault(f"{where}: {problem}", cure, indent=4)
        return
    report.say(f"  discovery at {where}: reached")
