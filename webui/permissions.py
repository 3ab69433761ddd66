"""Permissions as sentences: each completes "{Product} can …"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from webui.oauth_manager.provider import OAuthProvider

GROUPS = ("Sees", "Changes", "Acts", "Deletes")
"""From the weakest to the strongest."""


@dataclass(frozen=True, slots=True)
class PermissionGroup:
    """``name`` is one of ``GROUPS``, or ``Unknown``: then ``sentences`` are raw names."""

    name: str
    sentences: tuple[str, ...]


def _contained(provider: OAuthProvider, scopes: tuple[str, ...]) -> set[str]:
    """Those of ``scopes`` that another one of them already includes.

    Two names that include each other are two spellings of one permission; both
    stay, and share their sentence.
    """
    inside = provider.scope_contains
    return {
        inner
        for outer in scopes
        for inner in inside.get(outer, ())
        if inner in scopes and outer not in inside.get(inner, ())
    }


def _described(provider: OAuthProvider, scope: str) -> tuple[str, str] | None:
    """The sentence and group of a scope, under its own name or its only other name."""
    other = provider.scope_contains.get(scope, ())
    names = (scope, *other) if len(other) == 1 else (scope,)
    return next((provider.scope_sentences[n] for n in names if n in provider.scope_sentences), None)


def sentences(
    provider: OAuthProvider, scopes: Iterable[str], product: str, bot: str
) -> tuple[tuple[str, str], ...]:
    """``(group, sentence)`` of each scope, without repeats, in the order given.

    What nobody has described is in the group ``Unknown`` under its raw name.
    """
    found = []
    for scope in dict.fromkeys(scopes):
        sentence, group = _described(provider, scope) or (scope, "Unknown")
        if group != "Unknown":
            sentence = sentence.replace("{product}", product).replace("{bot}", bot)
        found.append((group if group in GROUPS else "Unknown", sentence))
    return tuple(dict.fromkeys(found))


def permission_groups(
    provider: OAuthProvider,
    scopes: Iterable[str],
    product: str,
    bot: str,
    *,
    strongest_first: bool = False,
) -> tuple[PermissionGroup, ...]:
    """What ``scopes`` allow, grouped; what another one already includes is left out.

    No scope at all is a permission of its own where the provider describes ``""``.
    """
    given = tuple(scopes) or (("",) if "" in provider.scope_sentences else ())
    shown = [scope for scope in given if scope not in _contained(provider, given)]
    found = sentences(provider, shown, product, bot)
    order = (*reversed(GROUPS), "Unknown") if strongest_first else (*GROUPS, "Unknown")
    groups = (PermissionGroup(name, tuple(s for g, s in found if g == name)) for name in order)
    return tuple(group for group in groups if group.sentences)


@dataclass(frozen=True, slots=True)
class Meaning:
    """A sentence, and every name of it at the provider."""

    sentence: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Glossary:
    """All that one provider's permissions can mean: ``(group, its meanings)``, weakest first."""

    name: str
    label: str
    groups: tuple[tuple[str, tuple[Meaning, ...]], ...]


def glossary(provider: OAuthProvider, product: str, bot: str) -> Glossary:
    """The provider's own table, for reading."""
    found: dict[str, dict[str, list[str]]] = {group: {} for group in GROUPS}
    for scope in provider.scope_sentences:
        ((group, sentence),) = sentences(provider, [scope], product, bot)
        found[group].setdefault(sentence, []).extend([scope] if scope else [])
    groups = (
        (group, tuple(Meaning(sentence, tuple(names)) for sentence, names in meanings.items()))
        for group, meanings in found.items()
    )
    return Glossary(provider.name, provider.label, tuple(g for g in groups if g[1]))
