"""The configurations of nginx: it takes them, and people reach the site through them."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from socket import create_server, socket
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tests.kit.certificates import Authority, authority
from tests.kit.fake_provider import serve
from tests.kit.load import Load
from tests.kit.nginx import Nginx, complaint, configure, nginx
from tests.kit.site_fixtures import (
    Place,
    SiteProcess,
    free_port,
    serving,
    site_at,
    site_environment,
)
from webui.serving.http_connection import WaitingRoom
from webui.serving.server import Server

pytestmark = pytest.mark.anyio

EXAMPLES = Path(__file__).parents[2] / "deploy" / "nginx"
HOST = "connect.example.org"
VISITOR = "127.0.0.2"


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.conf")), ids=lambda p: p.name)
def test_nginx_takes_the_example(example: Path, trusted: Authority, tmp_path: Path) -> None:
    whole = configure(
        tmp_path, example.read_text(), trusted.issue(HOST), {443: free_port(), 80: free_port()}
    )
    assert complaint(whole) == ""


class Visitor:
    """A browser that reaches the site by its name, through nginx."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.client.get(
            path,
            headers={"Host": HOST, **{name.replace("_", "-"): v for name, v in headers.items()}},
            extensions={"sni_hostname": HOST},
        )


@asynccontextmanager
async def behind(
    example: str, place: Place, trusted: Authority, folder: Path, **more: int
) -> AsyncIterator[tuple[Nginx, Visitor]]:
    """The site listens, and nginx in front of it; ``more`` are ports of the example, by name."""
    async with AsyncExitStack() as stack:
        own = stack.enter_context(create_server(("127.0.0.1", 0)))
        await stack.enter_async_context(served(place, own))
        # Of the two processes behind site.conf one is away all the time.
        ports = {8001: own.getsockname()[1], 8000: free_port(), 4180: more.get("sign_in", 0)}
        if "sign_in" in more:
            ports[8000] = ports[8001]
        text = (EXAMPLES / example).read_text()
        front = stack.enter_context(nginx(folder, text, trusted.issue(HOST), ports))
        yield front, Visitor(await stack.enter_async_context(client_of(front, trusted)))


@asynccontextmanager
async def served(place: Place, own: socket) -> AsyncIterator[None]:
    """Serve the site with the settings of ``webui serve``."""
    server = Server(place.app, WaitingRoom())
    task = asyncio.create_task(server.serve(sockets=[own]))
    yield
    server.should_exit = True
    await task


def client_of(front: Nginx, trusted: Authority) -> httpx.AsyncClient:
    """Open a client at another address than the one that the site trusts."""
    context = ssl.create_default_context(cafile=str(trusted.path))
    network = httpx.AsyncHTTPTransport(verify=context, local_address=VISITOR)
    url = f"https://127.0.0.1:{front.port}"
    return httpx.AsyncClient(base_url=url, transport=network, trust_env=False)


class TestTheSite:
    @pytest.fixture
    async def front(
        self, redis_url: str, redis: Redis, trusted: Authority, tmp_path: Path
    ) -> AsyncIterator[tuple[Nginx, Visitor]]:
        async with (
            site_at(
                redis_url, redis, base_url=f"https://{HOST}", trusted_proxies=("127.0.0.1",)
            ) as place,
            behind("site.conf", place, trusted, tmp_path) as made,
        ):
            yield made

    async def test_is_reached_through_it(self, front: tuple[Nginx, Visitor]) -> None:
        _, visitor = front
        for path in ("/signin", "/healthz", "/readyz", "/connect/proof"):
            answer = await visitor.get(path)
            # Without a link the last leads to the page of an end.
            assert answer.status_code in (200, 303), path
            assert "content-security-policy" in answer.headers

    async def test_keeps_its_own_headers(self, front: tuple[Nginx, Visitor]) -> None:
        answer = await front[1].get("/signin")
        assert answer.headers["cache-control"] == "no-store"
        assert len(answer.headers.get_list("strict-transport-security")) == 1

    async def test_counts_each_visitor_by_their_own_address(
        self, front: tuple[Nginx, Visitor], redis: Redis
    ) -> None:
        await front[1].get("/connect/" + "c" * 43, X_Forwarded_For="198.51.100.7")
        counted = " ".join(map(str, await redis.keys("stargazer:web_limit:*")))
        assert VISITOR in counted
        assert "198.51.100.7" not in counted

    async def test_lets_no_visitor_choose_the_id_of_a_request(
        self, front: tuple[Nginx, Visitor], capsys: pytest.CaptureFixture[str]
    ) -> None:
        trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        await front[1].get("/signin", traceparent=f"00-{trace}-00f067aa0ba902b7-01")
        logged = capsys.readouterr()
        assert "/signin" in logged.out + logged.err
        assert trace not in logged.out + logged.err

    async def test_of_what_is_secret_in_an_address_no_log_has_anything(
        self, front: tuple[Nginx, Visitor]
    ) -> None:
        served, visitor = front
        await visitor.get("/signin?next=/activity")
        for path in (
            "/oauth/github/callback?code=canary&state=canary",
            "/connect/canary-canary-canary",
            "/support/people/canary?reason=canary",
            "/signin/sso/callback?code=canary&state=canary",
        ):
            await visitor.get(path)
        assert "/signin?next=/activity" in served.logs
        assert "canary" not in served.logs


async def test_while_the_site_is_away_no_log_has_a_code_either(
    trusted: Authority, tmp_path: Path
) -> None:
    text = (EXAMPLES / "site.conf").read_text()
    away = {8000: free_port(), 8001: free_port()}
    with nginx(tmp_path, text, trusted.issue(HOST), away) as front:
        async with client_of(front, trusted) as client:
            answer = await Visitor(client).get("/oauth/github/callback?code=canary&state=canary")
        assert answer.status_code == 502
        assert "canary" not in front.logs


class TestASignInByTheProxy:
    @pytest.fixture
    def sign_in(self) -> Iterator[int]:
        """Answer like oauth2-proxy with --set-xauthrequest: its cookie names the person."""

        async def auth(request: Request) -> Response:
            person = request.cookies.get("_oauth2_proxy", "")
            who = {"X-Auth-Request-User": person, "X-Auth-Request-Groups": "team,helpdesk"}
            return Response(status_code=202 if person else 401, headers=who if person else {})

        async def ask(request: Request) -> Response:
            return PlainTextResponse(f"sign in for {request.headers['x-auth-request-redirect']}")

        app = Starlette(routes=[Route("/oauth2/auth", auth), Route("/oauth2/sign_in", ask)])
        with serve(app) as url:
            yield int(re.findall(r":(\d+)$", url)[0])

    @pytest.fixture
    async def visitor(
        self, redis_url: str, redis: Redis, trusted: Authority, tmp_path: Path, sign_in: int
    ) -> AsyncIterator[Visitor]:
        settings: dict[str, Any] = {
            "base_url": f"https://{HOST}",
            "trusted_proxies": ("127.0.0.1",),
            "proxy_user_header": "x-forwarded-user",
            "proxy_groups_header": "x-forwarded-groups",
            "support_group": "helpdesk",
        }
        async with (
            site_at(redis_url, redis, **settings) as place,
            behind("oauth2-proxy.conf", place, trusted, tmp_path, sign_in=sign_in) as (_, made),
        ):
            yield made

    async def test_lets_in_whom_it_names(self, visitor: Visitor) -> None:
        answer = await visitor.get("/connections", Cookie="_oauth2_proxy=ann")
        assert answer.status_code == 200
        assert (await visitor.get("/support", Cookie="_oauth2_proxy=ann")).status_code == 200

    async def test_asks_whoever_is_nobody_to_sign_in(self, visitor: Visitor) -> None:
        answer = await visitor.get("/connections")
        assert answer.text == "sign in for /connections"

    async def test_believes_nobody_who_names_themselves(self, visitor: Visitor) -> None:
        forged = {"X_Forwarded_User": "boss", "X_Forwarded_Groups": "helpdesk"}
        answer = await visitor.get("/connections", **forged)
        assert answer.text == "sign in for /connections"
        spoken = await visitor.client.get(
            "/connections",
            headers={"Host": HOST, "X_Forwarded_User": "boss", "X-Forwarded-User": "boss"},
            extensions={"sni_hostname": HOST},
        )
        assert spoken.text == "sign in for /connections"

    async def test_lets_health_through_for_everybody_and_as_nobody(self, visitor: Visitor) -> None:
        answer = await visitor.get("/healthz", X_Forwarded_User="boss")
        assert (answer.status_code, answer.text) == (200, "ok\n")


@pytest.mark.long
async def test_a_restart_of_one_process_after_the_other_loses_no_request(
    redis_url: str, trusted: Authority, tmp_path: Path
) -> None:
    ports = {8000: free_port(), 8001: free_port()}
    base_url = f"https://{HOST}"
    more = {"TRUSTED_PROXIES": "127.0.0.1"}

    def process(port: int) -> AbstractContextManager[SiteProcess]:
        (folder := tmp_path / str(port)).mkdir(exist_ok=True)
        environment = {**site_environment(base_url, redis_url, {}), **more}
        return serving(environment, folder, "--port", str(port), at=f"http://127.0.0.1:{port}")

    text = (EXAMPLES / "site.conf").read_text()
    with ExitStack() as stack:
        running = [stack.enter_context(process(port)) for port in ports.values()]
        front = stack.enter_context(nginx(tmp_path, text, trusted.issue(HOST), ports))
        tls = ssl.create_default_context(cafile=str(trusted.path))
        load = Load(HOST, ("127.0.0.1", front.port), tls)
        asking = [
            asyncio.create_task(load.run("/signin", 4, keeps=True)),
            asyncio.create_task(load.run("/signout", 4, keeps=False, form="a=b")),
        ]
        await load.goes_on()
        for port, old in zip(ports.values(), running, strict=True):
            await asyncio.to_thread(old.stop)
            await load.goes_on()
            await asyncio.to_thread(stack.enter_context, process(port))
            await load.goes_on()
        load.end()
        await asyncio.gather(*asking)
    assert load.lost == []
    assert set(load.answered) == {200, 303}
