"""Storage: every record in Redis, its key, its seal and its script."""

from ..clock import Clock, deadline
from ..configuration.redis_address import RedisAddress, redis_address
from ..connection import describe
from ..shapes import seconds, shaped, texts
from .account_names import account_name, as_shown, handle, is_account
from .canary import TROUBLE, Fit, TooOld, WrongKey, look
from .clients import client_at
from .engine import NO_PERSISTENCE, SAFE_POLICY, Engine, dangers, facts
from .held_tokens import HELD_SECONDS
from .key_pages import WalkTurn
from .keys import DIGESTS, PREFIX, READY, encoded
from .link_index import state_of
from .resealer import Findings, Task
from .scripts import OURS
from .sealer import Sealer
from .switch_offers import OFFER_SECONDS
from .timeline import entry_id

__all__ = [
    "DIGESTS",
    "HELD_SECONDS",
    "NO_PERSISTENCE",
    "OFFER_SECONDS",
    "OURS",
    "PREFIX",
    "READY",
    "SAFE_POLICY",
    "TROUBLE",
    "Clock",
    "Engine",
    "Findings",
    "Fit",
    "RedisAddress",
    "Sealer",
    "Task",
    "TooOld",
    "WalkTurn",
    "WrongKey",
    "account_name",
    "as_shown",
    "client_at",
    "dangers",
    "deadline",
    "describe",
    "encoded",
    "entry_id",
    "facts",
    "handle",
    "is_account",
    "look",
    "redis_address",
    "seconds",
    "shaped",
    "state_of",
    "texts",
]
