"""A collector on loopback that takes OTLP over HTTP, as a real one does, and keeps it."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass
class Collector:
    """Everything that was sent; ``url`` is for ``OTEL_EXPORTER_OTLP_ENDPOINT``."""

    url: str = ""
    bodies: list[bytes] = field(default_factory=list)
    metrics: list[Any] = field(default_factory=list)
    spans: list[Any] = field(default_factory=list)
    services: list[dict[str, str]] = field(default_factory=list)

    def take(self, path: str, body: bytes) -> None:
        self.bodies.append(body)
        if path == "/v1/metrics":
            for one in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                self._resource(one)
                self.metrics += [m for scope in one.scope_metrics for m in scope.metrics]
        elif path == "/v1/traces":
            for one in ExportTraceServiceRequest.FromString(body).resource_spans:
                self._resource(one)
                self.spans += [span for scope in one.scope_spans for span in scope.spans]

    def _resource(self, one: Any) -> None:
        self.services.append({a.key: a.value.string_value for a in one.resource.attributes})

    def points(self, name: str) -> list[Any]:
        """The latest points of a counter."""
        found = [metric for metric in self.metrics if metric.name == name]
        return list(found[-1].sum.data_points) if found else []


@contextmanager
def collector() -> Iterator[Collector]:
    kept = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            kept.take(self.path, body)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        kept.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield kept
        finally:
            server.shutdown()
            thread.join()
