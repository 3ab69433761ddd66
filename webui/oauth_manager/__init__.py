"""Per-user OAuth 2 tokens: sealed in Redis, refreshed before they expire, revoked on disconnect.

A bot's tool needs three lines::

    init_oauth_manager(encryption_key, base_url, {"github": {"client_id": ..., ...}})
    ...
    token = await require_oauth_token(ctx, "github")  # ctx has user_id and redis

The library knows nothing of the site; it works in a bot's process alone.
"""

from .access import (
    from_config,
    get_oauth_manager,
    init_oauth_manager,
    replace_oauth_manager,
    require_oauth_token,
)
from .client import oauth_client
from .errors import (
    FlowRefused,
    HostRefused,
    Meaning,
    OAuthAmbiguous,
    OAuthError,
    OAuthMisconfigured,
    OAuthNotConnected,
    OAuthRefused,
    OAuthUnavailable,
    RecordNewer,
    RecordUnreadable,
    StoreUnavailable,
)
from .flows.census import Census
from .flows.census_week import Week
from .flows.check import Health
from .flows.erasure import Answer, EndedGrant, Erasure
from .flows.keep_alive import KeepAlive
from .flows.revocation import Ending
from .flows.servers import Move
from .journal.activity import ActivityPage, Event
from .journal.audit import Audit, AuditRecord
from .journal.notices import Notice, NoticeKind
from .links.codes import Attempt
from .links.open_links import OpenLink
from .manager import OAuthManager
from .models import (
    Account,
    Connection,
    Disconnected,
    Profile,
    RevokeOutcome,
    Status,
)
from .protocol.steps import Step
from .providers import PROVIDER_TEMPLATES
from .providers.asked import ValueNeeded
from .providers.provider import OAuthProvider
from .storage.clients import redis_from_url
from .storage.imports import Imported
from .storage.keys import LINK_CODE_TTL, check_user_id
from .storage.link_index import LinkRequest
from .storage.rotation import Rotation
from .storage.switch_offers import SwitchOffer
from .token_data import REFRESH_BUFFER_SECONDS, TokenData

__all__ = [
    "LINK_CODE_TTL",
    "PROVIDER_TEMPLATES",
    "REFRESH_BUFFER_SECONDS",
    "Account",
    "ActivityPage",
    "Answer",
    "Attempt",
    "Audit",
    "AuditRecord",
    "Census",
    "Connection",
    "Disconnected",
    "EndedGrant",
    "Ending",
    "Erasure",
    "Event",
    "FlowRefused",
    "Health",
    "HostRefused",
    "Imported",
    "KeepAlive",
    "LinkRequest",
    "Meaning",
    "Move",
    "Notice",
    "NoticeKind",
    "OAuthAmbiguous",
    "OAuthError",
    "OAuthManager",
    "OAuthMisconfigured",
    "OAuthNotConnected",
    "OAuthProvider",
    "OAuthRefused",
    "OAuthUnavailable",
    "OpenLink",
    "Profile",
    "RecordNewer",
    "RecordUnreadable",
    "RevokeOutcome",
    "Rotation",
    "Status",
    "Step",
    "StoreUnavailable",
    "SwitchOffer",
    "TokenData",
    "ValueNeeded",
    "Week",
    "check_user_id",
    "from_config",
    "get_oauth_manager",
    "init_oauth_manager",
    "oauth_client",
    "redis_from_url",
    "replace_oauth_manager",
    "require_oauth_token",
]
