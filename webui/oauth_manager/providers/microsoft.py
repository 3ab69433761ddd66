"""Microsoft identity platform v2.  Facts: learn.microsoft.com/entra/identity-platform."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from ..models import Account

SCOPE_SENTENCES: dict[str, tuple[str, str]] = {
    "openid": ("recognise you as the same Microsoft account next time", "Sees"),
    "profile": ("see your name, picture, user name and e-mail address", "Sees"),
    "email": ("see your main e-mail address", "Sees"),
    "offline_access": ("keep working when you are not here (adds no other access)", "Acts"),
    "User.Read": ("see your profile and basic facts about your company", "Sees"),
    "User.ReadBasic.All": ("see name, address and photo of people in your organisation", "Sees"),
    "User.ReadWrite": ("change your profile", "Changes"),
    "Mail.ReadBasic": ("see who mails you and about what, not the text or files", "Sees"),
    "Mail.Read": ("read your mail", "Sees"),
    "Mail.ReadWrite": ("change and delete your mail, but not send", "Deletes"),
    "Mail.Send": ("send mail in your name", "Acts"),
    "Calendars.Read": ("see your calendar events", "Sees"),
    "Calendars.ReadWrite": ("add, change and delete calendar events", "Deletes"),
    "Contacts.Read": ("see your contacts", "Sees"),
    "Contacts.ReadWrite": ("change and delete your contacts", "Deletes"),
    "Files.Read": ("see your own files", "Sees"),
    "Files.ReadWrite": ("change and delete your own files", "Deletes"),
    "Files.Read.All": ("see every file you can open, also shared ones", "Sees"),
    "Files.ReadWrite.AppFolder": ("keep files in a folder of its own", "Changes"),
    "Tasks.Read": ("see your tasks, also shared lists", "Sees"),
    "Tasks.ReadWrite": ("change and delete your tasks, also shared lists", "Deletes"),
    "Chat.Read": ("read your Teams chats", "Sees"),
    "ChatMessage.Send": ("send Teams chat messages in your name", "Acts"),
    "ChannelMessage.Send": ("post in Teams channels in your name", "Acts"),
    "Presence.Read": (
        "see if you are available, your status note, time zone and work location",
        "Sees",
    ),
    "OnlineMeetings.ReadWrite": ("see and create your online meetings", "Changes"),
    "MailboxSettings.Read": ("see mailbox settings such as your out-of-office reply", "Sees"),
}

_GRAPH = "https://graph.microsoft.com/"
_GRAPH_SCOPES = ("User.Read", "Mail.Read", "Mail.ReadWrite", "Mail.Send", "Calendars.Read")
_WIDER: dict[str, tuple[str, ...]] = {
    "Mail.ReadWrite": ("Mail.Read",),
    "Mail.Read": ("Mail.ReadBasic",),
    "User.ReadWrite": ("User.Read",),
    "User.Read.All": ("User.ReadBasic.All",),
    "Calendars.ReadWrite": ("Calendars.Read",),
    "Contacts.ReadWrite": ("Contacts.Read",),
    "Files.ReadWrite": ("Files.Read",),
    "Tasks.ReadWrite": ("Tasks.Read",),
}


def _tenant(id_token: object) -> str:
    """The ``tid`` claim of an id token that came straight from the token endpoint.

    Its signature is not checked: OpenID Connect Core 3.1.3.7 point 6 allows the
    TLS connection to the issuer to stand for it, and nothing is granted by it.
    """
    try:
        payload = str(id_token).split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        tenant = claims["tid"]
    except (IndexError, KeyError, TypeError, ValueError, RecursionError):
        return ""
    return tenant if isinstance(tenant, str) else ""


def read_account(profile: Mapping[str, Any], token_answer: Mapping[str, Any]) -> Account:
    """Identity is tenant plus object id; addresses and names can change hands."""
    object_id = profile.get("id")
    label = profile.get("userPrincipalName") or profile.get("displayName")
    tenant = _tenant(token_answer.get("id_token"))
    return Account(
        id="/".join(filter(None, (tenant, object_id))) if isinstance(object_id, str) else "",
        label=label if isinstance(label, str) else "",
    )


# Only an administrator can consent to what is asked, or has to assign the person first.
ADMIN_CODES = frozenset(
    {"AADSTS50105", "AADSTS65001", "AADSTS90093", "AADSTS90094", "AADSTS90095", "AADSTS900941"}
)

TEMPLATE: dict[str, Any] = {
    "label": "Microsoft",
    "purpose": "Lets {bot} work with your Microsoft account.",
    "authorize_url": "https://login.microsoftonline.com/common/oauth2/v2.0/authorize",
    "token_url": "https://login.microsoftonline.com/common/oauth2/v2.0/token",
    "revoke_url": "",
    "account_url": "https://graph.microsoft.com/v1.0/me",
    "account_label_field": "userPrincipalName",
    "read_account": read_account,
    "scopes": ["openid", "profile", "offline_access", "User.Read"],
    "scope_on_refresh": True,
    "admin_codes": ADMIN_CODES,
    "manage_url": "https://account.live.com/consent/Manage",
    "manage_label": "Microsoft's list of apps",
    "status_url": "https://status.cloud.microsoft/",
    "scope_sentences": SCOPE_SENTENCES,
    "scopes_unlisted": frozenset({"offline_access", "openid", "profile", "email"}),
    # Answers name Graph permissions with or without the resource in front.
    "scope_contains": {
        **_WIDER,
        **{f"{_GRAPH}{scope}": (scope,) for scope in _GRAPH_SCOPES},
        **{scope: (f"{_GRAPH}{scope}", *_WIDER.get(scope, ())) for scope in _GRAPH_SCOPES},
    },
}
