"""Cards, read from an answer of the site."""

from __future__ import annotations

import re

import httpx

from tests.kit.screens import Document


def element(page: httpx.Response, identifier: str) -> str:
    found = [e for e in Document(page.text).elements if e.attributes.get("id") == identifier]
    return " ".join(found[0].text.split()) if found else ""


def note(page: httpx.Response, provider: str = "github") -> str:
    return element(page, f"conn-{provider}-n")


def said_by(page: httpx.Response, provider: str = "github") -> str:
    """Return all that a card says: an open one begins in its heading, a row in its note."""
    headings = [
        " ".join(e.text.split()).removesuffix(".")
        for e in Document(page.text).elements
        if e.attributes.get("id") == f"conn-{provider}-t"
        and (e.tag, e.attributes.get("class")) == ("h3", "title")
    ]
    return ". ".join([*headings, note(page, provider)])


def buttons(page: httpx.Response, provider: str = "github") -> list[str]:
    """The names of the card's buttons, complete, in their order."""
    ids = rf'id="conn-{provider}-(?!t"|n"|p")\w+"'
    names = (re.search(r'id="([^"]+)"', match[0]) for match in re.finditer(ids, page.text))
    return [element(page, name[1]) for name in names if name]


def focused(page: httpx.Response) -> list[str]:
    elements = Document(page.text).elements
    return [e.attributes.get("id", "") for e in elements if "autofocus" in e.attributes]


def seen(page: httpx.Response) -> list[str]:
    """Return what the page sends when it asks for news."""
    fields = [e.attributes for e in Document(page.text).elements if e.tag == "input"]
    return [field["value"] for field in fields if field.get("name") == "seen"]
