"""The site's connection to Redis."""

from __future__ import annotations

from webui.oauth_manager import redis_from_url as connect

__all__ = ["connect"]
