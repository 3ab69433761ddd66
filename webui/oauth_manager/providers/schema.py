"""Fields of a provider as data: name, kind, and the meaning that the table of settings prints.

A kind is a reader of :mod:`.kinds`; ``choice`` is followed by its choices, the default first.
"""

from __future__ import annotations

from ..values import Struct


class Field(Struct, frozen=True):
    """One field of a provider.  Without a meaning it stands in files alone, and is no setting."""

    name: str
    kind: str
    meaning: str = ""


SCHEMA = (
    Field("client_id", "client_id", "The client id the provider gave you."),
    Field("client_secret", "client_secret", "Its client secret."),
    Field(
        "client_key",
        "client_key",
        "A private key in its place, PEM or JWK: it signs in requests (private_key_jwt), and its "
        "public half is at /oauth/jwks.json.",
    ),
    Field("scopes", "scopes", "Scopes to ask for, between blanks or commas."),
    Field("host", "host", "Host of your own installation, and its path, where it has one."),
    Field(
        "ask",
        "ask",
        "Values asked of the person, each of which has a place in an address, as JSON: "
        '{"shop": {"label": "Your shop", "pattern": "[a-z0-9-]{1,60}", "example": "acme"}}.',
    ),
    Field("authorize_url", "endpoint", "Authorization endpoint."),
    Field("token_url", "endpoint", "Token endpoint."),
    Field("refresh_url", "endpoint", "Where to renew, if not at the token endpoint."),
    Field(
        "par_url",
        "endpoint",
        "Where to push the authorization request, for what a browser need not carry (RFC 9126).",
    ),
    Field("revoke_url", "endpoint", "Revocation endpoint."),
    Field("account_url", "endpoint", "Where to ask whose account it is."),
    Field(
        "resource",
        "endpoint",
        "Address of a remote MCP server, alone: all else is found from there.",
    ),
    Field("issuer", "issuer", "Issuer to compare with iss (RFC 9207)."),
    Field(
        "iss_required",
        "switch",
        "Whether its callbacks have to carry iss: on or off. Another issuer is never accepted.",
    ),
    Field("pkce", "switch", "Send a code challenge and verifier (RFC 7636): on or off."),
    Field("label", "line", "Name on the pages."),
    Field("logo", "logo", "Its logo on the pages: the path of an SVG or PNG, for a white ground."),
    Field("purpose", "sentence", "What it is for, on its card: Lets {bot} post for you."),
    Field("scope_separator", "separator", "Between scopes: space, comma or one character."),
    Field(
        "client_auth",
        "choice post basic none private_key_jwt",
        "Client authentication at the token endpoint: post, basic, none (a public client), or "
        "private_key_jwt, which CLIENT_KEY stands for.",
    ),
    Field("token_auth", "choice post basic none private_key_jwt", "Older name of CLIENT_AUTH."),
    Field("client_id_name", "name", "Name of the parameter with the client id: client_id."),
    Field("token_body", "choice form json", "Body of token requests: form or json."),
    Field("authorize_params", "parameters", "More authorize parameters: a=b&c=d."),
    Field("extra_auth_params", "parameters", "Older name of AUTHORIZE_PARAMS."),
    Field("token_params", "parameters", "More fields of every token request: a=b&c=d."),
    Field(
        "headers",
        "headers",
        "Header fields of every request to it: Name: value; Other: value. "
        "{client_id} stands for yours.",
    ),
    Field("token_path", "path", "Where tokens lie in the token answer, if not at its top."),
    Field("token_types", "words", "Token types to take besides bearer."),
    Field(
        "lifetime",
        "lifetime",
        "Seconds that a token lasts where the answer does not say; or never, whatever it says.",
    ),
    Field("refresh", "choice standard none", "Whether tokens can be renewed: standard or none."),
    Field(
        "token_header",
        "token_header",
        "How a token travels: Authorization: Bearer {access_token}.",
    ),
    Field("account_method", "choice GET POST", "How to ask whose account it is: GET or POST."),
    Field("account_body", "json", "JSON to send with that."),
    Field(
        "account_id_field",
        "path",
        "Unchanging id in the account answer (a.b reaches inside, a.0 into a list).",
    ),
    Field("account_label_field", "path", "Name to show in the account answer."),
    Field(
        "account_handle_field",
        "path",
        "Name in the account answer that is unique there: a user name, not a display name.",
    ),
    Field(
        "revoke_style",
        "choice rfc7009 bare delete",
        "A set of the five below: rfc7009, bare (without client authentication) or delete (as "
        "GitHub).",
    ),
    Field("revoke_method", "choice POST DELETE", "Method of revocation: POST or DELETE."),
    Field(
        "revoke_auth",
        "choice client post basic public none token",
        "What authorises revocation: client (as CLIENT_AUTH), post, basic, public (the client id "
        "alone), none, or token (the access token itself).",
    ),
    Field(
        "revoke_body",
        "choice form json query none",
        "Where its fields stand: form, json, query, or none (there are no fields).",
    ),
    Field(
        "revoke_token",
        "choice refresh access",
        "Token to revoke: refresh (access if there is none) or access.",
    ),
    Field("revoke_field", "name", "Name of its field with the token: token."),
    Field(
        "revoke_client_fields",
        "pair",
        "Names of its fields with the client id and the client secret: client_id client_secret.",
    ),
    Field(
        "install_url",
        "endpoint",
        "Where people install the app, if its installation has the permissions (GitHub Apps).",
    ),
    Field("permissions_url", "endpoint", "Where to read what those installations allow."),
    Field("keep", "keep", "Facts of the token answer to keep beside the tokens: team.id."),
    Field("manage_url", "endpoint", "The provider's page that lists connected apps."),
    Field("api_hosts", "hosts", "Hosts of its API that tokens are for."),
    Field(
        "gone",
        "phrases",
        "Its own words for access that is over, between commas: error codes, numbers or whole "
        "messages.",
    ),
    Field(
        "scope_texts",
        "scope_texts",
        'What each scope allows, to complete "the bot can": '
        "chat:write=post in your name; users:read=see your team.",
    ),
    Field(
        "features",
        "features",
        "What the bot does with it, each with the scopes that takes: "
        "reminders: calendar.read; mail: mail.read mail.send.",
    ),
    Field(
        "idle_limit",
        "duration",
        "How long a grant may lie unused before the provider ends it (90d, 36h); `keep-alive` "
        "renews it in time.",
    ),
    Field(
        "max_accounts",
        "count",
        "How many accounts of it a person may connect, 1 to 20; MAX_ACCOUNTS unless set.",
    ),
    # In files alone.
    Field("account_picker", "parameters"),
    Field("account_choice", "line"),
    Field("homepage", "endpoint"),
    Field("source", "addresses"),
    Field("checked", "day"),
    Field("unconfirmed", "words"),
    Field("domains", "words"),
    Field("register", "steps"),
    Field("manage_label", "line"),
    Field("status_url", "endpoint"),
    Field("app_client_ids", "name"),
    Field("tokens_expire", "switch"),
    Field("scope_on_refresh", "switch"),
    Field("account_realm_end", "line"),
    Field("scopes_unlisted", "words"),
    Field("scope_prefixes", "words"),
    Field("scope_ignores_case", "switch"),
    Field("scope_wildcard", "line"),
    Field("words", "meanings"),
    Field("contains", "contents"),
)
"""Every field, in the order of the table."""

BY_NAME = {field.name: field for field in SCHEMA}

SECRETS = frozenset({"client_secret", "client_key"})
"""Fields that no one may see; each may be given as a file."""

OF_OPERATORS = frozenset({"client_id", *SECRETS, "scope_texts", "features"})
"""Fields that belong to an installation, and are refused in a file."""

FACTS = frozenset({"checked", "domains", "homepage", "logo", "register", "source", "unconfirmed"})
"""Fields about a file and for its readers; no request depends on them."""

OTHER_NAMES = {"client_auth": "token_auth", "authorize_params": "extra_auth_params"}
"""Name in files and settings -> name in ``OAuthProvider``, where both are taken."""

REVOKE_STYLES = {
    "rfc7009": {
        "revoke_method": "POST",
        "revoke_auth": "client",
        "revoke_body": "form",
        "revoke_token": "refresh",
        "revoke_field": "token",
    },
    "bare": {"revoke_auth": "none"},
    "delete": {
        "revoke_method": "DELETE",
        "revoke_auth": "basic",
        "revoke_body": "json",
        "revoke_token": "access",
        "revoke_field": "access_token",
    },
}
"""Style -> the fields that it sets; those of ``rfc7009`` are everybody's defaults."""
