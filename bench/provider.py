"""A provider in a process of its own, which believes everybody: what it costs is not ours.

``python -m bench.provider PORT``.  ``milliseconds`` in the query of the token endpoint is how
long it takes; ``/count`` says how often that endpoint was asked.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qsl, urlencode, urlsplit

import uvicorn
from starlette.types import Receive, Scope, Send

from bench.processes import child, wait_until_listening
from tests.kit.library import ACCOUNTS, ISSUERS
from tests.kit.site_fixtures import free_port
from webui.serving.listeners import listen
from webui.serving.server import loop_factory

_asked: Counter[str] = Counter()


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    prefix, _, endpoint = scope["path"].strip("/").partition("/")
    if endpoint == "token":
        _asked["token"] += 1
        query = dict(parse_qsl(scope["query_string"].decode()))
        if "milliseconds" in query:
            await asyncio.sleep(int(query["milliseconds"]) / 1000)
        answer: object = {
            "access_token": secrets.token_urlsafe(60),
            "refresh_token": secrets.token_urlsafe(60),
            "token_type": "Bearer",
            "expires_in": 3600,
        }
    else:
        answer = _asked["token"] if prefix == "count" else ACCOUNTS.get(prefix, {})
    body = json.dumps(answer).encode()
    length = str(len(body)).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", length)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def allowed(authorize_url: str) -> str:
    """A person says yes at once: the callback's address."""
    parts = urlsplit(authorize_url)
    query = dict(parse_qsl(parts.query))
    answer = {"code": secrets.token_urlsafe(20), "state": query["state"]}
    issuer = ISSUERS.get(parts.path.removesuffix("/authorize"))
    return f"{query['redirect_uri']}?{urlencode(answer | ({'iss': issuer} if issuer else {}))}"


@contextmanager
def provider() -> Iterator[str]:
    """Run it; yields its base URL."""
    port = free_port()
    with child("-m", "bench.provider", str(port)) as process:
        wait_until_listening(process, port)
        yield f"http://127.0.0.1:{port}"


def main() -> None:
    config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False)
    listener = listen("127.0.0.1", int(sys.argv[1]))
    with listener, asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(uvicorn.Server(config).serve([listener]))


if __name__ == "__main__":
    main()
