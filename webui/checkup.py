"""``webui check``: what is set, what is missing, what can be reached.  No secret is printed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from webui.app import make_manager
from webui.oauth_manager import (
    OAuthManager,
    OAuthMisconfigured,
    OAuthProvider,
    OAuthUnavailable,
    StoreUnavailable,
)
from webui.oauth_manager.redis_io import redis_call
from webui.oauth_manager.transport import Transport
from webui.redis_client import connect
from webui.setting_sources import survey
from webui.setting_table import SETTINGS, all_settings
from webui.settings import Settings, SettingsError, load_settings
from webui.sign_on import SignOn
from webui.support.names import spelled

REACH_SECONDS = 5.0
_SOURCES = {
    "environment": "environment",
    "file": "file of its own",
    "WEBUI_CONFIG": "file that WEBUI_CONFIG names",
}

Say = Callable[[str], None]


async def run_checkup(environ: Mapping[str, str], say: Say) -> bool:
    """Say everything there is to say; whether the site could work like this."""
    _say_settings(environ, say)
    try:
        settings = load_settings(environ)
    except SettingsError as error:
        say("What is wrong")
        for fault in error.faults:
            say(f"  {fault}")
        return False
    manager = make_manager(settings)
    is_well = await _check_redis(settings, say) and await _check_records(settings, manager, say)
    _say_who_is_staff(settings, say)
    say("Providers")
    for name, provider in manager.providers.items():
        if not provider.is_configured:
            say(f"  {name}: not set up (no client id and secret)")
            continue
        say(f"  {name}: set up; register the callback {manager.redirect_uri(name)}")
        say(f"    asks for {' '.join(provider.scopes) or 'what the provider gives by itself'}")
        for what, url in _endpoints(provider).items():
            reached = await _reaches(url)
            is_well &= reached
            say(f"    {what} at {urlsplit(url).netloc}: {'reached' if reached else 'NOT reached'}")
    return await _check_sign_on(settings, say) and is_well


def _say_settings(environ: Mapping[str, str], say: Say) -> None:
    """Every setting with its value and where that came from; of a provider's, those given."""
    given, extra, _ = survey(environ)
    general = {setting.name for setting in SETTINGS}
    say("Settings")
    for setting in all_settings(extra):
        if found := given.get(setting.name):
            value = "set" if setting.is_secret else spelled(found.text)
            say(f"  {setting.name}: {value} ({_SOURCES[found.source]})")
        elif setting.name in general:
            default = f"{setting.default} (default)" if setting.default else "not set"
            say(f"  {setting.name}: {default}")


async def _check_redis(settings: Settings, say: Say) -> bool:
    redis = connect(settings.redis_url)
    try:
        async with redis_call("ping"):
            info = await redis.info("server")
    except StoreUnavailable:
        await redis.aclose()
        say("Redis: NOT reached, or it refused")
        return False
    say(f"Redis: reached, version {info.get('valkey_version') or info.get('redis_version')}")
    try:
        async with redis_call("read the eviction policy"):
            policy = await redis.config_get("maxmemory-policy")
    except StoreUnavailable:
        say("  maxmemory-policy: not told (it has to be noeviction)")
        return True
    finally:
        await redis.aclose()
    if policy.get("maxmemory-policy") != "noeviction":
        say("  maxmemory-policy is NOT noeviction: Redis may drop connections when it is full")
        return False
    return True


async def _check_records(settings: Settings, manager: OAuthManager, say: Say) -> bool:
    """Open everything that is stored; what nobody understands is named."""
    redis = connect(settings.redis_url)
    try:
        found = await manager.reseal(redis, writes=False)
    except StoreUnavailable:
        say("Records: NOT read to the end")
        return False
    finally:
        await redis.aclose()
    say(f"Records: {found.done} can be read; {found.moved} have keys of an older system")
    for key, reason in found.left.items():
        say(f"  NOT understood: {spelled(key)}: {reason}")
    return not found.left


async def _check_sign_on(settings: Settings, say: Say) -> bool:
    if not settings.oidc_issuer:
        say("Sign-on: not set up")
        return True
    transport = Transport()
    sign_on = SignOn(settings, transport)
    say(f"Sign-on: set up; register the callback {sign_on.redirect_uri}")
    say(f"  and {sign_on.signed_out_uri} to come back to after signing out")
    try:
        await sign_on.check()
    except (OAuthMisconfigured, OAuthUnavailable) as failure:
        say(f"  discovery at {urlsplit(settings.oidc_issuer).netloc}: NOT right ({failure.code})")
        return False
    finally:
        await transport.aclose()
    say(f"  discovery at {urlsplit(settings.oidc_issuer).netloc}: reached")
    return True


def _say_who_is_staff(settings: Settings, say: Say) -> None:
    ways = ["whom SUPPORT_USERS names"] if settings.support_users else []
    if settings.support_group:
        sources = {"sign-on": settings.oidc_issuer, "the proxy": settings.proxy_groups_header}
        ways.append(f"who is in SUPPORT_GROUP by {' or '.join(filter(sources.get, sources))}")
    say(f"Support staff: {', and '.join(ways) or 'nobody'}")


def _endpoints(provider: OAuthProvider) -> dict[str, str]:
    urls = {
        "authorization": provider.authorize_url,
        "tokens": provider.token_url,
        "revocation": provider.revoke_url,
        "account": provider.account_url,
    }
    return {what: url for what, url in urls.items() if url}


async def _reaches(url: str) -> bool:
    """Whether something accepts connections there; nothing is sent."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        async with asyncio.timeout(REACH_SECONDS):
            _, writer = await asyncio.open_connection(
                parts.hostname, port, ssl=parts.scheme == "https" or None
            )
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
