"""Receipt codes: what a person quotes of a disconnect, the same wherever it is shown."""

from __future__ import annotations

import hashlib

from ..links.readable_codes import CODE_ALPHABET, CODE_LENGTH


def receipt_code(user_id: str, place: str, at: float) -> str:
    """Return the code of the disconnect at ``at`` (epoch seconds): worked out, not stored.

    ``place`` is the provider's name, with that of one of several accounts behind it: all of a
    person's end at the same moment.  It names an event, and opens nothing.
    """
    about = f"{user_id}\0{place}\0{int(at * 1000)}".encode(errors="surrogatepass")
    number = int.from_bytes(hashlib.blake2s(about, person=b"receipt").digest())
    letters = []
    for _ in range(CODE_LENGTH):
        number, letter = divmod(number, len(CODE_ALPHABET))
        letters.append(CODE_ALPHABET[letter])
    return "".join(letters)
