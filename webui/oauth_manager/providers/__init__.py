"""Providers: the catalogue of data files, and the fields that they are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .addresses import filled, values_of
from .asked import Asked
from .assembly import build_providers, merged, misplaced
from .entries import BUILT_IN, FOLDER, Templates, entry, names, nearest, template
from .features import checked_features
from .files import Entry, Fault, FaultyFile, read
from .kinds import reader_of
from .provider import MAX_ACCOUNTS
from .schema import FACTS, SCHEMA, SECRETS, Field
from .toml_text import line_of

__all__ = [
    "BUILT_IN",
    "FACTS",
    "FOLDER",
    "MAX_ACCOUNTS",
    "PROVIDER_TEMPLATES",
    "SCHEMA",
    "SECRETS",
    "Asked",
    "Entry",
    "Fault",
    "FaultyFile",
    "Field",
    "build_providers",
    "checked_features",
    "entry",
    "filled",
    "line_of",
    "merged",
    "misplaced",
    "names",
    "nearest",
    "read",
    "reader_of",
    "template",
    "values_of",
]

PROVIDER_TEMPLATES: Mapping[str, Mapping[str, Any]] = Templates()
"""Built-in provider -> the keyword arguments of ``OAuthProvider`` that never vary by deployment."""
