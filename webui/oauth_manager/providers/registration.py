"""Our registration at a provider: who we are there, and which server that is for."""

from __future__ import annotations

from functools import cached_property

from .client_keys import ClientKey, OwnClient, read_key


class Registration:
    """The part of ``OAuthProvider`` about its client and its server."""

    client_id: str
    client_secret: str
    client_key: str
    token_auth: str
    own: OwnClient | None
    issuer: str
    token_url: str
    par_url: str
    resource: str
    to_find: frozenset[str]
    found: tuple[str, ...]
    reach: tuple[str, ...]

    @property
    def is_configured(self) -> bool:
        """Return whether client id and secret or key are there; a public client has neither."""
        proof = {"none": "public", "private_key_jwt": self.client_key}
        is_registered = self.client_id and proof.get(self.token_auth, self.client_secret)
        return bool(self.own or is_registered)

    @cached_property
    def signing_key(self) -> ClientKey:
        """Return the key that signs for this client.  Raises ``Malformed`` if it is none."""
        own = self.own.key if self.own else None
        return own if own and not self.client_key else read_key(self.client_key)

    @property
    def audience(self) -> str:
        """Return the server's name for itself, which assertions are for."""
        return self.issuer or self.token_url

    @property
    def is_found(self) -> bool:
        """Return whether its addresses are known; those that its issuer names are found first."""
        return bool(self.token_url)

    @property
    def server(self) -> str:
        """Return the token endpoint, and of a remote MCP server whose: tokens go back there."""
        if self.resource:
            return f"{self.issuer} {self.token_url} {self.resource}"
        return self.token_url

    @property
    def begins_here(self) -> bool:
        """Return whether a link from chat cannot lead there at once, but to our own page."""
        return bool(self.par_url or self.resource)

    @property
    def identity(self) -> str:
        """Return what was found of the server and of us there; ``""`` if nothing had to be."""
        if not self.to_find:
            return ""
        return f"{self.issuer} {self.token_url} {self.client_id} {self.resource}"

    def reach_of(self, url: str) -> tuple[str, ...]:
        """Return the kinds of addresses that a request to one of its addresses may go to."""
        return self.reach if url in self.found else ()
