"""Checks of client ids, client secrets and keys, for both too.  No message repeats one."""

from __future__ import annotations

import base64
import binascii
import re


class Malformed(ValueError):
    """A value that cannot be used; the message never holds it."""


QUOTES = "'\"`\u00b4\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u00ab\u00bb\u2039\u203a"
"""Straight, curly and angular quotation marks, and what is typed or pasted for them."""

_FEWEST_CHARACTERS = 8  # different ones; fewer are a held-down key, not a random secret
_FERNET_KEY = re.compile(r"[A-Za-z0-9_-]{43}=")
# Found in documentation and in images that people copy from.
_PUBLISHED_KEYS = frozenset(
    {
        "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=",  # github.com/fernet/spec
        "46BKJoQYlPPOexq0OhDZnIlNepKFf87WFwLbfzqDDho=",  # puckel/docker-airflow
        "81HqDtbqAywKSOumSha3BhWNOdQ26slT6K0YaZeZyPs=",  # many set-ups of Airflow
    }
)
_EXAMPLE = re.compile(
    "change(me|this)|default|example|insecure|password|placeholder"
    "|replace(me|this)|secretkey|supersecret|yoursecret"
)
# As the letters alone of a whole value, so that no random secret is taken for one.
_PLACEHOLDER = re.compile(
    "(your|my|the|some|insert|enter|add|paste|put|replace|provider|app|application|oauth"
    "|github|google|discord|microsoft|here|this|with|client|consumer|api|id|secret|key|value)*"
    "(secret|clientid|key|value|here|change(me|this|it)|replace(me|this|it)|fillme(in)?|todo|tbd"
    "|fixme|password|placeholder|example|dummy|none|null|undefined)"
    "(here|goeshere|value|clientid|secret|key)?(appsgoogleusercontentcom)?"
    "|(replace|change|fill)?with(your|my)own|tobefilledin|x{2,}"
)
_BRACKETS = (("<", ">"), ("{", "}"), ("[", "]"), ("${", "}"), ("%", "%"), ("$(", ")"))


def fernet_key(key: str) -> str:
    """Check a Fernet key, and that it is no published one (github.com/fernet/spec)."""
    try:
        raw = base64.urlsafe_b64decode(key) if _FERNET_KEY.fullmatch(key) else b""
    except binascii.Error:
        raw = b""
    if len(raw) != 32:
        raise Malformed("holds what is no Fernet key: 32 bytes in URL-safe base64, 44 characters")
    if key in _PUBLISHED_KEYS or is_example(raw.decode("latin-1")):
        raise Malformed("holds an example key; make one of your own")
    return key


def is_example(secret: str) -> bool:
    """Tell whether a secret of our own is none that somebody made at random."""
    letters = re.sub(r"[^a-z]", "", secret.lower())
    return len(set(secret)) < _FEWEST_CHARACTERS or bool(_EXAMPLE.search(letters))


def is_placeholder(value: str) -> bool:
    """Tell whether a client id or secret stands for one that has yet to be filled in.

    Shorter words that a provider might give out (``id``, ``webui``) are none.
    """
    if any(value.startswith(a) and value.endswith(b) for a, b in _BRACKETS):
        return True
    letters = re.sub(r"[^a-z]", "", value.lower())
    is_one_character = len(value) > 1 and len(set(value)) == 1  # xxx, ..., 0000
    return is_one_character or _PLACEHOLDER.fullmatch(letters) is not None


def text_of(value: object) -> str:
    """Check that a value is text; ids in YAML, TOML or JSON are often numbers."""
    if not isinstance(value, str):
        kind = type(value).__name__
        raise Malformed(f"must be text, not {kind}; a number has to be passed as str(number)")
    return value


def client_secret(value: object) -> str:
    """Check an OAuth client secret (RFC 6749, appendix A)."""
    text = unmarked(text_of(value))
    if len(text) > 1024 or not re.fullmatch(r"[ -~]+", text):
        raise Malformed("must be printable ASCII of at most 1024 characters")
    return text


def client_id(value: object) -> str:
    """Check an OAuth client id; a blank may be inside (RFC 6749, appendix A), none at its ends."""
    text = client_secret(value)
    if text != text.strip():
        raise Malformed("must not begin or end with a blank")
    return text


def is_quoted(text: str) -> bool:
    """Tell whether a text begins and ends with quotation marks or backticks."""
    return len(text) > 1 and text[0] in QUOTES and text[-1] in QUOTES


def unquoted(text: str) -> str:
    """Refuse a text whose quotation marks no shell has taken off."""
    if is_quoted(text):
        raise Malformed(
            "stands in quotation marks, which count as part of it (docker --env-file keeps them); "
            "leave them out"
        )
    return text


def unmarked(text: str) -> str:
    """Refuse a text with a quotation mark at one end too; for values that are no sentence."""
    if unquoted(text) and (text[0] in QUOTES or text[-1] in QUOTES):
        raise Malformed(
            "begins or ends with a quotation mark or a backtick, which counts as part of it; "
            "leave it out"
        )
    return text
