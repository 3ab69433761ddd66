"""``webui providers``: their state, how to set one up, faults of a file, a server that moved."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from webui.commands.runner import BAD_SETTINGS, fail, with_store
from webui.oauth_manager import Move, OAuthManager
from webui.oauth_manager.providers import (
    BUILT_IN,
    Asked,
    Entry,
    FaultyFile,
    entry,
    names,
    nearest,
)
from webui.oauth_manager.storage.calls import RedisClient
from webui.settings.own_providers import own_entry
from webui.settings.readers import Malformed
from webui.settings.sources import Survey, survey
from webui.settings.table import variable


@click.command()
@click.argument("name", default="")
@click.argument("what", default="")
def providers(name: str, what: str) -> None:
    """List the providers; NAME tells how to set one up; check FILE, and accept NAME that moved."""
    found = survey(os.environ, lambda _: "printed once, for the list")
    if what and name not in ("accept", "check"):
        raise click.UsageError("A file comes after check: webui providers check acme.toml")
    if name == "check":
        _check(Path(what) if what else None)
    elif name == "accept":
        _accept(what)
    elif name:
        known = _entry(found, name)
        lines = _described(found, known) if known else _described_here(found, name)
        click.echo("\n".join(lines))
    else:
        click.echo("\n".join(_listed(found)))


def _check(file: Path | None) -> None:
    if file is None:
        raise click.UsageError("Name the file: webui providers check acme.toml")
    try:
        made = own_entry(file)
    except FaultyFile as error:
        for fault in error.faults:
            click.echo(f"{file}:{fault.line}: {fault.text}")
        sys.exit(BAD_SETTINGS)
    except Malformed as fault:
        fail(f"{file} {fault}.")
    scopes = len(made.fields["scope_sentences"])
    click.echo(f"{file} is right: {made.fields.get('label', made.name)}, {scopes} scopes.")


def _accept(name: str) -> None:
    """Show where the addresses of a server are now, and use them if the operator says so."""
    if not name:
        raise click.UsageError("Name the provider: webui providers accept acme")

    async def look(manager: OAuthManager, redis: RedisClient) -> Move | None:
        return await manager.servers.waiting(redis, name)

    move = with_store(look)
    if move is None:
        click.echo(f"Nothing of {name} has moved.")
        return
    for address, before, now in move.addresses:
        click.echo(f"{address}\n  pinned: {before or 'none'}\n  now:    {now or 'none'}")
    click.echo("Who is connected has to connect again if the token endpoint is another one.")
    if not click.confirm(f"Have tokens of {name} go there from now on?"):
        return

    async def accept(manager: OAuthManager, redis: RedisClient) -> bool:
        return await manager.servers.accept(redis, move)

    if not with_store(accept):
        fail("It moved once more meanwhile; nothing was accepted. Look again.")
    click.echo("Accepted. Running processes follow within the hour, or when they start again.")


def _entry(found: Survey, name: str) -> Entry | None:
    """Return what is known of a provider, None if the settings alone describe it."""
    known = found.own.get(name) or entry(name)
    if known is None and name not in found.extra:
        near = ", ".join(nearest(name))
        fail("No provider is called that." + (f" Nearest: {near}." if near else ""))
    return known


def _listed(found: Survey) -> Iterator[str]:
    """Yield a line for each: name, state, name on the pages."""
    entries = {name: found.own.get(name) or entry(name) for name in (*names(), *found.own)}
    for name in sorted({*entries, *found.extra}):
        known = entries.get(name)
        label = known.fields.get("label", name) if known else name
        yield f"{name:14} {_state(found, name):17} {label}"


def _state(found: Survey, name: str) -> str:
    if name not in (*BUILT_IN, *found.extra):
        return "in the catalogue"
    is_public = found.template(name).get("token_auth") == "none"
    proofs = {variable(name, each) for each in ("CLIENT_SECRET", "CLIENT_KEY")}
    is_proven = is_public or bool(proofs & found.given.keys())
    is_set_up = variable(name, "CLIENT_ID") in found.given and is_proven
    if variable(name, "RESOURCE") in found.given and variable(name, "CLIENT_ID") not in found.given:
        is_set_up = True  # a remote MCP server, where the site names itself
    return "set up" if is_set_up else "switched off"


def _described(found: Survey, known: Entry) -> Iterator[str]:
    """Yield all that an operator has to type, at the vendor's site and here."""
    name = known.name
    fields, facts = known.fields, known.facts
    callback = f"{_base(found)}/oauth/{name}/callback"
    yield f"{fields.get('label', name)} ({name}): {_state(found, name)}"
    if "homepage" in facts:
        yield facts["homepage"]
    yield f"\nCallback address\n  {callback}"
    if "register" in facts:
        yield "\nAt the vendor"
        for number, step in enumerate(facts["register"], 1):
            yield f"  {number}. {step.replace('{callback}', callback)}"
    yield "\nSettings"
    yield from _settings(found, known)
    yield from _asked(fields.get("ask", ()))
    yield from _scopes(name, fields)
    if not fields.get("revoke_url"):
        yield f"\nDisconnecting: it cannot be asked to end access. {_by_hand(fields)}"
    if facts.get("unconfirmed"):
        yield f"\nNot confirmed by a document of the vendor: {', '.join(facts['unconfirmed'])}"
    if "source" in facts:
        yield f"\nSources, checked {facts.get('checked', 'never')}"
        yield from (f"  {source}" for source in facts["source"])


def _described_here(found: Survey, name: str) -> Iterator[str]:
    """Yield the same for a provider that the settings alone describe."""
    yield f"{name}: {_state(found, name)}"
    yield f"\nCallback address\n  {_base(found)}/oauth/{name}/callback"
    yield "\nAt the vendor"
    if variable(name, "RESOURCE") in found.given:
        yield "  Nothing, where the server takes client documents or registers clients itself."
        yield f"\nClient id, where it takes documents\n  {_base(found)}/oauth/{name}/client.json"
    else:
        yield "  Register a client with that callback address, and copy its id and secret."
    yield "\nSettings"
    yield f"  EXTRA_PROVIDERS={','.join(found.extra)}"
    secrets = {variable(name, "CLIENT_SECRET"), variable(name, "CLIENT_KEY")}
    needed = {variable(name, "CLIENT_ID"), variable(name, "CLIENT_SECRET")}
    given = set(_own_settings(found, name))
    if variable(name, "RESOURCE") not in given:
        given |= needed
    for each in sorted(given):
        is_told = each in found.given and each not in secrets
        yield f"  {each}={found.given[each].text if is_told else ''}"


def _own_settings(found: Survey, name: str) -> Iterator[str]:
    """Yield the settings that are given of a provider, and not of one whose name begins so."""
    start = variable(name, "")
    longer = tuple(
        other
        for each in found.extra
        if (other := variable(each, "")) != start and other.startswith(start)
    )
    yield from (one for one in found.given if one.startswith(start) and not one.startswith(longer))


def _base(found: Survey) -> str:
    return found.given["BASE_URL"].text.rstrip("/") if "BASE_URL" in found.given else "BASE_URL"


def _settings(found: Survey, known: Entry) -> Iterator[str]:
    name, fields = known.name, known.fields
    if name not in (*BUILT_IN, *found.own):
        others = [each for each in found.extra if each not in (name, *found.own)]
        yield f"  EXTRA_PROVIDERS={','.join([*others, name])}"
    yield f"  {variable(name, 'CLIENT_ID')}="
    if fields.get("token_auth") != "none":
        yield f"  {variable(name, 'CLIENT_SECRET')}="
    if "token_url" not in fields:
        yield f"  {variable(name, 'ISSUER')}={fields['issuer']}"
    elif "{host}" in fields["token_url"]:
        yield f"  {variable(name, 'HOST')}={fields.get('host', '')}"


def _asked(ask: Iterable[Asked]) -> Iterator[str]:
    """Yield what each person is asked before they leave for the provider."""
    for number, one in enumerate(ask):
        if not number:
            yield "\nAsked of each person who connects"
        some = ", ".join(one.choices.values()) or f"for instance {one.example}"
        yield f"  {one.label}: {some}" if one.choices or one.example else f"  {one.label}"


def _scopes(name: str, fields: Mapping[str, Any]) -> Iterator[str]:
    if not fields["scope_sentences"]:
        yield "\nScopes: none are asked for"
        return
    yield f"\nScopes (* asked for, unless {variable(name, 'SCOPES')} says otherwise)"
    for scope, (can, _, *precisely) in fields["scope_sentences"].items():
        mark = "*" if scope in fields["scopes"] else " "
        said = (precisely[0] if precisely else can).replace("{product}", "{bot}")
        yield f"  {mark} {scope or '(none)'}: {said.replace('{bot}', 'the bot')}"


def _by_hand(fields: Mapping[str, Any]) -> str:
    where, label = fields.get("manage_url", ""), fields.get("manage_label", "")
    if not where:
        return "People remove it there themselves."
    return f"People remove it at {where}" + (f" ({label})" if label else "")
