"""``Services``, handed on whole to every flow: storage, client of providers, work under way."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..protocol.client import ProviderClient
from ..protocol.steps import Steps
from ..providers.client_keys import OwnClient, derive_key
from ..providers.provider import OAuthProvider
from ..storage.sealer import Sealer
from ..storage.storage import Storage
from .flight import Flight, Route
from .servers import Servers
from .tasks import Tasks

PATIENCE = 8.0  # seconds that a person waits for Redis, once the provider has answered
SIGNING = "account-connections client assertions"


def name_ourselves(sealer: Sealer, base_url: str, providers: dict[str, OAuthProvider]) -> None:
    """Give a client of our own to each remote MCP server that no operator has a client id for."""
    lacking = [p for p in providers.values() if p.resource and not p.client_id and base_url]
    keys = sealer.fernet_keys if lacking else []
    key = derive_key(keys[0], SIGNING) if keys else None
    for provider in lacking:
        provider.own = OwnClient(base_url, key)


@dataclass
class Services:
    """Redis's records, the providers, and the work under way in this process."""

    storage: Storage
    client: ProviderClient
    steps: Steps
    servers: Servers
    tasks: Tasks = field(default_factory=Tasks)
    flights: dict[Route, Flight] = field(default_factory=dict)
    patience: float = PATIENCE
    page_url: str = ""  # of the connections page
