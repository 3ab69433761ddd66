"""Names and addresses from outside, made fit to show."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from collections.abc import Mapping

    from webui.oauth_manager import OAuthProvider

LIMIT = 80

# Controls, lone surrogates, and separators that would break a line.
_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
# Unicode Standard Annex 9, section 2: what turns the direction of the text around it.
_DIRECTIONS = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
# The implicit direction marks, and marks that cannot be seen at all.
_MARKS = frozenset("\u061c\u200b\u200e\u200f\u2060\ufeff")


def _is_plain(character: str) -> bool:
    return (
        character not in _MARKS
        and unicodedata.category(character) not in _CATEGORIES
        and unicodedata.bidirectional(character) not in _DIRECTIONS
    )


def clean_label(label: str) -> str:
    """The label without control and direction characters, cut at ``LIMIT`` characters."""
    kept = "".join(filter(_is_plain, label)).strip()
    return kept if len(kept) <= LIMIT else kept[: LIMIT - 1] + "…"


def label_of(name: str, providers: Mapping[str, OAuthProvider]) -> str:
    """A provider's label; the name itself where there is no such provider any more."""
    provider = providers.get(name)
    return provider.label if provider else clean_label(name)


def isolated(label: str) -> Markup:
    """The cleaned label as HTML that keeps its direction to itself."""
    return Markup("<bdi>") + escape(clean_label(label)) + Markup("</bdi>")


def is_web_address(url: str) -> bool:
    """Whether a page may lead there: only http and https."""
    return url.startswith(("https://", "http://"))
