"""Between supervisor and worker every setting arrives as it was."""

from __future__ import annotations

import asyncio
import json
import socket
from dataclasses import fields

import pytest

from tests.kit.library import fake_provider
from tests.kit.site_fixtures import site_settings
from webui.oauth_manager.providers import Asked
from webui.serving.change import names_of_changes, with_keys_of
from webui.serving.channel import Channel, packed, unpacked
from webui.settings.logo import Logo
from webui.settings.settings import Settings

EVERYTHING = site_settings(
    "redis://:p%40ss@127.0.0.1/0",
    fake_provider(),
    product_logo=Logo("png", bytes(range(256))),
    provider_logos={"acme": Logo("svg", b"<svg/>")},
    support_users=frozenset({"carol", "dan"}),
    oidc_scopes=("openid", "email"),
    trusted_proxies=("unix",),
    strict_records=True,
    providers_config={"shops": {"ask": (Asked("shop", "Your shop", "[a-z]+", "acme"),)}},
)


def test_settings_arrive_as_they_were() -> None:
    arrived = unpacked(json.loads(json.dumps(packed(EVERYTHING))))
    assert arrived == EVERYTHING
    for one in fields(Settings):
        assert type(getattr(arrived, one.name)) is type(getattr(EVERYTHING, one.name))


@pytest.mark.anyio
async def test_a_message_arrives_whole_and_the_end_is_none() -> None:
    ours, theirs = socket.socketpair()
    near, far = await Channel.over(ours), await Channel.over(theirs)
    long = {"text": "x" * 3_000_000}  # the logos of twenty providers
    saying = asyncio.create_task(near.say(long))
    assert await far.hear() == long
    await saying
    near.close()
    assert await far.hear() is None
    await far.say({"nobody": "hears"})
    far.close()


def test_a_step_between_two_sets_of_keys_opens_with_both_and_seals_as_before() -> None:
    now = site_settings("redis://r", fake_provider(), encryption_keys=("a", "b"))
    new = site_settings("redis://s", fake_provider(), encryption_keys=("c", "a"))
    both = with_keys_of(now, new)
    assert both.encryption_keys == ("a", "b", "c")
    assert both.redis_url == now.redis_url
    assert names_of_changes(now, new) == ["REDIS_URL", "ENCRYPTION_KEYS"]
