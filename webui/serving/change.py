"""A change of settings while the site runs: what differs, and the step between two sets of keys.

Keys change in two steps over all processes.  After the first, each opens with the new
keys as well, and seals as before; only then does the first of them seal with a new one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import fields

import structlog

from webui.oauth_manager.values import replace
from webui.serving.notify import notify, notify_reloading
from webui.settings.settings import Settings, SettingsError

Load = Callable[[], Settings]
"""Read all settings again.  Raises ``SettingsError``; it may take a while."""

Take = Callable[[Settings], Awaitable[None]]
"""Work with these settings from now on.  Raises ``ChangeRefused``, and nothing has changed."""

log = structlog.get_logger(__name__)


class ChangeRefused(RuntimeError):
    """The site cannot work with these settings; the message is a sentence."""


async def _read_again(load: Load) -> Settings:
    """Read the settings.  Raises ``ChangeRefused``, with every fault in its arguments."""
    try:
        return await asyncio.to_thread(load)
    except SettingsError as error:
        raise ChangeRefused(*error.faults) from None


def _require_same_listeners(now: Settings, new: Settings) -> None:
    """Raise ``ChangeRefused`` for a change of what listens beside the site: it began before it."""
    if now.api_port != new.api_port:
        raise ChangeRefused("API_PORT is taken at a start alone. Set it back, or restart.")
    before, after = map(_exporter, (now, new))
    if before != after:
        raise ChangeRefused(
            "METRICS_PORT and METRICS_HOST are taken at a start alone, and so is the first "
            "METRICS_TOKEN, or none any more. Set them back, or restart."
        )


def _exporter(settings: Settings) -> tuple[int, str, bool]:
    """Return the port, its host, and whether values are kept for a reader at all."""
    port, token = settings.metrics_port, settings.metrics_token
    return port, settings.metrics_host if port else "", bool(port or token)


def with_keys_of(now: Settings, new: Settings) -> Settings:
    """Return the settings now, which open with the keys and secrets of the new ones too.

    They seal and sign as before.
    """
    return replace(
        now,
        encryption_keys=_joined(now.encryption_keys, new.encryption_keys),
        session_secrets=_joined(now.session_secrets, new.session_secrets),
    )


def _joined(first: Sequence[str], then: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *then)))


def names_of_changes(now: Settings, new: Settings) -> list[str]:
    """List the settings that differ, without their values."""
    return [
        one.name.upper()
        for one in fields(Settings)
        if getattr(now, one.name) != getattr(new, one.name)
    ]


async def reload(now: Settings, load: Load, take: Take) -> None:
    """Read the settings again, have them taken if they differ, and tell systemd and the log."""
    notify_reloading()
    try:
        new = await _read_again(load)
        _require_same_listeners(now, new)
        if changed := names_of_changes(now, new):
            await take(new)
    except ChangeRefused as refusal:
        _tell_kept(refusal)
    else:
        _tell_taken(changed)
    notify("READY=1")


def _tell_taken(changed: Sequence[str]) -> None:
    """Log that settings were read again, and which of them are others now."""
    log.info("settings read again", changed=list(changed))


def _tell_kept(refusal: ChangeRefused) -> None:
    """Log that everything stays as it was, and why."""
    log.error("settings kept as they were", faults=[str(fault) for fault in refusal.args])
