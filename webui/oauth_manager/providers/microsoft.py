"""Microsoft identity platform v2.  Facts: learn.microsoft.com/entra/identity-platform."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from ..models import Account
from .scope_rules import ScopeSentences

SCOPE_SENTENCES: ScopeSentences = {
    "openid": ("recognise you as the same Microsoft account next time", "Sees"),
    "profile": ("see your name, picture, user name and e-mail address", "Sees"),
    "email": ("see your main e-mail address", "Sees"),
    "offline_access": (
        "keep working while you are away",
        "Acts",
        "keep working while you are away (adds no other access)",
    ),
    "User.Read": ("see your profile and basic facts about your company", "Sees"),
    "User.ReadBasic.All": ("see name, address and photo of people in your organisation", "Sees"),
    "User.ReadWrite": ("change your profile", "Changes"),
    "Mail.ReadBasic": (
        "see who mails you and about what",
        "Sees",
        "see who mails you and about what, not the text or files",
    ),
    "Mail.Read": ("read your mail", "Sees"),
    "Mail.ReadWrite": (
        "change and delete your mail",
        "Deletes",
        "change and delete your mail, but not send",
    ),
    "Mail.Send": ("send mail in your name", "Acts"),
    "Calendars.Read": ("see your calendar events", "Sees"),
    "Calendars.ReadWrite": ("add, change and delete calendar events", "Deletes"),
    "Contacts.Read": ("see your contacts", "Sees"),
    "Contacts.ReadWrite": ("change and delete your contacts", "Deletes"),
    "Files.Read": ("see your own files", "Sees"),
    "Files.ReadWrite": ("change and delete your own files", "Deletes"),
    "Files.Read.All": ("see every file you can open, also shared ones", "Sees"),
    "Files.ReadWrite.AppFolder": ("keep files in a folder for {product}", "Changes"),
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


def _tenant(id_token: object) -> str:
    """Read the ``tid`` claim of an id token that came straight from the token endpoint.

    Its signature is not checked: OpenID Connect Core 3.1.3.7 point 6 allows the TLS
    connection to the issuer instead, and the claim grants nothing.
    """
    try:
        payload = str(id_token).split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        tenant = claims["tid"]
    except (IndexError, KeyError, TypeError, ValueError, RecursionError):
        return ""
    return tenant if isinstance(tenant, str) else ""


def read_account(profile: Mapping[str, Any], token_answer: Mapping[str, Any]) -> Account:
    """Read an account: its id is tenant plus object id; addresses and names can change hands."""
    object_id = profile.get("id")
    label = profile.get("userPrincipalName") or profile.get("displayName")
    tenant = _tenant(token_answer.get("id_token"))
    return Account(
        id="/".join(filter(None, (tenant, object_id))) if isinstance(object_id, str) else "",
        label=label if isinstance(label, str) else "",
    )


# Numbers of AADSTS errors (learn.microsoft.com, "Microsoft Entra authentication and
# authorization error codes"), as `error_codes` and descriptions name them.  Microsoft may
# change them: if one is not known here, `error` alone decides.
_NUMBERS = {
    "gone": (
        "140001 50013 500133 50027 501481 50173 54005 70000 700005 70008 700082 700084 "
        "70018 70019 70043 90086"
    ),
    "again": (
        "1000000 1000002 120000 120002 120003 120004 120005 120008 120011 120012 120013 "
        "120014 120015 120016 120018 120020 120021 130004 130005 130006 130007 130008 "
        "135010 135011 16001 16002 160021 220450 50053 50055 50056 50058 50064 50072 50074 "
        "50076 50078 50079 50085 50086 50089 50097 50099 50125 50126 50127 50129 50131 "
        "50132 50133 50135 50136 50139 50140 50143 50144 50155 50158 50168 50187 50192 "
        "50197 50199 51006 52004 53004 700020 80012 81004 81005 81006 81009 81010 81011 "
        "81012 90013 9002341 90101"
    ),
    "admin": (
        "1000031 1000104 240001 50002 500021 500022 50005 500212 500213 50057 50105 50107 "
        "53000 53001 53002 53003 530032 530034 530035 53010 53011 65001 650052 650056 81007 "
        "90008 90085 90093 90094 900941 90095 90099 90123"
    ),
    "other_account": (
        "16000 16003 50014 50015 50020 500208 50034 50128 50177 50178 51004 54000 90072 "
        "90084 90125 90126"
    ),
    "denied": "65004",
    "setup": (
        "100007 140000 165004 165900 221000 240002 28002 28003 50001 500011 50003 50006 "
        "50007 50010 50011 50012 50029 50032 50042 50043 50048 50049 50050 50059 50061 "
        "50068 50070 50071 50120 50124 501241 50134 50146 501461 50147 501491 50161 50169 "
        "50170 50180 50194 51000 51001 65002 65005 650054 650057 67003 70001 700011 700016 "
        "7000112 7000114 70002 700022 700023 700025 700027 7000215 7000218 7000222 70003 "
        "700030 70004 70005 700054 70007 70011 700229 75001 75003 75005 750054 7500514 "
        "7500529 75008 75011 75016 76021 76026 90002 90004 90005 90007 90009 90010 9001023 "
        "90014 900144 90015 90016 90019 90020 90022 90023 900236 9002313 9002332 90027 "
        "90038 900382 900384 90043 900432 90051 90056 900561 90081 90082 90087 900971 90100 "
        "901002 90102 90107 90114 90117 90119 90120 90121 90124 90130"
    ),
    "trouble": (
        "17003 20001 20012 20033 220501 230109 40008 40009 40010 40015 50000 50008 5000819 "
        "50017 50033 50087 50088 501621 50166 50196 51005 70012 70016 80001 80002 80005 "
        "80007 80010 80013 80014 90006 90012 90024 90033 90036 90055 90090 90091 90092"
    ),
}
WORDS = {meaning: tuple(numbers.split()) for meaning, numbers in _NUMBERS.items()}

TEMPLATE: dict[str, Any] = {
    "label": "Microsoft",
    "purpose": "Lets {bot} work with your Microsoft account.",
    "authorize_url": "https://login.microsoftonline.com/common/oauth2/v2.0/authorize",
    "token_url": "https://login.microsoftonline.com/common/oauth2/v2.0/token",
    "revoke_url": "",
    "account_url": "https://graph.microsoft.com/v1.0/me",
    "account_label_field": "userPrincipalName",
    "account_handle_field": "userPrincipalName",
    "account_realm_end": "/",
    "idle_limit": 90 * 86_400.0,  # learn.microsoft.com/entra/identity-platform/refresh-tokens
    "read_account": read_account,
    "scopes": ["openid", "profile", "offline_access", "User.Read"],
    "scope_on_refresh": True,
    "words": WORDS,
    "manage_url": "https://account.live.com/consent/Manage",
    "manage_label": "Microsoft's list of apps",
    "status_url": "https://status.cloud.microsoft/",
    "scope_sentences": SCOPE_SENTENCES,
    "scopes_unlisted": frozenset({"offline_access", "openid", "profile", "email"}),
    # Answers name Graph's permissions with or without the resource in front, in any case.
    # The national clouds too (learn.microsoft.com/graph/deployments).
    "scope_prefixes": (
        "https://graph.microsoft.com/",
        "https://graph.microsoft.us/",
        "https://dod-graph.microsoft.us/",
        "https://microsoftgraph.chinacloudapi.cn/",
        "00000003-0000-0000-c000-000000000000/",
    ),
    "scope_ignores_case": True,
    "scope_wildcard": ".default",
    "scope_contains": {
        "Mail.ReadWrite": ("Mail.Read",),
        "Mail.Read": ("Mail.ReadBasic",),
        "User.ReadWrite": ("User.Read",),
        "User.Read.All": ("User.ReadBasic.All",),
        "Calendars.ReadWrite": ("Calendars.Read",),
        "Contacts.ReadWrite": ("Contacts.Read",),
        "Files.ReadWrite": ("Files.Read",),
        "Files.Read.All": ("Files.Read",),
        "Files.ReadWrite.All": ("Files.ReadWrite", "Files.Read.All"),
        "Chat.ReadWrite": ("Chat.Read",),
        "MailboxSettings.ReadWrite": ("MailboxSettings.Read",),
        "Tasks.ReadWrite": ("Tasks.Read",),
    },
}
