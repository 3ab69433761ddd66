"""Runner of a command: settings, manager and Redis, or a sentence and the status to end with."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from typing import NoReturn, TypeVar

import click

from webui.app import opened
from webui.oauth_manager import OAuthError, OAuthManager, StoreUnavailable
from webui.oauth_manager.storage.calls import RedisClient
from webui.settings.settings import Settings, SettingsError, load_settings

T = TypeVar("T")

BAD_SETTINGS = 2
UNAVAILABLE = 1


def read_settings() -> Settings:
    """Return the settings of the environment; end with a line for each fault."""
    try:
        return load_settings(os.environ)
    except SettingsError as error:
        click.echo("The settings are not right; nothing was started.", err=True)
        for fault in error.faults:
            click.echo(f"  - {fault}", err=True)
        sys.exit(BAD_SETTINGS)


def with_store(work: Callable[[OAuthManager, RedisClient], Awaitable[T]]) -> T:
    """Run one piece of work against the configured Redis; end with a sentence if it fails."""
    settings = read_settings()

    async def run() -> T:
        async with opened(settings) as (manager, redis):
            return await work(manager, redis)

    try:
        return asyncio.run(run())
    except StoreUnavailable:
        fail("Redis does not answer, or refuses. `webui check` says why, and what to do about it.")
    except (OAuthError, ValueError) as error:
        fail(f"{error}.")


def fail(sentence: str) -> NoReturn:
    """End the command with a sentence for its operator."""
    click.echo(sentence, err=True)
    sys.exit(UNAVAILABLE)
