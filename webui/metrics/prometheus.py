"""Metrics for Prometheus, by its own client: kept in this process, or in files of all workers.

With ``PROMETHEUS_MULTIPROC_DIR`` in the environment before this is imported, every
process writes its values through to files of its own there, and :func:`text` adds up
those of all, of ended ones too: a worker that is killed loses nothing.
"""

from __future__ import annotations

import os
from functools import cache

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

from webui.metrics.instruments import FOLDER, INSTRUMENTS, SECONDS, Instrument

__all__ = ["CONTENT_TYPE_LATEST", "FOLDER", "PrometheusSink", "process_sink", "registry", "text"]


class PrometheusSink:
    """Sink into Prometheus's client."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._metrics = {name: _metric(name, one, registry) for name, one in INSTRUMENTS.items()}

    def take(self, name: str, value: float, labels: dict[str, str]) -> None:
        metric = self._metrics[name]
        own = metric.labels(**labels) if labels else metric
        if isinstance(own, Counter):
            own.inc(value)
        elif isinstance(own, Histogram):
            own.observe(value)
        else:
            own.set(value)


def _metric(
    name: str, instrument: Instrument, registry: CollectorRegistry
) -> Counter | Histogram | Gauge:
    about = name, instrument.help, instrument.labels
    if instrument.kind == "counter":
        return Counter(*about, registry=registry)
    if instrument.kind == "histogram":
        return Histogram(*about, registry=registry, buckets=SECONDS)
    # Each worker samples the same Redis: the latest sample is the truth.
    return Gauge(*about, registry=registry, multiprocess_mode="mostrecent")


@cache
def process_sink() -> PrometheusSink:
    """Return the sink of this process, whatever settings come and go."""
    return PrometheusSink(CollectorRegistry())


def registry() -> CollectorRegistry:
    """Return a registry of what all processes have counted."""
    if FOLDER not in os.environ:
        return process_sink().registry
    found = CollectorRegistry()
    MultiProcessCollector(found)  # type: ignore[no-untyped-call]
    return found


def text() -> bytes:
    """Return everything in Prometheus's text format; reads files, so not in an event loop."""
    return generate_latest(registry())
