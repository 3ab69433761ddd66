"""Names and addresses from outside, cleaned to be shown."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from markupsafe import Markup, escape

from webui.oauth_manager import OAuthProvider

LIMIT = 80

# Controls, lone surrogates, and separators that would break a line.
_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
# Unicode Standard Annex 9, section 2: characters that turn the direction of the text
# around them.
_DIRECTIONS = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
# The implicit direction marks, and marks that cannot be seen at all.
_MARKS = frozenset("\u061c\u200b\u200e\u200f\u2060\ufeff")


# Unicode's Default_Ignorable_Code_Point, which nothing draws; fillers among them are letters.
_UNDRAWN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
    # Letters that are drawn as a blank.
    "|[\U00013441\U00013442]"
)


def legible(text: str) -> int:
    """Count the letters and digits of any script that can be seen in it."""
    drawn = _UNDRAWN.sub("", text)
    return sum(unicodedata.category(character)[0] in "LN" for character in drawn)


def _is_plain(character: str) -> bool:
    return (
        character not in _MARKS
        and unicodedata.category(character) not in _CATEGORIES
        and unicodedata.bidirectional(character) not in _DIRECTIONS
    )


def clean_label(label: str) -> str:
    """Return the label without control and direction characters, cut at ``LIMIT`` characters."""
    kept = "".join(filter(_is_plain, label)).strip()
    return kept if len(kept) <= LIMIT else kept[: LIMIT - 1] + "…"


def label_of(name: str, providers: Mapping[str, OAuthProvider]) -> str:
    """Return a provider's label; the name itself if there is no such provider any more."""
    provider = providers.get(name)
    return provider.label if provider else clean_label(name)


def isolated(label: str) -> Markup:
    """Return the cleaned label as HTML that isolates its direction."""
    return Markup("<bdi>") + escape(clean_label(label)) + Markup("</bdi>")


def initials(label: str) -> str:
    """Return the cleaned label's first two characters, in the place of a picture."""
    return clean_label(label)[:2]


def is_web_address(url: str) -> bool:
    """Return whether a page may lead there: only http and https."""
    return url.startswith(("https://", "http://"))
