"""Values asked of the person before an address is built: a shop, a subdomain, a region.  No I/O.

One fills exactly one label of a host name, before a fixed domain of the vendor's, or is one of
a fixed list.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ..configuration import Malformed, address, endpoint
from .texts import line

_NAME = re.compile(r"[a-z][a-z_]{0,31}")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_FILL = re.compile(r"([a-z0-9-]{1,63}\.)*[a-z0-9-]{0,63}")
_REPEATED_GROUP = re.compile(r"\)[*+{]")
_REPEATED = re.compile(r"[*+}]|(?<!\()\?")
_PLACE = re.compile(r"\{([a-z_]+)\}")
_OTHERS = frozenset({"host", "client_id"})  # filled from the deployment's settings
_REPEATS = 4  # in a pattern: each multiplies the ways to match a label
_LONGEST = 200  # characters that a person may type
FIELDS = frozenset({"label", "pattern", "example", "choices", "fills"})


class ValueNeeded(ValueError):
    """A value that a provider's addresses need of the person is missing, or is none.

    ``name`` is the value's.
    """

    def __init__(self, provider: str, name: str) -> None:
        self.provider = provider
        self.name = name
        super().__init__(f"{provider} needs a value of the person: {name}")


@dataclass(frozen=True, slots=True)
class Asked:
    """One value: its name in addresses, and its words on the form.

    Either a ``pattern`` that it matches whole, or ``choices``: value -> words; ``fills`` has
    what stands in addresses for a choice, if not the choice itself.
    """

    name: str
    label: str
    pattern: str = ""
    example: str = ""
    choices: Mapping[str, str] = field(default_factory=dict)
    fills: Mapping[str, str] = field(default_factory=dict)

    def read(self, provider: str, typed: str, domain: str = "") -> str:
        """Read what a person typed: the value alone, or its whole address before ``domain``.

        Raises ``ValueNeeded``.
        """
        text = typed.strip().lower()
        if self.choices:
            if text in self.choices:
                return text
            raise ValueNeeded(provider, self.name)
        whole = rf"(?:https?://)?([^/]*)\.{re.escape(domain)}(?:/.*)?" if domain else ""
        found = re.fullmatch(whole, text) if len(typed) <= _LONGEST else None
        value = found[1] if found else text
        if len(typed) > _LONGEST or not self.takes(value):
            raise ValueNeeded(provider, self.name)
        return value

    def takes(self, label: str) -> bool:
        """Tell whether it is one label of a host name that the pattern matches whole."""
        return bool(_LABEL.fullmatch(label) and re.fullmatch(self.pattern, label))

    def fill(self, value: str) -> str:
        """Return what stands in addresses for a value."""
        return self.fills.get(value, value)


def read(value: object) -> tuple[Asked, ...]:
    """Read the values of a provider: a table of tables, or JSON of one.  Raises ``Malformed``."""
    if isinstance(value, str):
        value = _from_json(value)
    if isinstance(value, tuple) and all(isinstance(one, Asked) for one in value):
        return value
    if not isinstance(value, Mapping) or len(value) > 3:
        raise Malformed("must be a table of at most three values")
    return tuple(_one(name, row) for name, row in value.items())


def _from_json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise Malformed('must be JSON: {"shop": {"label": "Your shop", ...}}') from None


def _one(name: str, row: object) -> Asked:
    if not _NAME.fullmatch(name) or name in _OTHERS:
        raise Malformed("names a value by other letters than a to z and _, or by a name in use")
    if not isinstance(row, Mapping) or not row.keys() <= FIELDS or "label" not in row:
        raise Malformed(f"may have {', '.join(sorted(FIELDS))} for each, and needs label")
    made = Asked(
        name,
        line(row["label"]),
        _pattern(row.get("pattern", "")),
        line(row.get("example", "")),
        _table(row.get("choices", {})),
        _table(row.get("fills", {})),
    )
    if bool(made.pattern) == bool(made.choices):
        raise Malformed("must have either a pattern or choices for each")
    if not made.fills.keys() <= made.choices.keys():
        raise Malformed("has fills for what is no choice")
    if not all(_FILL.fullmatch(made.fill(choice)) for choice in made.choices):
        raise Malformed("must fill in labels of a host name: eu. or api-eu")
    if made.pattern and not made.takes(made.example):
        raise Malformed("must have an example that its pattern takes: a to z, 0 to 9 and -")
    return made


def _pattern(value: object) -> str:
    try:
        re.compile(line(value))
    except (re.error, OverflowError):
        raise Malformed("has a pattern that is no regular expression") from None
    # Either may take longer than anybody waits.
    if _REPEATED_GROUP.search(line(value)):
        raise Malformed("has a pattern that repeats what is in ( ); [ ] may be repeated")
    if len(_REPEATED.findall(line(value))) > _REPEATS:
        raise Malformed(f"has a pattern with more than {_REPEATS} of *, +, ? and {{ }}")
    return line(value)


def _table(value: object) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise Malformed("must have tables of texts for choices and fills")
    return {str(name).lower(): line(text) for name, text in value.items()}


def without_places(text: str) -> str:
    """Return an address with a letter in each place of its host that is filled later."""
    scheme, slashes, rest = text.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{slashes}{_PLACE.sub('x', host)}{slash}{path}"


def hosts(values: Iterable[Asked], address_text: str) -> list[str]:
    """List the hosts that an address may lead to: with each choice, or any label, filled in."""
    found = [urlsplit(address_text).netloc] if address_text else []
    for one in values:
        fills = [one.fill(choice) for choice in one.choices] or ["x"]
        found = [host.replace(f"{{{one.name}}}", fill) for host in found for fill in fills]
    return [urlsplit(f"//{host}").hostname or "" for host in found]


def domain_of(name: str, addresses: Iterable[str]) -> str:
    """Return the fixed domain behind a value's label, ``""`` if there is none."""
    for each in addresses:
        host = urlsplit(each).netloc
        if host.startswith(f"{{{name}}}."):
            return host.partition(".")[2]
    return ""


def faults(
    values: Sequence[Asked], addresses: Mapping[str, str], host: str
) -> Iterator[tuple[str, str]]:
    """Yield what of a provider does not go together with its values: field, end of a sentence.

    ``host`` is the deployment's, ``""`` if it has none: the one answer of all its people.
    """
    yield from _misplaced(values, addresses)
    if values and host:
        yield from (("host", said) for said in _faults_of_host(values, addresses, host))


def _misplaced(values: Iterable[Asked], addresses: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield each address in which a value has no place that is safe, and values without one."""
    known = {one.name: one for one in values}
    placed: set[str] = set()
    for where, text in addresses.items():
        host = text.partition("://")[2].partition("/")[0]
        names = _PLACE.findall(host)
        placed.update(names)
        for name in {*_PLACE.findall(text)} - _OTHERS:
            if name not in known or name not in names:
                yield where, "has a place for what is asked of nobody"
            elif known[name].pattern and not _is_one_label(host, name):
                yield where, f"must have {{{name}}} as one label before a domain of the vendor's"
        for one in known.values():
            for choice in one.choices if one.name in names else ():
                filled = host.replace(f"{{{one.name}}}", one.fill(choice))
                try:
                    endpoint(f"https://{_PLACE.sub('x', filled)}")
                except Malformed:
                    yield where, f"has no usable host name with {{{one.name}}} filled in"
                    break
    for name in known.keys() - placed:
        yield "ask", f"has {name}, and no address has a place for it"


def _faults_of_host(
    values: Sequence[Asked], addresses: Mapping[str, str], host: str
) -> Iterator[str]:
    one = values[0]
    if len(values) > 1:
        yield "is one answer, and more values than one are asked"
        return
    try:
        one.read("", host, domain_of(one.name, addresses.values()))
    except ValueNeeded:
        yield f'must be what people would answer to "{one.label}"; nobody is asked then'


def _is_one_label(host: str, name: str) -> bool:
    domain = host.removeprefix(f"{{{name}}}.")
    if domain == host or _PLACE.search(domain) or domain.count(".") < 1:
        return False
    try:
        address(f"https://{domain}")
    except Malformed:
        return False
    return True
