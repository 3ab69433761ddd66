"""Everything that is kept in Redis, handed on whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..providers.provider import OAuthProvider
from .account_index import Accounts
from .held_tokens import Leftovers
from .sealer import Sealer
from .store import Store
from .switch_offers import Switches


@dataclass(frozen=True, slots=True)
class Storage:
    """The records of connections, the tokens put aside, and the index of accounts."""

    sealer: Sealer
    connections: Store
    held: Leftovers
    offers: Switches
    accounts: Accounts


def storage(sealer: Sealer, providers: Mapping[str, OAuthProvider]) -> Storage:
    """Return the storage that ``sealer`` seals."""
    connections = Store(sealer)
    accounts = Accounts(sealer, connections, providers)
    return Storage(sealer, connections, Leftovers(sealer), Switches(sealer), accounts)
