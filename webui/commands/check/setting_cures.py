"""Cures of settings that are missing or malformed."""

from __future__ import annotations

from collections.abc import Iterable

from webui.settings.table import FILE_SUFFIX, all_settings

_SECRET = 'python3 -c "import secrets; print(secrets.token_urlsafe(48))"'
_KEY = 'python3 -c "import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())"'
_MADE = {
    "ENCRYPTION_KEY": f"For an empty Redis make one: {_KEY}. Else put back the one that filled it.",
    "SESSION_SECRET": f"Make one: {_SECRET}.",
    "METRICS_TOKEN": f"Make one: {_SECRET}.",
}


def cure(fault: str, extra: Iterable[str] = ()) -> str:
    """Return what to do about a fault, which begins with its setting; ``""`` if it says so itself.

    ``extra`` are the names of providers that are not built in.
    """
    name = fault.partition(" ")[0]
    if "can be read" in fault or "cannot be read" in fault:
        return f"Correct {name}, or let the user who runs this read what is there."
    if name in _MADE:
        return _MADE[name]
    if "go together" in fault:
        return "Give both, or neither."
    meanings = {setting.name: setting.meaning for setting in all_settings(extra)}
    return meanings.get(name.removesuffix(FILE_SUFFIX), "") if "missing" not in fault else ""
