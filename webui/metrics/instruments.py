"""The table of instruments: every metric with its help and its labels.

No label holds anything from outside: each has a closed set of values, so the number of
series has a bound that no visitor can raise.
"""

from __future__ import annotations

from typing import Literal, Protocol

from webui.oauth_manager.values import Struct

Kind = Literal["counter", "histogram", "gauge"]

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Name of the variable with the folder of all workers; Prometheus's client reads it at import."""

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Instrument(Struct, frozen=True):
    """One metric; histograms are of seconds.  A counter's name gets ``_total`` where it leaves."""

    kind: Kind
    help: str
    labels: tuple[str, ...] = ()


INSTRUMENTS = {
    "webui_requests": Instrument(
        "counter", "Requests that were answered.", ("route", "method", "status")
    ),
    "webui_request_seconds": Instrument("histogram", "Time to an answer.", ("route",)),
    "webui_api_calls": Instrument("counter", "Calls of the API.", ("call", "outcome")),
    "webui_connects": Instrument(
        "counter", "Attempts to connect that ended.", ("provider", "outcome")
    ),
    "webui_refreshes": Instrument(
        "counter", "Refreshes of tokens that ended.", ("provider", "outcome")
    ),
    "webui_checks": Instrument(
        "counter", "Checks of connections that ended.", ("provider", "outcome")
    ),
    "webui_revocations": Instrument(
        "counter", "Revocations that the provider was asked for.", ("provider", "outcome")
    ),
    "webui_refreshes_saved": Instrument(
        "counter", "Refreshes that another one saved.", ("provider", "by")
    ),
    "webui_provider_call_seconds": Instrument(
        "histogram", "Time of one request to a provider.", ("provider", "call", "outcome")
    ),
    "webui_lock_wait_seconds": Instrument(
        "histogram", "Wait for another process's refresh.", ("provider", "outcome")
    ),
    "webui_redis_seconds": Instrument("histogram", "Time of one round trip to Redis."),
    "webui_redis_errors": Instrument("counter", "Round trips to Redis that failed.", ("error",)),
    "webui_redis_up": Instrument("gauge", "1 if Redis takes reads and writes."),
    "webui_redis_noeviction": Instrument(
        "gauge", "1 if maxmemory-policy is noeviction, 0 if Redis may drop connections."
    ),
    "webui_redis_persistent": Instrument(
        "gauge", "1 if Redis keeps what it holds over a restart, 0 if it does not."
    ),
    "webui_keys_fit": Instrument("gauge", "1 if ENCRYPTION_KEY opens what Redis holds."),
    "webui_people": Instrument("gauge", "People with a connection."),
    "webui_connections": Instrument("gauge", "Connections that are stored.", ("provider", "state")),
    "webui_open_links": Instrument("gauge", "Links from chat that can still be used."),
    "webui_notices_unread": Instrument("gauge", "Notices that the bot has not read."),
    "webui_last_rotation_seconds": Instrument(
        "gauge", "Epoch seconds of the last whole rotation of keys."
    ),
    "webui_last_keep_alive_seconds": Instrument(
        "gauge", "Epoch seconds of the last whole keep-alive pass."
    ),
}


class Sink(Protocol):
    """One way out: it takes a value for an instrument of the table."""

    def take(self, name: str, value: float, labels: dict[str, str]) -> None:
        """Add to a counter, observe for a histogram, or set a gauge."""
