"""Names for support staff: a person's id to the letter, an account's masked or a digest."""

from __future__ import annotations

import hmac
import re
import unicodedata

from webui.text.labels import clean_label

HIDDEN = "•••"
_ADDRESS = re.compile(r"(\S)[^\s@]*@(\S)[^\s@]*(\.[^\s@.]{1,12})")
_SHORT = 4  # characters; of a shorter name two would be most of it
# Invisible characters, and those that turn the direction of the text around them.
_UNSEEN = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs"})


def masked(label: str) -> str:
    """Mask a name: ``o•••t``, ``m•••@e•••.org``; as long for every name, and ``""`` for none."""
    plain = clean_label(label)
    if not plain:
        return ""
    if address := _ADDRESS.fullmatch(plain):
        person, domain, suffix = address.groups()
        return f"{person}{HIDDEN}@{domain}{HIDDEN}{suffix}"
    if len(plain) == 1:
        return HIDDEN
    return plain[0] + HIDDEN + (plain[-1] if len(plain) >= _SHORT else "")


def staff_place(place: str, user_id: str, secret: str) -> str:
    """Return a place that names one of several accounts by a digest, in addresses too.

    Its own slot was the account's name once.
    """
    provider, _, slot = place.partition("~")
    if not slot:
        return place
    told = repr(("staff place", user_id, place)).encode()
    return f"{provider}~{hmac.digest(secret.encode(), told, 'sha256').hex()[:16]}"


def spelled(user_id: str) -> str:
    """Spell an id with invisible characters written out, so that no two look alike for them.

    A single blank between visible characters stays one.
    """
    shown = [
        c
        if unicodedata.category(c) not in _UNSEEN or (c == " " and _is_inside(user_id, i))
        else f"\\u{ord(c):04x}"
        for i, c in enumerate(user_id)
    ]
    return "".join(shown)


def _is_inside(text: str, at: int) -> bool:
    return 0 < at < len(text) - 1 and " " not in (text[at - 1], text[at + 1])
