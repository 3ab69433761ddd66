"""A bare application that imports the packages of the site: ``python -m bench.bare PORT``."""

from __future__ import annotations

import sys

import click  # noqa: F401
import cryptography.fernet  # noqa: F401
import httpx  # noqa: F401
import jinja2  # noqa: F401
import redis.asyncio  # noqa: F401
import structlog  # noqa: F401
import uvicorn
from starlette.applications import Starlette

if __name__ == "__main__":
    uvicorn.run(
        Starlette(),
        port=int(sys.argv[1]),
        http="h11",
        ws="none",
        log_config=None,
        access_log=False,
    )
