"""The text of a provider's file: what the parser says of it, and the lines of its keys."""

from __future__ import annotations

import pytest

from tests.kit.every import every
from webui.oauth_manager.providers.toml_text import NotToml, line_of, table_of

TEXT = """\
label = "Acme"
"client name" = 1

[scopes]
"read" = { can = "read", group = "Sees" }

[scopes.write]
can = "write"

[[headers]]
name = "X"
note = '''
a line of many words and without the mark that stands behind the name of a key
'''
last = 1
"""


@every(
    ("text", "line", "cure"),
    [
        ("label = “canary”", 1, "straight marks"),
        ("pkce = False", 1, "true and false are small"),
        ('{"label": "canary"}', 1, 'name = "its value"'),
        ("label: canary", 1, 'name = "its value"'),
        ("x = 1\n[scopes]\nread = {\n  can = 'canary' }", 3, "on one line"),
        ("[scopes]\n[scopes]", 2, "may stand once"),
        ("x = 1\nx = 'canary'", 2, "may stand once"),
        ("x = 1 y = 2", 1, "one field on a line"),
        ("x = 07", 1, "straight marks"),
        ("x = 'canary\ny = 2", 2, "ends with the mark"),
        ('x = "canary\ny = 2', 1, "ends with the mark"),
        ("[canary", 1, "ends with ]"),
        ('x = "C:\\canary"', 1, "written twice"),
        ("x = ['canary'", 1, "ends with ]"),
        (f"x = {'[' * 5000}{']' * 5000}", 1, "too deep"),
        (f"x = {'9' * 5000}", 1, "too many digits"),
    ],
)
def test_what_is_not_toml_is_told_with_its_line_and_the_cure_and_without_the_text(
    text: str, line: int, cure: str
) -> None:
    with pytest.raises(NotToml, match=r"^is not TOML: ") as caught:
        table_of(text)
    assert (caught.value.line, cure in str(caught.value)) == (line, True), caught.value
    assert "canary" not in str(caught.value)


@every(
    ("path", "line"),
    [
        (("label",), 1),
        (("client name",), 2),
        (("scopes",), 4),
        (("scopes", "read"), 5),
        (("scopes", "read", "group"), 5),
        (("scopes", "write", "can"), 8),
        (("scopes", "write", "group"), 7),
        (("headers",), 10),
        (("headers", "name"), 11),
        (("none",), 1),
        ((), 1),
        (("headers", "last"), 15),
    ],
)
def test_a_key_has_the_line_that_it_stands_on_or_that_of_its_table(
    path: tuple[str, ...], line: int
) -> None:
    assert line_of(TEXT, *path) == line
