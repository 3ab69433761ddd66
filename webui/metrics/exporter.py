"""The exporter beside the site: a private folder of all workers' values, and a port to read them.

It belongs to the process that starts the workers, so a worker may end or be replaced and
nothing that it counted is lost.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

from webui.settings.settings import Settings

_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # its client reads this when it is imported


class MetricsPortTaken(RuntimeError):
    """Nobody can listen on ``METRICS_PORT``; the message is the sentence to show."""


@contextmanager
def exported(settings: Settings) -> Iterator[None]:
    """Have this process and those that it starts keep their values in one folder.

    Serves them on ``METRICS_PORT``, if that is set.  Raises ``MetricsPortTaken``.
    """
    if not (settings.metrics_port or settings.metrics_token):
        yield
        return
    with TemporaryDirectory(prefix="webui-metrics-") as folder:
        os.environ[_FOLDER] = folder
        try:
            with _listening(settings.metrics_host, settings.metrics_port):
                yield
        finally:
            del os.environ[_FOLDER]


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
        raise MetricsPortTaken(
            f"Cannot listen on {host}, port {port}: {error.strerror}. Stop what uses it, or "
            "change METRICS_PORT or METRICS_HOST."
        ) from None
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
