"""Sealing of stored records: Fernet over JSON that names its kind, user and provider.

Labels are for what has to be found again by its seal: AES-SIV over a short text.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from ..configuration import Malformed, fernet_key
from ..errors import RecordNewer, RecordUnreadable
from ..shapes import text
from .keys import check_user_id
from .packed import KINDS, pack, unpacked

log = logging.getLogger(__name__)

VERSION = 1
# Of what an older process must not use: marked tokens, which it would take for the only ones,
# and the records of further accounts.
NEXT_VERSION = 2
_MAX_SEALED = 256 * 1024  # characters; a sealed token of 16 KB is far below
NO_KEY = "damaged, or sealed with a key that is not here"
_decode = msgspec.json.Decoder().decode


def _ciphers(encryption_key: str | bytes) -> list[tuple[bytes, Fernet]]:
    """List the usable keys, newest first; an unusable one is logged by position, never by value."""
    text = (
        encryption_key.decode("ascii", "replace")
        if isinstance(encryption_key, bytes)
        else (encryption_key or "")
    )
    ciphers = []
    for position, key in enumerate(re.split(r"[\s,]+", text.strip()) if text.strip() else ()):
        try:
            fernet_key(key)
        except Malformed as fault:
            log.error("encryption_key %s (number %d)", fault, position + 1)
        with suppress(ValueError):  # any key that Fernet takes is used, by the specification
            ciphers.append((key.encode(), Fernet(key)))
    if not ciphers:
        log.error("no encryption_key is usable: tokens are stored as plain text")
    return ciphers


def _fernet(ciphers: list[Fernet]) -> Fernet | MultiFernet | None:
    """Return the cipher of all keys; a single one does not look for another."""
    if len(ciphers) == 1:
        return ciphers[0]
    return MultiFernet(ciphers) if ciphers else None


def _read_json(plain: str | bytes) -> Any:
    """Do what ``json.loads`` does, at a quarter of its cost.  Raises ``ValueError``."""
    try:
        return _decode(plain)
    except msgspec.DecodeError:
        return json.loads(plain)  # which also takes NaN, endless numbers and half characters


def _check_version(record: Mapping[str, Any]) -> None:
    if _is_newer(record):
        raise RecordNewer
    if record.get("v") not in (VERSION, NEXT_VERSION):
        raise RecordUnreadable("unknown version")


def _is_newer(record: Mapping[str, Any]) -> bool:
    version = record.get("v")
    return isinstance(version, int) and version > NEXT_VERSION


def check_size(sealed: str | bytes) -> None:
    """Raise ``RecordUnreadable`` for what no record of ours is as short or as long as."""
    if not sealed or len(sealed) > _MAX_SEALED:
        raise RecordUnreadable("empty or too large")


def read_record(held: str | bytes) -> dict[str, Any]:
    """Read the JSON object that was sealed, packed or not.  Raises ``RecordUnreadable``."""
    try:
        plain = unpacked(held, _MAX_SEALED) if isinstance(held, bytes) else held
        record = _read_json(plain)
    except (ValueError, TypeError, RecursionError):
        # "from None": the cause may quote the text it failed on.
        raise RecordUnreadable(NO_KEY) from None
    if not isinstance(record, dict):
        raise RecordUnreadable("not an object")
    return record


def _check_named(user_id: Any, provider: Any) -> None:
    """Raise ``RecordUnreadable`` unless a record names a possible person and a provider."""
    try:
        text(provider)
        check_user_id(user_id)
    except (TypeError, ValueError):
        raise RecordUnreadable("sealed for nobody") from None


class Sealer:
    """Sealer of JSON objects with the newest key; it opens those of every key.

    Without a usable key it writes and reads plain JSON, as the specification
    has it; the application refuses to start in that case.
    """

    def __init__(self, encryption_key: str | bytes = "", *, strict: bool = False) -> None:
        ciphers = _ciphers(encryption_key)
        self.fernet = _fernet([cipher for _, cipher in ciphers])
        self.fernet_keys = [key for key, _ in ciphers]  # newest first
        self._keys = self.fernet_keys or [b""]
        self._newest = hmac.new(self._keys[0], digestmod=hashlib.sha256)
        self._labels = [
            AESSIV(hmac.new(key, b"sealed label", hashlib.sha512).digest()) for key in self._keys
        ]
        self._strict = strict

    def seal(self, kind: str, user_id: str, provider: str, payload: dict[str, Any]) -> str:
        """Seal ``payload``, bound to its kind, user and provider."""
        is_for_new = "~" in provider or bool(payload.get("has_others"))
        version = NEXT_VERSION if is_for_new else VERSION
        bound = {**payload, "provider": provider, "user_id": user_id, "kind": kind, "v": version}
        text = json.dumps(bound, separators=(",", ":"))
        if self.fernet is None:
            return text
        plain = text.encode()
        return self.fernet.encrypt(pack(plain) if kind in KINDS else plain).decode()

    def open(
        self, kind: str, user_id: str | None, provider: str | None, sealed: str | bytes
    ) -> dict[str, Any]:
        """Open the payload, if it was sealed for exactly this kind, user and provider.

        ``None`` for user or provider skips that comparison, for records whose very
        purpose is to name them.  Token records of the older system carry no user; they
        are read unless the strict switch is set.  Raises ``RecordUnreadable``
        otherwise, and ``RecordNewer`` for a version to come.
        """
        return self.bound(kind, user_id, provider, read_record(self._plain(sealed)))

    def bound(
        self, kind: str, user_id: str | None, provider: str | None, record: dict[str, Any]
    ) -> dict[str, Any]:
        """Return what was opened, if it is of this kind, user and provider (:meth:`open`)."""
        if kind == "tokens" and "v" not in record and not self._strict:
            bound = {"kind": kind, "user_id": user_id, "provider": provider, "v": VERSION}
            record = {**bound, **{name: held for name, held in record.items() if held != ""}}
        _check_version(record)
        if record.get("kind") != kind:
            raise RecordUnreadable("sealed for another kind")
        owner, name = record.get("user_id"), record.get("provider")
        if user_id is not None and owner != user_id:
            raise RecordUnreadable("sealed for another user_id")
        if provider is not None and name != provider:
            raise RecordUnreadable("sealed for another provider")
        if user_id is None or provider is None:
            _check_named(owner, name)
        return record

    def fits(self, sealed: str | bytes) -> bool:
        """Return whether one of the keys opens it, whatever it was sealed for."""
        try:
            read_record(self._plain(sealed))
        except RecordUnreadable:
            return False
        return True

    def is_newer(self, sealed: str | bytes) -> bool:
        """Tell whether a record is of a version to come; one that does not open is of none."""
        try:
            return _is_newer(read_record(self._plain(sealed)))
        except RecordUnreadable:
            return False

    def is_older(self, sealed: str | bytes) -> bool:
        """Tell whether a token record names no user, like those of the older system.

        Raises ``RecordUnreadable``, with the strict switch for those too.
        """
        is_bound = "v" in read_record(self._plain(sealed))
        if self._strict and not is_bound:
            raise RecordUnreadable("names no user")
        return not is_bound

    def _plain(self, sealed: str | bytes) -> str | bytes:
        """Return what is held, packed or not.  Raises ``RecordUnreadable``."""
        check_size(sealed)
        if self.fernet is None:
            return sealed
        try:
            return self.fernet.decrypt(sealed)
        except (InvalidToken, ValueError, TypeError):
            # "from None": the cause may quote the text it failed on.
            raise RecordUnreadable(NO_KEY) from None

    def digests(self, purpose: str, value: str) -> list[str]:
        """Return keyed digests of a short secret, one for each key, newest first (hex)."""
        message = f"{purpose}\0{value}".encode()
        return [hmac.digest(key, message, "sha256").hex() for key in self._keys]

    def digest(self, purpose: str, value: str) -> str:
        """Return the one of :meth:`digests` by the newest key."""
        mac = self._newest.copy()
        mac.update(f"{purpose}\0{value}".encode())
        return mac.hexdigest()

    def label(self, place: str, text: str, position: int = 0) -> str:
        """Seal a short text for one place, by the newest key or the one at ``position``.

        The same text looks the same there, so that it can be found again, and different
        elsewhere (AES-SIV, RFC 5297).
        """
        sealed = self._labels[position].encrypt(text.encode(), [place.encode()])
        return base64.urlsafe_b64encode(sealed).decode().rstrip("=")

    def open_label(self, place: str, label: str, *, by_newest: bool = False) -> str:
        """Open what :meth:`label` sealed for this place, by any key or the newest alone.

        Raises ``RecordUnreadable``.
        """
        try:
            sealed = base64.urlsafe_b64decode(label + "=" * (-len(label) % 4))
        except ValueError:
            raise RecordUnreadable("no label") from None
        for cipher in self._labels[:1] if by_newest else self._labels:
            with suppress(InvalidTag, ValueError):
                return cipher.decrypt(sealed, [place.encode()]).decode()
        raise RecordUnreadable(NO_KEY)
