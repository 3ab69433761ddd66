"""Receipt codes: what a person quotes of a disconnect, the same wherever it is shown."""

from __future__ import annotations

import hashlib

from ..links.readable_codes import CODE_ALPHABET, CODE_LENGTH


def receipt_code(user_id: str, provider: str, at: float) -> str:
    """Return the code of the disconnect at ``at`` (epoch seconds): worked out, not stored.

    It names an event, and opens nothing.
    """
    about = f"{user_id}\0{provider}\0{int(at * 1000)}".encode(errors="surrogatepass")
    number = int.from_bytes(hashlib.blake2s(about, person=b"receipt").digest())
    letters = []
    for _ in range(CODE_LENGTH):
        number, place = divmod(number, len(CODE_ALPHABET))
        letters.append(CODE_ALPHABET[place])
    return "".join(letters)
