"""The table of settings: name, meaning, default, reader.  README has the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from webui.oauth_manager import PROVIDER_TEMPLATES
from webui.oauth_manager.providers import SCHEMA, SECRETS, reader_of
from webui.oauth_manager.values import Struct
from webui.settings import features, identity, key_command, texts
from webui.settings import readers as values
from webui.settings.accent import product_colour
from webui.settings.logo import read_logo

FILE_SUFFIX = "_FILE"


class Setting(Struct, frozen=True):
    """One row of the table; ``default`` is written as in the environment."""

    name: str
    meaning: str
    read: Callable[[str], Any]
    default: str = ""
    is_secret: bool = False
    is_required: bool = False


SETTINGS = (
    Setting(
        "BASE_URL",
        "The site's public address: scheme and host, https unless it is on this machine.",
        values.base_url,
        is_required=True,
    ),
    Setting(
        "REDIS_URL",
        "Where Redis is: redis://, redis+sentinel://, redis+cluster://, with TLS rediss://, or unix://.",
        values.redis_address,
        is_secret=True,
        is_required=True,
    ),
    Setting(
        "ENCRYPTION_KEY",
        "One or more Fernet keys, newest first, between commas or blanks.",
        values.fernet_keys,
        is_secret=True,
        is_required=True,
    ),
    Setting(
        "SESSION_SECRET",
        "What signs the session cookie: one or more secrets of at least "
        f"{values.SHORTEST_SECRET} characters, newest first, between commas or blanks.",
        values.session_secrets,
        is_secret=True,
        is_required=True,
    ),
    Setting("PRODUCT_NAME", "The title on the pages.", values.line, "Stargazer"),
    Setting(
        "PRODUCT_COLOUR",
        "Your own colour, for buttons, links and the icon: #RRGGBB.",
        product_colour,
    ),
    Setting(
        "PRODUCT_LOGO",
        "Path of your own logo, SVG or PNG, for a white ground; it stands beside the title.",
        read_logo,
    ),
    Setting("BOT_NAME", "What the bot is called; PRODUCT_NAME unless given.", values.line),
    Setting(
        "CHAT_URL",
        "Link to the private chat with the bot, for the way back to it.",
        values.endpoint,
    ),
    Setting(
        "SUPPORT_USERS",
        "User ids of support staff, between commas.",
        values.people,
    ),
    Setting(
        "SUPPORT_GROUP",
        "What makes somebody support staff: a value of OIDC_SUPPORT_CLAIM, or a group in "
        "PROXY_GROUPS_HEADER.",
        identity.group,
    ),
    Setting(
        "OIDC_ISSUER",
        "OpenID provider to sign in with, as it names itself; discovery does the rest.",
        values.issuer,
    ),
    Setting("OIDC_CLIENT_ID", "The client id it gave you.", values.client_id),
    Setting(
        "OIDC_CLIENT_SECRET",
        "Its client secret, if it gave one.",
        values.client_secret,
        is_secret=True,
    ),
    Setting(
        "OIDC_SCOPES",
        "Scopes to ask it for, between blanks or commas.",
        identity.sign_on_scopes,
        "openid",
    ),
    Setting("OIDC_USER_CLAIM", "Claim of the id token with the user id.", identity.claim, "sub"),
    Setting(
        "OIDC_SUPPORT_CLAIM",
        "Claim of the id token, or at userinfo, with roles or groups.",
        identity.claim,
        "groups",
    ),
    Setting(
        "OIDC_PEOPLE",
        "Who may sign in with it: staff (for the support pages alone) or everybody.",
        reader_of("choice staff everybody"),
        "staff",
    ),
    Setting("OIDC_LABEL", "Its name, for the button.", values.line),
    Setting(
        "TRUSTED_PROXIES",
        "Addresses or networks of reverse proxies whose X-Forwarded-* headers count; unix for "
        "those at the site's Unix socket.",
        values.networks,
    ),
    Setting(
        "PROXY_USER_HEADER",
        "Header in which those proxies name the person who is signed in.",
        identity.header_name,
    ),
    Setting(
        "PROXY_GROUPS_HEADER",
        "Header in which they name the person's groups, between commas.",
        identity.header_name,
    ),
    Setting(
        "LINK_PROOF",
        "How a person without a session proves who they are: code or confirm.",
        reader_of("choice code confirm"),
        "code",
    ),
    Setting(
        "OUTGOING_PROXY",
        "HTTP proxy for calls to providers and the sign-on: http:// or https://, with user and "
        "password if it wants them.",
        values.proxy_address,
        is_secret=True,
    ),
    Setting(
        "LOG_LEVEL",
        "debug, info, warning or error; libraries never log below warning.",
        reader_of("choice debug info warning error"),
        "info",
    ),
    Setting(
        "STRICT_RECORDS",
        "Refuse stored tokens that do not name their owner (older systems wrote those).",
        reader_of("switch"),
        "off",
    ),
    Setting(
        "EXTRA_PROVIDERS",
        "Names of OAuth 2 providers beyond the built-in ones, between commas or blanks.",
        values.provider_names,
    ),
    Setting("PROVIDERS_DIR", "Folder with files of further providers, NAME.toml each.", str),
    Setting(
        "MICROSOFT_TENANT",
        "Whose accounts may be connected: a tenant's id or domain, common, organizations "
        "or consumers.",
        values.tenant,
        "common",
    ),
    Setting(
        "METRICS_PORT",
        "Port of its own for Prometheus; needs the extra metrics.",
        values.port,
    ),
    Setting(
        "METRICS_HOST",
        "Address on which METRICS_PORT listens, without a password: who reaches it may read.",
        values.line,
        "127.0.0.1",
    ),
    Setting(
        "METRICS_TOKEN",
        "Opens /metrics on the site's port, as a bearer token of at least "
        f"{values.SHORTEST_SECRET} characters; needs the extra metrics.",
        values.bearer_token,
        is_secret=True,
    ),
    Setting("WEBUI_CONFIG", "Path of a TOML file with any of these settings.", str),
    Setting(
        "KEEP_ALIVE",
        "How often the site renews what nobody uses, spread over that time: 24h; off unless given.",
        reader_of("duration"),
    ),
    Setting(
        key_command.NAME,
        "Program that prints the keys, with its arguments, in place of ENCRYPTION_KEY.",
        key_command.arguments,
        is_secret=True,
    ),
    Setting(
        "REDIS_WAIT_REPLICAS",
        "How many replicas shall confirm tokens before they count as stored; for 0.2 s at most.",
        values.few,
        "0",
    ),
    Setting(
        "API",
        "Whether bots with a service key may use the HTTP API.",
        reader_of("switch"),
        "on",
    ),
    Setting(
        "API_PORT",
        "Port of its own for the HTTP API, which the site's port has no more then.",
        values.port,
    ),
    Setting(
        "MAX_ACCOUNTS",
        "How many accounts of one service a person may connect, 1 to 20.",
        reader_of("count"),
        "5",
    ),
    Setting(
        "WEBHOOK_SECRET",
        "What signs webhooks: one or two secrets, whsec_ and base64, newest first, between commas "
        "or blanks.",
        values.webhook_secrets,
        is_secret=True,
    ),
    Setting(
        "WEBHOOK_PRIVATE",
        "Whether webhooks may go to addresses of a private network.",
        reader_of("switch"),
        "off",
    ),
)
"""Every setting but those that each provider has."""

# Kinds whose text the site reads in its own way; the library reads the others.
_READERS: dict[str, Callable[[str], Any]] = {
    "client_id": values.client_id,
    "client_secret": values.client_secret,
    "features": features.features,
    "logo": read_logo,
    "scope_texts": texts.scope_texts,
    "scopes": values.scopes,
}

PROVIDER_SETTINGS = tuple(
    Setting(
        row.name.upper(),
        row.meaning,
        _READERS.get(row.kind) or reader_of(row.kind),
        is_secret=row.name in SECRETS,
    )
    for row in SCHEMA
    if row.meaning
)
"""For each provider ``{PROVIDER}_{name}``; the defaults are those of the provider."""


def all_settings(extra: Iterable[str] = ()) -> Iterator[Setting]:
    """Yield the whole table, with the built-in providers and ``extra`` ones spelt out."""
    yield from SETTINGS
    for provider in provider_names(extra):
        for row in PROVIDER_SETTINGS:
            name = variable(provider, row.name)
            yield Setting(name, row.meaning, row.read, row.default, row.is_secret)


def known_names(extra: Iterable[str]) -> set[str]:
    """Return every name that may be given, with those that name a secret's file."""
    settings = list(all_settings(extra))
    return {s.name for s in settings} | {s.name + FILE_SUFFIX for s in settings if s.is_secret}


def provider_names(extra: Iterable[str]) -> list[str]:
    """List the built-in providers and the extra ones."""
    return sorted({*PROVIDER_TEMPLATES, *extra})


def upper(name: str) -> str:
    """Return a TOML key or provider's name as written in a variable."""
    return name.upper().replace("-", "_")


def variable(provider: str, name: str) -> str:
    """Return the name of a provider's variable, like ``GITHUB_CLIENT_ID``."""
    return f"{upper(provider)}_{name}"
