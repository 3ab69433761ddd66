"""Authorization requests that are pushed, so that the browser carries a reference (RFC 9126)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..errors import OAuthMisconfigured, OAuthUnavailable
from ..providers.provider import OAuthProvider
from . import requests
from .answers import BUSY, Answer, any_json, says_no, text_at
from .requests import ProviderRequest
from .token_answers import refusal, trouble

_REQUEST_URI = re.compile(r"[\x21-\x7e]{1,2048}")


def push_request(
    provider: OAuthProvider, params: Mapping[str, str], assertion: str = ""
) -> ProviderRequest:
    """Build the push: a form, authorised as a token request is (2.1)."""
    draft = requests.Draft(
        "push",
        provider.par_url,
        dict(params),
        "form",
        requests.client_auth(provider),
        assertion=assertion,
    )
    return requests.written(provider, draft)


def pushed_url(provider: OAuthProvider, request_uri: str) -> str:
    """Build the address that leads to a request pushed before (4)."""
    params = {provider.client_id_name: provider.client_id, "request_uri": request_uri}
    return requests.at_authorize(provider, params)


def read_pushed(provider: OAuthProvider, answer: Answer) -> str:
    """Return the ``request_uri`` (2.2).

    Raises ``OAuthMisconfigured`` (whatever the server said: nothing of it is the person's doing)
    or ``OAuthUnavailable``.
    """
    content = any_json(answer.body)
    is_good = 200 <= answer.status < 300 and isinstance(content, dict) and not says_no(content)
    if is_good and _REQUEST_URI.fullmatch(text_at(content, "request_uri")):
        return text_at(content, "request_uri")
    if answer.status in BUSY or answer.status >= 500 or not isinstance(content, dict):
        raise trouble(provider, "push", answer)
    failure = refusal(provider, "push", answer, content, "")
    if isinstance(failure, OAuthUnavailable):
        raise failure
    raise OAuthMisconfigured(provider.name, "push", failure.code, failure.trace)
