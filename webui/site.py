"""``Site``, the services that every view works with: settings, library, Redis, sessions."""

from __future__ import annotations

import re

from starlette.exceptions import HTTPException
from starlette.requests import Request

from webui.addresses import counted_network
from webui.cards.accounts import of_account
from webui.oauth_manager import OAuthManager, OAuthProvider
from webui.oauth_manager.storage import Clock
from webui.oauth_manager.storage.calls import RedisClient
from webui.oauth_manager.values import Struct
from webui.rate_limits import Limiter
from webui.sessions.sessions import Sessions
from webui.settings.settings import Settings
from webui.sign_on import SignOn

_SLOT = re.compile("[a-z0-9-]{0,32}")


class Site(Struct, frozen=True):
    """One application's parts; they live as long as it does."""

    settings: Settings
    manager: OAuthManager
    redis: RedisClient
    sessions: Sessions  # people's
    staff_sessions: Sessions  # of staff who came by sign-on; they open support pages alone
    limiter: Limiter
    sign_on: SignOn | None = None

    @property
    def clock(self) -> Clock:
        return self.manager.clock


def site_of(request: Request) -> Site:
    site: Site = request.app.state.site
    return site


def provider_of(request: Request) -> OAuthProvider:
    """Return the provider in the path.  Raises 404 before the name is used for anything."""
    name, tilde, slot = str(request.path_params["provider"]).partition("~")
    provider = site_of(request).manager.providers.get(name)
    if provider is None or not _SLOT.fullmatch(slot):
        raise HTTPException(404)
    return of_account(provider, f"{name}~{slot}", "") if tilde else provider


async def form_of(request: Request) -> dict[str, object]:
    """Return the fields of a form without files.  Raises 400 for any other body."""
    async with request.form(max_files=0, max_fields=20) as form:
        return dict(form)


def caller_of(request: Request) -> str:
    """Return the network to count tries for: the peer's, or the one a trusted proxy names."""
    return counted_network(request.client.host if request.client else "")
