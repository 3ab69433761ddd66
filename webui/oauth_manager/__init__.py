"""Per-user OAuth 2 tokens: sealed in Redis, refreshed before they expire, revoked on disconnect.

A bot's tool needs three lines::

    init_oauth_manager(encryption_key, base_url, {"github": {"client_id": ..., ...}})
    ...
    token = await require_oauth_token(ctx, "github")  # ctx has user_id and redis

The library knows nothing of the site; it works in a bot's process alone.
"""

from .access import get_oauth_manager, init_oauth_manager, require_oauth_token
from .activity import ActivityPage, Event
from .audit import Audit, AuditRecord
from .checking import Health
from .errors import (
    FlowRefused,
    Meaning,
    OAuthError,
    OAuthMisconfigured,
    OAuthNotConnected,
    OAuthRefused,
    OAuthUnavailable,
    RecordUnreadable,
    StoreUnavailable,
)
from .keys import LINK_CODE_TTL, check_user_id
from .link_index import LinkRequest
from .links import Attempt
from .manager import OAuthManager
from .models import (
    Account,
    Connection,
    Disconnected,
    Profile,
    RevokeOutcome,
    Status,
)
from .notices import Notice, NoticeKind
from .open_links import OpenLink
from .provider import OAuthProvider
from .providers import PROVIDER_TEMPLATES
from .revocation import Ending
from .rotation import Rotation
from .switching import SwitchOffer
from .token_data import REFRESH_BUFFER_SECONDS, TokenData

__all__ = [
    "LINK_CODE_TTL",
    "PROVIDER_TEMPLATES",
    "REFRESH_BUFFER_SECONDS",
    "Account",
    "ActivityPage",
    "Attempt",
    "Audit",
    "AuditRecord",
    "Connection",
    "Disconnected",
    "Ending",
    "Event",
    "FlowRefused",
    "Health",
    "LinkRequest",
    "Meaning",
    "Notice",
    "NoticeKind",
    "OAuthError",
    "OAuthManager",
    "OAuthMisconfigured",
    "OAuthNotConnected",
    "OAuthProvider",
    "OAuthRefused",
    "OAuthUnavailable",
    "OpenLink",
    "Profile",
    "RecordUnreadable",
    "RevokeOutcome",
    "Rotation",
    "Status",
    "StoreUnavailable",
    "SwitchOffer",
    "TokenData",
    "check_user_id",
    "get_oauth_manager",
    "init_oauth_manager",
    "require_oauth_token",
]
