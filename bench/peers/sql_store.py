"""SQLAlchemy's asynchronous engine, a row for each connection, sealed with Fernet."""

from __future__ import annotations

import json

from cryptography.fernet import Fernet
from sqlalchemy import Column, MetaData, String, Table, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from bench.meter import Call
from tests.kit.library import KEY

_METADATA = MetaData()
_TOKENS = Table(
    "tokens",
    _METADATA,
    Column("user_id", String, primary_key=True),
    Column("provider", String, primary_key=True),
    Column("sealed", String),
)


async def reader(engine: AsyncEngine, token: str) -> Call:
    fernet = Fernet(KEY)
    sealed = fernet.encrypt(json.dumps({"access_token": token}).encode()).decode()
    async with engine.begin() as connection:
        await connection.run_sync(_METADATA.create_all)
        row = {"user_id": "alice", "provider": "google", "sealed": sealed}
        await connection.execute(insert(_TOKENS).values(**row))
    query = select(_TOKENS.c.sealed).where(
        _TOKENS.c.user_id == "alice", _TOKENS.c.provider == "google"
    )

    async def read() -> str:
        async with engine.connect() as connection:
            found = (await connection.execute(query)).scalar_one()
        return str(json.loads(fernet.decrypt(found))["access_token"])

    return read
