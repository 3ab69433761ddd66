"""The library's names, to be called by any thread of the process."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar

import httpx

from .. import access
from ..client.blocking_client import blocking_client
from ..manager import OAuthManager
from ..storage.calls import RedisClient
from ..storage.clients import redis_from_url
from ..values import Struct
from .loop_thread import LoopThread

T = TypeVar("T")
Beside = Callable[[RedisClient], Coroutine[Any, Any, None]]


class Person(Protocol):
    """The context of a tool: the id of the person who asks."""

    @property
    def user_id(self) -> str: ...


class Caller(Struct, frozen=True):
    """The context of one person for the coroutines that :func:`run` runs."""

    user_id: str
    redis: RedisClient
    is_private: bool = True
    account: str | None = None


@dataclass(frozen=True)
class _Engine:
    """A loop, and what belongs to it."""

    thread: LoopThread
    manager: OAuthManager
    redis: RedisClient
    _beside: list[asyncio.Task[None]] = field(default_factory=list)

    async def begin(self, works: Iterable[Beside]) -> None:
        """Begin work that goes on beside the calls, until the end."""
        self._beside.extend(asyncio.create_task(work(self.redis)) for work in works)

    async def aclose(self) -> None:
        for task in self._beside:
            task.cancel()
        await asyncio.gather(*self._beside, return_exceptions=True)  # they may be using Redis
        await self.manager.aclose()
        await self.redis.aclose()


@dataclass
class _State:
    """The engine of this process; a fork of it starts one of its own."""

    make: Callable[[], tuple[OAuthManager, RedisClient]] | None = None
    engine: _Engine | None = None
    beside: tuple[Beside, ...] = ()
    lock: threading.Lock = field(default_factory=threading.Lock)

    def forget(self) -> None:
        """Leave what was the parent's to the parent: no thread survives a fork."""
        self.engine, self.lock = None, threading.Lock()


_state = _State()
os.register_at_fork(after_in_child=_state.forget)


def init_oauth_manager(
    encryption_key: str | bytes = "",
    base_url: str = "",
    providers_config: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    redis_url: str,
    wait_replicas: int = 0,
    strict: bool = False,
    outgoing_proxy: str = "",
) -> OAuthManager:
    """Make the process-wide manager, like its namesake, and remember where Redis is.

    The thread starts with the first call that needs it: in each process of its own, if
    workers fork after this.  Replaces an earlier one, which is closed.  ``redis_url`` and
    ``wait_replicas`` are those of :func:`.redis_from_url`.  Raises ``ValueError``.
    """
    settings: dict[str, Any] = {"strict": strict, "outgoing_proxy": outgoing_proxy}
    manager_of = partial(
        access.init_oauth_manager, encryption_key, base_url, providers_config, **settings
    )
    client_of = partial(redis_from_url, redis_url, wait_replicas)
    client_of()  # connects nowhere: a wrong address is told now
    close()
    _state.make, _state.beside = lambda: (manager_of(), client_of()), ()
    return manager_of()


def run_beside(work: Beside) -> None:
    """Have a coroutine go on beside the calls, from the first call that starts the thread."""
    _state.beside += (work,)


def _engine() -> _Engine:
    with _state.lock:
        if _state.engine is None:
            if _state.make is None:
                raise RuntimeError("call blocking.init_oauth_manager() first")
            manager, redis = _state.make()
            _state.engine = _Engine(LoopThread(), manager, redis)
            _state.engine.thread.run(_state.engine.begin(_state.beside))
        return _state.engine


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run any coroutine of the library, ``connect_service`` included, on the loop.

    Raises its errors, and ``RuntimeError`` before :func:`init_oauth_manager`.
    """
    thread = None
    try:
        thread = _engine().thread
    finally:
        if thread is None:
            work.close()  # nobody will run it
    return thread.run(work)


def caller(user_id: str, *, is_private: bool = True) -> Caller:
    """Return a context of that person for such a coroutine, with the loop's client of Redis."""
    return Caller(user_id, _engine().redis, is_private)


def require_oauth_token(
    ctx: Person,
    provider: str,
    scopes: Iterable[str] = (),
    *,
    account: str | None = None,
    min_valid: float = 0.0,
) -> str:
    """Return a token that works now; raises what its namesake raises, within 15 seconds."""
    named = access.account_of(ctx, account)
    options: dict[str, Any] = {"account": named, "min_valid": min_valid}
    return run(access.require_oauth_token(caller(ctx.user_id), provider, scopes, **options))


def oauth_client(
    ctx: Person,
    provider: str,
    *,
    scopes: Iterable[str] = (),
    account: str | None = None,
    min_valid: float = 0.0,
) -> httpx.Client:
    """Make an ``httpx.Client`` that does what its namesake's client does."""
    named = access.account_of(ctx, account)
    return blocking_client(caller(ctx.user_id), provider, scopes, named, min_valid, run)


@atexit.register
def close() -> None:
    """Let renewals under way finish, then stop; the next call starts anew."""
    with _state.lock:
        engine, _state.engine = _state.engine, None
    if engine is not None:
        engine.thread.run(engine.aclose())
        engine.thread.close()
