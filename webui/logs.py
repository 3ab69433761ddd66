"""Logs: one line per event, and never a secret.

Our own loggers are those named ``webui`` and below.  Of all others only warnings and
errors are written, whatever the level: their messages are made of values, so only the
fixed words remain.  The same holds for exceptions: of ours the ``repr``, which holds no
secret; of others the type and the place.
"""

from __future__ import annotations

import errno
import json
import logging
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import PurePath
from traceback import walk_tb
from types import TracebackType
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_ACCESS = "webui.access"
_log = structlog.get_logger(_ACCESS)
_log_of_json = logging.getLogger(_ACCESS)

_LONGEST = 500
_MOST_FRAMES = 12
_SECRET_WORD = re.compile(
    "authorization|binding|(code|connect|cookie|credential|csrf|key|link|passphrase|password|proof"
    "|secret|session|state|token|verifier)s?"
)
_HARMLESS = frozenset({"error_code", "exit_code", "status_code"})
_MASKED = "***"
_QUERY = re.compile(r"\?[^\s\"'>]*=[^\s\"'>]*")
_USER_INFO = re.compile(r"(?<=://)[^/@\s]+@")
_FIXED_WORDS = re.compile(r"[A-Za-z]{1,15}\b(?:[ ,.]{1,2}[A-Za-z]{1,15}\b)*")


def configure_logs(level: str, *, as_json: bool, stream: TextIO | None = None) -> None:
    """Take over logging for the whole process; ``stream`` is stderr unless given."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    render: Processor = structlog.processors.JSONRenderer() if as_json else _one_line
    handler = logging.StreamHandler(stream)
    handler.addFilter(_is_ours_or_serious)
    formatter = _JSONFormatter if as_json else structlog.stdlib.ProcessorFormatter
    handler.setFormatter(
        formatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[_without_foreign_values, _safe, render],
        )
    )
    logging.raiseExceptions = False  # would print the arguments of a message it cannot format
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("webui").setLevel(level.upper())
    sys.excepthook = _log_uncaught
    sys.unraisablehook = _log_unraisable


class _Harmless(dict[str, object]):
    """An event whose every value is ours: a number, or a text of this program."""


class _JSONFormatter(structlog.stdlib.ProcessorFormatter):
    def format(self, record: logging.LogRecord) -> str:
        if isinstance(record.msg, _Harmless):
            return json.dumps(record.msg)
        return super().format(record)


def tell_request(**facts: object) -> None:
    """Log one request, in JSON at the cost of one line; nothing in ``facts`` is from outside.

    The request's id is among them, and bound as well.
    """
    if not any(isinstance(h.formatter, _JSONFormatter) for h in logging.getLogger().handlers):
        _log.info("request", **facts)
    elif _log_of_json.isEnabledFor(logging.INFO):
        record = logging.LogRecord(_ACCESS, logging.INFO, "", 0, "request", (), None)
        at = datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z")
        own = {"logger": _ACCESS, "level": "info", "timestamp": at}
        record.msg = _Harmless({"event": "request", **facts, **own})
        _log_of_json.handle(record)


def _is_ours(name: str) -> bool:
    return name == "webui" or name.startswith("webui.")


def _is_ours_or_serious(record: logging.LogRecord) -> bool:
    return _is_ours(record.name) or record.levelno >= logging.WARNING


def _without_foreign_values(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Keep only the words before the first value of a library's message."""
    record: logging.LogRecord = event.pop("_record")
    if not event.pop("_from_structlog") and not _is_ours(record.name):
        fixed = _FIXED_WORDS.match(record.msg if isinstance(record.msg, str) else "")
        kept = ("exc_info", "level", "logger", "request_id", "timestamp")
        event = {name: event[name] for name in kept if name in event}
        event["event"] = fixed[0] if fixed else "message withheld"
        event["where"] = f"{PurePath(record.pathname).name}:{record.lineno}:{record.funcName}"
    return event


def _safe(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    exc_info = event.pop("exc_info", None)
    event.pop("stack_info", None)
    error = sys.exc_info()[1] if exc_info is True else exc_info
    if isinstance(error, tuple):
        error = error[1]
    safe = {_text(name): _MASKED if _is_secret(name) else _plain(v) for name, v in event.items()}
    if isinstance(error, BaseException):
        safe["error"] = list(_story(error))
    return safe


def _is_secret(name: str) -> bool:
    words = re.split(r"[^a-z0-9]+", name.lower())
    return name not in _HARMLESS and any(map(_SECRET_WORD.fullmatch, words))


def _plain(value: object) -> object:
    """Reduce a value to numbers, texts and lists of them; of anything else only the type."""
    if isinstance(value, str):
        return _text(value)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in list(value)[:20]]
    return type(value).__name__


def _text(text: str) -> str:
    """Put a text on one line, bounded, without query strings and passwords in addresses."""
    text = _USER_INFO.sub(f"{_MASKED}@", _QUERY.sub(f"?{_MASKED}", text[: 4 * _LONGEST]))
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii")
        for c in text[:_LONGEST]
    )


def _story(error: BaseException | None) -> Iterator[str]:
    """Tell the chain of exceptions, the last one first: what, then where, innermost last."""
    told: set[int] = set()
    pending = [error]
    while pending:
        error = pending.pop()
        if error is None or id(error) in told or len(told) > _MOST_FRAMES:
            continue
        told.add(id(error))
        yield _name(error)
        frames = [
            f"{'/'.join(PurePath(frame.f_code.co_filename).parts[-3:])}:{line}:"
            f"{frame.f_code.co_name}"
            for frame, line in walk_tb(error.__traceback__)
        ]
        yield from frames[-_MOST_FRAMES:]
        pending.append(
            error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        )
        if isinstance(error, BaseExceptionGroup):
            pending.extend(error.exceptions)


def _name(error: BaseException) -> str:
    kind = type(error)
    if _is_ours(kind.__module__):
        return _text(repr(error))
    if isinstance(error, OSError) and kind.__module__ == "builtins":  # others count differently
        return f"{kind.__qualname__}({errno.errorcode.get(error.errno or 0, '')})"
    return f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")


def _one_line(_: WrappedLogger, __: str, event: EventDict) -> str:
    """Format a line for a terminal: time, level, event, then the rest."""
    first = [str(event.pop(name, "")) for name in ("timestamp", "level", "event")]
    error = event.pop("error", [])
    rest = [f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in event.items()]
    return " ".join([*first, *rest, *(["error=" + " < ".join(error)] if error else [])])


def _log_uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        logging.getLogger("webui").critical("uncaught error", exc_info=(kind, error, trace))


def _log_unraisable(unraisable: Any) -> None:
    error = unraisable.exc_value
    logging.getLogger("webui").error("error outside of any call", exc_info=error)
