"""Stand-ins beside the four, by the names that somebody asks for: settings of a site with them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from webui.oauth_manager import OAuthProvider
from webui.oauth_manager.providers import build_providers

from . import github_app, notes
from .described import as_found, catalogue_config


@dataclass(frozen=True)
class Chosen:
    """Settings of all chosen ones by name, and the providers made of nothing but their data."""

    config: dict[str, dict[str, Any]]
    described: tuple[OAuthProvider, ...] = ()
    has_app: bool = False  # GitHub is that of a GitHub App

    def with_these(self, usual: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """Return the settings of the usual stand-ins and of these."""
        names = dict.fromkeys([*usual, *self.config])
        return {name: {**usual.get(name, {}), **self.config.get(name, {})} for name in names}


def choose(names: Iterable[str], secret: str, sandbox: str) -> Chosen:
    """Choose those of the catalogue, ``notes-mcp`` and ``github-app``, below ``sandbox``.

    ``secret`` is what the client secrets are made of.  Raises ``ValueError`` on any other name.
    """
    wanted = list(dict.fromkeys(names))
    has_app = github_app.NAME in wanted
    config = catalogue_config(
        [name for name in wanted if name not in (github_app.NAME, notes.NAME)], secret, sandbox
    )
    described = tuple(as_found(one, sandbox) for one in build_providers({}, config).values())
    if notes.NAME in wanted:
        config |= notes.settings_at(sandbox)
    if has_app:
        config["github"] = github_app.settings_at(sandbox)
    return Chosen(config, described, has_app)
