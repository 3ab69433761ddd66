"""The guide of the architecture page: every module in a line, every address with its view."""

from __future__ import annotations

import ast
import difflib
import re
from functools import partial
from pathlib import Path

from starlette.routing import Route

from tests.kit.every import every
from tests.rules.test_walks import WEBUI, rows
from webui.cards.states import OUTCOMES
from webui.routes import development_routes, routes
from webui.sessions.note import WORDLESS
from webui.text import words

ROOT = WEBUI.parent
TEMPLATES = ROOT / "templates"
CATALOGUES = sorted((WEBUI / "text" / "words").glob("*.toml"))
# A section of the catalogue: the comment right above it, and its name.
_SECTION = re.compile(r"^((?:#.*\n)*)\[([a-z0-9_.]+)\]$", re.M)
_FILE = re.compile(r"[\w*/]+\.(?:html|py)")


def first_line(path: Path) -> str:
    """Return the first line of a module's docstring, or of a data file's comment, as Markdown."""
    if path.suffix == ".py":
        said = ast.get_docstring(ast.parse(path.read_text())) or ""
    else:
        said = path.read_text().removeprefix("# ")
    return " ".join(said.partition("\n")[0].replace("``", "`").split())


def guide() -> str:
    """Write the list of modules as the page is to have it, the loose ones first."""
    rooms = [path.parent for path in WEBUI.rglob("__init__.py")]
    return "".join(map(_room, sorted(rooms)))


def _room(folder: Path) -> str:
    others = sorted(
        path
        for path in folder.iterdir()
        if path.suffix in (".py", ".toml") and path.name != "__init__.py"
    )
    name = folder.relative_to(ROOT if folder == WEBUI else WEBUI).as_posix()
    lines = [f"- `{path.name}`: {first_line(path)}\n" for path in others]
    listed = "\n" + "".join(lines) if lines else ""
    return f"\n### `{name}/`\n\n{first_line(folder / '__init__.py')}\n{listed}"


def view_of(route: Route) -> tuple[str, str]:
    """Return the file and the function that answer a route."""
    view = route.endpoint.func if isinstance(route.endpoint, partial) else route.endpoint
    file = view.__module__.removeprefix("webui.").replace(".", "/")
    return f"`{file}.py`", f"`{view.__name__}`"


def test_the_list_of_modules_is_every_module_with_the_first_line_of_its_docstring() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    (listed,) = re.findall(r"^## Modules\n.*?(?=\n### )(.*?)(?=\n## )", page, re.M | re.S)
    changes = difflib.ndiff(listed.splitlines(), guide().splitlines())
    assert listed == guide(), "\n".join(line for line in changes if line[0] in "+-")


def test_every_module_says_what_it_is() -> None:
    assert [str(path) for path in WEBUI.rglob("*.py") if not first_line(path)] == []


def test_every_folder_beside_the_code_is_named() -> None:
    found = {
        f"{path.relative_to(ROOT).as_posix()}/"
        for top in (TEMPLATES, ROOT / "static")
        for path in (top, *top.rglob("*"))
        if path.is_dir()
    }
    named = {name.strip("`"): said for name, said in rows("Beside the code")}
    assert set(named) == found
    families = set(re.findall(r"`([\w*]+\.html)`", named["templates/"]))
    assert families
    assert [family for family in families if not list(TEMPLATES.glob(family))] == []


def test_every_address_leads_to_its_view() -> None:
    listed = [tuple(row) for row in rows("Addresses")]
    assert listed == [
        (
            "POST" if route.methods == {"POST"} else "GET",
            f"`{route.path.replace(':path}', '}')}`",
            *view_of(route),
        )
        for route in (*routes(), *development_routes())
    ]


def test_every_word_leads_to_files_that_exist() -> None:
    named = [name for _, _, where in rows("Words") for name in re.findall(r"`([^`]+)`", where)]
    assert len(named) >= len(rows("Words"))
    assert [name for name in named if not (WEBUI / name).is_file()] == []


def test_a_note_is_an_outcome_of_a_card_or_said_to_be_wordless() -> None:
    written = {
        key
        for path in WEBUI.rglob("*.py")
        for key in re.findall(r'\bNote\("(\w+)"', path.read_text())
    }
    assert written <= OUTCOMES.keys()
    assert OUTCOMES.keys().isdisjoint(WORDLESS)


# The catalogue


def files_meant(comment: str) -> set[Path]:
    """Return the templates and modules that a comment names, ``*`` for any text."""
    return {
        path
        for name in _FILE.findall(comment)
        for path in (*TEMPLATES.rglob(name), *WEBUI.glob(name))
    }


def sections_said(path: Path) -> set[str]:
    """Return the beginnings of the keys in a file, of those written out and those composed."""
    text = path.read_text()
    whole = {
        key.rpartition(".")[0]
        for key in re.findall(r"[\"']([a-z0-9_.-]+)[\"']", text)
        if key in words.CATALOGUE
    }
    return whole | set(re.findall(r"[\"']([a-z0-9_.]+)\.(?:\{|[\"'] ?~)", text))


@every("catalogue", [path.name for path in CATALOGUES])
def test_every_section_of_the_catalogue_names_files_that_exist(catalogue: str) -> None:
    text = (WEBUI / "text" / "words" / catalogue).read_text()
    sections = _SECTION.findall(text)
    assert len(sections) == len(re.findall(r"^\[", text, re.M))
    for comment, name in sections:
        assert _FILE.search(comment), f"[{name}] names no file"
        lost = [file for file in _FILE.findall(comment) if not files_meant(file)]
        assert lost == [], f"[{name}]"


@every("catalogue", [path.name for path in CATALOGUES])
def test_every_file_that_says_a_sentence_is_named_above_its_section(catalogue: str) -> None:
    text = (WEBUI / "text" / "words" / catalogue).read_text()
    named = {name: files_meant(comment) for comment, name in _SECTION.findall(text)}
    unnamed = [
        f"[{name}] {path.name}"
        for path in (*TEMPLATES.rglob("*.html"), *WEBUI.rglob("*.py"))
        for name in sections_said(path) & set(named)
        if path not in named[name]
    ]
    assert unnamed == []
