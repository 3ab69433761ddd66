"""Two workers against one: the CPU that their processes spend on an answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.meter import median
from bench.processes import child, cpu_seconds, wait_until_listening
from bench.report import Report, Size
from bench.served import Client, ask_all, visitor

CONNECTIONS = 16
SECONDS = 2.0  # a round, of each


@dataclass
class Site:
    """A site with so many workers, and clients with kept connections to it."""

    pids: list[int]
    clients: list[Client]

    @property
    def cpu(self) -> float:
        return sum(map(cpu_seconds, self.pids))

    async def cost(self, seconds: float) -> float:
        """Ask on every connection for so long: the CPU time of an answer, in microseconds."""
        before = self.cpu
        found = await ask_all(self.clients, "/connections", seconds)
        if found[200] != found.total():
            raise RuntimeError("not the answers that were to be measured")
        return (self.cpu - before) / found.total() * 1e6


@contextmanager
def site(settings: Mapping[str, str], client: Client, workers: int) -> Iterator[Site]:
    with (
        TemporaryDirectory() as folder,
        (Path(folder) / "site.log").open("wb") as log,
        child(
            "-m", "webui", "serve", "--workers", str(workers), environment=settings, log=log
        ) as p,
    ):
        wait_until_listening(p, client.port)
        yield Site([p.pid], [Client(client.port, client.cookies) for _ in range(CONNECTIONS)])


def family(pid: int) -> list[int]:
    """Return a process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


async def measure(redis_url: str, size: Size, report: Report) -> None:
    report.title(f"Two workers against one, {CONNECTIONS} kept connections")
    seconds = SECONDS / size.divisor
    figures: dict[int, list[float]] = {1: [], 2: []}
    with ExitStack() as stack:
        sites = {}
        for workers in figures:
            sites[workers] = stack.enter_context(site(*await visitor(redis_url), workers))
            for client in sites[workers].clients:
                await client.get("/connections")  # one by one, until a page is loaded
            await sites[workers].cost(seconds)  # and in every worker
            sites[workers].pids = family(sites[workers].pids[0])
        for _ in range(size.rounds):
            for workers, one in sites.items():
                figures[workers].append(await one.cost(seconds))
        for one in sites.values():
            for client in one.clients:
                client.close()
    for workers, costs in figures.items():
        report.say(
            f"/connections, {workers} worker{'s' if workers > 1 else ''}",
            f"{median(costs):7.0f} us CPU",
        )
    report.judge("two workers: CPU of an answer", figures[2], figures[1])
