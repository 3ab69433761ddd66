"""The hosts that a provider's tokens may go to, and the guard in front of the network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from urllib.parse import urlsplit

import httpx

from ..configuration import Malformed, endpoint, is_loopback
from ..errors import HostRefused
from ..models import Connection
from ..protocol.transport import Transport
from ..providers import addresses
from ..providers.asked import ValueNeeded
from ..providers.provider import OAuthProvider
from ..values import replace

TOKEN = "oauth_token"  # of a request's extensions, which a redirect takes along
_SCHEMES = ("https", "http")


class ApiHosts:
    """The hosts of one provider's API: https, exact names and ports.

    Plain http is for a provider on this machine altogether, such as the demo's.
    """

    def __init__(self, provider: OAuthProvider) -> None:
        self.provider = provider
        self._given = provider
        self._places = _places(provider.api_hosts)
        # The first is not known before this process has asked for it.
        server = provider.token_url or provider.resource or provider.issuer
        self._is_here = is_loopback(httpx.URL(server).host)

    @property
    def are_of_connection(self) -> bool:
        """Tell whether a host is another one for each connection."""
        return any("{" in host for host in self._given.api_hosts)

    def settle(self, connection: Connection) -> None:
        """Take the hosts of one connection, by the person's values and its kept facts.

        Not by what a callback brought: anybody can write that.
        """
        found = self._given
        with suppress(ValueNeeded):
            found = addresses.filled(found, connection.asked)
        brought = {path.removeprefix("callback.") for path in found.keep if "callback." in path}
        told = {name: fact for name, fact in connection.extra.items() if name not in brought}
        hosts = [_own_host(host, told) for host in found.api_hosts]
        self.provider = replace(found, api_hosts=tuple(filter(None, hosts)))
        self._places = _places(self.provider.api_hosts)

    def has(self, url: httpx.URL) -> bool:
        """Tell whether a token may go to this address."""
        is_safe = url.scheme == "https" or (self._is_here and is_loopback(url.host))
        return is_safe and not url.userinfo and (url.scheme, url.netloc) in self._places

    def check(self, url: httpx.URL) -> None:
        """Raise ``HostRefused`` if no token may go to this address."""
        if not self.has(url):
            place = f"{url.scheme}://{url.netloc.decode('ascii', 'replace')}"
            raise HostRefused(self.provider.name, place, tuple(self.provider.api_hosts))


def _places(hosts: Iterable[str]) -> set[tuple[str, bytes]]:
    whole = [host for host in hosts if "{" not in host]
    return {
        (scheme, httpx.URL(f"{scheme}://{host}").netloc) for scheme in _SCHEMES for host in whole
    }


def _own_host(host: str, facts: Mapping[str, str]) -> str:
    """Return a host, or that of the fact which it names (an address or a host); ``""`` if none."""
    if not host.startswith("{"):
        return host
    fact = facts.get(host.strip("{}"), "")
    try:
        return urlsplit(endpoint(fact if "://" in fact else f"https://{fact}")).netloc
    except Malformed:
        return ""


class Guard(httpx.AsyncBaseTransport):
    """The network that providers are asked through, for requests that may go where they go.

    What a redirect takes to another host goes without the token.
    """

    def __init__(self, transport: Transport, hosts: ApiHosts) -> None:
        self._transport = transport
        self._hosts = hosts

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        token = request.extensions.get(TOKEN)
        if token is None:
            self._hosts.check(request.url)
        elif not self._hosts.has(request.url):
            for name in [n for n, value in request.headers.items() if token in value]:
                del request.headers[name]
        network = await self._transport.network()
        return await network.handle_async_request(request)

    async def aclose(self) -> None:
        """Close nothing: the network is the manager's, and other clients use it."""
