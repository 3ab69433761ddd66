"""An operator who runs ``webui check`` on settings that are right but for what a test spoils."""

from __future__ import annotations

import re

from tests.kit.library import KEY, OTHER_KEY
from tests.kit.site_fixtures import SESSION_SECRET
from webui.commands.check import run_checkup

PASSWORD = "pass-canary"


class Desk:
    """Every answer is searched for secrets."""

    def __init__(self, provider_url: str) -> None:
        self.environ = {
            "BASE_URL": "http://localhost:8000",
            "ENCRYPTION_KEY": KEY,
            "SESSION_SECRET": SESSION_SECRET,
            "GITHUB_CLIENT_ID": "id",
            "GITHUB_CLIENT_SECRET": "client-canary",
            "GITHUB_AUTHORIZE_URL": f"{provider_url}/authorize",
            "GITHUB_TOKEN_URL": f"{provider_url}/token",
            "GITHUB_REVOKE_URL": f"{provider_url}/revoke",
            "GITHUB_ACCOUNT_URL": f"{provider_url}/account",
        }

    async def check(self, redis_url: str, *, strict: bool = False, **more: str) -> tuple[bool, str]:
        lines: list[str] = []
        environ = self.environ | {"REDIS_URL": redis_url} | more
        is_well = await run_checkup(environ, lines.append, strict=strict)
        said = "\n".join(lines)
        for secret in (KEY, OTHER_KEY, SESSION_SECRET, "canary", redis_url):
            assert secret not in said
        return is_well, said

    async def fault(self, redis_url: str, **more: str) -> str:
        """The one fault that there is, and its cure."""
        is_well, said = await self.check(redis_url, strict=False, **more)
        assert not is_well
        (found,) = re.findall(r"^ +FAULT: (.*)$", said, re.M)
        return str(found)
