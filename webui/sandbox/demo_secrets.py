"""The keys and client secrets of a demo: made once, so that a second start can read the first."""

from __future__ import annotations

import json
import os
import secrets
from base64 import urlsafe_b64encode
from dataclasses import asdict, dataclass, field
from pathlib import Path

from webui.sandbox.quirks import HABITS


@dataclass(frozen=True)
class Secrets:
    """The secrets; ``clients`` maps provider to (client id, client secret)."""

    encryption_key: str = field(repr=False)
    session_secret: str = field(repr=False)
    clients: dict[str, tuple[str, str]] = field(repr=False)


def read_secrets(path: Path) -> Secrets:
    """Read the secrets kept in ``path``, made at the first start.  Raises ``ValueError``."""
    if not path.exists():
        _write(path, make_secrets())
    try:
        kept = json.loads(path.read_text("utf-8"))
        clients = {name: (client[0], client[1]) for name, client in kept["clients"].items()}
        return Secrets(kept["encryption_key"], kept["session_secret"], clients)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        # Without its key the folder's connections cannot be read either.
        raise ValueError(
            f"{path} cannot be read; remove the folder {path.parent} to start afresh"
        ) from None


def make_secrets() -> Secrets:
    """Make fresh secrets."""
    return Secrets(
        # 32 random bytes in URL-safe base64 are a Fernet key (github.com/fernet/spec).
        encryption_key=urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        session_secret=secrets.token_urlsafe(48),
        clients={name: (f"demo-{name}", secrets.token_urlsafe(30)) for name in HABITS},
    )


def _write(path: Path, made: Secrets) -> None:
    """Write the secrets for the owner alone, and whole or not at all."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        json.dump(asdict(made), file)
    new.replace(path)
