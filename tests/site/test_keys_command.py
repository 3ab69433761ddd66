"""``webui keys``: service keys made, listed and revoked by the operator."""

from __future__ import annotations

import pytest
from click.testing import CliRunner, Result

from tests.kit.every import every
from tests.kit.library import KEY, OTHER_KEY, fake_provider, providers_config
from tests.kit.site_fixtures import site_environment
from webui.cli import main


@pytest.fixture
def environment(empty_redis_url: str) -> dict[str, str]:
    providers = providers_config(fake_provider())
    return site_environment("https://connect.example.org", empty_redis_url, providers)


def run(environment: dict[str, str], *words: str) -> Result:
    return CliRunner().invoke(main, words, env=environment)


def test_a_key_is_printed_once_alone_and_listed_without_its_secret(
    environment: dict[str, str],
) -> None:
    made = run(
        environment,
        *("keys", "new", "my bot", "--may", "token,links", "--providers", "google"),
        *("--users", "ann,discord:*", "--from", "192.0.2.0/24", "--expires", "90d"),
        *("--rate", "600/30"),
    )
    assert made.exit_code == 0, made.output
    key = made.stdout.strip()
    prefix, _, secret = key.rpartition("_")
    listed = run(environment, "keys", "list").stdout
    assert secret not in listed
    assert listed.startswith(f"{prefix}  my bot  may token,links  providers google")
    for fact in ("users ann,discord:*", "from 192.0.2.0/24", "rate 600/30", "last used never"):
        assert fact in listed
    assert "ends 2" in listed


def test_a_revoked_key_is_gone(environment: dict[str, str]) -> None:
    key = run(environment, "keys", "new", "a", "--may", "token").stdout.strip()
    assert run(environment, "keys", "revoke", key.rpartition("_")[0]).exit_code == 0
    assert "no keys" in run(environment, "keys", "list").stdout
    again = run(environment, "keys", "revoke", key.rpartition("_")[0])
    assert (again.exit_code, "no such key" in again.stderr) == (1, True)


@every(
    "words",
    {
        "an unknown right": (("--may", "everything"),),
        "no right": (("--may", ","),),
        "an unknown service": (("--may", "token", "--providers", "nothing"),),
        "an impossible id": (("--may", "token", "--users", "a\nb"),),
        "everybody by a star": (("--may", "token", "--users", "*"),),
        "no network": (("--may", "token", "--from", "here"),),
        "no time": (("--may", "token", "--expires", "soon"),),
        "no rate": (("--may", "token", "--rate", "0"),),
    },
)
def test_a_key_that_cannot_be_meant_is_not_made(
    environment: dict[str, str], words: tuple[str, ...]
) -> None:
    made = run(environment, "keys", "new", "a", *words)
    assert made.exit_code != 0
    assert "stargazer_" not in made.stdout
    assert "no keys" in run(environment, "keys", "list").stdout


def test_a_rotation_seals_the_keys_too(environment: dict[str, str]) -> None:
    run(environment, "keys", "new", "a", "--may", "token")
    both = {**environment, "ENCRYPTION_KEY": f"{OTHER_KEY} {KEY}"}
    assert run(both, "rotate-keys").exit_code == 0
    newest = {**environment, "ENCRYPTION_KEY": OTHER_KEY}
    assert "may token" in run(newest, "keys", "list").stdout
    assert "cannot be read" in run(environment, "keys", "list").stdout
