"""``{PROVIDER}_FEATURES``: what the bot does with a service, and the scopes it needs.

Example: ``meeting reminders: calendar.read; mail: mail.read mail.send``, or a table of
the TOML file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from webui.oauth_manager import OAuthProvider
from webui.oauth_manager.providers import checked_features
from webui.settings.readers import Malformed, words

SUFFIX = "_FEATURES"
_RULES = {"scope_contains", "scopes_unlisted", "scope_prefixes", "scope_ignores_case"}
_RULES |= {"scope_wildcard"}


def features(text: str) -> dict[str, tuple[str, ...]]:
    """Read the text of the setting.  Raises :class:`Malformed`, like every reader."""
    parts = [part.partition(":") for part in text.split(";") if part.strip()]
    found = {name.strip(): words(needed) for name, _, needed in parts}
    if len(found) < len(parts):
        raise Malformed("names a feature twice")
    try:
        return checked_features(found)
    except ValueError as fault:
        raise Malformed(str(fault)) from None


def as_text(table: Mapping[str, Any]) -> str:
    """Write a table of the TOML file as the setting's text.

    A name that the text cannot hold becomes one that its reader refuses.
    """
    return ";".join(
        f"{'' if ':' in name or ';' in name else name}:"
        f"{' '.join(map(str, needed)) if isinstance(needed, list) else needed}"
        for name, needed in table.items()
    )


def unasked(
    found: Mapping[str, tuple[str, ...]], asked: Iterable[str], template: Mapping[str, Any]
) -> bool:
    """Return whether a feature needs a scope that the site does not request."""
    needed = [scope for scopes in found.values() for scope in scopes]
    known = OAuthProvider("any", "", "", **{k: template[k] for k in _RULES & template.keys()})
    return bool(known.scope_rules.missing(needed, asked, lists_all=True))
