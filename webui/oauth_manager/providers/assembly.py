"""Providers assembled: the catalogue's fields, and the deployment's over them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any
from urllib.parse import urlsplit

from ..configuration import Malformed, check_provider, origin
from ..values import replace
from . import addresses, asked, entries, kinds, openid, schema
from .provider import OAuthProvider

_OF_THE_SAME_SERVER = frozenset(
    {
        "account_choice",
        "account_url",
        "api_hosts",
        "ask",
        "issuer",
        "manage_label",
        "manage_url",
        "par_url",
        "permissions_url",
        "refresh_url",
        "revoke_url",
        "status_url",
    }
)
_OF_THE_ACCOUNT = frozenset(
    {
        "account_body",
        "account_handle_field",
        "account_id_field",
        "account_label_field",
        "account_url",
    }
)
FIELDS = frozenset(f.name for f in fields(OAuthProvider)) - {"name"}
_REVOCATION = frozenset({"revoke_client_fields", *schema.REVOKE_STYLES["rfc7009"]})
# Checked by their own readers wherever they come from; the others by ``check_provider``.
_READ = {
    "account_body",
    "account_method",
    "api_hosts",
    "ask",
    "client_id_name",
    "client_key",
    "headers",
    "host",
    "keep",
    "lifetime",
    "max_accounts",
    "refresh",
    "revoke_style",
    "token_auth",
    "token_body",
    "token_header",
    "token_params",
    "token_path",
    "token_types",
    *_REVOCATION,
}


def merged(template: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Lay a deployment's fields over those of the catalogue.

    Without addresses that would get another server's tokens: if the token endpoint moves
    to another origin (GitHub Enterprise, a test server), the catalogue's account,
    revocation and issuer no longer belong to it.
    """
    left_out: frozenset[str] = frozenset()
    usual, own = (origin(fields.get("token_url", "")) for fields in (template, given))
    if usual and own not in ("", usual):
        left_out = _OF_THE_SAME_SERVER
    if any(name.endswith("_url") and value for name, value in given.items()):
        left_out |= {"api_hosts"}
    if "revoke_style" in given:
        left_out |= _REVOCATION
    return {**{k: v for k, v in template.items() if k not in left_out}, **given}


def build_providers(
    templates: Mapping[str, Mapping[str, Any]],
    config: Mapping[str, Mapping[str, Any]],
    *,
    is_out_there: bool = True,
) -> dict[str, OAuthProvider]:
    """Build the templates with the deployment's configuration merged over them.

    A name without a template is one of the catalogue, or a provider of its own and must
    bring at least ``authorize_url`` and ``token_url``.  Empty values of known providers
    leave the template's value standing.  Raises ``ValueError`` on an unknown field, one
    that the site's settings would refuse, or a provider without endpoints; the message
    names the field, never a value.  ``is_out_there`` as in :func:`check_provider`.
    """
    providers = {}
    for name in sorted(templates.keys() | config.keys()):
        template = templates[name] if name in templates else entries.template(name)
        try:
            given = _given(config.get(name, {}), template)
            texts = {k: v for k, v in _addresses(given).items() if isinstance(v, str)}
            whole = {k: asked.without_places(v) for k, v in texts.items()}
            check_provider({**given, **whole}, template, is_out_there=is_out_there)
        except Malformed as fault:
            raise ValueError(f"provider {name!r}: {fault}") from None
        known = _by_resource(template, given) or _by_issuer(template, given)
        provider = _at_host(known or merged(template, given))
        _check_addresses(name, provider)
        provider["is_vendors"] = _is_vendors(template, provider)
        scopes = provider.get("scopes", ())
        provider["scopes"] = scopes.split() if isinstance(scopes, str) else list(scopes)
        provider["extra_auth_params"] = dict(provider.get("extra_auth_params", {}))
        made = OAuthProvider(name=name, **provider)
        providers[name] = _with_host(made) if made.ask and made.host else made
    return providers


def _by_resource(template: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the fields of a remote MCP server, which its address leads to; None if it is none."""
    named = {**template, **given}
    if not named.get("resource") or named.get("token_url"):
        return None
    hosts = (urlsplit(named["resource"]).netloc,)
    usual = {"authorize_url": "", "token_url": "", "api_hosts": hosts}
    to_find = (openid.TO_FIND | {"issuer"}) - {name for name, value in named.items() if value}
    return {**usual, **named, "to_find": to_find}


def _is_by_issuer(template: Mapping[str, Any], given: Mapping[str, Any]) -> bool:
    """Tell whether a deployment names an issuer alone, which is to name the addresses."""
    if not given.get("issuer") or given.get("token_url") or given.get("host"):
        return False
    return "{host}" in template.get("token_url", "{host}")


def _by_issuer(template: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the fields of a provider that its issuer leads to; None if it is no such one."""
    if not _is_by_issuer(template, given):
        return None
    elsewhere = _OF_THE_SAME_SERVER | _OF_THE_ACCOUNT | {"authorize_url", "token_url", "host"}
    kept = {k: v for k, v in template.items() if k not in elsewhere}
    usual = openid.template(has_own_account=not given.keys().isdisjoint(_OF_THE_ACCOUNT))
    decided = given.keys() | (kept.keys() - {"scopes"})
    return {**usual, **kept, **given, "to_find": openid.TO_FIND - decided}


def _check_addresses(name: str, provider: Mapping[str, Any]) -> None:
    """Raise ``ValueError`` if addresses are missing, or have no safe place for what fills them."""
    if not provider.get("to_find") and not _has_endpoints(provider):
        raise ValueError(f"provider {name!r} needs authorize_url and token_url{_near(name)}")
    if provider.get("client_id") and "{host}" in provider["token_url"]:
        raise ValueError(f"provider {name!r} needs host")
    for where, said in misplaced(provider):
        raise ValueError(f"provider {name!r}: {where} {said}")


def misplaced(provider: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield faults of the values asked and their places in addresses: field, end of a sentence."""
    values, host = provider.get("ask", ()), provider.get("host", "")
    return asked.faults(values, _addresses(provider), host)


def _with_host(provider: OAuthProvider) -> OAuthProvider:
    """Ask nobody: the deployment's host is the value of all its people.  Raises ``ValueError``."""
    filled = addresses.filled(provider, {provider.ask[0].name: provider.host})
    return replace(filled, ask=())


def _addresses(provider: Mapping[str, Any]) -> dict[str, str]:
    return {k: v for k, v in provider.items() if k.endswith("_url") and v}


def _is_vendors(template: Mapping[str, Any], provider: Mapping[str, Any]) -> bool:
    usual = template.get("token_url", "")
    return bool(usual) and "{" not in usual and usual == provider.get("token_url")


def _has_endpoints(provider: Mapping[str, Any]) -> bool:
    return bool(provider.get("authorize_url") and provider.get("token_url"))


def _at_host(provider: dict[str, Any]) -> dict[str, Any]:
    """Fill the operator's host into the addresses of the catalogue."""
    host = provider.get("host", "")
    if not host:
        return provider
    filled = {k: v.replace("{host}", host) for k, v in provider.items() if k.endswith("_url")}
    bare = host.partition("/")[0]
    hosts = tuple(one.replace("{host}", bare) for one in provider.get("api_hosts", ()))
    return {**provider, **filled, "api_hosts": hosts}


def _near(name: str) -> str:
    near = ", ".join(entries.nearest(name))
    return f"; the catalogue has: {near}" if near else ""


def _given(config: Mapping[str, Any], template: Mapping[str, Any]) -> dict[str, Any]:
    """Return the deployment's fields, read.  Raises ``Malformed``."""
    config = {k: v for k, v in config.items() if v is not None}
    renamed = {older: config.pop(k) for k, older in schema.OTHER_NAMES.items() if k in config}
    named = {**config, **renamed}
    unknown = sorted(named.keys() - FIELDS)
    if unknown:
        raise Malformed(f"unknown setting {', '.join(unknown)}")
    given = {k: v for k, v in named.items() if v != "" or k not in template}
    for name in given.keys() & _READ:
        row = schema.BY_NAME[name]
        try:
            given[name] = kinds.reader_of(row.kind)(given[name]) if given[name] != "" else ""
        except Malformed as fault:
            raise Malformed(f"{name} {fault}") from None
    return given
