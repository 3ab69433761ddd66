"""``describe``: from stored records to a displayable ``Connection``.  No I/O, never a secret."""

from __future__ import annotations

from .models import Connection, Profile, Status
from .providers.provider import OAuthProvider
from .token_data import TokenData
from .values import replace


def describe(
    provider: OAuthProvider, token: TokenData | None, profile: Profile, now: float
) -> Connection:
    """Build the connection as it may be shown at ``now`` (epoch seconds)."""
    if token is None:
        gone = Status.RECONNECT_NEEDED if profile.problem else Status.NOT_CONNECTED
        return Connection(provider.name, gone, profile=profile)
    over = token.is_over(now) and not token.refresh_token
    needed = provider.needed_scopes
    asked = profile.requested_scopes
    rules = provider.scope_rules
    missing = rules.missing([*asked, *needed], token.scopes)
    needs, accepted = rules.keys(needed), rules.keys(profile.accepted_missing)
    # By their current names; the operator may have changed them.
    accepted_missing = tuple(scope for scope in missing if rules.key(scope) in accepted)
    profile = replace(profile, accepted_missing=accepted_missing)
    return Connection(
        provider.name,
        Status.RECONNECT_NEEDED if over else Status.CONNECTED,
        tuple(token.scopes),
        token.expires_at,
        bool(token.refresh_token),
        profile,
        has_tokens=True,
        missing_scopes=missing,
        unneeded_scopes=tuple(s for s in missing if needed and rules.key(s) not in needs),
        lacking_features=provider.lacking_features(token.scopes),
        unasked_scopes=rules.missing(token.scopes, asked) if asked else (),
    )
