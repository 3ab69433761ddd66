"""Two accounts of each service under load, over processes that share a Redis and a provider."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tests.kit.account_provider import AccountProvider
from tests.kit.account_traffic import main
from tests.kit.fake_provider import serve

PROCESSES = 4
CALLS = 2500  # of each


def test_ten_thousand_calls_of_four_processes_get_their_own_account_s_token(
    redis_url: str,
) -> None:
    with serve(AccountProvider(expires_in=3)) as provider:
        asyncio.run(main(redis_url, provider, "begin", "0"))
        command = [sys.executable, "-m", "tests.kit.account_traffic", redis_url, provider]
        running = [
            subprocess.Popen(
                [*command, str(seed), str(CALLS)],
                cwd=Path(__file__).parents[2],
                stdout=subprocess.PIPE,
            )
            for seed in range(PROCESSES)
        ]
        counts: Counter[str] = Counter()
        for process in running:
            said, _ = process.communicate(timeout=300)
            assert process.returncode == 0
            counts += Counter(json.loads(said))
    assert (counts["wrong"], counts["guessed"]) == (0, 0)
    assert counts["right"] > PROCESSES * CALLS / 4  # others name an account as it is not called now
    assert min(counts[kind] for kind in ("unclear", "renamed", "connected")) > 0
