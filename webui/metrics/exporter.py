"""The exporter beside the site: a private folder of all workers' values, and a port to read them.

It belongs to the process that starts the workers, so a worker may end or be replaced and
nothing that it counted is lost.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog

from webui.metrics.instruments import FOLDER
from webui.settings.settings import Settings

_MEMORY = "/dev/shm"  # noqa: S108 - the folder in it is private

log = structlog.get_logger(__name__)


class NotExported(RuntimeError):
    """The port is taken, or no folder can be made; the message is the sentence to show."""


@contextmanager
def exported(settings: Settings) -> Iterator[None]:
    """Have this process and those that it starts keep their values in one folder.

    Serves them on ``METRICS_PORT``, if that is set.  Raises ``NotExported``.
    """
    if not (settings.metrics_port or settings.metrics_token):
        yield
        return
    with _folder() as folder:
        os.environ[FOLDER] = folder
        try:
            with _listening(settings.metrics_host, settings.metrics_port):
                yield
        finally:
            del os.environ[FOLDER]


def _folder() -> tempfile.TemporaryDirectory[str]:
    """Make a private folder, in memory if it can be: a read-only container has that too."""
    place = _MEMORY if os.access(_MEMORY, os.W_OK | os.X_OK) else None
    try:
        return tempfile.TemporaryDirectory(prefix="webui-metrics-", dir=place)
    except OSError:
        raise NotExported(
            "The metrics need a temporary folder, and none can be made. Name one in TMPDIR."
        ) from None


@contextmanager
def _listening(host: str, port: int) -> Iterator[None]:
    if not port:
        yield
        return
    from prometheus_client import start_http_server

    from webui.metrics.prometheus import registry

    try:
        server, thread = start_http_server(port, host, registry())
    except OSError as error:
        raise NotExported(
            f"Cannot listen on {host}, port {port}: {error.strerror}. Stop what uses it, or "
            "change METRICS_PORT or METRICS_HOST."
        ) from None
    server.handle_error = _went_away  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _went_away(*_: Any) -> None:
    """Log in one line what the server would print as a traceback."""
    log.warning("a reader of the metrics went away")
