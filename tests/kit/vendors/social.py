"""Services that people share with their friends: the rules of each, from its own documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.kit.vendors.server import Issued, Profile, Revocation, Rules, Said
from tests.kit.vendors.shapes import ONE_WORD, READ_ON, plain, rfc6749

_INSTAGRAM = "https://developers.facebook.com/documentation/instagram-platform"


def _graph(code: int, subcode: int = 0) -> Said:
    """An error of the Graph API, as its page on errors has it."""
    more = {"error_subcode": subcode} if subcode else {}
    error = {"message": "Refused.", "type": "OAuthException", "code": code, **more}
    return Said(400, {"error": {**error, "fbtrace_id": "EJplcsCHuLu"}})


def _instagram(message: str) -> Said:
    return Said(400, {"error_type": "OAuthException", "code": 400, "error_message": message})


def _in_a_list(issued: Issued) -> Mapping[str, Any]:
    said = {"access_token": issued.access, "user_id": "1020"}
    return {"data": [{**said, "permissions": ",".join(issued.scopes)}]}


SOCIAL: dict[str, Rules] = {
    "facebook": Rules(
        (
            "https://developers.facebook.com/documentation/facebook-login/guides/advanced/manual-flow",
            "https://developers.facebook.com/docs/facebook-login/guides/permissions/request-revoke",
            "https://developers.facebook.com/docs/graph-api/guides/error-handling",
        ),
        READ_ON,
        authorize="https://www.facebook.com/v26.0/dialog/oauth",
        token="https://graph.facebook.com/v26.0/oauth/access_token",
        separator=",",
        may_ask=("auth_type",),
        lifetime=0,  # sixty days, and then nothing but a new connection
        renews=False,
        answer=plain(5183944, "bearer", None),
        profile=Profile(
            "https://graph.facebook.com/v26.0/me",
            {"id": "10215241773831025", "name": "Mona"},
            _graph(190, 463),
            "Mona",
            query={"fields": "id,name"},
        ),
        revocation=Revocation(
            "https://graph.facebook.com/v26.0/me/permissions",
            "bearer",
            method="DELETE",
            content="",
            takes=("access",),
            done=Said(200, True),
            unknown=_graph(190),
        ),
        # no document has the codes: github.com/hybridauth/hybridauth, Facebook's own forum
        wrong_client=_graph(1),
        spent_code=_graph(100, 36009),
        wrong_redirect=_graph(100, 36008),
        dead_refresh=_graph(100),
        means=dict.fromkeys(ONE_WORD, "not_understood"),
        doubted=("pkce", "token_body", "token_header"),
    ),
    "instagram": Rules(
        (
            f"{_INSTAGRAM}/instagram-api-with-instagram-login/business-login",
            f"{_INSTAGRAM}/reference/access_token",
        ),
        READ_ON,
        authorize="https://www.instagram.com/oauth/authorize",
        token="https://api.instagram.com/oauth/access_token",
        separator=",",
        may_ask=("enable_fb_login", "force_authentication"),
        lifetime=0,  # an hour, and then nothing but a new connection
        stands="ending_soon",
        renews=False,
        answer=_in_a_list,
        profile=Profile(
            "https://graph.instagram.com/v26.0/me",
            {"user_id": "17841405793187218", "username": "mona"},
            _graph(190),
            "mona",
            query={"fields": "user_id,username"},
        ),
        wrong_client=_instagram("Invalid platform app"),
        spent_code=_instagram("Matching code was not found or was already used"),
        wrong_redirect=_instagram("Error validating verification code."),
        dead_refresh=_instagram("Refused."),
        means=dict.fromkeys(ONE_WORD, "not_understood") | {"code": "failed"},
        doubted=("pkce", "account_id_field", "account_label_field"),
    ),
    "yahoo": Rules(
        (
            "https://developer.yahoo.com/oauth2/guide/flows_authcode/",
            "https://developer.yahoo.com/oauth2/guide/openid_connect/getting_started.html",
        ),
        READ_ON,
        authorize="https://api.login.yahoo.com/oauth2/request_auth",
        token="https://api.login.yahoo.com/oauth2/get_token",
        may_ask=("language", "nonce"),
        auth="basic",
        rotates=False,
        answer=plain(3600, "bearer", None, xoauth_yahoo_guid="JT4FACLQZI2OCE"),
        profile=Profile(
            "https://api.login.yahoo.com/openid/v1/userinfo",
            {"sub": "JT4FACLQZI2OCE", "email": "mona@example.org"},
            Said(401, {"error": {"code": 401, "message": "Unauthorized"}}),
            "mona@example.org",
        ),
        revocation=Revocation("https://api.login.yahoo.com/oauth2/revoke", "basic"),
        wrong_client=rfc6749("invalid_client", status=401),
        spent_code=rfc6749("invalid_grant"),
        wrong_redirect=rfc6749("invalid_grant"),
        dead_refresh=rfc6749("invalid_grant"),
        means=ONE_WORD,
        doubted=("pkce", "revoke_url"),
    ),
}
