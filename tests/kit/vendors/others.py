"""Services that the catalogue does not have: the rules of each, and what an operator types."""

from __future__ import annotations

from tests.kit.vendors.server import JSON, Profile, Revocation, Rules, Said
from tests.kit.vendors.shapes import ONE_WORD, READ_ON, SAYS_WHICH, plain, rfc6749

# What an operator reads in the vendor's documents, after NAME_.
_STRAVA = {
    "AUTHORIZE_URL": "https://www.strava.com/oauth/authorize",
    "TOKEN_URL": "https://www.strava.com/oauth/token",
    "ACCOUNT_URL": "https://www.strava.com/api/v3/athlete",
    "ACCOUNT_LABEL_FIELD": "firstname",
    "REVOKE_URL": "https://www.strava.com/oauth/deauthorize",
    "REVOKE_AUTH": "none",
    "REVOKE_TOKEN": "access",
    "REVOKE_FIELD": "access_token",
    "SCOPES": "read activity:read",
    "SCOPE_SEPARATOR": "comma",
}
_TODOIST = {
    "AUTHORIZE_URL": "https://todoist.com/oauth/authorize",
    "TOKEN_URL": "https://todoist.com/oauth/access_token",
    "ACCOUNT_URL": "https://api.todoist.com/api/v1/user",
    "ACCOUNT_LABEL_FIELD": "full_name",
    "REVOKE_URL": "https://api.todoist.com/api/v1/access_tokens",
    "REVOKE_METHOD": "DELETE",
    "REVOKE_BODY": "query",
    "REVOKE_TOKEN": "access",
    "REVOKE_FIELD": "access_token",
    "SCOPES": "data:read task:add",
    "SCOPE_SEPARATOR": "comma",
    "PKCE": "off",
}
_TRAKT = {
    "AUTHORIZE_URL": "https://trakt.tv/oauth/authorize",
    "TOKEN_URL": "https://api.trakt.tv/oauth/token",
    "TOKEN_BODY": "json",
    "HEADERS": "trakt-api-version: 2; trakt-api-key: {client_id}",
    "ACCOUNT_URL": "https://api.trakt.tv/users/settings",
    "ACCOUNT_ID_FIELD": "user.ids.uuid",
    "ACCOUNT_LABEL_FIELD": "user.username",
    "REVOKE_URL": "https://api.trakt.tv/oauth/revoke",
    "REVOKE_BODY": "json",
    "REVOKE_TOKEN": "access",
}
_AIRTABLE = {
    "AUTHORIZE_URL": "https://airtable.com/oauth2/v1/authorize",
    "TOKEN_URL": "https://airtable.com/oauth2/v1/token",
    "CLIENT_AUTH": "basic",
    "ACCOUNT_URL": "https://api.airtable.com/v0/meta/whoami",
    "ACCOUNT_LABEL_FIELD": "email",
    "SCOPES": "user.email:read data.records:read",
    "MANAGE_URL": "https://airtable.com/account/integrations",
}
_CLICKUP = {
    "AUTHORIZE_URL": "https://app.clickup.com/api",
    "TOKEN_URL": "https://api.clickup.com/api/v2/oauth/token",
    "TOKEN_BODY": "json",
    "ACCOUNT_URL": "https://api.clickup.com/api/v2/user",
    "ACCOUNT_ID_FIELD": "user.id",
    "ACCOUNT_LABEL_FIELD": "user.username",
    "GONE": "OAUTH_014, OAUTH_025",
    "PKCE": "off",
    "MANAGE_URL": "https://app.clickup.com/settings/apps",
}


def _strava(resource: str, field: str, status: int = 400) -> Said:
    fault = {"resource": resource, "field": field, "code": "invalid"}
    return Said(status, {"message": "Bad Request", "errors": [fault]})


def _clickup(status: int, err: str, code: str) -> Said:
    return Said(status, {"err": err, "ECODE": code})


OTHERS: dict[str, Rules] = {
    "strava": Rules(
        ("https://developers.strava.com/docs/authentication/",),
        READ_ON,
        settings=_STRAVA,
        authorize="https://www.strava.com/oauth/authorize",
        token="https://www.strava.com/oauth/token",
        separator=",",
        may_ask=("approval_prompt",),
        lifetime=21600,
        answer=plain(21600, "Bearer", None, expires_at=1568775134),
        profile=Profile(
            "https://www.strava.com/api/v3/athlete",
            {"id": 1234567890987654321, "username": "mona", "firstname": "Mona"},
            _strava("Athlete", "access_token", 401),
            "Mona",
        ),
        revocation=Revocation(
            "https://www.strava.com/oauth/deauthorize",
            "none",
            name="access_token",
            takes=("access",),
            unknown=_strava("Athlete", "access_token", 401),
        ),
        wrong_client=_strava("Application", "", 401),
        spent_code=_strava("AuthorizationCode", "code"),
        wrong_redirect=_strava("AuthorizationCode", "code"),
        dead_refresh=_strava("RefreshToken", "refresh_token"),
        means=ONE_WORD,
    ),
    "todoist": Rules(
        ("https://developer.todoist.com/api/v1#tag/Authorization",),
        READ_ON,
        settings=_TODOIST,
        authorize="https://todoist.com/oauth/authorize",
        token="https://todoist.com/oauth/access_token",
        separator=",",
        pkce="refused",
        lifetime=0,
        renews=False,
        answer=plain(None, "Bearer", None),
        profile=Profile(
            "https://api.todoist.com/api/v1/user",
            {"id": "2671355", "full_name": "Mona", "email": "mona@example.org"},
            Said(401, {"error": "Unauthorized", "error_tag": "UNAUTHORIZED"}),
            "Mona",
        ),
        revocation=Revocation(
            "https://api.todoist.com/api/v1/access_tokens",
            method="DELETE",
            content="",
            name="access_token",
            takes=("access",),
            done=Said(200, "null"),
        ),
        wrong_client=rfc6749("incorrect_application_credentials"),
        spent_code=rfc6749("bad_authorization_code"),
        wrong_redirect=rfc6749("redirect_uri_mismatch"),
        dead_refresh=rfc6749("unsupported_grant_type"),
        means=SAYS_WHICH,
    ),
    "trakt": Rules(
        ("https://trakt.docs.apiary.io/#reference/authentication-oauth",),
        READ_ON,
        settings=_TRAKT,
        authorize="https://trakt.tv/oauth/authorize",
        token="https://api.trakt.tv/oauth/token",
        content=JSON,
        headers={"trakt-api-version": "2", "trakt-api-key": "an-id"},
        headless=Said(403),
        lifetime=86400,
        answer=plain(86400, "bearer", None, created_at=1487889741),
        profile=Profile(
            "https://api.trakt.tv/users/settings",
            {"user": {"username": "mona", "ids": {"slug": "mona", "uuid": "b6589fc6ab0dc82c"}}},
            Said(401),
            "mona",
        ),
        revocation=Revocation(
            "https://api.trakt.tv/oauth/revoke", content=JSON, takes=("access",), done=Said(200, {})
        ),
        wrong_client=rfc6749("invalid_client", status=401),
        spent_code=rfc6749("invalid_grant"),
        wrong_redirect=rfc6749("invalid_grant"),
        dead_refresh=rfc6749("invalid_grant"),
        means=ONE_WORD,
    ),
    "airtable": Rules(
        ("https://airtable.com/developers/web/api/oauth-reference",),
        READ_ON,
        settings=_AIRTABLE,
        authorize="https://airtable.com/oauth2/v1/authorize",
        token="https://airtable.com/oauth2/v1/token",
        pkce="required",
        auth="basic",
        answer=plain(3600, "Bearer", " ", refresh_expires_in=5184000),
        profile=Profile(
            "https://api.airtable.com/v0/meta/whoami",
            {"id": "usrL2PNC5o3H4lBEi", "email": "mona@example.org"},
            Said(401, {"error": {"type": "AUTHENTICATION_REQUIRED", "message": "Required"}}),
            "mona@example.org",
        ),
        wrong_client=rfc6749("invalid_client", status=401),
        spent_code=rfc6749("invalid_grant"),
        wrong_redirect=rfc6749("invalid_grant"),
        dead_refresh=rfc6749("invalid_grant"),
        means=ONE_WORD,
    ),
    "clickup": Rules(
        (
            "https://developer.clickup.com/docs/authentication",
            "https://developer.clickup.com/reference/getaccesstoken",
        ),
        READ_ON,
        settings=_CLICKUP,
        authorize="https://app.clickup.com/api",
        token="https://api.clickup.com/api/v2/oauth/token",
        content=JSON,
        pkce="refused",
        lifetime=0,
        renews=False,
        answer=plain(None, "Bearer", None),
        profile=Profile(
            "https://api.clickup.com/api/v2/user",
            {"user": {"id": 123, "username": "Mona", "email": "mona@example.org"}},
            _clickup(401, "Token invalid", "OAUTH_025"),
            "Mona",
        ),
        wrong_client=_clickup(401, "Client not found", "OAUTH_010"),
        spent_code=_clickup(400, "Code already used", "OAUTH_014"),
        wrong_redirect=_clickup(400, "Redirect URI does not match", "OAUTH_007"),
        dead_refresh=_clickup(400, "Unsupported", "OAUTH_000"),
        means=SAYS_WHICH,
    ),
}
