"""Sentences about features of the bot that a connection has lost, or that stop without it."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from webui.cards.model import Where
from webui.oauth_manager import Connection, OAuthProvider
from webui.text import words
from webui.text.labels import isolated

MOST_NAMED = 3  # in a list of cards; the service's own page has them all


def lost(connection: Connection, where: Where) -> str:
    """Say what does not work without the missing permissions, ``""`` if all does."""
    if not connection.lacking_features:
        return ""
    return words.markup("feature.lost", features=_named(connection.lacking_features, where))


def stopped(provider: OAuthProvider, connection: Connection, where: Where) -> str:
    """Say what the bot did until access ended, without features known not to have worked.

    The granted scopes are only known while the tokens exist; the scopes that the person
    chose to do without, always.
    """
    return _named(working(provider, connection), where)


def working(provider: OAuthProvider, connection: Connection) -> list[str]:
    """List the features of the bot that need this connection and are not known to lack a part."""
    rules = provider.scope_rules
    without = rules.keys(connection.profile.accepted_missing)
    return [
        name
        for name, needed in provider.features.items()
        if name not in connection.lacking_features and without.isdisjoint(rules.keys(needed))
    ]


def named(features: Sequence[str]) -> Markup:
    """Name features in one line, for a list of cards."""
    return _named(features, "list")


def _named(features: Sequence[str], where: Where) -> Markup:
    shown = features if where == "detail" else features[:MOST_NAMED]
    named = Markup(", ").join(isolated(name) for name in shown)
    rest = len(features) - len(shown)
    return words.markup("feature.more", shown=named, count=rest) if rest else named
