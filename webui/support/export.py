"""The audit in the format of ``webui audit``: a line for each record, whatever it holds."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from datetime import UTC, datetime

from webui.oauth_manager import AuditRecord

_AGO = re.compile(r"([1-9][0-9]{0,4})([hd])")
_HOURS = {"h": 1, "d": 24}
_PLAIN = re.compile(r"[A-Za-z0-9._-]+")


def since(text: str, now: float) -> float:
    """Read ``7d``, ``24h``, a day or a moment (ISO 8601, UTC unless it says) as epoch seconds.

    Raises ``ValueError``.
    """
    if ago := _AGO.fullmatch(text):
        return max(now - int(ago[1]) * _HOURS[ago[2]] * 3600, 0.0)
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def as_json(record: AuditRecord) -> str:
    """Return one object, in ASCII."""
    return json.dumps(asdict(record))


def as_line(record: AuditRecord) -> str:
    """Return one readable line: longer texts than a word are quoted, control characters escaped."""
    moment = datetime.fromtimestamp(record.at, UTC)
    parts = [f"{moment:%Y-%m-%dT%H:%M:%SZ}"]
    for name, value in asdict(record).items():
        if name != "at" and value:
            parts.append(f"{name}={value if _PLAIN.fullmatch(value) else repr(value)}")
    return " ".join(parts)
