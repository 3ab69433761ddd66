"""Resealing of very many records: the newest key in place of whichever sealed them."""

from __future__ import annotations

import json
from typing import Any

from cryptography.fernet import InvalidToken

from ..clock import Clock
from ..errors import RecordUnreadable
from .bulk_cipher import BulkCipher
from .packed import KINDS, is_packed
from .sealer import NO_KEY, VERSION, Sealer, check_size, read_record


class BulkSealer:
    """A sealer's keys at work on many records, one after the other."""

    def __init__(self, sealer: Sealer, clock: Clock) -> None:
        self._sealer = sealer
        self._clock = clock
        self._ciphers = [BulkCipher(key) for key in sealer.fernet_keys]
        self._last = len(self._ciphers) - 1  # the key that opened the record before

    def seal_anew(
        self, kind: str, user_id: str, provider: str, sealed: str
    ) -> tuple[dict[str, Any], str]:
        """Return a record and its seal by the newest key: the same text, if that key made it.

        The record of tokens may come back empty: who seals them anew needs none of them.
        Raises ``RecordUnreadable``, like :meth:`.Sealer.open`.
        """
        held, is_newest = self._opened(sealed)
        record: dict[str, Any] = {}
        if not (kind == "tokens" and _ends_as_we_write(held, user_id, provider)):
            read = read_record(held)
            record = self._sealer.bound(kind, user_id, provider, read)
            is_as_we_write = "v" in read and (kind not in KINDS or is_packed(held))
            if not (is_as_we_write and self._ciphers):
                return record, self._sealer.seal(kind, user_id, provider, record)
        if is_newest:
            return record, sealed
        return record, self._ciphers[0].encrypt(held, self._clock.now())

    def encrypted_anew(self, sealed: str) -> str:
        """Return what was sealed, whatever it is, under the newest key.

        Raises ``RecordUnreadable``.
        """
        held, is_newest = self._opened(sealed)
        if is_newest or not self._ciphers:
            return sealed
        return self._ciphers[0].encrypt(held, self._clock.now())

    def is_newest(self, sealed: str) -> bool:
        """Tell by the signature alone whether the newest key made it: nothing is decrypted."""
        return bool(self._ciphers) and self._ciphers[0].has_signed(sealed)

    def _opened(self, sealed: str) -> tuple[bytes, bool]:
        """Return what is held, packed or not, and whether the newest key opened it."""
        check_size(sealed)
        if not self._ciphers:
            return sealed.encode("utf-8", "surrogateescape"), False
        for position in (self._last, *range(len(self._ciphers))):
            try:
                held = self._ciphers[position].decrypt(sealed)
            except InvalidToken:
                continue
            self._last = position
            return held, position == 0
        raise RecordUnreadable(NO_KEY)


def _ends_as_we_write(held: bytes, user_id: str, provider: str) -> bool:
    """Tell without reading it whether JSON that we sealed is the tokens of this connection.

    No text within JSON has a quotation mark without a backslash before it, so these are
    names and values of its own.
    """
    end = f',"user_id":{json.dumps(user_id)},"kind":"tokens","v":{VERSION}}}'
    return held.endswith(end.encode()) and f',"provider":"{provider}",'.encode() in held
