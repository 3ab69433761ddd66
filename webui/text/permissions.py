"""Permissions as sentences: each fits after "{Product} can" and "I do not have permission to:"."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from webui.oauth_manager import OAuthProvider
from webui.oauth_manager.values import Struct

GROUPS = ("Sees", "Changes", "Acts", "Deletes")
"""From the weakest to the strongest."""

_REST = ("Other", "Unknown")


class PermissionGroup(Struct, frozen=True):
    """``name`` is one of ``GROUPS``, ``Other`` (described, and no more is known of them) or
    ``Unknown``: then ``sentences`` are raw names.
    """

    name: str
    sentences: tuple[str, ...]


def _contained(provider: OAuthProvider, scopes: tuple[str, ...]) -> set[str]:
    """Return keys of those scopes that another one of them already includes.

    Two names that include each other are two spellings of one permission; both
    stay, and share their sentence.
    """
    inside, nothing = provider.scope_rules.inside, frozenset[str]()
    given = provider.scope_rules.keys(scopes)
    return {
        inner
        for outer in given
        for inner in inside.get(outer, nothing) & given
        if outer not in inside.get(inner, nothing)
    }


def sentences(
    provider: OAuthProvider, scopes: Iterable[str], product: str, bot: str, *, allowed: bool
) -> tuple[tuple[str, str], ...]:
    """List ``(group, sentence)`` of each scope, without repeats, in the order given.

    ``allowed`` or left off: some read more exactly if they are allowed.  A scope
    without a description is in the group ``Unknown`` under its raw name.
    """
    described, key = provider.described_scopes, provider.scope_rules.key
    found = []
    for scope in dict.fromkeys(scopes):
        group, plainly, precisely = described.get(key(scope), ("Unknown", scope, scope))
        sentence = precisely if allowed else plainly
        if group != "Unknown":
            sentence = sentence.replace("{product}", product).replace("{bot}", bot)
        found.append((group if group in (*GROUPS, *_REST) else "Unknown", sentence))
    return tuple(dict.fromkeys(found))


def permission_groups(
    provider: OAuthProvider,
    scopes: Iterable[str],
    product: str,
    bot: str,
    *,
    strongest_first: bool = False,
    allowed: bool = True,
) -> tuple[PermissionGroup, ...]:
    """Group the permissions of ``scopes``; omit those that another one already includes.

    No scope at all is a permission of its own if the provider describes ``""``.
    """
    known = _Known(provider, id(provider), product, bot)
    return _groups(known, tuple(scopes), strongest_first, allowed)


@dataclass(frozen=True, slots=True)
class _Known:
    """A provider, by its identity: its data never changes; and the names in its sentences."""

    provider: OAuthProvider = field(compare=False)
    provider_id: int
    product: str
    bot: str


@lru_cache(maxsize=1000)
def _groups(
    known: _Known, scopes: tuple[str, ...], strongest_first: bool, allowed: bool
) -> tuple[PermissionGroup, ...]:
    provider = known.provider
    given = scopes or (("",) if "" in provider.scope_sentences else ())
    inside, key = _contained(provider, given), provider.scope_rules.key
    shown = [scope for scope in given if key(scope) not in inside]
    found = sentences(provider, shown, known.product, known.bot, allowed=allowed)
    order = (*reversed(GROUPS), *_REST) if strongest_first else (*GROUPS, *_REST)
    groups = (PermissionGroup(name, tuple(s for g, s in found if g == name)) for name in order)
    return tuple(group for group in groups if group.sentences)


@dataclass(frozen=True, slots=True)
class Meaning:
    """A sentence with its group, and names of it at the provider."""

    group: str
    sentence: str
    names: tuple[str, ...]


class Glossary(Struct, frozen=True):
    """All meanings of one provider's permissions, weakest first: those asked for, and the rest."""

    name: str
    label: str
    asked: tuple[Meaning, ...]
    rest: tuple[Meaning, ...]


def glossary(provider: OAuthProvider, product: str, bot: str) -> Glossary:
    """Build the provider's own table, for reading.

    A permission that is asked for has the names under which it is; one without a
    description stands under its raw name.
    """
    key = provider.scope_rules.key
    wanted = provider.scopes or ([""] if "" in provider.scope_sentences else [])
    asked = {key(scope) for scope in wanted}
    described = [*provider.scope_sentences, *provider.scope_texts]
    found: dict[tuple[str, str], dict[str, None]] = {}
    for scope in dict.fromkeys([*wanted, *described]):
        ((group, sentence),) = sentences(provider, [scope], product, bot, allowed=True)
        found.setdefault((group, sentence), {}).update({scope: None})
    order = (*GROUPS, *_REST)
    ordered = sorted(found.items(), key=lambda meaning: order.index(meaning[0][0]))
    parts: tuple[list[Meaning], list[Meaning]] = [], []
    for (group, sentence), names in ordered:
        own = [name for name in names if key(name) in asked]
        shown = tuple(name for name in own or names if name and name != sentence)
        parts[not own].append(Meaning(group, sentence, shown))
    return Glossary(provider.name, provider.label, *map(tuple, parts))
