"""A rotation of a Cluster's records, killed midway and run again by several processes."""

from __future__ import annotations

import pytest

from tests.kit.fake_provider import FakeProvider
from tests.kit.library import OTHER_KEY, manager_for
from tests.kit.redis_fleets import cluster_fleet
from tests.library.test_killed_rotation import BOTH, has_begun, put_people, started
from webui.oauth_manager import OAuthManager, redis_from_url
from webui.oauth_manager.storage import keys

pytestmark = pytest.mark.anyio

PEOPLE = 3000


async def test_killed_midway_on_three_primaries_it_leaves_nothing(
    manager: OAuthManager, fake: FakeProvider
) -> None:
    rotating = manager_for(fake, key=BOTH)
    with cluster_fleet() as fleet:
        async with redis_from_url(fleet.url) as redis:
            await put_people(manager, redis, PEOPLE)
            first = await started(fleet.url)
            await has_begun(redis)
            first.kill()
            await first.communicate()
            await rotating.delete_token(redis, "p1", "google")
            second = await started(fleet.url, "--jobs", "2")
            said, told = await second.communicate()
            assert second.returncode == 0, (said, told)
            assert not await redis.exists(keys.ROTATION)
            retired = manager_for(fake, key=OTHER_KEY)
            assert await retired.get_token("p1", "google", redis) is None
            for n in (0, 2, PEOPLE // 2, PEOPLE - 1):
                assert await retired.get_token(f"p{n}", "google", redis) == f"access-{n}"
                assert await retired.find_accounts(redis, "google", f"mona{n}") == (f"p{n}",)
