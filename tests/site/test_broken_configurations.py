"""Seventeen broken configurations: the command names each, with the cure, and no secret."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from click.testing import CliRunner, Result
from redis import Redis as Blocking

from tests.kit.checkup_desk import Desk
from tests.kit.fake_provider import FakeProvider, serve
from tests.kit.library import KEY, OTHER_KEY, tokens_key
from tests.kit.site_fixtures import SESSION_SECRET
from webui.cli import main
from webui.oauth_manager.storage import Sealer
from webui.settings.table import all_settings

CLOSED = "127.0.0.1:1"  # nobody listens there
REFUSED = "nothing listens there: the connection was refused"


@dataclass
class Broken:
    """One setting or two that are wrong, what is told of them, and what is said to be done."""

    told: str
    cure: str
    given: dict[str, str] = field(repr=False)


BROKEN = {
    "no address": Broken("BASE_URL is missing", "public address", {"BASE_URL": ""}),
    "plain http for everybody": Broken(
        "BASE_URL must be https", "scheme and host", {"BASE_URL": "http://connect.example.org"}
    ),
    "no key": Broken("ENCRYPTION_KEY is missing", "make one: python3", {"ENCRYPTION_KEY": ""}),
    "half a key": Broken("no Fernet key", "make one: python3", {"ENCRYPTION_KEY": "key-canary"}),
    "another key": Broken(
        "ENCRYPTION_KEY opens none", "Put back the key", {"ENCRYPTION_KEY": OTHER_KEY}
    ),
    "a key in a file that is not there": Broken(
        "ENCRYPTION_KEY_FILE names a file that cannot be read",
        "Correct ENCRYPTION_KEY_FILE",
        {"ENCRYPTION_KEY": "", "ENCRYPTION_KEY_FILE": "/nowhere/token"},
    ),
    "a program that prints no key": Broken(
        "ENCRYPTION_KEY_COMMAND ended with 1",
        "run it by hand",
        {"ENCRYPTION_KEY": "", "ENCRYPTION_KEY_COMMAND": "false canary"},
    ),
    "a short secret": Broken(
        "SESSION_SECRET has a part shorter than 32",
        "Make one: python3",
        {"SESSION_SECRET": "canary"},
    ),
    "no address of Redis": Broken(
        "REDIS_URL must begin with redis://",
        "Where Redis is",
        {"REDIS_URL": "http://u:canary@127.0.0.1"},
    ),
    "Redis away": Broken(
        "Nothing listens there",
        "Start Redis, or correct host and port in REDIS_URL",
        {"REDIS_URL": f"redis://u:canary@{CLOSED}"},
    ),
    "half a client": Broken(
        "GITHUB_CLIENT_SECRET is missing", "Give both, or neither", {"GITHUB_CLIENT_SECRET": ""}
    ),
    "no provider": Broken(
        "No provider is set up",
        "Give one a client id and a secret",
        {"GITHUB_CLIENT_ID": "", "GITHUB_CLIENT_SECRET": ""},
    ),
    "a provider away": Broken(
        f"{CLOSED}: {REFUSED}",
        "If only a proxy leads out",
        {"GITHUB_TOKEN_URL": f"https://{CLOSED}/token"},
    ),
    "a proxy away": Broken(
        f"{CLOSED}: {REFUSED}",
        "Correct host and port in OUTGOING_PROXY",
        {"OUTGOING_PROXY": f"http://u:canary@{CLOSED}"},
    ),
    "a sign-on away": Broken(
        f"{CLOSED}: {REFUSED}",
        "Correct host and port",
        {
            "OIDC_ISSUER": f"http://{CLOSED}",
            "OIDC_CLIENT_ID": "id",
            "OIDC_CLIENT_SECRET": "canary",
            "SUPPORT_GROUP": "staff",
        },
    ),
    "a proxy in front without an address": Broken(
        "TRUSTED_PROXIES must be IP addresses or networks",
        "Addresses or networks of reverse proxies",
        {"TRUSTED_PROXIES": "proxy.example.org"},
    ),
    "a file of settings that is not there": Broken(
        "WEBUI_CONFIG names a file that cannot be read",
        "Correct WEBUI_CONFIG",
        {"WEBUI_CONFIG": "/nowhere/webui.toml"},
    ),
}


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    with serve(FakeProvider()) as url:
        yield Desk(url)


@pytest.fixture
def environ(desk: Desk, empty_redis_url: str) -> dict[str, str]:
    """Settings that are right, for a Redis with one connection."""
    sealed = Sealer(KEY).seal("tokens", "ann", "github", {"access_token": "canary"})
    with Blocking.from_url(empty_redis_url) as client:
        client.set(tokens_key("ann", "github"), sealed)
    unset = dict.fromkeys((setting.name for setting in all_settings()), "")
    return unset | desk.environ | {"REDIS_URL": empty_redis_url}


def checked(environ: dict[str, str]) -> Result:
    return CliRunner().invoke(main, ["check"], env=environ)


def test_there_are_seventeen_of_settings_that_are_right(environ: dict[str, str]) -> None:
    done = checked(environ)
    assert (done.exit_code, len(BROKEN)) == (0, 17), done.output


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_configuration_is_named_with_its_cure_and_without_a_secret(
    name: str, environ: dict[str, str]
) -> None:
    broken = BROKEN[name]
    done = checked(environ | broken.given)
    assert done.exit_code == 1, done.output
    assert broken.told in done.output
    assert broken.cure in done.output.partition(broken.told)[2]
    for secret in (KEY, OTHER_KEY, SESSION_SECRET, "canary"):
        assert secret not in done.output
    assert "Traceback" not in done.output
