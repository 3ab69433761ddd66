"""Hostile requests to the HTTP API, made of its own description and of nonsense."""

from __future__ import annotations

import json
import random
import string
from typing import Any
from urllib.parse import urlencode

import httpx

NASTY: list[Any] = [
    *(
        None,
        True,
        False,
        0,
        -1,
        10**400,
        1e308,
        "",
        " ",
        "\0",
        "\n",
        "a" * 300,
        "\ud800",
        "é",
        "💥",
    ),
    *("ann", "ann*", "google", "github", "../..", "%00", "{{7*7}}", "' OR 1=1", "stargazer:*"),
    *([], [None], ["a"] * 200, [[[]]], {}, {"a": {}}, {"$ne": 1}),
]
MEMBERS = ("user_id", "provider", "account", "scopes", "min_valid", "refused", "code", "after")
TYPES = ("application/json", "text/plain", "", "application/json; charset=utf-16", "x" * 500)


def request(chance: random.Random, key: str, base_url: str) -> httpx.Request:
    """One request: often nearly right, sometimes nothing like it."""
    paths = ("/token", "/links", "/proofs", "/connections", "/connections/check", "/notices")
    path = chance.choice((*paths, "/connections/disconnect", "/openapi.json", "/nothing", "//", ""))
    method = chance.choice(("POST", "POST", "POST", "GET", "HEAD", "PUT", "OPTIONS"))
    headers = (
        {"content-type": chance.choice(TYPES)}
        if chance.random() < 0.3
        else {"content-type": "application/json"}
    )
    sent = _damaged(chance, key) if chance.random() < 0.1 else key
    headers["authorization"] = f"Bearer {sent}"
    query = ""
    if method in ("GET", "HEAD"):
        pairs = [
            (chance.choice((*MEMBERS, "wait", "limit")), str(chance.choice(NASTY))[:50])
            for _ in range(chance.randrange(4))
        ]
        query = urlencode(pairs, errors="replace")
        query = query.replace("wait=", "weight=")  # whoever waits is not hostile
    body = _body(chance) if method in ("POST", "PUT") else b""
    return httpx.Request(method, f"{base_url}/api/v1{path}?{query}", headers=headers, content=body)


def _damaged(chance: random.Random, key: str) -> str:
    place = chance.randrange(len(key))
    return key[:place] + chance.choice(string.printable[:62]) + key[place + 1 :]


def _body(chance: random.Random) -> bytes:
    if chance.random() < 0.1:
        return chance.choice((b"", b"{", b"[" * 5000, b"\xff\xfe", b"null", b"{}" * 9000))
    members = {"user_id": f"p{chance.randrange(50)}", "provider": "google", "code": "ABCDEF"}
    kept = {name: value for name, value in members.items() if chance.random() < 0.8}
    for _ in range(chance.randrange(3)):
        kept[chance.choice(MEMBERS)] = chance.choice(NASTY)
    text = json.dumps(kept)
    return (text.replace("}", ',"user_id":"x"}') if chance.random() < 0.05 else text).encode()
