"""Agreement of settings, each well-formed, with each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from webui.oauth_manager.configuration import half_moved
from webui.oauth_manager.providers import FACTS, merged, misplaced, nearest, reader_of
from webui.settings import identity
from webui.settings import readers as values
from webui.settings.clients import half_a_client
from webui.settings.features import unasked
from webui.settings.sources import Given, Survey
from webui.settings.table import PROVIDER_SETTINGS, provider_names, variable

_ADDRESSES = (reader_of("endpoint"), reader_of("issuer"))
_ENDPOINTS = tuple(s.name for s in PROVIDER_SETTINGS if s.read in _ADDRESSES)


def disagreements(found: Survey, read: Mapping[str, Any]) -> Iterator[str]:
    """Yield faults between settings that are each well-formed."""
    given = found.given
    if set(read.get("ENCRYPTION_KEY", ())) & set(read.get("SESSION_SECRET", ())):
        yield "ENCRYPTION_KEY and SESSION_SECRET must not share a value."
    wanted = [name for name in ("METRICS_PORT", "METRICS_TOKEN") if name in read]
    if wanted and find_spec("prometheus_client") is None:
        yield f"{wanted[0]} needs the extra metrics: pip install 'stargazer-webui[metrics]'."
    base_url = read.get("BASE_URL")
    is_local = base_url is None or values.is_loopback(urlsplit(base_url).hostname or "")
    for provider in provider_names(found.extra):
        known = found.template(provider)
        yield from half_a_client(provider, given, read, known)
        if not is_local:
            yield from _unsealed_endpoints(provider, read)
        yield from _half_moved(provider, given, read, known)
        yield from _unasked_features(provider, read, known)
        yield from _out_of_place(provider, given, read, known)
    yield from identity.disagreements(given, read, is_local=is_local)
    for provider in found.extra:
        yield from _without_endpoints(provider, given, found)


def _without_endpoints(provider: str, given: Mapping[str, Given], found: Survey) -> Iterator[str]:
    """Yield the endpoints that are missing, unless metadata of an issuer name them."""
    found_by = {variable(provider, "ISSUER"), variable(provider, "RESOURCE")}
    if found_by & given.keys() and variable(provider, "TOKEN_URL") not in given:
        return
    for name in ("AUTHORIZE_URL", "TOKEN_URL"):
        if not found.template(provider) and variable(provider, name) not in given:
            yield f"{variable(provider, name)} is missing: {_not_there(provider)}."


def _not_there(provider: str) -> str:
    near = ", ".join(nearest(provider))
    return f"EXTRA_PROVIDERS names {provider}, and the catalogue has none of that name" + (
        f"; it has {near}" if near else ""
    )


def _unsealed_endpoints(provider: str, read: Mapping[str, Any]) -> Iterator[str]:
    for name in (variable(provider, name) for name in _ENDPOINTS):
        if read.get(name, "https:").startswith("http:"):
            yield f"{name} must be an https address, since BASE_URL is not on this machine."


def _half_moved(
    provider: str, given: Mapping[str, Given], read: Mapping[str, Any], known: Mapping[str, Any]
) -> Iterator[str]:
    names = {name: variable(provider, name.upper()) for name in ("authorize_url", "token_url")}
    if not all(variable in read for variable in names.values() if variable in given):
        return
    moved = {name: read[variable] for name, variable in names.items() if variable in given}
    if lacking := half_moved(moved, known):
        own = f"{names[next(iter(moved))]} names another server"
        yield f"{names[lacking]} is missing: {own}, and they go together."


def _unasked_features(
    provider: str, read: Mapping[str, Any], known: Mapping[str, Any]
) -> Iterator[str]:
    """Yield faults of features: an unrequested scope would look left off for ever."""
    features, scopes = variable(provider, "FEATURES"), variable(provider, "SCOPES")
    if unasked(read.get(features, {}), read.get(scopes, known.get("scopes", ())), known):
        yield f"{features} needs a scope that is not asked for; {scopes} has to name it."


def _out_of_place(
    provider: str, given: Mapping[str, Given], read: Mapping[str, Any], known: Mapping[str, Any]
) -> Iterator[str]:
    """Yield addresses with a place that nothing fills safely, and values without a place."""
    names = [name for row in PROVIDER_SETTINGS if (name := variable(provider, row.name)) in given]
    if not all(name in read for name in names):
        return  # of which another fault tells
    fields = merged(known, own_fields(provider, read))
    for where, said in misplaced(fields):
        yield f"{variable(provider, where.upper())} {said}."
    issuer, token_url = variable(provider, "ISSUER"), variable(provider, "TOKEN_URL")
    is_found = issuer in given and token_url not in given
    is_own = any("{host}" in str(said) for name, said in fields.items() if name.endswith("_url"))
    if is_own and fields.get("client_id") and not (fields.get("host") or is_found):
        missing = f"{variable(provider, 'HOST')} is missing"
        yield f"{missing}: everybody who runs {provider} has addresses of their own."


def own_fields(provider: str, read: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the settings say of a provider to the library, which draws no pages."""
    names = {row.name.lower(): variable(provider, row.name) for row in PROVIDER_SETTINGS}
    return {
        field: read[name] for field, name in names.items() if name in read and field not in FACTS
    }
