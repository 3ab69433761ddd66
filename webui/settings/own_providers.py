"""``PROVIDERS_DIR``: files of providers of the operator's own, in the catalogue's format."""

from __future__ import annotations

from pathlib import Path

from webui.oauth_manager.providers import FOLDER, Entry, Fault, FaultyFile, line_of, names, read
from webui.settings import readers as values
from webui.settings.logo import read_logo

SETTING = "PROVIDERS_DIR"
_TAKEN = "has the name of a provider of the catalogue; give it another, or set single values"
_LARGEST = 256 * 1024  # bytes of a file


def own_entries(folder: str, faults: list[str]) -> dict[str, Entry]:
    """Read every ``*.toml`` of the folder; what is wrong is added to ``faults``."""
    found: dict[str, Entry] = {}
    try:
        paths = sorted(Path(folder).glob("*.toml")) if Path(folder).is_dir() else None
    except OSError:
        paths = None
    if paths is None:
        faults.append(f"{SETTING} names no folder that can be read.")
    for path in paths or ():
        if entry := _own_entry(path, faults):
            found[entry.name] = entry
    return found


def _own_entry(path: Path, faults: list[str]) -> Entry | None:
    where = f"{SETTING}: {path.name if path.name.isprintable() else 'a file'}"
    try:
        return own_entry(path)
    except FaultyFile as error:
        faults += [f"{where}, {fault}." for fault in error.faults]
    except values.Malformed as fault:
        faults.append(f"{where} {fault}.")
    return None


def own_entry(path: Path) -> Entry:
    """Read a file and the logo that it names.  Raises :class:`FaultyFile` or :class:`Malformed`."""
    text = read_text(path)
    check_name(path)
    entry = read(path.stem, text)
    name = entry.facts.get("logo", "")
    if not name:
        return entry
    try:
        if Path(name).name != name:
            raise values.Malformed("must name a file in the same folder")
        logo = read_logo(str(path.with_name(name)))
    except values.Malformed as fault:
        raise FaultyFile([Fault(line_of(text, "logo"), f"logo {fault}")]) from None
    return Entry(entry.name, entry.fields, {**entry.facts, "logo": logo})


def check_name(path: Path) -> None:
    """Check a file's name, which is the provider's.  Raises :class:`Malformed`."""
    if path.suffix != ".toml":
        raise values.Malformed("must have a name that ends in .toml")
    values.provider_names(path.stem)
    if path.stem in names() and path.resolve().parent != FOLDER:
        raise values.Malformed(_TAKEN)


def read_text(path: Path) -> str:
    """Read a file.  Raises :class:`Malformed`, like every reader."""
    if not path.is_file():  # a pipe might never end
        raise values.Malformed("is no file that can be read")
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(_LARGEST + 1)
    except UnicodeDecodeError:
        raise values.Malformed("is not UTF-8: save it in that encoding") from None
    except OSError:
        raise values.Malformed("is no file that can be read") from None
    if len(text) > _LARGEST:
        raise values.Malformed(f"has more than {_LARGEST // 1024} kB")
    return text
