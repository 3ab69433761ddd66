"""Grants of people at the stand-ins: grants, authorization codes and tokens.

Tokens are kept by their SHA-256 only, so the state file holds no usable token.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Literal

from webui.oauth_manager.values import Struct, replace

CODE_SECONDS = 60
# How long the reuse of a spent refresh token is still noticed.
SPENT_SECONDS = 24 * 3600


@dataclass
class Grant:
    """One person's permission for one client; outlives the tokens made from it."""

    id: str
    provider: str
    client_id: str
    login: str
    scopes: list[str]
    since: float


@dataclass
class Token:
    """A token; ``family`` is the authorization it descends from; times are Unix seconds."""

    kind: Literal["access", "refresh"]
    grant: str
    family: str
    scopes: list[str]
    expires_at: float
    spent: bool = False


class Code(Struct, frozen=True):
    """The record of one authorization code."""

    grant: str
    scopes: list[str]
    redirect_uri: str
    challenge: str
    with_refresh: bool
    expires_at: float = 0.0


def _key(value: str) -> str:
    return sha256(value.encode()).hexdigest()


@dataclass
class Grants:
    """All of it, in memory; saved to ``state_file`` after each change if one is named.

    Raises ``ValueError`` on a state file that this program did not write.
    """

    state_file: Path | None = None
    clock: Callable[[], float] = time.time
    grants: dict[str, Grant] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict, repr=False)
    codes: dict[str, Code] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.state_file is None or not self.state_file.exists():
            return
        try:
            state = json.loads(self.state_file.read_text("utf-8"))
            self.grants = {grant["id"]: Grant(**grant) for grant in state["grants"]}
            self.tokens = {key: Token(**token) for key, token in state["tokens"].items()}
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"{self.state_file} is not the stand-ins' state; remove it") from error

    def save(self) -> None:
        now = self.clock()
        self.tokens = {key: t for key, t in self.tokens.items() if t.expires_at > now}
        if self.state_file is None:
            return
        state = {
            "grants": [asdict(grant) for grant in self.grants.values()],
            "tokens": {key: asdict(token) for key, token in self.tokens.items()},
        }
        written = self.state_file.with_name(self.state_file.name + ".new")
        written.unlink(missing_ok=True)
        with os.fdopen(os.open(written, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            json.dump(state, file)
        written.replace(self.state_file)

    def of(self, provider: str, client_id: str, login: str) -> Grant | None:
        """Return the grant of that person for that client, if there is one."""
        wanted = (provider, client_id, login)
        for grant in self.grants.values():
            if (grant.provider, grant.client_id, grant.login) == wanted:
                return grant
        return None

    def consent(self, provider: str, client_id: str, login: str, scopes: Iterable[str]) -> Grant:
        """Grant the client ``scopes`` in addition to the person's earlier ones."""
        grant = self.of(provider, client_id, login)
        if grant is None:
            grant = Grant(secrets.token_hex(8), provider, client_id, login, [], self.clock())
            self.grants[grant.id] = grant
        grant.scopes = list(dict.fromkeys([*grant.scopes, *scopes]))
        self.save()
        return grant

    def new_code(self, code: Code) -> str:
        now = self.clock()
        self.codes = {key: c for key, c in self.codes.items() if c.expires_at > now}
        value = secrets.token_urlsafe(20)
        self.codes[_key(value)] = replace(code, expires_at=now + CODE_SECONDS)
        return value

    def take_code(self, value: str, provider: str) -> Code | None:
        """Take the code's record, once; ``None`` for an unknown, used, late or foreign one."""
        code = self.codes.pop(_key(value), None)
        grant = self.grants.get(code.grant) if code else None
        if code is None or grant is None or grant.provider != provider:
            return None
        return code if code.expires_at > self.clock() else None

    def add(self, value: str, token: Token) -> str:
        self.tokens[_key(value)] = token
        return value

    def find(self, value: str) -> Token | None:
        """Find a token that has not expired, spent or not."""
        token = self.tokens.get(_key(value))
        return token if token is not None and token.expires_at > self.clock() else None

    def spend(self, token: Token) -> None:
        token.spent = True
        token.expires_at = self.clock() + SPENT_SECONDS

    def drop(self, tokens: Iterable[Token]) -> None:
        gone = {id(token) for token in tokens}
        self.tokens = {key: t for key, t in self.tokens.items() if id(t) not in gone}
        self.save()

    def given_at(self, provider: str) -> list[Grant]:
        """List what was granted at one stand-in."""
        return [grant for grant in self.grants.values() if grant.provider == provider]

    def end_family(self, family: str) -> None:
        self.drop([t for t in self.tokens.values() if t.family == family])

    def end_grant(self, grant_id: str) -> None:
        self.grants.pop(grant_id, None)
        self.drop([t for t in self.tokens.values() if t.grant == grant_id])
