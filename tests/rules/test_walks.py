"""The architecture page against the code: the tree, the layers, and the files that really run."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FrameType

import grimp
import pytest
from redis.asyncio import Redis

from tests.kit.fake_provider import FakeProvider
from tests.kit.library import age, connected
from tests.kit.site_fixtures import Browser, Place, confirm, shown_code
from webui.oauth_manager import OAuthManager
from webui.rendering.render import environment

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
WEBUI = ROOT / "webui"
PAGE = (ROOT / "docs" / "architecture.md").read_text()
DOORS = ("app.py", "routes.py", "oauth_manager/manager.py")
WALKS = (
    "A token that is valid",
    "A token that is renewed",
    "The connections page",
    "The callback",
    "A link from chat to a session",
    "Disconnecting",
)


def section(title: str) -> str:
    """The text under a heading, up to the next one."""
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", PAGE, re.M | re.S)
    assert found, title
    return found[1]


def block(title: str) -> list[str]:
    """The lines of the one block between fences under a heading."""
    (found,) = re.findall(r"^```text\n(.*?)^```$", section(title), re.M | re.S)
    return str(found).splitlines()


def rows(title: str) -> list[list[str]]:
    found = re.findall(r"^\| (.*) \|$", section(title), re.M)
    return [[cell.strip() for cell in row.split("|")] for row in found[1:]]


def walk(title: str) -> list[str]:
    """The files that the page names for an action, in its order."""
    return re.findall(r"`([\w/]+\.py)`", section(title))


@cache
def leaves() -> tuple[str, ...]:
    return tuple(name for row in rows("Leaves") for name in re.findall(r"`([^`]+)`", row[0]))


@cache
def is_leaf(file: str) -> bool:
    return any(file == leaf or (leaf[-1] == "/" and file.startswith(leaf)) for leaf in leaves())


def module_of(file: str) -> str:
    return "webui." + file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@cache
def file_of(module: str) -> str:
    path = WEBUI.joinpath(*module.split(".")[1:])
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return path.relative_to(WEBUI).as_posix()


def folders() -> set[str]:
    """Every folder of code, below ``webui``."""
    found = {path.parent.relative_to(WEBUI).as_posix() for path in WEBUI.rglob("*.py")}
    return {f"{name}/" for name in found - {"."}}


class TestTheTree:
    def test_it_names_every_room_and_no_other(self) -> None:
        named = [line.split()[0] for line in block("The tree")]
        assert len(named) == len(set(named))
        assert set(named) == folders()


class TestTheLayers:
    @pytest.mark.parametrize(
        ("title", "container"),
        [
            ("Layers of the site", "webui"),
            ("Layers of the library", "webui.oauth_manager"),
            ("Layers of its flows", "webui.oauth_manager.flows"),
        ],
    )
    def test_they_are_those_of_the_import_contracts(self, title: str, container: str) -> None:
        settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
        contracts = settings["tool"]["importlinter"]["contracts"]
        (layers,) = [c["layers"] for c in contracts if c.get("containers") == [container]]
        assert block(title) == layers

    def test_the_command_line_alone_imports_the_demo(self, imports: grimp.ImportGraph) -> None:
        demo = imports.find_descendants("webui.sandbox")
        importers = {m for part in demo for m in imports.find_modules_that_directly_import(part)}
        assert importers - demo == {"webui.cli"}


@pytest.fixture(scope="module")
def imports() -> grimp.ImportGraph:
    return grimp.build_graph("webui", cache_dir=None)


class TestTheLeaves:
    def test_each_exists_and_imports_nothing_but_leaves_and_the_face_of_the_library(
        self, imports: grimp.ImportGraph
    ) -> None:
        assert [name for name in leaves() if not (WEBUI / name).exists()] == []
        found = {
            (file_of(module), file_of(other))
            for module in imports.modules
            if is_leaf(file_of(module))
            for other in imports.find_modules_directly_imported_by(module)
        }
        faces = {"oauth_manager/__init__.py", "oauth_manager/storage/__init__.py"}
        assert {(a, b) for a, b in found if not is_leaf(b) and b not in faces} == set()


class TestEveryWalk:
    @pytest.mark.parametrize("title", WALKS)
    def test_it_names_files_that_exist_once_each_and_no_leaf(self, title: str) -> None:
        named = walk(title)
        assert [file for file in named if not (WEBUI / file).is_file()] == []
        assert len(named) == len(set(named))
        assert [file for file in named if is_leaf(file)] == []

    @pytest.mark.parametrize("title", WALKS)
    def test_each_file_can_be_found_by_the_imports_of_a_door_or_of_one_before_it(
        self, title: str, imports: grimp.ImportGraph
    ) -> None:
        known = {module_of(file) for file in DOORS}
        for file in walk(title):
            near = imported_by(imports, known)
            # Files between them may not run themselves: what hands services on, or the class
            # that inherits what is called.
            near |= imported_by(imports, near)
            assert module_of(file) in known | near | imported_by(imports, near), file
            known.add(module_of(file))


def imported_by(imports: grimp.ImportGraph, modules: set[str]) -> set[str]:
    """All that these import, themselves or through the face of a package or a leaf."""
    seen: set[str] = set()
    ways = modules
    while ways:
        found = set().union(*map(imports.find_modules_directly_imported_by, ways)) - seen
        seen |= found
        ways = {m for m in found if is_leaf(file_of(m)) or file_of(m).endswith("__init__.py")}
    return seen


# What really runs


@pytest.fixture(autouse=True, scope="module")
def templates_that_are_compiled() -> None:
    """A template compiles once a process, so in the walk of whoever comes first."""
    for name in environment().list_templates(filter_func=lambda name: "sandbox" not in name):
        environment().get_template(name)


@contextmanager
def files_that_run() -> Iterator[list[str]]:
    """The files of ``webui`` whose functions are entered meanwhile, in the order of the first."""
    seen: dict[str, None] = {}
    start = f"{WEBUI}/"

    def note(frame: FrameType, event: str, _: object) -> None:
        file = frame.f_code.co_filename
        if event == "call" and file.startswith(start):
            seen.setdefault(file.removeprefix(start))

    found: list[str] = []
    sys.setprofile(note)
    try:
        yield found
    finally:
        sys.setprofile(None)
        found.extend(seen)


def assert_walked(title: str, ran: list[str]) -> None:
    """The page names exactly these files, in this order, and gives their numbers."""
    really = [file for file in ran if not is_leaf(file)]
    assert walk(title) == really, f"{title}: now {len(ran)} with leaves\n" + "\n".join(really)
    (numbers,) = [row[1:] for row in rows("Walks") if f"[{title}]" in row[0]]
    assert numbers == [str(len(walk(title))), str(len(ran))]


# Each action is done once before it is watched: a cold cache runs what a warm one does not.


async def test_a_valid_token_walks_as_described(
    manager: OAuthManager, fake: FakeProvider, redis: Redis
) -> None:
    await connected(manager, fake, redis, "ann", "google")
    await manager.get_token("ann", "google", redis)
    await manager._tasks.drain()
    with files_that_run() as ran:
        assert await manager.get_token("ann", "google", redis)
    assert_walked("A token that is valid", ran)


async def test_a_renewed_token_walks_as_described(
    manager: OAuthManager, fake: FakeProvider, redis: Redis
) -> None:
    await connected(manager, fake, redis, "ann", "google")
    await age(manager, redis, "ann", "google")
    old = await manager.get_token("ann", "google", redis)
    await age(manager, redis, "ann", "google")
    await manager._tasks.drain()
    with files_that_run() as ran:
        fresh = await manager.get_token("ann", "google", redis)
    assert fresh not in (None, old)
    assert_walked("A token that is renewed", ran)


async def test_the_connections_page_walks_as_described(place: Place, ann: Browser) -> None:
    await place.connect(ann, "github")
    await ann.get("/connections")
    await place.settled()
    with files_that_run() as ran:
        assert (await ann.get("/connections")).status_code == 200
    assert_walked("The connections page", ran)


async def test_the_callback_walks_as_described(place: Place, ann: Browser) -> None:
    await place.connect(ann, "github")
    callback = place.fake.authorize(await ann.begin("google"))
    await place.settled()
    with files_that_run() as ran:
        assert (await ann.get(callback)).status_code == 303
    assert_walked("The callback", ran)


async def test_a_link_from_chat_walks_to_a_session_as_described(place: Place) -> None:
    await place.signed_in("ben")
    browser = await place.browser()
    await place.settled()
    with files_that_run() as ran:
        code = await place.bot.create_link_code(place.redis, "ann")
        await browser.get(f"/connect/{code}")
        await browser.post(f"/connect/{code}/start")
        shown = shown_code(await browser.get("/connect/proof"))
        assert await confirm(place, "ann", shown)
        done = await browser.post("/connect/proof/continue")
    assert done.headers["location"] == "/connections"
    assert_walked("A link from chat to a session", ran)


async def test_disconnecting_walks_as_described(place: Place, ann: Browser) -> None:
    for provider in ("google", "github"):
        await place.connect(ann, provider)
    await ann.post("/connections/google/disconnect", htmx=True)
    await place.settled()
    with files_that_run() as ran:
        done = await ann.post("/connections/github/disconnect", htmx=True)
        await place.settled()
    assert done.status_code == 200
    assert_walked("Disconnecting", ran)
