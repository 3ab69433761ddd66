"""Sources: environment, TOML file and files of secrets.  No value is checked here.

The environment comes first, then the TOML file that ``WEBUI_CONFIG`` names: the
same names in either case, and a table for a provider (``[github]`` with
``client_id = ...``).  In both places a secret may also be given as
``NAME_FILE``, the path of a file that holds it.  Blank counts as not given;
the white space of ASCII around a value is dropped, and no other: it may be part of a name.
"""

from __future__ import annotations

import difflib
import json
import re
import string
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from webui.oauth_manager.providers import Entry, template
from webui.oauth_manager.values import Struct
from webui.settings import features, key_command, texts
from webui.settings import readers as values
from webui.settings.own_providers import SETTING as FOLDER
from webui.settings.own_providers import own_entries
from webui.settings.table import (
    FILE_SUFFIX,
    SETTINGS,
    Setting,
    all_settings,
    known_names,
    provider_names,
    upper,
    variable,
)

# Writers of a table of the file as the text of its setting.
_AS_TEXT: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "_ASK": partial(json.dumps, default=str),  # TOML has dates, too
    "_HEADERS": lambda table: ";".join(f"{name}:{said}" for name, said in table.items()),
    features.SUFFIX: features.as_text,
    texts.SUFFIX: texts.as_text,
}
_KEY = "ENCRYPTION_KEY"
_LOOKALIKE = 0.88  # below: a variable of another program
_TYPO = 0.92  # above: a setting misspelt; below: one of the many GITHUB_* of a build machine


@dataclass(frozen=True)
class Given:
    """The text of a setting and its source: "environment", "file", "program" or "WEBUI_CONFIG"."""

    text: str = field(repr=False)
    source: str


class Survey(Struct, frozen=True):
    """Result of a survey: texts by setting name, extra providers, own files, and faults."""

    given: dict[str, Given]
    extra: tuple[str, ...]
    own: dict[str, Entry]
    faults: list[str]

    def template(self, provider: str) -> Mapping[str, Any]:
        """Return the fields that a file of one's own or the catalogue has for a provider."""
        return self.own[provider].fields if provider in self.own else template(provider)


def survey(environ: Mapping[str, str], run: Callable[[str], str] = key_command.output) -> Survey:
    """Collect the given texts by setting name, the extra providers, and the faults of sources.

    ``run`` runs the program that prints the encryption keys.
    """
    faults: list[str] = []
    config = _config_file(_trimmed(environ.get("WEBUI_CONFIG", "")), faults)
    layers = (("environment", environ), ("WEBUI_CONFIG", config))
    extra: tuple[str, ...] = ()
    for _, layer in reversed(layers):
        if text := _trimmed(layer.get("EXTRA_PROVIDERS", "")):
            try:
                extra = values.provider_names(text)
            except values.Malformed:
                extra = ()  # reported when the setting itself is read
    folder = next((f for _, layer in layers if (f := _trimmed(layer.get(FOLDER, "")))), "")
    own = own_entries(folder, faults) if folder else {}
    extra = tuple(dict.fromkeys([*extra, *own]))
    given: dict[str, Given] = {}
    for setting in all_settings(extra):
        for source, layer in layers:
            if setting.name not in given and (found := _look_up(setting, source, layer, faults)):
                given[setting.name] = found
    _ask_for_keys(given, (environ, config), run, faults)
    faults += [
        f"WEBUI_CONFIG: {name if re.fullmatch('[A-Z0-9_]{1,60}', name) else 'a name'} "
        "in that file is not a setting."
        for name in sorted(config.keys() - known_names(extra))
    ]
    faults += _misspelt(environ, extra)
    return Survey(given, extra, own, faults)


def _ask_for_keys(
    given: dict[str, Given],
    layers: Iterable[Mapping[str, str]],
    run: Callable[[str], str],
    faults: list[str],
) -> None:
    """Have the program print the encryption keys, if one is given and nothing goes before it."""
    names = (_KEY, _KEY + FILE_SUFFIX, key_command.NAME)
    for layer in layers:
        named = [name for name in names if _trimmed(layer.get(name, ""))]
        if len(named) > 1:
            faults.append(f"{' and '.join(named)} are given; give one of them alone.")
        if named:
            break
    else:
        return
    command = given.get(key_command.NAME)
    if named != [key_command.NAME] or command is None:
        return
    try:
        key_command.arguments(values.unquoted(command.text))
    except values.Malformed:
        return  # reported when the setting itself is read
    try:
        given[_KEY] = Given(run(command.text), "program")
    except values.Malformed as fault:
        faults.append(f"{key_command.NAME} {fault}.")


def _look_up(
    setting: Setting, source: str, layer: Mapping[str, str], faults: list[str]
) -> Given | None:
    if text := _trimmed(layer.get(setting.name, "")):
        return Given(text, source)
    path = _trimmed(layer.get(setting.name + FILE_SUFFIX, "")) if setting.is_secret else ""
    if not path:
        return None
    try:
        text = _trimmed(Path(values.unquoted(path)).read_text("utf-8"))
    except values.Malformed as fault:
        faults.append(f"{setting.name}{FILE_SUFFIX} {fault}.")
        return None
    except (OSError, ValueError):
        faults.append(f"{setting.name}{FILE_SUFFIX} names a file that cannot be read.")
        return None
    return Given(text, "file") if text else None


def _trimmed(text: str) -> str:
    return text.strip(string.whitespace)


def _config_file(path: str, faults: list[str]) -> dict[str, str]:
    if not path or values.is_quoted(path):
        return {}  # in quotation marks it is a fault of the setting itself
    try:
        table = tomllib.loads(Path(path).read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        where = re.search(r" \(at line \d+, column \d+\)", str(error))
        faults.append(f"WEBUI_CONFIG names a file that is not TOML{where[0] if where else ''}.")
        return {}
    except (OSError, ValueError):
        faults.append("WEBUI_CONFIG names a file that cannot be read.")
        return {}
    return dict(_flat(table))


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Flatten TOML's nesting: ``[github] client_id`` becomes ``GITHUB_CLIENT_ID``."""
    for key, value in table.items():
        name = prefix + upper(key)
        if isinstance(value, dict) and not prefix:
            yield from _flat(value, name + "_")
        elif isinstance(value, dict):
            own = (write for suffix, write in _AS_TEXT.items() if name.endswith(suffix))
            yield name, next(own, urlencode)(value)
        elif isinstance(value, list):
            yield name, ",".join(_entry(name, entry) for entry in map(str, value))
        else:
            yield name, str(value)


def _entry(name: str, entry: str) -> str:
    """Write one entry of a TOML list.

    An id with a comma would become two of other people: its reader refuses the replacement.
    """
    return "\0" if name == "SUPPORT_USERS" and "," in entry else entry


def _misspelt(environ: Mapping[str, str], extra: Iterable[str]) -> Iterator[str]:
    known = known_names(extra)
    prefixes = tuple(variable(provider, "") for provider in provider_names(extra))
    for name in sorted(environ.keys() - known):
        if name.startswith(prefixes):
            for meant in difflib.get_close_matches(name, known, n=1, cutoff=_TYPO):
                yield f"{name} is not a setting; {meant} is."


def lookalikes(environ: Mapping[str, str], extra: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield variables that may be misspelt settings of the site, each with the one it resembles.

    Another program may well use them, so they are no faults.
    """
    general = [setting.name for setting in SETTINGS]
    for name in sorted(environ.keys() - known_names(extra)):
        for meant in difflib.get_close_matches(name, general, n=1, cutoff=_LOOKALIKE):
            yield name, meant
