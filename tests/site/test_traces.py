"""Metrics and traces by OTLP, and a request's trace id that is its request id."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from redis.asyncio import Redis
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, Router
from structlog.testing import capture_logs

from tests.kit.collector import Collector, collector
from tests.kit.fake_provider import FakeProvider
from tests.kit.library import providers_config
from tests.kit.site_fixtures import free_port, serving, site_environment
from webui.metrics.recorder import Recorder
from webui.metrics.redis_latency import measure
from webui.metrics.telemetry import is_wanted
from webui.metrics.traces import Tracer, trace_id_of
from webui.middleware.stack import AccessLog
from webui.oauth_manager import Step

pytestmark = pytest.mark.anyio

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
PROXY = "10.0.0.5"


class Traced:
    """A small application behind the access log, and the spans that it leaves."""

    def __init__(self, redis_url: str, *, is_traced: bool = True) -> None:
        self.exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.recorder = Recorder([], Tracer(provider) if is_traced else None)
        self.redis: Any = Redis.from_url(redis_url)
        measure(self.redis, self.recorder)
        self.app = AccessLog(Router([Route("/people/{user}", self.page)]), [PROXY], self.recorder)

    async def page(self, request: Request) -> PlainTextResponse:
        await self.redis.set("stargazer:secret-key", "secret-value")
        self.recorder.step(Step("call", "github", "answered", 0.2, "refresh"))
        return PlainTextResponse(request.state.request_id)

    async def ask(self, peer: str, **headers: str) -> str:
        transport = httpx.ASGITransport(self.app, client=(peer, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://a.example") as client:
            return (await client.get("/people/mona", headers=headers)).text


async def test_a_request_is_a_trace_with_what_it_asked_and_no_argument(
    redis_url: str, redis: Redis
) -> None:
    traced = Traced(redis_url)
    request_id = await traced.ask("192.0.2.1")
    await traced.redis.aclose()
    spans: Any = traced.exporter.get_finished_spans()
    assert [span.name for span in spans] == [
        "redis SET",
        "provider refresh",
        "GET /people/{user}",
    ]
    command, call, request = spans
    assert command.parent.span_id == call.parent.span_id == request.context.span_id
    assert format(request.context.trace_id, "032x") == request_id
    assert request.attributes["http.response.status_code"] == 200
    assert dict(call.attributes) == {"provider": "github", "outcome": "answered"}
    assert 0.19 < (call.end_time - call.start_time) / 1e9 < 0.21
    for word in ("mona", "secret"):
        assert word not in "".join(span.to_json() for span in spans)


@pytest.mark.parametrize("is_traced", [True, False])
async def test_a_trusted_proxys_trace_goes_on_and_nobody_elses(
    redis_url: str, redis: Redis, *, is_traced: bool
) -> None:
    traced = Traced(redis_url, is_traced=is_traced)
    with capture_logs():
        assert await traced.ask(PROXY, traceparent=TRACEPARENT) == TRACE
        assert await traced.ask("192.0.2.1", traceparent=TRACEPARENT) != TRACE
        assert await traced.ask(PROXY, traceparent="00-nonsense") != TRACE
    await traced.redis.aclose()
    if is_traced:
        spans: Any = traced.exporter.get_finished_spans()
        theirs = [span for span in spans if format(span.context.trace_id, "032x") == TRACE]
        assert len(theirs) == 3
        assert format(theirs[-1].parent.span_id, "016x") == "00f067aa0ba902b7"


@pytest.mark.parametrize(
    "text",
    [
        "",
        TRACE,
        TRACEPARENT.upper(),
        f"ff-{TRACE}-00f067aa0ba902b7-01",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"{TRACEPARENT}\n",
        f"{TRACEPARENT},{TRACEPARENT}",
    ],
)
def test_anything_but_a_traceparent_has_no_trace_id(text: str) -> None:
    assert trace_id_of(text) in ("", TRACE if text.strip() == TRACEPARENT else "")


@pytest.mark.parametrize(
    ("environ", "is_it"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://127.0.0.1:4318/v1/metrics"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a", "OTEL_SDK_DISABLED": "true"}, False),
    ],
)
def test_the_standard_variables_turn_it_on(environ: dict[str, str], *, is_it: bool) -> None:
    assert is_wanted("traces", environ) is is_it


async def _received(seen: Collector) -> None:
    with anyio.fail_after(30):
        while True:
            counted = sum(point.as_int for point in seen.points("webui_requests"))
            if counted >= 3 and any(span.name == "GET /connect/{code}" for span in seen.spans):
                return
            await anyio.sleep(0.05)


async def test_the_command_exports_both_by_otlp(
    redis_url: str, redis: Redis, tmp_path: Path
) -> None:
    config = providers_config(FakeProvider(), "http://127.0.0.1:9")
    environment = site_environment(f"http://127.0.0.1:{free_port()}", redis_url, config)
    with collector() as seen:
        environment |= {
            "OTEL_EXPORTER_OTLP_ENDPOINT": seen.url,
            "OTEL_METRIC_EXPORT_INTERVAL": "300",
            "OTEL_BSP_SCHEDULE_DELAY": "300",
            "OTEL_SERVICE_NAME": "connections-of-ours",
        }
        with serving(environment, tmp_path) as site:
            async with httpx.AsyncClient() as client:
                for number in range(3):
                    await client.get(f"{site.base_url}/connect/code-of-somebody-{number}")
            await _received(seen)
            lines = [json.loads(line) for line in site.log.read_text().splitlines()]
    ids = {line["request_id"] for line in lines if line["event"] == "request"}
    pages = [span for span in seen.spans if span.name == "GET /connect/{code}"]
    assert {span.trace_id.hex() for span in pages} == ids
    assert {service["service.name"] for service in seen.services} == {"connections-of-ours"}
    assert len({service["service.instance.id"] for service in seen.services}) == 1
    assert {metric.name for metric in seen.metrics} >= {"webui_redis_up", "webui_redis_seconds"}
    assert not [body for body in seen.bodies if b"somebody" in body]
