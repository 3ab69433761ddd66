"""Limits of the benchmarks: a figure against another one of the same round, and what it may be.

A run fails if a median is beyond its limit by more than its margin, which is for the noise of
a machine that does other things too.  A limit of nothing has no margin: nothing may fail.
"""

from __future__ import annotations

from typing import NamedTuple

MARGIN = 1.3


class Limit(NamedTuple):
    against: str
    at_most: float  # times that figure; a count if there is none
    margin: float = MARGIN


_GET = "redis-py's GET"
_READS = "a bare page of the same reads, CPU"
_CALL = "aiohttp, CPU"
_ROUTE = "a bare Starlette route with one GET"
_POST = "one bare POST"
_FEW = "the same with 1,000 people"

LIMITS = {
    "get_token, 1 caller": Limit(_GET, 2.0),
    "get_token, 64 callers": Limit(_GET, 0.75),
    "list_user_connections, 1 caller": Limit(_GET, 3.0),
    "list_user_connections, 64 callers": Limit(_GET, 2.6),
    "get_token, 20,000 at once: failed": Limit("", 0),
    "a bystander beside 10,000 first uses: slowest of 99 %": Limit("20 ms", 1.0),
    "first uses, 10,000: not written": Limit("", 0),
    "asked at once after a disconnect: a token": Limit("", 0),
    "a call to a provider, 1 at once": Limit(_CALL, 2.5),
    "a call to a provider, 16 at once": Limit(_CALL, 3.5),
    "a call to a provider, 64 at once": Limit(_CALL, 3.5),
    "a call that carries a live token": Limit("the same with a plain httpx client", 1.05, margin=1),
    "a token over HTTP, 16 callers": Limit(_ROUTE, 3.5),
    "refresh, uncontended": Limit(_POST, 2.2),
    "storm, 64 callers, 1 process": Limit(_POST, 2.0),
    "storm, 64 callers, 2 processes": Limit(_POST, 2.0),
    "storm, 64 callers, 4 processes": Limit(_POST, 2.0),
    "storm, 64 callers, 8 processes": Limit(_POST, 2.0),
    "storm: failed, or asked twice": Limit("", 0),
    "page of four cards, one person": Limit(_READS, 1.6),
    "page of four cards, many people in turn": Limit(_READS, 3.0),
    "page of five accounts of one service": Limit("the page of one account", 1.2),
    "one card for htmx": Limit(_READS, 1.5),
    "poll without news": Limit(_READS, 1.3),
    "starting a connection": Limit(_READS, 3.2),
    "answer on a kept connection": Limit("one on a new connection", 1.0),
    "two workers: CPU of an answer": Limit("one worker's", 1.05),
    "500 kept connections: refused": Limit("", 0),
    "500 kept connections: memory at the end": Limit("in the middle", 1.05),
    "rotation": Limit("open and seal alone", 1.0),
    "start-up to listening": Limit("a bare application of the same packages", 1.3),
    "get_token, 100,000 people": Limit(_FEW, 1.15),
    "list_user_connections, 100,000 people": Limit(_FEW, 1.15),
    "page, 100,000 people": Limit(_FEW, 1.15),
    "keys of a connection": Limit("", 3.5),
    "Redis bytes of a person, four connections": Limit("the four sealed values", 1.7),
}
