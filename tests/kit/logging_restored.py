"""Logging as it was: commands that run in a test's process take over its global settings."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import structlog


@contextmanager
def everything_put_back() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("webui")
    handlers, level, our_level = root.handlers, root.level, ours.level
    raising = logging.raiseExceptions
    hooks = sys.excepthook, sys.unraisablehook
    try:
        yield
    finally:
        root.handlers, logging.raiseExceptions = handlers, raising
        root.setLevel(level)
        ours.setLevel(our_level)
        sys.excepthook, sys.unraisablehook = hooks
        structlog.reset_defaults()
