"""Reachability of providers, the sign-on and the proxy on the way there."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from webui.commands.check.proxy import proxy_fault
from webui.commands.check.report import Report
from webui.commands.check.way_faults import REACH_SECONDS, Way, told_of, told_of_proxy
from webui.oauth_manager import OAuthManager, OAuthMisconfigured, OAuthProvider, OAuthUnavailable
from webui.oauth_manager.protocol import found as found_provider
from webui.oauth_manager.protocol.transport import Transport
from webui.oauth_manager.storage import Clock
from webui.oauth_manager.values import replace
from webui.settings.settings import Settings
from webui.settings.table import variable
from webui.sign_on import SignOn

_DISCOVERY = {
    "other_issuer": (
        "it names another issuer.",
        "Write {setting} as its document has it, to the letter and the slash at the end.",
    ),
    "other_resource": (
        "its document is about another resource.",
        "Write {setting} as its vendor has it, to the letter and the slash at the end.",
    ),
    "client_authentication": (
        "it takes none of our ways to send the client secret.",
        "Have it allow client_secret_basic or client_secret_post.",
    ),
    "http_404": (
        "there is no discovery document behind {setting}.",
        "Correct the path of {setting}.",
    ),
}


async def check_proxy(settings: Settings, report: Report) -> Way:
    """Show the proxy without its login, and check that it listens and speaks as its address says.

    Returns the way out for the next checks.
    """
    way = Way(settings.outgoing_proxy)
    if not way.proxy:
        report.say("Outgoing proxy: none")
        return way
    parts = urlsplit(way.proxy)
    login = ", with user and password" if way.has_login else ""
    report.say(f"Outgoing proxy: {parts.scheme}://{way.where}{login}; not for this machine itself")
    if fault := await proxy_fault(parts.scheme, parts.hostname or "", parts.port):
        report.fault(*told_of_proxy(fault, way))
        return replace(way, is_broken=True)
    return way


async def check_providers(
    manager: OAuthManager, transport: Transport, way: Way, report: Report
) -> None:
    """Reach every endpoint of every provider that is set up."""
    report.say("Providers")
    for name, provider in manager.providers.items():
        if not provider.is_configured:
            report.say(f"  {name}: not set up (no client id and secret)")
            continue
        if provider.own:
            report.say(f"  {name}: set up; it needs no registration by hand")
        else:
            report.say(f"  {name}: set up; register the callback {manager.redirect_uri(name)}")
        asked = " ".join(provider.scopes) or "what the provider gives by itself"
        report.say(f"    asks for {asked}")
        if provider.to_find:
            await _check_issuer(provider, transport, way, report)
        else:
            await _check_endpoints(provider, transport, way, report)
    if not manager.list_configured_providers():
        report.fault(
            "No provider is set up, so that nobody can connect anything.",
            "Give one a client id and a secret: GITHUB_CLIENT_ID and GITHUB_CLIENT_SECRET.",
        )


async def _check_issuer(
    provider: OAuthProvider, transport: Transport, way: Way, report: Report
) -> None:
    """Find the addresses behind an issuer or a remote MCP server, and reach them."""
    known = provider.resource or provider.issuer
    where = urlsplit(known).netloc
    if way.is_cut_to(_origin(known)):
        report.say(f"    metadata at {where}: NOT asked")
        return
    try:
        provider = found_provider.at(provider, await found_provider.ask(transport.send, provider))
    except (OAuthMisconfigured, OAuthUnavailable) as failure:
        report.say(f"    metadata at {where}: NOT right ({failure.code})")
        setting = variable(provider.name, "RESOURCE" if provider.resource else "ISSUER")
        _tell_discovery(failure.code, known, setting, way, report, indent=6)
        return
    report.say(f"    metadata at {where}: right")
    await _check_endpoints(provider, transport, way, report)


def _tell_discovery(
    code: str, issuer: str, setting: str, way: Way, report: Report, indent: int
) -> None:
    if code in ("timeout", "network") or code.startswith("proxy_"):
        report.fault(*told_of(code, _origin(issuer), way), indent=indent)
        return
    problem, cure = _DISCOVERY.get(code) or (
        f"its discovery document is of no use ({code}).",
        "See what {setting} with /.well-known/openid-configuration behind it answers.",
    )
    where = urlsplit(issuer).netloc
    what, cure = (text.replace("{setting}", setting) for text in (f"{where}: {problem}", cure))
    report.fault(what, cure, indent=indent)


async def _check_endpoints(
    provider: OAuthProvider, transport: Transport, way: Way, report: Report
) -> None:
    urls = {
        "authorization": provider.authorize_url,
        "tokens": provider.token_url,
        "revocation": provider.revoke_url,
        "account": provider.account_url,
    }
    origins = {what: _origin(url) for what, url in urls.items() if url}
    asked = [origin for origin in dict.fromkeys(origins.values()) if not way.is_cut_to(origin)]
    found = await asyncio.gather(*(transport.reach(url, REACH_SECONDS) for url in asked))
    faults = dict(zip(asked, found, strict=True))
    told: set[str] = set()
    for what, origin in origins.items():
        fault = faults.get(origin)
        reached = {None: "NOT asked", "": "reached"}.get(fault, "NOT reached")
        report.say(f"    {what} at {urlsplit(origin).netloc}: {reached}")
        if fault and origin not in told:
            told.add(origin)
            report.fault(*told_of(fault, origin, way), indent=6)


def _origin(url: str) -> str:
    """Return just enough to reach a server, and nothing that it would act on."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/"


async def check_sign_on(settings: Settings, transport: Transport, way: Way, report: Report) -> None:
    if not settings.oidc_issuer:
        report.say("Sign-on: not set up")
        return
    sign_on = SignOn(settings, transport, Clock())
    where = urlsplit(settings.oidc_issuer).netloc
    report.say(f"Sign-on: set up; register the callback {sign_on.redirect_uri}")
    report.say(f"  and {sign_on.signed_out_uri} to come back to after signing out")
    origin = _origin(settings.oidc_issuer)
    if way.is_cut_to(origin):
        report.say(f"  discovery at {where}: NOT asked")
        return
    if fault := await transport.reach(origin, REACH_SECONDS):
        report.say(f"  discovery at {where}: NOT right ({fault})")
        report.fault(*told_of(fault, origin, way), indent=4)
        return
    try:
        await sign_on.check()
    except (OAuthMisconfigured, OAuthUnavailable) as failure:
        report.say(f"  discovery at {where}: NOT right ({failure.code})")
        _tell_discovery(failure.code, settings.oidc_issuer, "OIDC_ISSUER", way, report, indent=4)
        return
    report.say(f"  discovery at {where}: reached")
