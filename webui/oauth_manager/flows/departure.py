"""Departure: an attempt is stored, and the person leaves for the provider."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import OAuthMisconfigured
from ..journal.stories import Stories
from ..links.codes import Attempt, Links
from ..protocol import requests
from ..providers import addresses
from ..storage.calls import Pipeline
from ..storage.storage import Subject
from .services import Services


async def leave(
    services: Services,
    links: Links,
    stories: Stories,
    subject: Subject,
    attempt: Attempt,
    redirect_uri: str,
    also: Callable[[Any], object],
) -> str:
    """Store the attempt, and return the address that the browser goes to.  One round trip.

    A request that is to be pushed is pushed then; whoever cannot push it leads nobody away.
    Raises ``OAuthMisconfigured`` or ``OAuthUnavailable``.
    """
    provider = addresses.filled(subject.provider, addresses.values_of(attempt.asked))
    verifier = attempt.verifier

    def queue(pipe: Pipeline) -> None:
        stories.goes_on(pipe, attempt=attempt)
        also(pipe)

    state = await links.begin(subject.redis, attempt, queue)
    challenge = requests.code_challenge(verifier) if verifier else ""
    asked = redirect_uri, state, attempt.scopes, challenge
    is_adding = attempt.is_adding
    if not provider.par_url:
        return requests.authorize_url(provider, *asked, is_adding=is_adding)
    params = requests.authorize_params(provider, *asked, is_adding=is_adding)
    try:
        return await services.client.push(provider, params)
    except OAuthMisconfigured as failure:
        await services.servers.refused(subject.redis, provider, failure)
        raise
