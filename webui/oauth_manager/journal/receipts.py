"""Receipt codes: what a person quotes of a disconnect, the same wherever it is shown."""

from __future__ import annotations

import hashlib

ALPHABET = "BCDFGHJKMNPQRTVWXY3479"  # no vowels, no look-alikes: it is read out and typed
LENGTH = 6


def receipt_code(user_id: str, provider: str, at: float) -> str:
    """Return the code of the disconnect at ``at`` (epoch seconds): worked out, not stored.

    It names an event, and opens nothing.
    """
    about = f"{user_id}\0{provider}\0{int(at * 1000)}".encode(errors="surrogatepass")
    number = int.from_bytes(hashlib.blake2s(about, person=b"receipt").digest())
    letters = []
    for _ in range(LENGTH):
        number, place = divmod(number, len(ALPHABET))
        letters.append(ALPHABET[place])
    return "".join(letters)
