"""``{PROVIDER}_SCOPE_TEXTS``: the permission of each scope, in the operator's words.

Example: ``chat:write=post in your name; users:read=see your team``, or a table of the TOML file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from webui.oauth_manager.providers import reader_of
from webui.settings.readers import Malformed

SUFFIX = "_SCOPE_TEXTS"

_sentence = reader_of("sentence")
_SCOPE = re.compile(r"[!-~]{1,256}")


def scope_texts(text: str) -> dict[str, str]:
    """Read the text of the setting.  Raises :class:`Malformed`, like every reader."""
    parts = [part.partition("=") for part in text.split(";") if part.strip()]
    found = {scope.strip(): _sentence(allows.strip()) for scope, _, allows in parts}
    if len(found) < len(parts):
        raise Malformed("names a scope twice")
    if not all(_SCOPE.fullmatch(scope) and said for scope, said in found.items()):
        raise Malformed("must be scopes with what each allows: a=see this; b=do that")
    return found


def as_text(table: Mapping[str, Any]) -> str:
    """Write a table of the TOML file as the setting's text.

    A name that the text cannot hold becomes one that its reader refuses.
    """
    return ";".join(
        "=" if re.search("[;=]", scope) or ";" in str(said) else f"{scope}={said}"
        for scope, said in table.items()
    )
