"""Worker processes of a rotation: each is sent pages of keys, and answers with its findings.

A worker ends with its end of the pipe: so none outlives a rotation that was killed.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection

import click

from webui.app import make_manager
from webui.oauth_manager import StoreUnavailable
from webui.oauth_manager.storage import Findings, Task
from webui.redis_client import connect
from webui.settings.settings import Settings


@contextmanager
def workers(
    settings: Settings, count: int
) -> Iterator[list[Callable[[Task], Awaitable[Findings]]]]:
    """Start as many processes; yield what has each of them do a task."""
    context = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        threads = stack.enter_context(ThreadPoolExecutor(count))
        visits = []
        for _ in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(target=serve, args=(theirs, settings), daemon=True)
            process.start()
            theirs.close()
            stack.callback(process.join)
            stack.callback(ours.close)
            visits.append(_visit(ours, threads))
        yield visits


def _visit(
    worker: Connection, threads: ThreadPoolExecutor
) -> Callable[[Task], Awaitable[Findings]]:
    def exchange(task: Task) -> Findings | tuple[str, str]:
        worker.send(task)
        answer: Findings | tuple[str, str] = worker.recv()
        return answer

    async def visit(task: Task) -> Findings:
        try:
            answer = await asyncio.get_running_loop().run_in_executor(threads, exchange, task)
        except (EOFError, OSError):
            raise click.ClickException(
                "A worker process ended before its work was done. Run this again: it goes on "
                "from there."
            ) from None
        if isinstance(answer, tuple):
            raise StoreUnavailable(*answer)
        return answer

    return visit


def serve(leader: Connection, settings: Settings) -> None:
    """Do one task after the other, until the leader hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the leader gets it too, and hangs up
    manager, redis = (
        make_manager(settings),
        connect(settings.redis_url, settings.redis_wait_replicas),
    )
    visit = manager.resealer(redis).visit
    with asyncio.Runner() as runner:
        while True:
            try:
                task = leader.recv()
            except (EOFError, OSError):
                break
            try:
                answer: Findings | tuple[str, str] = runner.run(visit(task))
            except StoreUnavailable as failure:
                answer = failure.step, failure.code
            leader.send(answer)
        runner.run(manager.aclose())
        runner.run(redis.aclose())
