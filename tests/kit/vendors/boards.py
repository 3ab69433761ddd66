"""Services for boards that teams share: the rules of each, from its own documents."""

from __future__ import annotations

from tests.kit.vendors.server import JSON, Profile, Revocation, Rules, Said
from tests.kit.vendors.shapes import ONE_WORD, READ_ON, plain, rfc6749

BOARDS: dict[str, Rules] = {
    "miro": Rules(
        (
            "https://developers.miro.com/docs/getting-started-with-oauth",
            # /v2/oauth/revoke, and /v1/oauth/revoke as deprecated: a token in an address
            "https://github.com/miroapp/api-clients/blob/main/packages/generator/spec.json",
        ),
        READ_ON,
        authorize="https://miro.com/oauth/authorize",
        token="https://api.miro.com/v1/oauth/token",
        may_ask=("team_id",),
        lifetime=3599,
        answer=plain(3599, "bearer", user_id="3074457345618265000", team_id="3074457345618265"),
        profile=Profile(
            "https://api.miro.com/v1/oauth-token",
            {
                "type": "oAuthToken",
                "team": {"type": "team", "id": "3074457345618265", "name": "Reef"},
                "user": {"type": "user", "id": "3074457345618265000", "name": "Mona"},
                "scopes": ["boards:read"],
            },
            # no document has the shape
            Said(401, {"type": "error", "status": 401, "message": "Unauthorized"}),
            "Mona",
        ),
        revocation=Revocation(
            "https://api.miro.com/v2/oauth/revoke",
            "post",
            content=JSON,
            takes=("access",),
            name="accessToken",
            client=("clientId", "clientSecret"),
            done=Said(204),
            unknown=Said(404, {"type": "error", "status": 404, "message": "Not found"}),
        ),
        wrong_client=rfc6749("invalid_client", status=401),
        spent_code=rfc6749("invalid_grant"),
        wrong_redirect=rfc6749("invalid_grant"),
        dead_refresh=rfc6749("invalid_grant"),
        means=ONE_WORD,
        doubted=("gone", "pkce"),
    ),
    "monday": Rules(
        (
            "https://developer.monday.com/apps/docs/oauth-2-1",
            "https://developer.monday.com/apps/docs/migrating-to-the-new-oauth-flow",
        ),
        READ_ON,
        authorize="https://auth.monday.com/oauth2/authorize",
        token="https://auth.monday.com/oauth_ms/oauth/token",
        may_ask=("app_version_id", "subdomain"),
        pkce="required",
        content=JSON,
        # an access token is a JWT with its end, and the answer says nothing of it
        answer=plain(None),
        profile=Profile(
            "https://api.monday.com/v2",
            {"data": {"me": {"id": "4012689", "name": "Mona", "email": "mona@example.org"}}},
            Said(401, {"errors": ["Not Authenticated"]}),
            "Mona",
            method="POST",
            header="{token}",
            bodies=({"query": "{ me { id name email } }"},),
        ),
        revocation=Revocation(
            "https://auth.monday.com/oauth_ms/oauth/revoke",
            "post",
            content=JSON,
            done=Said(200, {"success": True}),
        ),
        # no document has these shapes: RFC 6749 has
        wrong_client=rfc6749("invalid_client", status=401),
        spent_code=rfc6749("invalid_grant"),
        wrong_redirect=rfc6749("invalid_grant"),
        dead_refresh=rfc6749("invalid_grant"),
        means=ONE_WORD,
        doubted=("lifetime", "token_header"),
    ),
}
