"""Scopes: synonyms, scopes inside another, and the permission of each.  No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

ScopeSentences = Mapping[str, tuple[str, str] | tuple[str, str, str]]
"""Scope -> what it allows, its group, and perhaps the same more exactly.

The first completes "{Product} can …" and is as true after "I do not have permission to:"; the
third, which may name limits, stands in its place where it is allowed.
"""


@dataclass(frozen=True, slots=True)
class ScopeRules:
    """One provider's rules of equality and containment.

    ``contains`` maps a scope to those it includes, or to other names of the same;
    ``unlisted`` are requested and never listed in an answer.  A scope means the same
    with one of ``prefixes`` in front as without, and in any case if ``ignores_case``.
    A scope named ``wildcard`` after its last slash means all that the application is
    registered for, of the resource before the slash.
    """

    contains: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unlisted: frozenset[str] = frozenset()
    prefixes: tuple[str, ...] = ()
    ignores_case: bool = False
    wildcard: str = ""
    # key -> keys of the scopes it contains
    inside: Mapping[str, frozenset[str]] = field(init=False, repr=False, compare=False)
    _whole: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        inside = {self.key(o): frozenset(self.keys(inner)) for o, inner in self.contains.items()}
        object.__setattr__(self, "inside", inside)
        object.__setattr__(self, "_whole", self.key(self.wildcard))

    def key(self, scope: str) -> str:
        """Return one text for all names of a scope, but for those in ``contains``."""
        for prefix in self.prefixes:
            head = scope[: len(prefix)]
            if head == prefix or (self.ignores_case and head.casefold() == prefix.casefold()):
                scope = scope[len(prefix) :]
                break
        return scope.casefold() if self.ignores_case else scope

    def keys(self, scopes: Iterable[str]) -> set[str]:
        return {self.key(scope) for scope in scopes}

    def reached(self, scopes: Iterable[str]) -> set[str]:
        """Return keys of the scopes, and of every scope that any of them contains."""
        held = self.keys(scopes)
        pending = list(held)
        while pending:
            inner = self.inside.get(pending.pop(), frozenset()) - held
            held |= inner
            pending.extend(inner)
        return held

    def missing(
        self, wanted: Iterable[str], granted: Iterable[str], *, lists_all: bool = False
    ) -> tuple[str, ...]:
        """Return those of ``wanted`` that ``granted`` neither lists nor contains, in order.

        ``lists_all``: ``granted`` names the unlisted ones too, if it has them.
        """
        held = self.reached(granted if lists_all else [*granted, *self.unlisted])
        whole = {self._resource(key) for key in held if self._is_wildcard(key)}
        found: dict[str, str] = {}
        for scope in wanted:
            key = self.key(scope)
            is_held = key in held or self._resource(key) in whole
            if not is_held and (lists_all or not self._is_wildcard(key)):
                found.setdefault(key, scope)
        return tuple(found.values())

    def united(self, *lists: Iterable[str]) -> tuple[str, ...]:
        """Return all the scopes to ask for, each under its first name.

        Beside a wildcard nothing else of its resource may be asked for.
        """
        found: dict[str, str] = {}
        for scopes in lists:
            for scope in scopes:
                found.setdefault(self.key(scope), scope)
        unlisted = self.keys(self.unlisted)
        whole = {self._resource(key) for key in found if self._is_wildcard(key)}
        return tuple(
            scope
            for key, scope in found.items()
            if self._is_wildcard(key) or key in unlisted or self._resource(key) not in whole
        )

    def explicit(self, scopes: Iterable[str]) -> tuple[str, ...]:
        """Return the scopes without wildcards."""
        return tuple(scope for scope in scopes if not self._is_wildcard(self.key(scope)))

    def _is_wildcard(self, key: str) -> bool:
        return bool(self._whole) and key.rpartition("/")[2] == self._whole

    @staticmethod
    def _resource(key: str) -> str:
        return key.rpartition("/")[0]


def described(
    rules: ScopeRules, sentences: ScopeSentences, texts: Mapping[str, str]
) -> dict[str, tuple[str, str, str]]:
    """Map the key of a scope to its group, its permission, and the same precisely.

    ``texts`` are the deployment's words and go first: in the group of the provider's own
    sentence, or in ``Other``.
    """
    found = {
        rules.key(scope): (group, sentence, precisely[0] if precisely else sentence)
        for scope, (sentence, group, *precisely) in sentences.items()
    }
    for scope, other in rules.contains.items():
        if len(other) == 1 and rules.key(other[0]) in found:  # under its only other name
            found.setdefault(rules.key(scope), found[rules.key(other[0])])
    for scope, text in texts.items():
        key = rules.key(scope)
        found[key] = (found[key][0] if key in found else "Other", text, text)
    return found
