"""One call of the API: its key, what it asks for, and the services that answer it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from webui.api.problems import Problem
from webui.api.service_keys import ServiceKey
from webui.oauth_manager import AuditRecord, Connection, OAuthManager, OAuthProvider, Status
from webui.oauth_manager.storage.calls import RedisClient
from webui.site import Site


@dataclass(frozen=True, slots=True)
class Call:
    """A call that its key may make; ``given`` are the members of its body or query."""

    request: Request
    site: Site
    key: ServiceKey
    given: dict[str, Any]

    @property
    def manager(self) -> OAuthManager:
        return self.site.manager

    @property
    def redis(self) -> RedisClient:
        return self.site.redis

    @property
    def user_id(self) -> str:
        """Return the person asked about.  Raises ``Problem`` if they are none of the key's."""
        user_id = str(self.given["user_id"])
        if not self.key.allows_user(user_id):
            raise Problem("forbidden", "This key is for other people.")
        return user_id

    @property
    def provider(self) -> OAuthProvider:
        """Return the service asked about.  Raises ``Problem`` for one that is not the key's."""
        name = self.given["provider"]
        if not self.key.allows_provider(name):
            raise Problem("forbidden", "This key is for other services.")
        known = self.manager.providers.get(name)
        if known is None:
            raise Problem("invalid_request", "provider is not known here.", member="provider")
        return known

    def digest(self, what: str) -> str:
        """Return a keyed digest for a name in Redis that is to tell nothing."""
        return str(self.request.app.state.sealer.digest("api", what))

    async def require_account(self) -> None:
        """Raise ``Problem`` if the call names an account that the person has not connected."""
        if "account" not in self.given:
            return
        known = await self.manager.connection(self.redis, self.user_id, self.provider.name)
        self.require_named(known)

    def require_named(self, connection: Connection) -> None:
        """Raise ``Problem`` if the call names another account than the connection's."""
        account = connection.profile.account
        if self.given.get("account") not in (None, account.id, account.label):
            raise Problem("not_connected", reason=Status.NOT_CONNECTED.value, missing_scopes=[])

    async def write_down(self, action: str, user_id: str, provider: str = "") -> None:
        """Put the call into the audit.  Raises ``StoreUnavailable``: then it is not answered."""
        record = AuditRecord(
            who=f"{self.key.prefix} {self.key.name}",
            via="api",
            action=action,
            whom=user_id,
            provider=provider,
            request_id=getattr(self.request.state, "request_id", ""),
        )
        await self.manager.audit.write(self.redis, record)
