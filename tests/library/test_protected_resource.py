"""Remote MCP servers: their authorization servers are found, and no lie about them is believed."""

from __future__ import annotations

from time import process_time
from typing import Any

import httpx
import pytest

from tests.kit.every import every
from tests.kit.strict_server import StrictServer
from webui.oauth_manager import OAuthMisconfigured, OAuthUnavailable
from webui.oauth_manager.errors import ProviderFailure
from webui.oauth_manager.protocol.metadata import ServerMetadata
from webui.oauth_manager.protocol.protected_resource import challenge, document_urls, find
from webui.oauth_manager.protocol.requests import ProviderRequest
from webui.oauth_manager.protocol.transport import Transport

pytestmark = pytest.mark.anyio

RESOURCE = "https://mcp.example/mcp"


async def found(server: StrictServer, resource: str = RESOURCE) -> ServerMetadata:
    transport = Transport(httpx.ASGITransport(server))
    try:
        return await find(transport.send, "mcp", resource)
    finally:
        await transport.aclose()


async def code_of(server: StrictServer, resource: str = RESOURCE) -> str:
    with pytest.raises(ProviderFailure) as raised:
        await found(server, resource)
    return raised.value.code


class TestDiscovery:
    @pytest.mark.parametrize("by", ["path", "root", "challenge"])
    async def test_leads_to_the_authorization_server(self, by: str) -> None:
        server = StrictServer(resource=RESOURCE, found_by=by)
        metadata = await found(server)
        assert metadata.issuer == server.issuer
        assert metadata.token_endpoint == f"{server.issuer}/token"
        assert metadata.takes_client_documents
        assert metadata.scopes == ("read", "write")
        assert metadata.resource == RESOURCE

    @pytest.mark.parametrize("by", ["path", "root"])
    async def test_does_without_a_challenge(self, by: str) -> None:
        server = StrictServer(resource=RESOURCE, found_by=by, challenges=False)
        assert (await found(server)).issuer == server.issuer

    async def test_asks_for_the_scopes_of_the_challenge_before_those_of_the_document(self) -> None:
        server = StrictServer(resource=RESOURCE, first_scope="read")
        assert (await found(server)).scopes == ("read",)

    @pytest.mark.parametrize("by", ["oauth", "openid", "openid-behind"])
    async def test_takes_a_server_whose_issuer_has_a_path(self, by: str) -> None:
        issuer = "https://login.example/tenant"
        server = StrictServer(resource=RESOURCE, issuer=issuer, described_by=by)
        assert (await found(server)).issuer == "https://login.example/tenant"

    async def test_asks_for_lasting_access_beside_scopes_if_the_server_has_it(self) -> None:
        server = StrictServer(resource=RESOURCE)
        server.spoiled["scopes_supported"] = ["offline_access", "everything"]
        assert (await found(server)).scopes == ("read", "write", "offline_access")
        server.protected["scopes_supported"] = []
        assert (await found(server)).scopes == ()

    async def test_of_a_whole_host_names_the_host(self) -> None:
        server = StrictServer(resource=RESOURCE, found_by="root")
        server.protected["resource"] = "https://mcp.example"
        assert (await found(server)).issuer == server.issuer


class TestALyingResource:
    @every(
        "named",
        [
            None,
            "",
            5,
            [RESOURCE],
            "https://mcp.example",
            "https://mcp.example/",
            "https://mcp.example/mcp/",
            "https://mcp.example/MCP",
            "https://other.example/mcp",
            "http://mcp.example/mcp",
        ],
    )
    async def test_of_another_name_is_not_believed(self, named: object) -> None:
        server = StrictServer(resource=RESOURCE)
        server.protected["resource"] = named
        assert await code_of(server) == "other_resource"

    @every(
        "servers",
        [
            None,
            [],
            "https://login.example",
            [5],
            [None],
            [""],
            ["http://login.example"],
            ["https://user@login.example"],
            ["https://login.example/#"],
            ["https://login.example/?a=b"],
            ["javascript:alert(1)"],
            ["https://login.example\\@evil.example"],
        ],
    )
    async def test_without_a_usable_server_leads_nowhere(self, servers: object) -> None:
        server = StrictServer(resource=RESOURCE)
        server.protected["authorization_servers"] = servers
        assert await code_of(server) == "authorization_servers"
        assert not server.calls["metadata"]

    @every(
        "host",
        ["127.0.0.1", "localhost", "10.0.0.1", "169.254.169.254", "[::1]", "[::ffff:10.0.0.1]"],
    )
    async def test_cannot_send_us_into_our_own_network(self, host: str) -> None:
        server = StrictServer(resource=RESOURCE)
        server.protected["authorization_servers"] = [f"https://{host}"]
        assert await code_of(server) == "out_of_reach"
        server = StrictServer(resource=RESOURCE, document_at=f"https://{host}/about")
        assert await code_of(server) == "out_of_reach"

    async def test_cannot_name_its_document_without_tls(self) -> None:
        server = StrictServer(resource=RESOURCE, document_at="http://mcp.example/about")
        assert await code_of(server) == "resource_metadata"

    async def test_gets_no_answer_for_a_document_that_is_a_page_or_in_trouble(self) -> None:
        server = StrictServer(resource=RESOURCE, found_by="nowhere")
        assert await code_of(server) == "http_404"

    @every(
        ("field", "value", "code"),
        [
            ("issuer", "https://other.example", "other_issuer"),
            ("issuer", "https://login.example/", "other_issuer"),
            ("issuer", None, "other_issuer"),
            ("token_endpoint", "http://login.example/token", "token_endpoint"),
            ("token_endpoint", None, "token_endpoint"),
            ("authorization_endpoint", 5, "authorization_endpoint"),
            ("registration_endpoint", "ftp://login.example/r", "registration_endpoint"),
        ],
    )
    async def test_with_a_lying_authorization_server_gets_nothing(
        self, field: str, value: object, code: str
    ) -> None:
        server = StrictServer(resource=RESOURCE, registers=True)
        server.spoiled[field] = value
        assert await code_of(server) == code


class TestPlaces:
    @every(
        ("resource", "urls"),
        [
            (
                RESOURCE,
                (
                    "https://mcp.example/.well-known/oauth-protected-resource/mcp",
                    "https://mcp.example/.well-known/oauth-protected-resource",
                ),
            ),
            (
                "https://mcp.example/",
                ("https://mcp.example/.well-known/oauth-protected-resource",),
            ),
            ("https://mcp.example", ("https://mcp.example/.well-known/oauth-protected-resource",)),
            (
                "https://mcp.example:8443/a/b?c=d",
                (
                    "https://mcp.example:8443/.well-known/oauth-protected-resource/a/b?c=d",
                    "https://mcp.example:8443/.well-known/oauth-protected-resource",
                ),
            ),
        ],
    )
    def test_are_those_of_the_specification(self, resource: str, urls: tuple[str, ...]) -> None:
        assert document_urls(resource) == urls


@every(
    ("header", "said"),
    [
        ("", {}),
        ("Basic realm=x", {}),
        ("Bearer", {}),
        ('Bearer resource_metadata="https://a/b"', {"resource_metadata": "https://a/b"}),
        ("bearer scope=read", {"scope": "read"}),
        (
            'Basic realm="a, Bearer scope=x", Bearer error="e", scope="a b"',
            {"error": "e", "scope": "a b"},
        ),
        ('Bearer scope="a", scope="b"', {"scope": "a"}),
        (r'Bearer realm="a \" scope=b"', {"realm": 'a " scope=b'}),
        ('Bearer realm="unended', {}),
        ("Bearerscope=a", {}),
        (f'Bearer {"a" * 100_000}=1, scope="late"', {}),
    ],
)
def test_a_challenge_is_read_as_it_is_written(header: str, said: dict[str, str]) -> None:
    assert challenge(header) == said


@every("piece", ["a", "a ", '"', "\\", ", ", "a=", 'a="', " ", "Bearer "])
def test_a_challenge_of_any_length_is_read_at_once(piece: str) -> None:
    begun = process_time()
    challenge("Bearer " + piece * 100_000)
    assert process_time() - begun < 0.25


async def test_trouble_is_told_as_such() -> None:
    async def down(request: ProviderRequest) -> Any:
        raise OAuthUnavailable(request.provider, request.step, "timeout")

    with pytest.raises(OAuthUnavailable):
        await find(down, "mcp", RESOURCE)
    server = StrictServer(resource=RESOURCE)
    server.spoiled["issuer"] = "https://other.example"
    with pytest.raises(OAuthMisconfigured):
        await found(server)
