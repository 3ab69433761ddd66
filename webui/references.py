"""Reference codes: what a person quotes, and the log knows."""

from __future__ import annotations

import secrets

from webui.oauth_manager.proofs import CODE_ALPHABET


def new_reference() -> str:
    """Six characters without look-alikes; no secret, only rare enough to find."""
    return "".join(secrets.choice(CODE_ALPHABET) for _ in range(6))
