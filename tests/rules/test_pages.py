"""The site of the documents: every page has its place, every link leads somewhere, steps work."""

from __future__ import annotations

import posixpath
import re
import subprocess
import sys
from pathlib import Path

import click

from docs.pages import HOME, ORIGINS, anchor, every_command, made_pages, site_link, with_deep_lists
from tests.kit.every import every
from tests.rules.test_documents import DOCUMENTS, code_blocks
from webui.cli import main
from webui.commands.logs import read_codes
from webui.settings.table import PROVIDER_SETTINGS, SETTINGS
from webui.text import words

ROOT = Path(__file__).parents[2]
MADE = made_pages()
PAGES = MADE | {
    name.removeprefix("docs/"): text for name, text in DOCUMENTS.items() if name[:5] == "docs/"
}
NAV = (ROOT / "mkdocs.yml").read_text()


def test_every_page_has_its_place_and_every_place_its_page() -> None:
    placed = re.findall(r"^ +- [^\n]+: (\S+\.md)$|^  - .*: (index\.md)$", NAV, re.M)
    named = [first or second for first, second in placed]
    assert sorted(named) == sorted(name for name in PAGES if not name.startswith("decisions/0"))


def test_readme_is_split_without_a_loss() -> None:
    readme = (ROOT / "README.md").read_text()
    of_readme = "".join(text for name, text in MADE.items() if ORIGINS.get(name) == "README.md")
    titles = re.findall(r"^#+ (.*)$", readme, re.M)
    assert [title for title in titles if f"# {title}\n" not in of_readme] == []
    prose = [line for line in readme.splitlines() if line and line[0] not in "|#"]
    assert [line for line in prose if line not in of_readme] == []


def test_the_reference_has_every_setting_and_every_option() -> None:
    told = MADE["settings.md"]
    for setting in SETTINGS:
        assert f"| `{setting.name}` | {setting.meaning} |" in told
        assert (f"`{setting.name}_FILE`" in told) is setting.is_secret
    for setting in PROVIDER_SETTINGS:
        assert f"| `*_{setting.name}` | {setting.meaning} |" in told
    told = MADE["commands.md"]
    for name, command in every_command(main):
        assert f"## webui {name}\n" in told
        options = [p for p in command.params if isinstance(p, click.Option)]
        assert [p.opts for p in options if f"`{p.opts[0]}" not in told.replace("-h, ", "")] == []
        assert [p.help for p in options if not p.help or p.help.rstrip(".") not in told] == []


def test_the_reference_has_every_code_that_is_explained() -> None:
    for codes in read_codes().values():
        for code, (what, cure) in codes.items():
            assert f"| `{code}` | {what} | {cure} |".replace("||", "&#124;") in MADE["codes.md"]


@every("page", list(PAGES))
def test_every_link_of_a_page_leads_to_a_page_and_a_heading(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", PAGES[page]):
        if "://" in target:
            continue
        place, _, heading = site_link(target, page, MADE).partition("#")
        there = posixpath.normpath(
            posixpath.join(posixpath.dirname(page), place) if place else page
        )
        assert there in PAGES, target
        headings = map(anchor, re.findall(r"^#+ (.*)$", PAGES[there], re.M))
        assert not heading or heading in headings, target


def test_a_link_into_readme_leads_to_the_page_that_has_the_heading() -> None:
    leads = {
        "../README.md#commands": "commands.md#commands",
        "../README.md#try-it": "index.md#try-it",
        "../README.md": "index.md",
        "../CHANGELOG.md": "changelog.md",
        "operating.md#redis": "operating.md#redis",
    }
    assert {target: site_link(target, "upgrading.md", MADE) for target in leads} == leads
    assert site_link("docs/data.md", HOME, MADE) == "data.md"
    assert site_link("#commands", HOME, MADE) == "commands.md#commands"
    assert site_link("../architecture.md", "decisions/0001-x.md", MADE) == "../architecture.md"


def test_what_belongs_to_an_item_of_a_list_is_indented_for_this_markdown() -> None:
    text = "- one\n  more\n\n  ```\n  code\n  ```\n\n1. two\n   more\n\n```\n  code\n```\n"
    made = "- one\n    more\n\n\n        code\n\n\n1. two\n    more\n\n```\n  code\n```\n"
    assert with_deep_lists(text) == made


def test_the_steps_of_the_tutorial_work(tmp_path: Path) -> None:
    tutorial = DOCUMENTS["docs/tutorial.md"]
    (command,) = [b for b in code_blocks(tutorial, "sh") if "pytest" in b]
    program, *words_of_it = command.split()
    assert program == ".venv/bin/python"
    examples = tmp_path / "examples"
    examples.mkdir()
    for name, added in zip(
        ("plain_bot.py", "test_plain_bot.py"), code_blocks(tutorial, "python"), strict=True
    ):
        text = (ROOT / "examples" / name).read_text()
        text = text.replace("import whoami", "import repositories, whoami")
        (examples / name).write_text(f"{text}\n\n{added}")
    more = ["-q", "-p", "no:cacheprovider", "-p", "no:valkey"]
    done = subprocess.run(
        [sys.executable, *words_of_it, *more],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "4 passed" in done.stdout, done.stdout + done.stderr


def test_what_the_pages_of_trouble_quote_is_said_by_the_product() -> None:
    page = DOCUMENTS["docs/troubleshooting.md"]
    cells = re.findall(r"^\| ([^|]+) \|", page, re.M)
    quoted = {text for cell in cells for text in re.findall(r'"([^"]+)"', cell)}
    said = "\n".join(words.CATALOGUE.values())
    said += "".join(path.read_text() for path in (ROOT / "webui").rglob("*.py"))
    assert len(quoted) >= 6
    assert [text for text in quoted if text not in said] == []
    codes = {code for table in read_codes().values() for code in table}
    named = set(re.findall(r"`((?:proxy)_\w+|worker not started)`", page))
    assert len(named) == 4
    assert named <= codes
