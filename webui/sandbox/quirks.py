"""Differences between the four real providers, as data that the stand-ins copy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from webui.sandbox.people import Person, microsoft_claims, openid_claims

_GOOGLE_SCOPES = "https://www.googleapis.com/auth/userinfo."
HUNDRED_EIGHTY_DAYS = 180 * 24 * 3600

Cause = Literal["client", "code", "redirect", "verifier", "refresh", "grant_type", "request"]
"""Why a token request is refused, in our words; each provider has its own word for it."""

_RFC_6749_ERRORS: dict[Cause, tuple[int, str]] = {
    "client": (401, "invalid_client"),
    "code": (400, "invalid_grant"),
    "redirect": (400, "invalid_grant"),
    "verifier": (400, "invalid_grant"),
    "refresh": (400, "invalid_grant"),
    "grant_type": (400, "unsupported_grant_type"),
    "request": (400, "invalid_request"),
}


def _always(asked: Mapping[str, str], repeated: bool) -> bool:
    return True


def _offline_access_type(asked: Mapping[str, str], repeated: bool) -> bool:
    consents_anew = "consent" in asked.get("prompt", "").split()
    return asked.get("access_type") == "offline" and (consents_anew or not repeated)


def _offline_access_scope(asked: Mapping[str, str], repeated: bool) -> bool:
    return "offline_access" in asked.get("scope", "").split()


@dataclass(frozen=True)
class Habits:
    """One provider's ways.  Paths are below the stand-in's own prefix."""

    name: str
    label: str
    authorize_path: str
    token_path: str
    account_path: str
    revoke_path: str = ""
    # The authorize page redirects onward to here before it shows anything.
    consent_path: str = ""
    sends_issuer: bool = False
    scope_separator: str = " "
    scope_required: bool = True
    # scope as asked -> scope as answered; "" is never listed in an answer
    scope_answers: Mapping[str, str] = field(default_factory=dict)
    # Permissions can be unticked one by one, except these.
    fixed_scopes: frozenset[str] | None = None
    # Parameters of the callback besides code, state and issuer.
    callback_extras: tuple[str, ...] = ()
    callback_kept: Mapping[str, str] = field(default_factory=dict)
    client_id_name: str = "client_id"
    gives_refresh_token: Callable[[Mapping[str, str], bool], bool] = _always
    # "keep": the same one serves on and is not sent again; "rotate": one use,
    # and a second use ends the family; "add": a new one each time, all live.
    refresh: Literal["keep", "rotate", "add"] = "rotate"
    refresh_ends_access: bool = False
    answers_form: bool = False
    numbers_errors: bool = False
    errors: Mapping[Cause, tuple[int, str]] = field(default_factory=dict)
    token_type: str = "Bearer"
    token_extras: Mapping[str, int] = field(default_factory=dict)
    claims: Callable[[Person], dict[str, str]] | None = None
    access_prefix: str = ""
    access_bytes: int = 24
    refresh_prefix: str = ""
    sentences: Mapping[str, str] = field(default_factory=dict)

    def error(self, cause: Cause) -> tuple[int, str]:
        """Return status and ``error`` value of a refused token request."""
        return self.errors.get(cause, _RFC_6749_ERRORS[cause])

    def listed(self, scopes: list[str]) -> list[str]:
        """Return the scopes by the names, and in the choice, that an answer lists them."""
        names = [self.scope_answers.get(scope, scope) for scope in scopes]
        return [name for name in names if name]


GITHUB = Habits(
    name="github",
    label="GitHub",
    authorize_path="/login/oauth/authorize",
    token_path="/login/oauth/access_token",
    revoke_path="/applications/{client_id}/grant",
    account_path="/user",
    sends_issuer=True,
    scope_separator=",",
    scope_required=False,
    refresh_ends_access=True,
    answers_form=True,
    errors={
        "client": (200, "incorrect_client_credentials"),
        "code": (200, "bad_verification_code"),
        "redirect": (200, "redirect_uri_mismatch"),
        "verifier": (200, "invalid_grant"),
        "refresh": (200, "bad_refresh_token"),
        "grant_type": (200, "unsupported_grant_type"),
        "request": (200, "invalid_request"),
    },
    token_type="bearer",
    token_extras={"refresh_token_expires_in": HUNDRED_EIGHTY_DAYS},
    access_prefix="gho_",
    refresh_prefix="ghr_",
    sentences={
        "read:user": "See your profile",
        "user:email": "See your e-mail addresses",
        "repo": "Read and change your repositories",
        "public_repo": "Read and change your public repositories",
        "notifications": "See your notifications",
    },
)

GOOGLE = Habits(
    name="google",
    label="Google",
    authorize_path="/o/oauth2/v2/auth",
    token_path="/token",
    revoke_path="/revoke",
    account_path="/v1/userinfo",
    sends_issuer=True,
    scope_answers={
        "email": f"{_GOOGLE_SCOPES}email",
        "profile": f"{_GOOGLE_SCOPES}profile",
    },
    fixed_scopes=frozenset({"openid"}),
    callback_extras=("scope", "authuser", "prompt"),
    gives_refresh_token=_offline_access_type,
    refresh="keep",
    errors={"redirect": (400, "redirect_uri_mismatch")},
    claims=openid_claims,
    access_prefix="ya29.",
    access_bytes=120,
    refresh_prefix="1//0",
    sentences={
        "openid": "Know who you are on Google",
        "email": "See your e-mail address",
        "profile": "See your name and picture",
        "https://www.googleapis.com/auth/calendar": "See and change your calendars",
        "https://www.googleapis.com/auth/calendar.readonly": "See your calendars",
        "https://www.googleapis.com/auth/gmail.readonly": "Read your mail",
        "https://www.googleapis.com/auth/drive.readonly": "See your files",
    },
)

DISCORD = Habits(
    name="discord",
    label="Discord",
    authorize_path="/oauth2/authorize",
    token_path="/api/oauth2/token",
    revoke_path="/api/oauth2/token/revoke",
    account_path="/api/oauth2/@me",
    sends_issuer=True,
    sentences={
        "identify": "See your name and picture",
        "email": "See your e-mail address",
        "guilds": "See the servers you are in",
        "connections": "See the accounts you linked on Discord",
    },
)

MICROSOFT = Habits(
    name="microsoft",
    label="Microsoft",
    authorize_path="/{tenant}/oauth2/v2.0/authorize",
    consent_path="/{tenant}/consent",
    token_path="/{tenant}/oauth2/v2.0/token",
    account_path="/v1.0/me",
    scope_answers={"offline_access": ""},
    callback_extras=("session_state",),
    gives_refresh_token=_offline_access_scope,
    refresh="add",
    numbers_errors=True,
    token_extras={"ext_expires_in": 3600},
    claims=microsoft_claims,
    access_prefix="eyJ0eXAiOiJKV1QiLCJub25jZSI6I",
    access_bytes=1500,
    refresh_prefix="0.A",
    sentences={
        "openid": "Sign you in",
        "profile": "See your name",
        "email": "See your e-mail address",
        "offline_access": "Keep the access that you give it",
        "User.Read": "See your profile",
        "Mail.Read": "Read your mail",
        "Mail.Send": "Send mail in your name",
        "Calendars.Read": "See your calendars",
        "Files.Read": "See your files",
    },
)

HABITS = {habits.name: habits for habits in (GITHUB, GOOGLE, DISCORD, MICROSOFT)}
