"""The site of the documents: pages that are made of README.md and of the code, and their links.

`mkdocs.yml` names this as its hook; `make docs` builds the site.
"""

from __future__ import annotations

import posixpath
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from webui.cli import main  # noqa: E402 - the one of this tree
from webui.commands.logs import KINDS, read_codes  # noqa: E402
from webui.settings.table import (  # noqa: E402
    FILE_SUFFIX,
    PROVIDER_SETTINGS,
    SETTINGS,
    Setting,
)

HOME = "index.md"
# Sections of README.md that are pages of their own; the others are the home page.
SECTIONS = {
    "settings.md": "Settings",
    "commands.md": "Commands",
    "addresses.md": "Addresses",
    "promises.md": "What is protected, and what is not",
    "development.md": "Development",
}
WHOLE = {name.lower(): name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")}
ORIGINS = {HOME: "README.md", **dict.fromkeys(SECTIONS, "README.md"), **WHOLE}

_LINK = re.compile(r"(?<=\]\()[^)\s]+(?=\))")
_HEADING = re.compile(r"^#+ (.*)$", re.M)
_ROWS = re.compile(r"(?:^\|.*\n)+", re.M)
_LOADED = re.compile(r'<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)="((?:https?:)?//[^"]*)"')


def made_pages() -> dict[str, str]:
    """Return the text of each page that is no file of docs/."""
    readme = (ROOT / "README.md").read_text()
    first, *others = re.split(r"^(?=## )", readme, flags=re.M)
    sections = {text.partition("\n")[0].removeprefix("## "): text for text in others}
    pages = {name: _promoted(sections.pop(title)) for name, title in SECTIONS.items()}
    pages[HOME] = "".join([first, *sections.values()])
    pages["settings.md"] = _with_settings(pages["settings.md"])
    pages["commands.md"] = _with_commands(pages["commands.md"])
    pages["codes.md"] = "".join(_codes())
    return pages | {name: (ROOT / file).read_text() for name, file in WHOLE.items()}


def _promoted(text: str) -> str:
    return re.sub(r"^#(#+ )", r"\1", text, flags=re.M)


# Tables


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |\n"


def _table(heads: tuple[str, ...], rows: Iterable[str]) -> str:
    return "".join([_row(*heads), "|---" * len(heads) + "|\n", *rows])


def _with_settings(text: str) -> str:
    """Put tables with every fact in the place of those of README.md."""
    before, between, after = _ROWS.split(text)
    own = _table(("Setting", "What it is", "Default", "In a file of its own"), map(_own, SETTINGS))
    each = _table(("Setting", "What it is", "In a file of its own"), map(_each, PROVIDER_SETTINGS))
    return f"{before}{own}{between}{each}{after}"


def _own(setting: Setting) -> str:
    default = f"`{setting.default}`" if setting.default else ""
    shown = "required" if setting.is_required else default
    return _row(f"`{setting.name}`", setting.meaning, shown, _file_of(setting))


def _each(setting: Setting) -> str:
    return _row(f"`*_{setting.name}`", setting.meaning, _file_of(setting, "*_"))


def _file_of(setting: Setting, prefix: str = "") -> str:
    return f"`{prefix}{setting.name}{FILE_SUFFIX}`" if setting.is_secret else ""


def _with_commands(text: str) -> str:
    """Put each command with its options behind the section, in the place of its table."""
    before, after = _ROWS.split(text)
    return before + after.lstrip() + "".join(_commands())


def every_command(group: click.Group, before: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield each command with its name, those of a group after the group's."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from every_command(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


def _commands() -> Iterator[str]:
    for name, command in every_command(main):
        context = click.Context(command, info_name=f"webui {name}")
        usage = " ".join(command.collect_usage_pieces(context))
        yield f"\n## webui {name}\n\n`webui {name} {usage}`\n\n{command.help}\n\n"
        options = [one for p in command.params if (one := p.get_help_record(context))]
        rows = (_row(f"`{used}`", what) for used, what in options)
        yield _table(("Option", "What it does"), rows) if options else ""


def _codes() -> Iterator[str]:
    yield "# Codes\n\nThose of the log, the metrics and references; `webui logs --explain CODE`"
    yield " prints one.\n"
    for kind, codes in read_codes().items():
        yield f"\n## {KINDS[kind].capitalize()}\n\n"
        rows = (_row(f"`{code}`", *said) for code, said in codes.items())
        yield _table(("Code", "What it means", "What to do"), rows)


# Links, and lists, which here have to be indented by four


def anchor(title: str) -> str:
    return re.sub(r"[^a-z0-9 _-]", "", title.lower()).replace(" ", "-")


def site_link(target: str, page: str, pages: Mapping[str, str]) -> str:
    """Return where a link of a page leads on the site; ``pages`` are those that are made."""
    if "://" in target:
        return target
    path, _, heading = target.partition("#")
    origin = ORIGINS.get(page, f"docs/{page}")
    file = posixpath.normpath(posixpath.join(posixpath.dirname(origin), path)) if path else origin
    if file == "README.md":
        found = (n for n, text in pages.items() if ORIGINS.get(n) == file and _has(text, heading))
        place = next(found, HOME) if heading else HOME
    else:
        place = file.removeprefix("docs/") if file.startswith("docs/") else file.lower()
    way = posixpath.relpath(place, posixpath.dirname(page) or ".") if place != page else ""
    return f"{way}#{heading}" if heading else way


def _has(text: str, heading: str) -> bool:
    return heading in map(anchor, _HEADING.findall(text))


def with_deep_lists(text: str) -> str:
    """Indent by four what belongs to an item of a list, and by eight the code there."""
    lines, fence = [], ""
    for line in text.splitlines():
        indent, word = re.match(r"( *)(\S*)", line).groups()  # type: ignore[union-attr]
        if word.startswith("```"):
            fence = "" if fence else indent + "```"
            lines.append("" if indent else line)
        elif fence:
            lines.append(line if fence == "```" else " " * 8 + line.strip())
        else:
            lines.append("    " + line.lstrip() if 2 <= len(indent) <= 3 else line)
    return "\n".join(lines) + "\n"


# Called by MkDocs


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are made."""
    from mkdocs.structure.files import File

    for name, text in made_pages().items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Have links lead to pages of the site, and lists be read as they are meant."""
    name, made = page.file.src_uri, made_pages()
    text = _LINK.sub(lambda found: site_link(found[0], name, made), markdown)
    return with_deep_lists(text)


def on_post_page(output: str, page: Any, config: Any) -> str:
    """Refuse a page that loads anything from elsewhere."""
    if found := _LOADED.findall(output):
        raise SystemExit(f"{page.file.src_uri} loads {found[0]}")
    return output
