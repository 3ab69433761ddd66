"""One OAuth provider: data, and at most two functions."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal
from urllib.parse import quote

from ..models import Account, Profile
from ..values import replace
from .asked import Asked
from .client_keys import OwnClient
from .features import checked_features
from .registration import Registration
from .schema import REVOKE_STYLES
from .scope_rules import ScopeRules, ScopeSentences, described

AccountReader = Callable[[Mapping[str, Any], Mapping[str, Any]], Account]
"""From the account answer and the token answer to an account; raises nothing."""

PermissionsReader = Callable[[Mapping[str, Any]], tuple[str, ...]]
"""From the answer of the permissions' address to names; raises nothing."""

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")

MAX_ACCOUNTS = 5
MOST_ACCOUNTS = 20


@dataclass
class OAuthProvider(Registration):
    """One provider as this installation uses it.

    The first nine parameters are the specification's.  The others are the differences
    between providers; each default suits a plain RFC 6749 server.
    """

    name: str
    authorize_url: str
    token_url: str
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    scopes: list[str] = field(default_factory=list)
    tokens_expire: bool = True
    revoke_url: str = ""
    extra_auth_params: dict[str, str] = field(default_factory=dict)

    client_key: str = field(default="", repr=False)  # private, in PEM or as a JWK
    par_url: str = ""  # RFC 9126
    own: OwnClient | None = None  # in place of a client id, if no operator has registered us
    resource: str = ""  # a remote MCP server: its tokens are for it alone (RFC 8707)
    host: str = ""  # of the operator's own installation
    ask: tuple[Asked, ...] = ()  # values of the person that fill its addresses
    asked: tuple[str, ...] = ()  # those that have filled them: "name=value"
    label: str = ""
    purpose: str = ""
    scope_separator: str = " "
    scope_on_refresh: bool = False
    token_auth: Literal["post", "basic", "none", "private_key_jwt"] = "post"
    client_id_name: str = "client_id"
    token_body: Literal["form", "json"] = "form"
    token_params: Mapping[str, str] = field(default_factory=dict)
    # of every request to the provider; {client_id} stands for ours
    headers: Mapping[str, str] = field(default_factory=dict)
    token_path: str = ""
    token_types: tuple[str, ...] = ()  # besides bearer
    lifetime: int = 0  # seconds, if the answer tells none; below zero: no end, whatever it tells
    refresh: Literal["standard", "none"] = "standard"
    refresh_url: str = ""  # the token endpoint unless given
    token_header: str = "Authorization: Bearer {access_token}"
    # "rfc7009": form POST with client authentication; "bare": form POST of the
    # token alone (Google); "delete": DELETE with Basic and JSON (GitHub).  It decides the five
    # below that are empty.
    revoke_style: Literal["rfc7009", "bare", "delete"] = "rfc7009"
    revoke_method: str = ""
    revoke_auth: str = ""
    revoke_body: str = ""
    revoke_token: str = ""
    revoke_field: str = ""
    revoke_client_fields: tuple[str, ...] = ()  # client_id_name and client_secret unless given
    account_url: str = ""
    account_method: Literal["GET", "POST"] = "GET"
    account_body: str = ""
    account_id_field: str = "id"
    account_label_field: str = "name"
    # a name in the account answer that nobody else there can have; "" if none is known
    account_handle_field: str = ""
    # ends the part of an account's id that an answer may omit (Microsoft: the tenant)
    account_realm_end: str = ""
    issuer: str = ""
    # Whether every authorization response carries ``iss`` (RFC 9207, section 2.3);
    # without a known issuer there is nothing to compare it with.
    iss_required: bool = False
    pkce: bool = True  # RFC 7636; some refuse the verifier
    manage_url: str = ""
    manage_label: str = ""
    keep: tuple[str, ...] = ()  # paths of facts in the token answer
    # hosts of its API, with ports unless 443: the only ones that ``oauth_client`` sends tokens to
    api_hosts: tuple[str, ...] = ()
    status_url: str = ""
    scope_sentences: ScopeSentences = field(default_factory=dict, repr=False)
    # These five make the ``scope_rules``.  scope -> other scopes it contains, or other
    # names the provider answers with
    scope_contains: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    # scopes that are requested but never listed in an answer
    scopes_unlisted: frozenset[str] = field(default=frozenset({"offline_access"}), repr=False)
    scope_prefixes: tuple[str, ...] = ()
    scope_ignores_case: bool = False
    scope_wildcard: str = ""
    # meaning -> the provider's own words for it: codes, numbers and whole texts of a refusal
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    # the same for access that is over: the deployment's words beside the template's
    gone: tuple[str, ...] = ()
    # seconds of disuse after which the provider ends a grant; 0 if it does not, or is not known to
    idle_limit: float = 0.0
    # scope -> its permission in the deployment's words, which precede the template's
    scope_texts: Mapping[str, str] = field(default_factory=dict)
    # kinds of addresses that requests to ``found`` may go to (protocol.reach): those of its
    # addresses that its own metadata name, and no operator
    reach: tuple[str, ...] = ()
    found: tuple[str, ...] = ()
    is_vendors: bool = False  # the token endpoint is that of a vendor with one server for all
    # fields that the metadata of its issuer decide; none, if all is known without them
    to_find: frozenset[str] = frozenset()
    read_account: AccountReader | None = field(default=None, repr=False)
    # where an app's installation, which has the permissions, is made and is read
    install_url: str = ""
    permissions_url: str = ""
    read_permissions: PermissionsReader | None = field(default=None, repr=False)
    app_client_ids: str = ""  # the beginning of the client ids of such apps
    max_accounts: int = MAX_ACCOUNTS  # that one person may connect
    # authorize parameters that make it ask which account to use
    account_picker: Mapping[str, str] = field(default_factory=dict)
    account_choice: str = ""  # for people, where it cannot be asked: what to do there before
    # feature: what the bot does with the service, in a few words -> the scopes it needs
    features: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError("a provider's name is lower-case letters, digits, - and _")
        try:
            self.features = checked_features(self.features)
        except ValueError as fault:
            raise ValueError(f"provider {self.name!r}: features {fault}") from None
        if not 0 <= float(self.idle_limit) < math.inf:
            raise ValueError(f"provider {self.name!r}: idle_limit must be seconds")
        if not 1 <= int(self.max_accounts) <= MOST_ACCOUNTS:
            raise ValueError(f"provider {self.name!r}: max_accounts must be 1 to {MOST_ACCOUNTS}")
        if self.is_app:
            self.scopes = []  # its permissions are asked for by nobody
        elif self.scope_rules.missing(self.needed_scopes, self.scopes, lists_all=True):
            raise ValueError(f"provider {self.name!r}: features need a scope it is not asked for")
        if self.client_key:
            self.token_auth = "private_key_jwt"
        style = {**REVOKE_STYLES["rfc7009"], **REVOKE_STYLES[self.revoke_style]}
        for part, usual in style.items():
            setattr(self, part, getattr(self, part) or usual)
        self.gone = tuple(map(str, [self.gone] if isinstance(self.gone, str) else self.gone))
        words = self.name.replace("_", " ").replace("-", " ").title()
        self.label = self.label or re.sub(r"\bMcp\b", "MCP", words)

    @property
    def is_app(self) -> bool:
        """Return whether this client's permissions belong to an installation, and not to tokens."""
        beginning = self.app_client_ids
        is_named = bool(beginning) and self.client_id.startswith(beginning)
        return bool(self.permissions_url and (self.install_url or is_named))

    def is_of_app(self, *, can_renew: bool) -> bool:
        """Return whether tokens are an app's: of those providers only apps' can be renewed."""
        return self.is_app or bool(self.permissions_url and can_renew)

    @property
    def revokes_by_access_token(self) -> bool:
        """Return whether only an access token that still works can end a grant."""
        return self.revoke_token == "access" or self.revoke_auth == "token"

    @property
    def can_revoke(self) -> bool:
        """Return whether the provider can be asked to end a grant, or may turn out to be."""
        return bool(self.revoke_url) or not self.is_found

    @property
    def own_manage_url(self) -> str:
        """Return the provider's page where the person sees and removes this application."""
        return self.manage_url.replace("{client_id}", quote(self.client_id, safe=""))

    @cached_property
    def scope_rules(self) -> ScopeRules:
        """Return the rules that compare its scopes, everywhere."""
        return ScopeRules(
            self.scope_contains,
            self.scopes_unlisted,
            self.scope_prefixes,
            self.scope_ignores_case,
            self.scope_wildcard,
        )

    def is_same_account(self, one: Account, other: Account) -> bool:
        """Compare by id alone, without the realm if one of both has none.

        An unknown id is never the same as another.
        """
        realm, own = self._split_id(one.id)
        other_realm, others = self._split_id(other.id)
        return bool(own) and own == others and (realm == other_realm or not (realm and other_realm))

    def with_fuller_id(self, account: Account, known: Account) -> Account:
        """Return the account, with the realm of ``known`` if both are the same."""
        if self._split_id(account.id)[0] or not self.is_same_account(account, known):
            return account
        return replace(account, id=known.id)

    def account_ids(self, account: Account) -> tuple[str, ...]:
        """List every form of the id, first the one without its realm; none if it is not known."""
        forms = (self._split_id(account.id)[1], account.id)
        return tuple(dict.fromkeys(form for form in forms if form))

    def _split_id(self, account_id: str) -> tuple[str, str]:
        if not self.account_realm_end:
            return "", account_id
        realm, _, own = account_id.rpartition(self.account_realm_end)
        return realm, own

    @cached_property
    def described_scopes(self) -> Mapping[str, tuple[str, str, str]]:
        """Map the key of each scope to group and sentences, like :func:`described`."""
        return described(self.scope_rules, self.scope_sentences, self.scope_texts)

    def scopes_for(self, known: Profile) -> tuple[str, ...]:
        """Return the scopes to ask for: the default ones and those requested before.

        A tool may have wanted more.
        """
        return self.scope_rules.united(self.scopes, known.requested_scopes)

    def missing_scopes(self, wanted: Iterable[str], granted: Iterable[str]) -> tuple[str, ...]:
        """Return those of ``wanted`` that ``granted`` neither lists nor contains, in order."""
        return self.scope_rules.missing(wanted, granted)

    @property
    def needed_scopes(self) -> tuple[str, ...]:
        """Return the scopes of every feature."""
        return tuple(dict.fromkeys(s for needed in self.features.values() for s in needed))

    def lacking_features(self, granted: Iterable[str]) -> tuple[str, ...]:
        """Return the features with a scope that ``granted`` neither lists nor contains."""
        held = tuple(granted)
        return tuple(n for n, needed in self.features.items() if self.missing_scopes(needed, held))
