"""slack_sdk: two of its stores, each with its rotator, which finds the tokens valid."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from slack_sdk.oauth.installation_store import Installation
from slack_sdk.oauth.installation_store.sqlalchemy import AsyncSQLAlchemyInstallationStore
from slack_sdk.oauth.installation_store.sqlite3 import SQLite3InstallationStore
from slack_sdk.oauth.token_rotation import TokenRotator
from slack_sdk.oauth.token_rotation.async_rotator import AsyncTokenRotator
from sqlalchemy.ext.asyncio import AsyncEngine

from bench.meter import Call

_CLIENT = "client"
_SECRET = "client-secret"


def sqlite3_reader(folder: Path, token: str) -> Callable[[], str]:
    store = SQLite3InstallationStore(database=str(folder / "slack.sqlite"), client_id=_CLIENT)
    rotator = TokenRotator(client_id=_CLIENT, client_secret=_SECRET)
    store.init()  # type: ignore[no-untyped-call]
    store.save(_installation(token))

    def read() -> str:
        found = store.find_installation(enterprise_id=None, team_id="T1", user_id="alice")
        assert found  # noqa: S101 - it was saved above
        rotated = rotator.perform_token_rotation(installation=found)
        if rotated is not None:
            store.save(rotated)
        return str((rotated or found).user_token)

    return read


async def sqlalchemy_reader(engine: AsyncEngine, token: str) -> Call:
    store = AsyncSQLAlchemyInstallationStore(client_id=_CLIENT, engine=engine)
    rotator = AsyncTokenRotator(client_id=_CLIENT, client_secret=_SECRET)
    await store.create_tables()  # type: ignore[no-untyped-call]
    await store.async_save(_installation(token))

    async def read() -> str:
        found = await store.async_find_installation(
            enterprise_id=None, team_id="T1", user_id="alice"
        )
        assert found  # noqa: S101 - it was saved above
        rotated = await rotator.perform_token_rotation(installation=found)
        if rotated is not None:
            await store.async_save(rotated)
        return str((rotated or found).user_token)

    return read


def _installation(token: str) -> Installation:
    return Installation(
        team_id="T1",
        user_id="alice",
        app_id="A1",
        bot_id="B1",
        bot_user_id="U1",
        bot_scopes=["chat:write"],
        bot_token=token,
        bot_refresh_token="r" * 100,
        bot_token_expires_in=43200,
        user_scopes=["search:read"],
        user_token=token,
        user_refresh_token="r" * 100,
        user_token_expires_in=43200,
    )
