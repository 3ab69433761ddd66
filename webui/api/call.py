"""One call of the API: its key, what it asks for, and the services that answer it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from webui.api.problems import Problem
from webui.api.service_keys import ServiceKey
from webui.oauth_manager import AuditRecord, Connection, OAuthManager, OAuthProvider, Status
from webui.oauth_manager.storage import account_name
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

    async def account(self) -> str | None:
        """Return the handle of the account that the call names; None if it names none.

        Raises ``Problem`` if the person has not connected it.
        """
        if "account" not in self.given:
            return None
        rows = await self.manager.connections(self.redis, self.user_id)
        meant = [r for r in rows if r.provider == self.provider.name and self._is_named(r)]
        if len(meant) > 1:
            accounts = sorted(row.name for row in meant)
            raise Problem("ambiguous_account", accounts=accounts)
        if not meant:
            raise Problem("not_connected", reason=Status.NOT_CONNECTED.value, missing_scopes=[])
        return meant[0].handle

    def require_named(self, connection: Connection) -> None:
        """Raise ``Problem`` if the call names another account than the connection's."""
        if "account" in self.given and not self._is_named(connection):
            raise Problem("not_connected", reason=Status.NOT_CONNECTED.value, missing_scopes=[])

    def _is_named(self, connection: Connection) -> bool:
        account, name = connection.profile.account, connection.name
        names = {account.id, account.label, name, account_name(name) if name else ""}
        return self.given["account"] in names - {""}

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
