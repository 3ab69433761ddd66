"""Features: what the bot does with a service, each with the scopes that it takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

MOST_FEATURES = 20
LONGEST_FEATURE = 64  # characters of its name


def checked_features(given: Mapping[str, str | Iterable[str]]) -> dict[str, tuple[str, ...]]:
    """Check features, each with its scopes; a text of scopes is split at its blanks.

    Raises ``ValueError``: its message ends a sentence and holds no given value.
    """
    if not isinstance(given, Mapping):
        raise ValueError("must be names with their scopes")
    if len(given) > MOST_FEATURES:
        raise ValueError(f"must be at most {MOST_FEATURES}")
    found = {}
    for name, needed in given.items():
        if not 0 < len(name) <= LONGEST_FEATURE or not name.isprintable() or name.strip() != name:
            raise ValueError(f"must have names of one line, at most {LONGEST_FEATURE} characters")
        if ":" in name or ";" in name:
            raise ValueError("must have names without : and ;")
        scopes = needed.split() if isinstance(needed, str) else needed
        found[name] = tuple(dict.fromkeys(scopes))
        if not all(found[name]) or not found[name]:
            raise ValueError("must name a scope for each")
    return found
