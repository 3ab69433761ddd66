"""The site as a command whose keys are in a file, with one worker or several."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from cryptography.fernet import Fernet, InvalidToken
from redis.asyncio import Redis

from tests.kit.library import KEY, OTHER_KEY, fake_provider, manager_for
from tests.kit.load import Load
from tests.kit.site_fixtures import (
    FROM_OUR_PAGE,
    SiteProcess,
    free_port,
    serving,
    site_environment,
)


@contextmanager
def site(
    redis_url: str,
    folder: Path,
    workers: int,
    providers: Mapping[str, Mapping[str, Any]] | None = None,
) -> Iterator[SiteProcess]:
    """Run it until the end; its keys are those in the file ``keys``."""
    environment = site_environment(f"http://127.0.0.1:{free_port()}", redis_url, providers or {})
    (folder / "keys").write_text(environment.pop("ENCRYPTION_KEY"))
    environment["ENCRYPTION_KEY_FILE"] = str(folder / "keys")
    with serving(environment, folder, "--workers", str(workers)) as process:
        process.wait_for("started")
        yield process


def load_on(process: SiteProcess) -> Load:
    return Load(process.base_url.partition("://")[2], process.address)


async def sealing_key(process: SiteProcess, redis: Redis) -> str:
    """The key by which the site seals what it writes for a person who opens a link."""
    await redis.delete(*await redis.keys("stargazer:oauth_pending:*"), "none")
    manager = manager_for(fake_provider())
    code = await manager.create_link_code(redis, "ann")
    await manager.aclose()
    async with httpx.AsyncClient(base_url=process.base_url) as client:
        answer = await client.post(f"/connect/{code}/start", headers=FROM_OUR_PAGE)
    assert answer.status_code == 303
    (name,) = await redis.keys("stargazer:oauth_pending:*")
    sealed = await redis.get(name)
    assert sealed
    for key in (KEY, OTHER_KEY):
        try:
            Fernet(key).decrypt(sealed)
        except InvalidToken:
            continue
        return key
    raise AssertionError("sealed with a third key")
