"""A real server with TLS that wants certificates of clients: alone, in a Cluster, by Sentinels."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import urlencode

import pytest
from redis import Redis as Blocking

from tests.kit.certificates import Authority, authority
from tests.kit.checkup_desk import Desk
from tests.kit.fake_provider import FakeProvider, serve
from tests.kit.redis_fleets import HERE, free_ports
from tests.kit.redis_servers import redis_server
from webui.oauth_manager import StoreUnavailable, redis_from_url
from webui.oauth_manager.storage.calls import redis_call

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    with serve(FakeProvider()) as url:
        yield Desk(url)


@pytest.fixture(scope="module", params=["server", "cluster", "sentinel"])
def place(request: pytest.FixtureRequest, trusted: Authority) -> Iterator[str]:
    """The address of a server with TLS, without the certificates."""
    port, guard = free_ports(2)
    own = str(trusted.issue())
    options = ["--tls-cert-file", own, "--tls-key-file", own]
    options += ["--tls-ca-cert-file", str(trusted.path), "--tls-auth-clients", "yes"]
    options += ["--tls-replication", "yes"]
    if request.param == "cluster":
        options += ["--cluster-enabled", "yes", "--tls-cluster", "yes"]
        options += ["--cluster-announce-ip", HERE]
    with ExitStack() as stack:
        try:
            plain = stack.enter_context(redis_server("--tls-port", str(port), *options))
        except AssertionError:
            if os.environ.get("REQUIRE_REDIS") == "1":
                raise
            pytest.skip("the server of this machine has no TLS")
        if request.param == "server":
            yield f"rediss://{HERE}:{port}"
        elif request.param == "cluster":
            with Blocking(port=plain) as client:
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
                while b"cluster_state:ok" not in _info(client):
                    client.ping()
            yield f"rediss+cluster://{HERE}:{port}"
        else:
            watched = f"sentinel monitor people {HERE} {port} 1\n"
            own_port = "--tls-port", str(guard), "--sentinel"
            stack.enter_context(redis_server(*own_port, *options, config=watched))
            yield f"rediss+sentinel://{HERE}:{guard}/people/0"


def _info(client: Blocking) -> bytes:
    return bytes(client.execute_command("CLUSTER", "INFO", NEVER_DECODE=True))  # type: ignore[no-untyped-call]


def with_files(place: str, trusted: Authority, *, own: bool = True) -> str:
    files = {"ssl_ca_certs": str(trusted.path)}
    if own:
        path = str(trusted.issue("client"))
        files |= {"ssl_certfile": path, "ssl_keyfile": path}
    return f"{place}?{urlencode(files)}"


async def test_a_certificate_of_ours_opens_the_server(
    place: str, trusted: Authority, desk: Desk
) -> None:
    url = with_files(place, trusted)
    async with redis_from_url(url) as redis:
        await redis.set("key", "value")
        assert await redis.get("key") == b"value"
    is_well, said = await desk.check(url)
    assert is_well, said


async def test_without_one_the_check_says_what_to_give(
    place: str, trusted: Authority, desk: Desk
) -> None:
    url = with_files(place, trusted, own=False)
    async with redis_from_url(url) as redis:
        with pytest.raises(StoreUnavailable):
            async with redis_call("read"):
                await redis.get("key")
    told = await desk.fault(url)
    assert "client certificate" in told
    assert "ssl_certfile" in told
