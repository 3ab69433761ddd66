"""Permissions at GitHub, of apps: they belong to installations, and no token answer lists them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_MOST = 200  # permissions


def read_permissions(answer: Mapping[str, Any]) -> tuple[str, ...]:
    """Read what a person's installations allow, as ``contents:write``, in alphabetical order."""
    installations = answer.get("installations")
    found = set()
    for one in installations if isinstance(installations, list) else ():
        allowed = one.get("permissions") if isinstance(one, dict) else None
        for name, level in allowed.items() if isinstance(allowed, dict) else ():
            if level in ("read", "write", "admin") and name.isidentifier() and name.isascii():
                found.add(f"{name}:{level}")
    return tuple(sorted(found))[:_MOST]
