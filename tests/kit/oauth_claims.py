"""Claims in the id tokens of ``tests.kit.oauth_server`` beyond OpenID Connect's own."""

from __future__ import annotations

from typing import Any

from oauth2_provider.oauth2_validators import OAuth2Validator


class WithGroups(OAuth2Validator):  # type: ignore[misc]
    """Name and groups of the user."""

    oidc_claim_scope = None

    def get_additional_claims(self, request: Any) -> dict[str, Any]:
        groups = request.user.groups.values_list("name", flat=True)
        return {"name": request.user.get_username(), "groups": sorted(groups)}
