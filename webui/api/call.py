"""One call of the API: its key, what it asks for, and the services that answer it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request

from webui.api.problems import Problem
from webui.api.service_keys import ServiceKey
from webui.oauth_manager import AuditRecord, Connection, OAuthManager, OAuthProvider, Status
from webui.oauth_manager.storage import account_name
from webui.oauth_manager.storage.calls import RedisClient
from webui.site import Site


@dataclass(frozen=True, slots=True)
class Account:
    """An account that a call names.

    ``handle`` is what names it in the library, ``""`` if the person has not connected it;
    ``name`` what a new one could be called, ``""`` if that is no name.
    """

    handle: str
    name: str

    def require(self) -> str:
        """Return the handle.  Raises ``Problem`` if it is not connected."""
        if not self.handle:
            raise Problem("not_connected", reason=Status.NOT_CONNECTED.value, missing_scopes=[])
        return self.handle


@dataclass(frozen=True, slots=True)
class Call:
    """A call that its key may make; ``given`` are the members of its body or query.

    They hold a refused token or a person's code, and the request the key itself.
    """

    request: Request = field(repr=False)
    site: Site
    key: ServiceKey
    given: dict[str, Any] = field(repr=False)

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

    async def account(self) -> Account | None:
        """Return the account that the call names; None if it names none, or the only one is meant.

        Its name, its id at the service and its label there all name it.  Costs a look at the
        person's connections.
        """
        if (named := self.given.get("account")) is None:
            return None
        rows = await self.manager.connections(self.redis, self.user_id)
        own = (row for row in rows if row.provider == self.provider.name)
        there = (row for row in own if row.status is not Status.NOT_CONNECTED)
        meant = [row for row in there if _is_named(row, named)]
        if len(meant) > 1:
            raise Problem("ambiguous_account", accounts=sorted(row.name for row in meant))
        return Account(meant[0].handle if meant else "", _written(named))

    def require_named(self, connection: Connection) -> None:
        """Raise ``Problem`` if that is another account by now than the one that the call names."""
        named = self.given.get("account")
        if named is not None and not _is_named(connection, named):
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


def _is_named(row: Connection, named: str) -> bool:
    known = {row.handle, row.profile.account.id, row.profile.account.label}
    return named in known - {""} or (bool(row.name) and _written(named) == _written(row.name))


def _written(named: str) -> str:
    """Return a name in the form that accounts are told apart by, ``""`` if it is none."""
    try:
        return account_name(named)
    except ValueError:
        return ""
