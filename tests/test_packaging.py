from __future__ import annotations

import re
import tomllib
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parent.parent
LOCKS = ["lock/run.txt", "lock/test.txt"]


def project() -> dict[str, object]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        tables = tomllib.load(file)
    found: dict[str, object] = tables["project"]
    return found


def pins(lock: str) -> list[str]:
    """Everything the lock says of one pinned release a line, continued lines joined."""
    joined = (ROOT / lock).read_text().replace("\\\n", "")
    return [line for line in joined.splitlines() if line and not line.lstrip().startswith("#")]


def releases(lock: str) -> set[str]:
    return {line.split()[0] for line in pins(lock)}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.Path:
    folder = tmp_path_factory.mktemp("dist")
    [built] = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    return zipfile.Path(built)


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_of_a_lock_is_exact_and_hashed(lock: str) -> None:
    exact_and_hashed = re.compile(r"[a-z0-9-]+==\S+ .*--hash=sha256:[0-9a-f]{64}")
    loose = [line for line in pins(lock) if not exact_and_hashed.match(line)]
    assert loose == []


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_index_and_no_machine(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert re.findall(r".*(?:://|index-url|find-links|trusted-host|file:|/home|/tmp).*", text) == []


def test_the_locks_agree() -> None:
    assert releases("lock/run.txt") - releases("lock/test.txt") == set()


def test_every_dependency_is_locked() -> None:
    declared = project()["dependencies"]
    assert isinstance(declared, list)
    names = {re.split(r"[\[><=;]", requirement)[0] for requirement in declared}
    assert names - {release.partition("==")[0] for release in releases("lock/run.txt")} == set()


@pytest.mark.parametrize("folder", ["templates", "static"])
def test_the_wheel_carries_every_page_and_file(folder: str, wheel: zipfile.Path) -> None:
    in_tree = {
        f"webui/{path.relative_to(ROOT).as_posix()}"
        for path in (ROOT / folder).rglob("*")
        if path.is_file()
    }
    assert in_tree
    assert in_tree - set(wheel.root.namelist()) == set()


def test_the_wheel_installs_the_command_and_carries_the_licence(wheel: zipfile.Path) -> None:
    info = f"stargazer_webui-{project()['version']}.dist-info"
    assert "webui = webui.cli:main" in (wheel / info / "entry_points.txt").read_text()
    assert (wheel / info / "licenses" / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
