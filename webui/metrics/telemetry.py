"""Metrics by OTLP, with OpenTelemetry's API and SDK: set up by its standard variables alone.

Without ``OTEL_EXPORTER_OTLP_ENDPOINT``, or its like for metrics, nothing is imported.
Each process exports for itself, as a service instance of its own.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import structlog

from webui.metrics.instruments import INSTRUMENTS, SECONDS, Sink

SERVICE = "account-connections"
_EXPORTER = "opentelemetry.exporter.otlp.proto.http"

log = structlog.get_logger(__name__)


def is_wanted(signal: str, environ: Mapping[str, str]) -> bool:
    """Tell whether a signal, ``metrics`` or ``traces``, is to be exported by OTLP."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    name = signal.upper()
    if environ.get(f"OTEL_{name}_EXPORTER", "otlp").strip() != "otlp":
        return False
    places = f"OTEL_EXPORTER_OTLP_{name}_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"
    if not any(environ.get(place, "").strip() for place in places):
        return False
    if find_spec("opentelemetry") and find_spec("opentelemetry.sdk") and find_spec(_EXPORTER):
        return True
    log.error("not exported: the extra metrics is not installed", signal=signal)
    return False


@cache
def sink() -> Sink | None:
    """Return the sink of this process, None unless it is set up."""
    if not is_wanted("metrics", os.environ):
        return None
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    reader = PeriodicExportingMetricReader(OTLPMetricExporter())
    return TelemetrySink(MeterProvider([reader], resource=resource()))


@cache
def resource() -> Any:
    """Return this process's name for a collector; ``OTEL_SERVICE_NAME`` and the like replace it."""
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource

    own = {
        "service.name": SERVICE,
        "service.version": version("stargazer-webui"),
        "service.instance.id": str(uuid.uuid4()),
    }
    return Resource(own).merge(OTELResourceDetector().detect())


class TelemetrySink:
    """Sink into the instruments of a meter provider."""

    def __init__(self, provider: Any) -> None:
        meter = provider.get_meter("webui", version("stargazer-webui"))
        self._take = {
            name: _writer(meter, name, one.kind, one.help) for name, one in INSTRUMENTS.items()
        }

    def take(self, name: str, value: float, labels: dict[str, str]) -> None:
        self._take[name](value, labels)


def _writer(meter: Any, name: str, kind: str, about: str) -> Any:
    if kind == "counter":
        return meter.create_counter(name, description=about).add
    if kind == "histogram":
        bounds = {"explicit_bucket_boundaries_advisory": SECONDS}
        return meter.create_histogram(name, "s", about, **bounds).record
    return meter.create_gauge(name, description=about).set
