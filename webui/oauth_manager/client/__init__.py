"""A client of a provider's API that carries one person's token, and takes it nowhere else."""

from __future__ import annotations

from .api_client import oauth_client

__all__ = ["oauth_client"]
