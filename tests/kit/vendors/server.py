"""A vendor's servers as its documents describe them: what these do not allow is refused.

``Vendor`` is an ASGI application at the vendor's own addresses; ``Rules`` say how it differs.
It stands behind ``httpx.ASGITransport``, so that a provider made from a name, an id and a secret
alone meets it.  Every request that the documents do not allow is noted in ``faults``.
"""

from __future__ import annotations

import json
import re
import secrets
from base64 import b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

Auth = Literal["basic", "post", "either"]
FORM, JSON = "application/x-www-form-urlencoded", "application/json"


@dataclass(frozen=True)
class Said:
    """One answer: its body is JSON, or a text as it is; None for no body."""

    status: int
    body: Any = None


@dataclass(frozen=True)
class Issued:
    """One token answer to be written in the vendor's shape; ``refresh`` is ``""`` if none goes."""

    access: str
    refresh: str
    scopes: tuple[str, ...]
    is_renewal: bool


@dataclass(frozen=True)
class Profile:
    """The request that tells whose account it is, and its answers."""

    url: str
    answer: Any
    over: Said
    name: str  # as the card shows it
    method: str = "GET"
    header: str = "Bearer {token}"
    bodies: tuple[Any, ...] = (None,)  # JSON that is taken; None for no body
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Revocation:
    """The request that ends a grant; ``ends`` is ``grant``, or the one ``token`` alone."""

    url: str
    auth: Literal["basic", "post", "either", "id", "bearer", "none"] = "post"
    method: str = "POST"
    content: str = FORM  # "" if there is no body: what there is stands in the query
    takes: tuple[str, ...] = ("access", "refresh")
    name: str = "token"
    client: tuple[str, str] | None = None  # names of its fields, if they are others here
    ends: Literal["grant", "token"] = "grant"
    done: Said = Said(200)
    unknown: Said = Said(200)


@dataclass(frozen=True)
class Rules:
    """One vendor.  ``sources`` are what was read on ``checked``; a comment names a weaker one."""

    sources: tuple[str, ...]
    checked: str
    authorize: str
    token: str
    profile: Profile
    answer: Callable[[Issued], Mapping[str, Any]]
    wrong_client: Said
    spent_code: Said
    wrong_redirect: Said
    dead_refresh: Said
    renewal: str = ""  # its address, if it is another
    revocation: Revocation | None = None
    asks: Mapping[str, str] = field(default_factory=dict)  # fields of the authorization request
    may_ask: tuple[str, ...] = ()
    separator: str = " "
    offline: str = ""  # the scope or ``name=value`` without which no refresh token is given
    pkce: Literal["required", "taken", "refused"] = "taken"
    auth: Auth = "post"
    client: tuple[str, str] = ("client_id", "client_secret")  # names of its fields
    content: str = FORM
    headers: Mapping[str, str] = field(default_factory=dict)  # name: pattern, of every request
    headless: Said = Said(400)  # without those
    lifetime: int = 3600  # seconds; 0 if an access token has no end of its own
    stands: str = "connected"  # the state of the card once it is
    renews: bool = True
    rotates: bool = True
    means: Mapping[str, str] = field(default_factory=dict)  # state of the card after each refusal
    settings: Mapping[str, str] = field(default_factory=dict)  # typed, if no catalogue has it
    doubted: tuple[str, ...] = ()  # fields of ours that no document of the vendor settles


@dataclass
class _Grant:
    scopes: tuple[str, ...]
    access: set[str] = field(default_factory=set)
    refresh: set[str] = field(default_factory=set)


@dataclass
class Vendor:
    """One vendor with one registered application and one person, who says yes."""

    rules: Rules
    client_id: str
    client_secret: str = field(repr=False)
    redirect_uri: str = ""
    faults: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    _codes: dict[str, dict[str, str]] = field(default_factory=dict, repr=False)
    _grants: list[_Grant] = field(default_factory=list, repr=False)

    # What happens at the vendor

    def allow(self, url: str) -> str:
        """A person says yes: the callback's address for an authorization request."""
        rules, split = self.rules, urlsplit(url)
        asked = dict(parse_qsl(split.query, keep_blank_values=True, strict_parsing=True))
        self._expect(url.split("?")[0] == rules.authorize, f"authorize at {url.split('?')[0]}")
        known = {rules.client[0], "redirect_uri", "response_type", "state", "scope"}
        known |= {"code_challenge", "code_challenge_method"} if rules.pkce != "refused" else set()
        self._known("authorize", asked, known | set(rules.asks) | set(rules.may_ask))
        for name, value in {"response_type": "code", **rules.asks}.items():
            self._expect(asked.get(name) == value, f"authorize without {name}={value}")
        self._expect(asked.get(rules.client[0]) == self.client_id, "authorize for another client")
        self._expect(asked.get("redirect_uri") == self.redirect_uri, "authorize to elsewhere")
        self._expect(bool(asked.get("state")), "authorize without a state")
        if rules.pkce == "required" or "code_challenge" in asked:
            method = asked.get("code_challenge_method")
            self._expect(method == "S256", f"a challenge by {method}")
        code = f"code-{secrets.token_hex(12)}"
        self._codes[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def spend_codes(self) -> None:
        """Every code that is out has been used by somebody."""
        self._codes.clear()

    def expire(self) -> None:
        """The access tokens end, and nothing else."""
        for grant in self._grants:
            grant.access.clear()

    def withdraw(self) -> None:
        """The person removes the application."""
        self._grants.clear()

    def is_alive(self, token: str) -> bool:
        return any(token in grant.access for grant in self._grants)

    @property
    def grants(self) -> int:
        """Grants of which anything still works."""
        return sum(bool(grant.access or grant.refresh) for grant in self._grants)

    # What its servers do

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        said = self._answered(request, await request.body())
        await _response(said)(scope, receive, send)

    def _answered(self, request: Request, body: bytes) -> Said:
        rules, url = self.rules, str(request.url).split("?")[0]
        for name, pattern in rules.headers.items():
            if not re.fullmatch(pattern, request.headers.get(name, "")):
                self.faults.append(f"{url} without the header {name}")
                return rules.headless
        if url == rules.profile.url and request.method == rules.profile.method:
            return self._profile(request, body)
        revocation = rules.revocation
        if revocation and (url, request.method) == (revocation.url, revocation.method):
            return self._revoked(request, body, revocation)
        if url in (rules.token, rules.renewal) and request.method == "POST":
            return self._token(request, body, url)
        self.faults.append(f"{request.method} {url} is nothing")
        return Said(404)

    def _token(self, request: Request, body: bytes, url: str) -> Said:
        rules = self.rules
        fields = self._fields(request, body, rules.content)
        self._expect(not request.url.query, "a token request with a query")
        if not self._authenticated(request, fields, rules.auth, "token"):
            return rules.wrong_client
        kind = fields.pop("grant_type", "")
        if kind == "refresh_token" and url == (rules.renewal or rules.token):
            self.calls.append("refresh")
            return self._renewed(fields)
        if kind != "authorization_code" or url != rules.token:
            self.faults.append(f"a token request of the kind {kind!r} at {url}")
            return Said(400, {"error": "unsupported_grant_type"})
        self.calls.append("exchange")
        return self._exchanged(fields)

    def _exchanged(self, fields: dict[str, str]) -> Said:
        rules = self.rules
        self._known("exchange", fields, {"code", "redirect_uri", "code_verifier"})
        asked = self._codes.pop(fields.get("code", ""), None)
        if asked is None:
            return rules.spent_code
        if fields.get("redirect_uri") != self.redirect_uri:
            return rules.wrong_redirect
        challenge, verifier = asked.get("code_challenge"), fields.get("code_verifier")
        if rules.pkce == "required" or challenge or verifier:
            digest = sha256((verifier or "").encode()).digest()
            proven = urlsafe_b64encode(digest).rstrip(b"=").decode() == challenge
            self._expect(proven and rules.pkce != "refused", "an exchange with a wrong verifier")
            if not proven or rules.pkce == "refused":
                return rules.spent_code
        scopes = tuple(filter(None, asked.get("scope", "").split(rules.separator)))
        self._expect(not any(re.search(r"[\s,]", s) for s in scopes), f"scopes {scopes}")
        grant = _Grant(scopes)
        self._grants.append(grant)
        return self._issued(grant, self._is_offline(asked, scopes), is_renewal=False)

    def _is_offline(self, asked: Mapping[str, str], scopes: tuple[str, ...]) -> bool:
        name, _, value = self.rules.offline.partition("=")
        is_asked = not name or (asked.get(name) == value if value else name in scopes)
        self._expect(is_asked, f"no refresh token was asked for: {self.rules.offline}")
        return self.rules.renews and is_asked

    def _renewed(self, fields: dict[str, str]) -> Said:
        self._known("refresh", fields, {"refresh_token"})
        value = fields.get("refresh_token", "")
        for grant in self._grants:
            if value in grant.refresh:
                if self.rules.rotates:
                    grant.refresh.discard(value)
                    grant.access.clear()
                return self._issued(grant, self.rules.rotates, is_renewal=True)
        return self.rules.dead_refresh

    def _issued(self, grant: _Grant, with_refresh: bool, *, is_renewal: bool) -> Said:
        access = f"access-{secrets.token_hex(12)}"
        refresh = f"refresh-{secrets.token_hex(12)}" if with_refresh else ""
        grant.access.add(access)
        grant.refresh |= {refresh} - {""}
        return Said(200, self.rules.answer(Issued(access, refresh, grant.scopes, is_renewal)))

    def _profile(self, request: Request, body: bytes) -> Said:
        profile = self.rules.profile
        self.calls.append("account")
        self._expect(dict(request.query_params) == dict(profile.query), "a query of the account")
        sent = json.loads(body) if body else None
        # JSON's null and no body at all are two things.
        is_taken = any(sent == taken and bool(body) == wanted for taken, wanted in _bodies(profile))
        self._expect(is_taken, f"the account is asked with {body!r}")
        if body:
            self._expect(request.headers.get("content-type") == JSON, "an account body of no JSON")
        token = _carried(request, profile.header)
        return Said(200, profile.answer) if self.is_alive(token) else profile.over

    def _revoked(self, request: Request, body: bytes, rule: Revocation) -> Said:
        self.calls.append("revoke")
        before = len(self.faults)
        fields = self._fields(request, body, rule.content)
        if rule.auth == "bearer":
            token = _carried(request, self.rules.profile.header)
        elif rule.auth == "id":
            ours = fields.pop(self.rules.client[0], "") == self.client_id
            self._expect(ours, "revocation for no client")
            token = fields.get(rule.name, "")
        else:
            if rule.auth == "none":
                self._expect("authorization" not in request.headers, "revocation is authorised")
            elif not self._authenticated(request, fields, rule.auth, "revocation"):
                return self.rules.wrong_client
            token = fields.get(rule.name, "")
        # A hint may always be there, and may be ignored (RFC 7009, 2.1).
        self._known("revocation", fields, {rule.name, "token_type_hint"})
        if len(self.faults) > before:
            return rule.unknown
        for grant in self._grants:
            kinds = {"access": grant.access, "refresh": grant.refresh}
            for kind in rule.takes:
                if token in kinds[kind]:
                    kinds[kind].discard(token)
                    if rule.ends == "grant":
                        self._grants.remove(grant)
                    return rule.done
        return rule.unknown

    # What is looked at

    def _expect(self, is_so: bool, fault: str) -> None:
        if not is_so:
            self.faults.append(fault)

    def _known(self, what: str, fields: Mapping[str, str], known: set[str]) -> None:
        for name in sorted(fields.keys() - known):
            self.faults.append(f"{what} with a field that no document names: {name}")

    def _fields(self, request: Request, body: bytes, content: str) -> dict[str, str]:
        if not content:
            self._expect(not body, "a body where none belongs")
            return dict(request.query_params)
        sent = request.headers.get("content-type", "").partition(";")[0]
        self._expect(sent == content, f"{request.url.path} gets {sent}")
        if sent == JSON:
            return dict(json.loads(body))
        pairs = parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True)
        self._expect(len(dict(pairs)) == len(pairs), "a field stands twice")
        return dict(pairs)

    def _authenticated(
        self, request: Request, fields: dict[str, str], auth: Auth, what: str
    ) -> bool:
        """Take id and secret out of the fields; base64 of both as they are is what vendors ask."""
        revocation = self.rules.revocation if what == "revocation" else None
        names = (revocation and revocation.client) or self.rules.client
        posted = (fields.pop(names[0], None), fields.pop(names[1], None))
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        is_basic = scheme.lower() == "basic"
        self._expect(not (is_basic and any(posted)), f"{what} authorised in two ways")
        wanted = {"basic": is_basic, "post": not is_basic, "either": True}[auth]
        self._expect(wanted, f"{what} is authorised by {'basic' if is_basic else 'post'}")
        given: tuple[str | None, str | None] = posted
        if is_basic:
            try:
                name, _, secret = b64decode(value, validate=True).decode().partition(":")
            except NotBase64:
                return False
            given = (name, secret)
        return wanted and given == (self.client_id, self.client_secret)


def _bodies(profile: Profile) -> list[tuple[Any, bool]]:
    """Pairs of content and whether there is any: ``"null"`` stands for JSON's null."""
    return [(None if b == "null" else b, b is not None) for b in profile.bodies]


def _carried(request: Request, header: str) -> str:
    """Return the token in the Authorization header, ``""`` if it is not as documented."""
    before = header.partition("{token}")[0]
    sent = request.headers.get("authorization", "")
    return sent.removeprefix(before) if sent.startswith(before) else ""


def _response(said: Said) -> Response:
    if said.body is None:
        return Response(status_code=said.status)
    if isinstance(said.body, str):
        return Response(said.body, said.status, media_type="text/plain")
    return Response(json.dumps(said.body), said.status, media_type=JSON)
