"""Failures that are no known fault of the grant: kept beside it, reported to the operator."""

from __future__ import annotations

import logging

from ..errors import Meaning, OAuthMisconfigured, OAuthUnavailable, StoreUnavailable
from ..models import Profile
from ..providers.provider import OAuthProvider
from ..storage import updates
from ..storage.records import Stored
from ..storage.storage import Storage, Subject

log = logging.getLogger(__name__)


async def note(
    storage: Storage,
    subject: Subject,
    stored: Stored,
    failure: OAuthMisconfigured | OAuthUnavailable,
) -> None:
    """Keep the start and the reason of a connection's trouble.

    A refusal that has repeated for long enough says so from now on (``may_reconnect``).
    Nothing but that and display depends on it, so a failure to write it is ignored.
    """
    kind = _kind(failure)
    if kind != "provider":
        log.error("%s: %s", subject.provider.name, _told(failure))
    profile = stored.facts.with_trouble(kind, failure.code, storage.clock.now())
    if isinstance(failure, OAuthUnavailable):
        failure.may_reconnect = profile.is_stuck
    if profile == stored.facts:
        return
    try:
        await updates.update_profile(storage, subject, profile, stored)
    except StoreUnavailable:
        log.warning("%s: trouble could not be noted", subject.provider.name)


def waiting(provider: OAuthProvider, known: Profile) -> OAuthUnavailable:
    """Build the error for a provider's pause: its last failure holds."""
    meaning = Meaning.UNKNOWN if known.trouble == "refused" else Meaning.TROUBLE
    failure = OAuthUnavailable(provider.name, "refresh", "waiting", meaning=meaning)
    failure.may_reconnect = known.is_stuck
    return failure


def _kind(failure: OAuthMisconfigured | OAuthUnavailable) -> str:
    if isinstance(failure, OAuthMisconfigured):
        return "setup"
    return "refused" if failure.meaning is Meaning.UNKNOWN else "provider"


def _told(failure: OAuthMisconfigured | OAuthUnavailable) -> str:
    about = {Meaning.SETUP: "refused because of our settings"}
    said = about.get(failure.meaning, "answered in words that are not known here")
    return f"{failure.step} {said}: {failure.code}"
