"""Tokens for callers without asyncio: Flask, Django, Celery, a plain script."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from redis.asyncio import Redis

from webui.oauth_manager import (
    OAuthManager,
    OAuthNotConnected,
    init_oauth_manager,
    redis_from_url,
)
from webui.oauth_manager import require_oauth_token as require_async

T = TypeVar("T")


@dataclass
class Caller:
    user_id: str
    redis: Redis


class Tokens:
    """One event loop in a thread of its own, for the whole process; any thread may ask."""

    def __init__(self, manager: OAuthManager, redis_url: str) -> None:
        self._manager = manager
        self._redis = redis_from_url(redis_url)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def require(self, user_id: str, provider: str) -> str:
        """Return a token that works now; raises what ``require_oauth_token`` raises."""
        return self._run(require_async(Caller(user_id, self._redis), provider))

    def close(self) -> None:
        """Let renewals under way finish; call it once, at the end of the process."""
        self._run(self._manager.aclose())
        self._run(self._redis.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def main() -> None:
    github = {
        "client_id": os.environ["GITHUB_CLIENT_ID"],
        "client_secret": os.environ["GITHUB_CLIENT_SECRET"],
    }
    manager = init_oauth_manager(
        os.environ["ENCRYPTION_KEY"], os.environ["BASE_URL"], {"github": github}
    )
    tokens = Tokens(manager, os.environ["REDIS_URL"])
    try:
        token = tokens.require(os.environ["PERSON"], "github")
        print("a token of", len(token), "characters")
    except OAuthNotConnected as missing:
        print(missing)  # for the person alone: it holds a link of theirs
    finally:
        tokens.close()


if __name__ == "__main__":
    main()
