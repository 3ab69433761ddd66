"""``Recorder``: what happens in the site becomes values of instruments."""

from __future__ import annotations

from collections.abc import Sequence

from webui.metrics.instruments import Sink
from webui.metrics.traces import Tracer
from webui.oauth_manager import Census, Status, Step
from webui.oauth_manager.protocol.steps import OUTCOMES
from webui.oauth_manager.storage import SAFE_POLICY, Engine

_COUNTERS = {
    "connect": "webui_connects",
    "refresh": "webui_refreshes",
    "check": "webui_checks",
    "revoke": "webui_revocations",
}
_STATES = tuple(state.value for state in Status if state is not Status.NOT_CONNECTED)
OTHER = "other"  # providers that are not set up here


class Recorder:
    """Recorder of requests, steps of OAuth, round trips to Redis, and samples."""

    def __init__(self, sinks: Sequence[Sink], tracer: Tracer | None = None) -> None:
        self._sinks = sinks
        self.tracer = tracer

    def _take(self, name: str, value: float, **labels: str) -> None:
        for sink in self._sinks:
            sink.take(name, value, labels)

    def begin(self, providers: Sequence[str]) -> None:
        """Begin every counter of steps at 0: a rate over a series that appears misses its first."""
        for provider in providers:
            for kind, outcomes in OUTCOMES.items():
                for outcome in outcomes:
                    self._take(_COUNTERS[kind], 0, provider=provider, outcome=outcome)

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request by its route's template, never by its path."""
        self._take("webui_requests", 1, route=route, method=method, status=str(status))
        self._take("webui_request_seconds", seconds, route=route)

    def api_call(self, call: str, outcome: str) -> None:
        """Count a call of the API; ``outcome`` is ``ok`` or a problem's code."""
        self._take("webui_api_calls", 1, call=call, outcome=outcome)

    def step(self, step: Step) -> None:
        """Count a step: the observer for the library's manager."""
        provider = step.provider
        if name := _COUNTERS.get(step.kind):
            self._take(name, 1, provider=provider, outcome=step.outcome)
        elif step.kind == "call":
            seen = {"provider": provider, "call": step.call, "outcome": step.outcome}
            self._take("webui_provider_call_seconds", step.seconds, **seen)
            if self.tracer:
                self.tracer.call(step)
        elif step.kind == "lock":
            waited = {"provider": provider, "outcome": step.outcome}
            self._take("webui_lock_wait_seconds", step.seconds, **waited)
        elif step.kind == "saved":
            self._take("webui_refreshes_saved", 1, provider=provider, by=step.outcome)

    def round_trip(self, command: str, seconds: float, error: str) -> None:
        """Count a round trip to Redis; ``error`` is the class of its failure, if any."""
        if self.tracer:
            self.tracer.round_trip(command, seconds, error)
        self._take("webui_redis_seconds", seconds)
        if error:
            self._take("webui_redis_errors", 1, error=error)

    def readiness(self, *, is_up: bool, fits: bool | None = None) -> None:
        """Set whether Redis works, and whether the keys fit, if that is known."""
        self._take("webui_redis_up", int(is_up))
        if fits is not None:
            self._take("webui_keys_fit", int(fits))

    def engine(self, engine: Engine) -> None:
        """Set what Redis may lose, as far as it tells."""
        if engine.policy:
            self._take("webui_redis_noeviction", int(engine.policy == SAFE_POLICY))
        if engine.persistence:
            self._take("webui_redis_persistent", int(engine.persistence != "none"))

    def census(self, census: Census, providers: Sequence[str]) -> None:
        """Set the counts of records, with a zero for every state that nothing is in."""
        counts = {(name, state): 0 for name in (*providers, OTHER) for state in _STATES}
        for provider, states in census.connections.items():
            for state, number in states.items():
                counts[provider if provider in providers else OTHER, state] += number
        for (provider, state), number in counts.items():
            self._take("webui_connections", number, provider=provider, state=state)
        self._take("webui_people", census.people)
        self._take("webui_open_links", census.open_links)
        self._take("webui_notices_unread", census.notices_unread)
        self._take("webui_last_rotation_seconds", census.last_rotation)
        self._take("webui_last_keep_alive_seconds", census.last_keep_alive)
