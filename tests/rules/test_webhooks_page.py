"""The page of webhooks: its secret is taken, its receiver verifies, its example is what is sent."""

from __future__ import annotations

import json
import shlex
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.kit.library import BASE_URL
from tests.kit.site_fixtures import site_environment
from tests.rules.test_documents import code_blocks
from webui.oauth_manager import Notice, NoticeKind
from webui.settings.settings import load_settings
from webui.webhooks.courier import body_of
from webui.webhooks.destination import destination

PAGE = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text()
MAKE, RUN = code_blocks(PAGE, "sh")
AT = 1790000000.0


def made_secret() -> str:
    done = subprocess.run(["/bin/sh", "-c", MAKE], check=True, capture_output=True, text=True)
    return done.stdout.strip().removeprefix("WEBHOOK_SECRET=")


def test_the_secret_and_the_address_on_the_page_are_taken_and_its_receiver_verifies() -> None:
    environment = site_environment(BASE_URL, "redis://127.0.0.1:6379/0", {})
    older, newest = made_secret(), made_secret()
    settings = load_settings({**environment, "WEBHOOK_SECRET": f"{newest},{older}"})
    url = shlex.split(RUN)[-1]
    to = destination(url, settings.webhook_secrets, may_be_private=False)
    body = body_of("1790000000000-0", Notice(NoticeKind.CONNECTED, "ann", "github", "mona", AT))
    (receiver,) = code_blocks(PAGE, "python")
    for secret in (older, newest):
        known: dict[str, Any] = {"SECRET": secret}
        exec(compile(receiver, "receiver", "exec"), known)  # noqa: S102 - the page's own
        headers = to.headers("notice_1790000000000-0", int(time.time()), body)
        assert known["received"](headers, body) == json.loads(body)["data"]
    (shown,) = map(json.loads, code_blocks(PAGE, "json"))
    sent = json.loads(body)
    assert {**shown, "timestamp": sent["timestamp"]} == sent
