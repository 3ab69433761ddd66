"""``Services``, handed on whole to every flow: storage, client of providers, work under way."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..protocol.client import ProviderClient
from ..protocol.steps import Steps
from ..storage.storage import Storage
from .flight import Flight, Route
from .servers import Servers
from .tasks import Tasks

PATIENCE = 8.0  # seconds that a person waits for Redis, once the provider has answered


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
