"""Addresses of Redis: those that are taken, and the sentence for each that is not."""

from __future__ import annotations

from typing import Any

import pytest
from redis.asyncio import Redis, RedisCluster

from webui.oauth_manager import redis_from_url
from webui.oauth_manager.configuration.redis_address import RedisAddress, redis_address

LOGIN = {"username": "ann", "password": "p@ss"}


@pytest.mark.parametrize(
    ("url", "kind", "hosts", "name", "options"),
    [
        ("redis://h", "server", (("h", 6379),), "", {"db": 0}),
        ("redis://ann:p%40ss@h:7/3", "server", (("h", 7),), "", {"db": 3, **LOGIN}),
        ("redis://[::1]:7", "server", (("::1", 7),), "", {"db": 0}),
        (
            "redis+sentinel://ann:p%40ss@h1:26379,h2/people/2",
            "sentinel",
            (("h1", 26379), ("h2", 26379)),
            "people",
            {"db": 2, **LOGIN},
        ),
        ("redis+sentinel://h1/my%2Fname", "sentinel", (("h1", 26379),), "my/name", {"db": 0}),
        (
            "redis+cluster://:p%40ss@h1:7000,[::1]:7001/",
            "cluster",
            (("h1", 7000), ("::1", 7001)),
            "",
            {"db": 0, "password": "p@ss"},
        ),
        ("unix:///run/redis%201.sock?db=4", "server", (), "", {"db": 4}),
        ("unix://ann:p%40ss@/run/redis.sock", "server", (), "", {"db": 0, **LOGIN}),
    ],
)
def test_every_kind_is_read(
    url: str, kind: str, hosts: Any, name: str, options: dict[str, Any]
) -> None:
    found = redis_address(url)
    assert (found.kind, found.hosts, found.name, found.options) == (kind, hosts, name, options)
    assert found.is_tls is False
    assert bool(found.path) == url.startswith("unix")


def test_certificates_are_for_the_sentinels_too() -> None:
    tls = {"ssl_ca_certs": "/ca.pem", "ssl_certfile": "/me.pem", "ssl_keyfile": "/me.key"}
    options = "&".join(f"{name}={path}" for name, path in tls.items())
    found = redis_address(f"rediss+sentinel://:pw@h1,h2/people?{options}&sentinel_password=own")
    assert found.is_tls
    assert found.options == {"db": 0, "password": "pw", **tls}
    assert [one.options for one in found.sentinels()] == [{"password": "own", **tls}] * 2
    assert {one.is_tls for one in found.sentinels()} == {True}


def test_sentinels_are_asked_without_a_password_and_then_with_that_of_the_data() -> None:
    found = redis_address("redis+sentinel://:pw@h1,h2/people").sentinels()
    assert [one.options for one in found] == [{}, {}, {"password": "pw"}, {"password": "pw"}]


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("h:6379", "must begin with redis://, redis+sentinel:// or redis+cluster://"),
        ("valkey://h", "must begin with redis://"),
        ("unix+cluster:///run/redis.sock", "must begin with redis://"),
        ("redis+replica://h", "must begin with redis://"),
        ("redis://h1,h2", "redis+sentinel:// or redis+cluster://"),
        ("redis+cluster://h1,,h2", "redis+cluster://host:6379,host:6379"),
        ("redis+cluster://h1:,h2", "redis+cluster://host:6379,host:6379"),
        ("redis+cluster://h1/1", "a Cluster has only 0"),
        ("redis+cluster://h1/name/0", "must look like redis+cluster://"),
        ("redis+sentinel://h1:26379", "must name the primary that the Sentinels watch"),
        ("redis+sentinel://h1//0", "must name the primary that the Sentinels watch"),
        ("redis+sentinel://h1/name/zero", "must look like redis+sentinel://"),
        ("redis+sentinel://h1/name/0/1", "must look like redis+sentinel://"),
        ("redis+sentinel://h1:99999/name", "no usable port"),
        ("redis+sentinel://h1/name?sentinel_username=canary", "without a sentinel_password"),
        ("redis+cluster://h1?sentinel_password=canary", "no options but"),
        ("redis://h?ssl_ca_certs=/canary.pem", "begins with rediss"),
        ("rediss://h?ssl_keyfile=/canary.key", "without its certificate"),
        ("rediss://h?ssl_cert_reqs=none", "no options but"),
        ("redis://h?db=canary", "a database that is no number"),
        ("redis+cluster://b\u00fccher:7000,h2", "xn--"),
    ],
)
def test_an_address_that_cannot_be_is_refused_with_what_to_write(url: str, told: str) -> None:
    with pytest.raises(ValueError, match=r"^the address of Redis ") as refused:
        redis_from_url(url)
    assert told in str(refused.value)
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("url", ["redis://:canary@h", "redis+sentinel://:canary@h/name"])
def test_a_client_and_an_address_show_no_password(url: str) -> None:
    assert "canary" not in repr(redis_address(url))
    assert "canary" not in repr(redis_from_url(url))
    assert isinstance(redis_from_url(url), Redis)


def test_the_client_of_a_cluster_is_a_redis_cluster() -> None:
    client = redis_from_url("rediss+cluster://:canary@h?ssl_ca_path=/etc/ssl")
    assert isinstance(client, RedisCluster)
    assert client.connection_kwargs["ssl_ca_path"] == "/etc/ssl"
    assert "canary" not in repr(client)


def test_the_address_of_one_server_has_the_login_of_all() -> None:
    found = redis_address("rediss+cluster://:pw@h1,h2").server("10.0.0.1", 7000)
    assert found == RedisAddress(
        "server", (("10.0.0.1", 7000),), is_tls=True, options={"db": 0, "password": "pw"}
    )
