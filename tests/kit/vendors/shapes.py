"""Token answers and refusals, in the shapes that vendors write."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.kit.vendors.server import Issued, Said

READ_ON = "2026-11-28"


def rfc6749(error: str, description: str = "", status: int = 400) -> Said:
    """One refusal as RFC 6749, 5.2 writes it."""
    more = {"error_description": description} if description else {}
    return Said(status, {"error": error, **more})


def plain(
    lifetime: int | None = 3600, kind: str = "Bearer", scope: str | None = " ", **more: Any
) -> Callable[[Issued], Mapping[str, Any]]:
    """Tokens at the top; ``scope`` joins what was granted, ``list`` names it in one, None none."""

    def answer(issued: Issued) -> Mapping[str, Any]:
        said: dict[str, Any] = {"access_token": issued.access, "token_type": kind, **more}
        if lifetime is not None:
            said["expires_in"] = lifetime
        if issued.refresh:
            said["refresh_token"] = issued.refresh
        if scope is not None:
            is_list = scope == "list"
            said["scope"] = list(issued.scopes) if is_list else scope.join(issued.scopes)
        return said

    return answer


def slack(issued: Issued) -> Mapping[str, Any]:
    """The method's own sample: tokens at the top, whose they are and their scopes below."""
    return {
        "ok": True,
        "access_token": issued.access,
        "token_type": "user",
        "refresh_token": issued.refresh,
        "expires_in": 43200,
        "authed_user": {"id": "U12345", "scope": ",".join(issued.scopes)},
        "team": {"id": "T012345", "name": "Reef"},
    }


def slack_says(error: str) -> Said:
    return Said(200, {"ok": False, "error": error})


def notion(issued: Issued) -> Mapping[str, Any]:
    return {
        "access_token": issued.access,
        "token_type": "bearer",
        "refresh_token": issued.refresh,
        "bot_id": "b1b1b1b1-0d44-4b50-8888-8dd25736052a",
        "workspace_id": "3c90c3cc-0d44-4b50-8888-8dd25736052a",
        "workspace_name": "Reef",
        "workspace_icon": None,
        "owner": {"type": "user", "user": {"object": "user", "id": "p1", "name": "Mona"}},
        "duplicated_template_id": None,
        "request_id": "9c90c3cc-0d44-4b50-8888-8dd25736052a",
    }


def digitalocean(issued: Issued) -> Mapping[str, Any]:
    info = {"name": "Mona", "email": "mona@example.org", "uuid": "d1", "team_name": "Reef"}
    return {**plain(2592000, "bearer", None)(issued), "info": info}


def salesforce(issued: Issued) -> Mapping[str, Any]:
    return {
        **plain(None)(issued),
        "instance_url": "https://reef.my.salesforce.com",
        "id": "https://login.salesforce.com/id/00D/005",
        "issued_at": "1278448384422",
        "signature": "SSSbLO/gBhmmyNUvN18ODBDFYHzakxOMgqYtu+hDPsc=",
    }


def hubspot(status: str, message: str) -> Said:
    body = {"status": status, "message": message, "correlationId": "aeb5f871"}
    return Said(400, body)


def canva(code: str, message: str, status: int = 400) -> Said:
    return Said(status, {"code": code, "message": message})


def twitch(status: int, message: str) -> Said:
    return Said(status, {"status": status, "message": message})


def tiktok(error: str) -> Said:
    """An error of its OAuth addresses: no document names a status, so that none helps."""
    return Said(200, {"error": error, "error_description": "Refused.", "log_id": "2022"})


def tiktok_api(code: str) -> Said:
    return Said(401, {"data": {}, "error": {"code": code, "message": "Refused.", "log_id": "2022"}})


def zoom(error: str, reason: str, status: int = 400) -> Said:
    return Said(status, {"reason": reason, "error": error})


def reddit(status: int, message: str) -> Said:
    return Said(status, {"message": message, "error": status})


SETUP, AGAIN = "misconfigured", "failed"
SAYS_WHICH = {"client": SETUP, "code": AGAIN, "redirect": SETUP}
ONE_WORD = {"client": SETUP, "code": AGAIN, "redirect": AGAIN}  # invalid_grant for the last two
