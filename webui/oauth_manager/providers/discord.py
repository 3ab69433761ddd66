"""Discord.  Facts: discord.com/developers/docs, "OAuth2"."""

from __future__ import annotations

from typing import Any

from .scope_rules import ScopeSentences

SCOPE_SENTENCES: ScopeSentences = {
    "identify": (
        "see your user name, picture and banner",
        "Sees",
        "see your user name, picture and banner, not your e-mail",
    ),
    "email": ("see the e-mail address of your Discord account", "Sees"),
    "connections": ("see other accounts you have linked on Discord", "Sees"),
    "guilds": ("see the names of the servers you are in", "Sees"),
    "guilds.members.read": ("see your nickname and roles in your servers", "Sees"),
    "guilds.join": ("add you to servers that {bot} is in", "Acts"),
    "gdm.join": ("add you to a group chat", "Acts"),
    "role_connections.write": ("set the details a server may use to give you roles", "Changes"),
    "bot": ("add {bot} to a server you choose", "Acts"),
    "applications.commands": ("add the commands of {bot} to a server or to your account", "Acts"),
    "applications.commands.permissions.update": (
        "change who may use the commands of {bot} in servers you manage",
        "Changes",
    ),
    "webhook.incoming": ("post messages into one channel you choose", "Acts"),
    "messages.read": ("read messages through Discord on your computer", "Sees"),
    "relationships.read": ("see your friends, requests and blocked people", "Sees"),
    "dm_channels.read": ("see which private chats you have", "Sees"),
    "activities.write": ("change the activity shown on your profile", "Changes"),
}

# discord.com/developers/docs, "Opcodes and Status Codes": the JSON error codes that concern
# an application's access.
WORDS = {
    "gone": ("10012", "10020", "40001", "40012", "50014", "50025"),
    "again": ("50026", "60003"),
    "verify": ("40002", "50178"),
    "other_account": ("20024", "50002"),
    "setup": tuple(map(str, (10002, 20012, 40333, 50011, 50012, 50035, 50041, 50067, 50109))),
    "trouble": ("40006", "40062", "110001", "130000"),
}

TEMPLATE: dict[str, Any] = {
    "label": "Discord",
    "purpose": "Lets {bot} know who you are on Discord.",
    "authorize_url": "https://discord.com/oauth2/authorize",
    "token_url": "https://discord.com/api/oauth2/token",
    "revoke_url": "https://discord.com/api/oauth2/token/revoke",
    "account_url": "https://discord.com/api/oauth2/@me",
    "account_id_field": "user.id",
    "account_label_field": "user.username",
    "account_handle_field": "user.username",
    "issuer": "https://discord.com",
    "iss_required": True,
    "scopes": ["identify"],
    "manage_url": "https://discord.com/channels/@me",
    "manage_label": "User Settings, Authorized Apps",
    "status_url": "https://discordstatus.com/",
    "scope_sentences": SCOPE_SENTENCES,
    "words": WORDS,
}
