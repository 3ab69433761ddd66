"""``ENCRYPTION_KEY_COMMAND``: keys that a program prints, and programs that do not."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.kit.every import every
from tests.kit.library import KEY, OTHER_KEY
from tests.kit.site_fixtures import SESSION_SECRET
from webui.cli import main
from webui.oauth_manager.configuration import Malformed
from webui.settings import key_command
from webui.settings.settings import Settings, SettingsError, load_settings

HUSH = "hush-canary"  # is never shown
COMMON = {
    "BASE_URL": "http://localhost:8000",
    "REDIS_URL": "redis://localhost",
    "SESSION_SECRET": SESSION_SECRET,
}


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program that prints two keys, and something on stderr."""
    return written(tmp_path, f"echo {HUSH} >&2; printf '%s\\n%s\\n' {OTHER_KEY} {KEY}")


def written(folder: Path, script: str) -> Path:
    path = folder / "print-keys"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o700)
    return path


def loaded(command: object, **more: str) -> Settings:
    return load_settings(COMMON | {"ENCRYPTION_KEY_COMMAND": str(command)} | more)


def faults(environ: Mapping[str, str]) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load_settings(environ)
    assert HUSH not in str(caught.value)
    assert KEY not in str(caught.value)
    return caught.value.faults


def test_the_keys_are_what_it_prints(program: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert loaded(f"{program} --key 'of ours'").encryption_keys == (OTHER_KEY, KEY)
    assert capfd.readouterr() == ("", "")


def test_it_is_asked_anew_each_time(program: Path) -> None:
    assert loaded(str(program)).encryption_keys == (OTHER_KEY, KEY)
    written(program.parent, f"echo {KEY}")
    assert loaded(str(program)).encryption_keys == (KEY,)


def test_no_shell_reads_it(tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    program = written(tmp_path, 'printf "%s" "$1" > "$0.said"; echo ' + KEY)
    assert loaded(f"{program} '; touch {witness}' $HOME `id`").encryption_keys == (KEY,)
    assert Path(f"{program}.said").read_text() == f"; touch {witness}"
    assert not witness.exists()


def test_it_has_our_environment_and_no_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAULT_PATH", KEY)
    program = written(tmp_path, 'read -r line || echo "$VAULT_PATH"')
    assert loaded(str(program)).encryption_keys == (KEY,)


def test_it_may_stand_in_the_file_of_settings(program: Path, tmp_path: Path) -> None:
    toml = tmp_path / "webui.toml"
    toml.write_text(f'encryption_key_command = "{program}"\n')
    environ = COMMON | {"WEBUI_CONFIG": str(toml)}
    assert load_settings(environ).encryption_keys == (OTHER_KEY, KEY)
    assert load_settings(environ | {"ENCRYPTION_KEY": KEY}).encryption_keys == (KEY,)


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("exit 3", "ended with 3"),
        (f"echo {HUSH}; exit 1", "ended with 1"),
        ("kill -9 $$", "ended with -9"),
        ("true", "printed nothing"),
        ("printf '\\377'", "printed something else than keys"),
        ("yes", "printed more than keys"),
    ],
)
def test_a_program_that_prints_no_keys_is_told(tmp_path: Path, script: str, told: str) -> None:
    (fault,) = faults(COMMON | {"ENCRYPTION_KEY_COMMAND": str(written(tmp_path, script))})
    assert fault.startswith(f"ENCRYPTION_KEY_COMMAND {told}")


def test_what_is_printed_and_is_no_key_is_told_without_it(tmp_path: Path) -> None:
    program = written(tmp_path, f"echo {HUSH}")
    (fault,) = faults(COMMON | {"ENCRYPTION_KEY_COMMAND": str(program)})
    assert fault.startswith("ENCRYPTION_KEY ")


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (f"/nowhere/{HUSH}", "names a program that cannot be started"),
        (f"'{HUSH}", "has a quotation mark that is not closed"),
        ("/", "names a program that cannot be started"),
    ],
)
def test_a_command_that_is_none_is_told(command: str, told: str) -> None:
    (fault,) = faults(COMMON | {"ENCRYPTION_KEY_COMMAND": command})
    assert fault.startswith(f"ENCRYPTION_KEY_COMMAND {told}")


@every("name", ["ENCRYPTION_KEY", "ENCRYPTION_KEY_FILE"])
def test_only_one_source_of_keys_may_be_given(program: Path, tmp_path: Path, name: str) -> None:
    key_file = tmp_path / "key"
    key_file.write_text(KEY)
    value = KEY if name == "ENCRYPTION_KEY" else str(key_file)
    command = {"ENCRYPTION_KEY_COMMAND": str(program)}
    assert faults(COMMON | command | {name: value}) == (
        f"{name} and ENCRYPTION_KEY_COMMAND are given; give one of them alone.",
    )


def test_a_key_and_its_file_may_not_be_given_together(tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    key_file.write_text(KEY)
    both = {"ENCRYPTION_KEY": KEY, "ENCRYPTION_KEY_FILE": str(key_file)}
    (fault,) = faults(COMMON | both)
    assert fault == "ENCRYPTION_KEY and ENCRYPTION_KEY_FILE are given; give one of them alone."


def test_a_program_that_does_not_end_is_ended_with_all_it_has_started(tmp_path: Path) -> None:
    program = written(tmp_path, f"echo {HUSH}; sleep 600 & echo $! > '{tmp_path}/child'; wait")
    began = time.monotonic()
    with pytest.raises(Malformed, match="did not end within"):
        key_command.output(str(program), seconds=0.5)
    assert time.monotonic() - began < 5
    child = int((tmp_path / "child").read_text())
    for _ in range(100_000):
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            break
        if "Z" in Path(f"/proc/{child}/stat").read_text().split()[2]:
            break
    else:
        os.kill(child, signal.SIGKILL)
        pytest.fail("it runs on")


def test_check_names_a_program_that_fails_and_ends_with_1(tmp_path: Path) -> None:
    program = written(tmp_path, f"echo {HUSH}; exit 7")
    environ = COMMON | {"ENCRYPTION_KEY_COMMAND": str(program)}
    done = CliRunner().invoke(main, ["check"], env=environ)
    assert done.exit_code == 1
    assert "ENCRYPTION_KEY_COMMAND ended with 7; run it by hand" in done.output
    assert HUSH not in done.output


def test_check_asks_the_program_once(tmp_path: Path) -> None:
    program = written(tmp_path, f"echo once >> '{tmp_path}/asked'; echo {KEY}")
    environ = COMMON | {"ENCRYPTION_KEY_COMMAND": str(program), "REDIS_URL": "unix:///nowhere"}
    done = CliRunner().invoke(main, ["check"], env=environ)
    assert "ENCRYPTION_KEY: set (printed by ENCRYPTION_KEY_COMMAND)" in done.output
    assert (tmp_path / "asked").read_text() == "once\n"


def test_the_python_of_the_tests_can_be_the_program() -> None:
    assert loaded(f"{sys.executable} -c 'print(\"{KEY}\")'").encryption_keys == (KEY,)
