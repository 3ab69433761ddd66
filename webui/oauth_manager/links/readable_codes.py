"""Short codes that a person reads, says and types: their letters, their length, and new ones."""

from __future__ import annotations

import secrets

CODE_ALPHABET = "BCDFGHJKMNPQRTVWXY3479"  # no vowels, no look-alikes
CODE_LENGTH = 6


def new_code() -> str:
    """Make a code that nobody can guess."""
    return "".join(secrets.choice(CODE_ALPHABET) for _ in range(CODE_LENGTH))
