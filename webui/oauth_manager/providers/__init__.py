"""The providers that come built in, one module each."""

from __future__ import annotations

from typing import Any

from . import discord, github, google, microsoft
from .provider import build_providers, checked_features

__all__ = ["PROVIDER_TEMPLATES", "build_providers", "checked_features"]

PROVIDER_TEMPLATES: dict[str, dict[str, Any]] = {
    "discord": discord.TEMPLATE,
    "github": github.TEMPLATE,
    "google": google.TEMPLATE,
    "microsoft": microsoft.TEMPLATE,
}
"""Provider name -> the keyword arguments of ``OAuthProvider`` that never vary by deployment."""
