"""Google.  Facts: developers.google.com, "Using OAuth 2.0 for Web Server Applications"."""

from __future__ import annotations

from typing import Any

from .scope_rules import ScopeSentences

_AUTH = "https://www.googleapis.com/auth/"

SCOPE_SENTENCES: ScopeSentences = {
    "openid": ("recognise you as the same Google account next time", "Sees"),
    "email": ("see your main Google e-mail address", "Sees"),
    "profile": ("see your name, picture and other profile details", "Sees"),
    f"{_AUTH}userinfo.email": ("see your main Google e-mail address", "Sees"),
    f"{_AUTH}userinfo.profile": ("see your name, picture and other profile details", "Sees"),
    f"{_AUTH}calendar.freebusy": (
        "see when you are busy",
        "Sees",
        "see when you are busy, not what you are doing",
    ),
    f"{_AUTH}calendar.events.readonly": ("see the events in your calendars", "Sees"),
    f"{_AUTH}calendar.events": (
        "change the events in your calendars",
        "Changes",
        "see and change the events in your calendars",
    ),
    f"{_AUTH}calendar.readonly": ("see all calendars you can open", "Sees"),
    f"{_AUTH}calendar": (
        "change, share and delete your calendars",
        "Deletes",
        "see, change, share and delete your calendars",
    ),
    f"{_AUTH}gmail.metadata": (
        "see who mails you, when and about what",
        "Sees",
        "see who mails you, when and about what, not the text",
    ),
    f"{_AUTH}gmail.readonly": ("read all your mail and mail settings", "Sees"),
    f"{_AUTH}gmail.send": ("send mail in your name", "Acts"),
    f"{_AUTH}gmail.compose": (
        "manage your drafts of mail",
        "Acts",
        "manage drafts and send mail in your name",
    ),
    f"{_AUTH}gmail.modify": (
        "sort your mail and move it to the bin",
        "Acts",
        "read, sort, write and send mail, but not delete it for good",
    ),
    "https://mail.google.com/": (
        "delete your mail for good",
        "Deletes",
        "read, send and delete for good all your mail",
    ),
    f"{_AUTH}drive.file": (
        "work with the Drive files you open or make with {product}",
        "Changes",
        "work only with Drive files you open or make with {product}",
    ),
    f"{_AUTH}drive.metadata.readonly": (
        "see the names and details of your Drive files",
        "Sees",
        "see file names and details, not what is in them",
    ),
    f"{_AUTH}drive.readonly": ("see and download all your Drive files", "Sees"),
    f"{_AUTH}drive": (
        "change and delete all your Drive files",
        "Deletes",
        "see, change and delete all your Drive files",
    ),
    f"{_AUTH}contacts.readonly": ("see your contacts", "Sees"),
    f"{_AUTH}contacts": ("change and delete your contacts", "Deletes"),
    f"{_AUTH}tasks.readonly": ("see your tasks", "Sees"),
    f"{_AUTH}tasks": ("change and delete your tasks", "Deletes"),
    f"{_AUTH}spreadsheets.readonly": ("see your Google Sheets", "Sees"),
    f"{_AUTH}spreadsheets": ("change and delete your Google Sheets", "Deletes"),
    f"{_AUTH}documents.readonly": ("see your Google Docs", "Sees"),
    f"{_AUTH}documents": ("change and delete your Google Docs", "Deletes"),
    f"{_AUTH}youtube.readonly": ("see your YouTube account", "Sees"),
}

# developers.google.com, "Using OAuth 2.0 for Web Server Applications" and "Using OAuth 2.0
# for Server to Server Applications" (JWT error codes); support.google.com/accounts/answer/16668185.
WORDS = {
    "again": ("invalid_rapt",),
    "admin": ("admin_policy_enforced", "access_not_configured"),
    "other_account": ("org_internal", "policy_enforced"),
    "other_browser": ("disallowed_useragent",),
    "setup": ("restricted_client", "origin_mismatch"),
    "trouble": ("rate_limit_exceeded", "internal_failure"),
}

TEMPLATE: dict[str, Any] = {
    "label": "Google",
    "purpose": "Lets {bot} work with your Google account.",
    "authorize_url": "https://accounts.google.com/o/oauth2/v2/auth",
    "token_url": "https://oauth2.googleapis.com/token",
    "revoke_url": "https://oauth2.googleapis.com/revoke",
    "revoke_style": "bare",
    "account_url": "https://openidconnect.googleapis.com/v1/userinfo",
    "account_id_field": "sub",
    "account_label_field": "email",
    "account_handle_field": "email",
    "issuer": "https://accounts.google.com",
    "iss_required": True,
    "idle_limit": 182 * 86_400.0,  # "six months": developers.google.com/identity/protocols/oauth2
    "scopes": ["openid", "email"],
    # Without both, a repeated authorization brings no refresh token.
    "extra_auth_params": {"access_type": "offline", "prompt": "consent"},
    "manage_url": "https://myaccount.google.com/connections",
    "manage_label": "Google Account connections",
    "status_url": "https://www.google.com/appsstatus/dashboard/",
    "scope_sentences": SCOPE_SENTENCES,
    "words": WORDS,
    # Google answers the two short names with the long ones.
    "scope_contains": {
        f"{_AUTH}userinfo.email": ("email",),
        f"{_AUTH}userinfo.profile": ("profile",),
        "email": (f"{_AUTH}userinfo.email",),
        "profile": (f"{_AUTH}userinfo.profile",),
        f"{_AUTH}calendar": (
            f"{_AUTH}calendar.events",
            f"{_AUTH}calendar.readonly",
            f"{_AUTH}calendar.freebusy",
        ),
        f"{_AUTH}calendar.events": (f"{_AUTH}calendar.events.readonly",),
        f"{_AUTH}calendar.readonly": (
            f"{_AUTH}calendar.events.readonly",
            f"{_AUTH}calendar.freebusy",
        ),
        "https://mail.google.com/": (f"{_AUTH}gmail.modify",),
        f"{_AUTH}gmail.modify": (f"{_AUTH}gmail.readonly", f"{_AUTH}gmail.compose"),
        f"{_AUTH}gmail.compose": (f"{_AUTH}gmail.send",),
        f"{_AUTH}gmail.readonly": (f"{_AUTH}gmail.metadata",),
        f"{_AUTH}drive": (f"{_AUTH}drive.readonly", f"{_AUTH}drive.file"),
        f"{_AUTH}drive.readonly": (f"{_AUTH}drive.metadata.readonly",),
        **{
            f"{_AUTH}{whole}": (f"{_AUTH}{whole}.readonly",)
            for whole in ("contacts", "tasks", "spreadsheets", "documents")
        },
    },
}
