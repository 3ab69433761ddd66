"""The ways out of a process: which are set up, and the recorder that feeds them."""

from __future__ import annotations

from webui.metrics import telemetry
from webui.metrics.instruments import Sink
from webui.metrics.recorder import Recorder
from webui.metrics.traces import process_tracer
from webui.settings.settings import Settings


def recorder_for(settings: Settings) -> Recorder | None:
    """Return a recorder for the ways out that are set up; None if there is none.

    The packages of the extra ``metrics`` are imported here, if they are needed.
    """
    sinks: list[Sink] = []
    if settings.metrics_port or settings.metrics_token:
        from webui.metrics.prometheus import process_sink

        sinks.append(process_sink())
    if otlp := telemetry.sink():
        sinks.append(otlp)
    tracer = process_tracer()
    return Recorder(sinks, tracer) if sinks or tracer else None
