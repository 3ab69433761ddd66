"""Traces by OTLP: a span for each request, call to a provider and round trip to Redis.

No span has an argument, a path or an id of a person.  A request's trace id is its request
id, in the log and in references too.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from typing import Any

from webui.metrics import telemetry
from webui.oauth_manager import Step

# W3C Trace Context, 3.2: version, trace id, parent id, flags.
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def trace_id_of(traceparent: str) -> str:
    """Return the trace id of a header's value, ``""`` if it is none."""
    found = _TRACEPARENT.fullmatch(traceparent.strip())
    return found[1] if found and not traceparent.strip().startswith("ff") else ""


class RequestSpan:
    """The span of one request under way; ``request_id`` is its trace id."""

    def __init__(self, span: Any) -> None:
        self._span = span
        self.request_id = format(span.get_span_context().trace_id, "032x")

    def answered(self, route: str, method: str, status: int) -> None:
        """Name it by the route's template, and note the status."""
        self._span.update_name(f"{method} {route}")
        self._span.set_attribute("http.request.method", method)
        self._span.set_attribute("http.route", route)
        self._span.set_attribute("http.response.status_code", status)


class Tracer:
    """Maker of spans, with OpenTelemetry's API."""

    def __init__(self, provider: Any) -> None:
        from opentelemetry import context, trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._tracer = provider.get_tracer("webui", version("stargazer-webui"))
        self._trace, self._context = trace, context
        self._extract = TraceContextTextMapPropagator().extract

    @contextmanager
    def request(self, traceparent: str) -> Iterator[RequestSpan]:
        """Trace one request, within the trace that ``traceparent`` names, if any."""
        within = self._extract({"traceparent": traceparent}) if traceparent else None
        kind = self._trace.SpanKind.SERVER
        span = self._tracer.start_span("request", within or self._context.Context(), kind)
        token = self._context.attach(self._trace.set_span_in_context(span))
        try:
            yield RequestSpan(span)
        finally:
            self._context.detach(token)
            span.end()

    def call(self, step: Step) -> None:
        """Add the span of a call to a provider that has just ended."""
        about = {"provider": step.provider, "outcome": step.outcome}
        self._ended(f"provider {step.call}", step.seconds, about)

    def round_trip(self, command: str, seconds: float, error: str) -> None:
        """Add the span of a round trip to Redis that has just ended."""
        about = {"db.system.name": "redis", "db.operation.name": command}
        self._ended(f"redis {command}", seconds, about | ({"error.type": error} if error else {}))

    def _ended(self, name: str, seconds: float, about: dict[str, str]) -> None:
        now = time.time_ns()
        span = self._tracer.start_span(
            name,
            kind=self._trace.SpanKind.CLIENT,
            attributes=about,
            start_time=now - int(seconds * 1e9),
        )
        span.end(now)


@cache
def process_tracer() -> Tracer | None:
    """Return the tracer of this process, None unless it is set up."""
    if not telemetry.is_wanted("traces", os.environ):
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=telemetry.resource())
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracer(provider)
