"""The client of a Redis Cluster: keeps the order of commands, and never repeats one.

redis-py's own sends the parts of a pipeline at the same time, so that the removal of a
record may come before what was to go ahead of it; it sends ASKING on any connection;
and it closes every connection when one node fails.  Here commands that write go one
slot after the other.  Only refusals are followed (MOVED, ASK, TRYAGAIN): a command that
was refused was not run.  Reads go to primaries alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from itertools import groupby
from typing import Any

from redis import exceptions
from redis.asyncio.cluster import ClusterNode, PipelineCommand, RedisCluster
from redis.asyncio.cluster import ClusterPipeline as AnyPipeline
from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    RedisClusterException,
    RedisError,
    TryAgainError,
)

from .cluster_wire import exchange, key_of, result_of

_REDIRECTS = 8  # for one command, in a row
_PAUSE = 0.05  # seconds, before a command that a moving slot refused goes out again
_APART = 0.2  # seconds between two looks at who has which slots
_HUNG_SECONDS = 5.0  # longer than any call may take, for a node that is asked about the slots
_MOST_CONNECTIONS = 1 << 16  # to one node; the site bounds how many requests are at work
_PRIMARY = "primary"
_READS = frozenset({"EXISTS", "GET", "HEXISTS", "HGET", "HGETALL", "HMGET", "LRANGE", "PTTL"})
_READS |= {"TTL", "TYPE", "XLEN", "XRANGE", "XREVRANGE", "ZRANGE", "ZRANGEBYSCORE", "ZSCORE"}


class Cluster(RedisCluster):
    """A ``RedisCluster`` with its own way of sending; connects on first use."""

    def __init__(self, hosts: Iterable[tuple[str, int]], **options: Any) -> None:
        more = {name: options.pop(name) for name in ("ssl_ca_path",) if name in options}
        super().__init__(
            startup_nodes=[ClusterNode(host, port) for host, port in hosts],
            require_full_coverage=False,  # the server decides, by its own setting
            max_connections=_MOST_CONNECTIONS,
            socket_timeout=_HUNG_SECONDS,
            **options,
        )
        self.connection_kwargs.update(more)
        for node in self.nodes_manager.startup_nodes.values():
            node.connection_kwargs.update(more)
        self._look: asyncio.Task[Exception | None] | None = None
        self._looked = 0.0

    async def __aenter__(self) -> Cluster:
        await self._increment_usage()  # and no more: it connects on first use
        return self

    async def initialize(self, *_: Any, **__: Any) -> Cluster:
        """Ask who has which slots, once.  Raises ``ConnectionError``."""
        if self._initialize and (failure := await asyncio.shield(self._looking())):
            raise failure
        return self

    def _looking(self, failed: str | None = None) -> asyncio.Task[Exception | None]:
        """Return the look under way, or begin one; ``failed`` is the node to ask last."""
        if self._look is None or self._look.done():
            self._look = asyncio.create_task(self._look_at_slots(failed))
        return self._look

    async def _look_at_slots(self, failed: str | None) -> Exception | None:
        """Learn who has which slots.  Returns the failure: perhaps nobody waits for it."""
        try:
            await self.nodes_manager.initialize(last_failed_node_name=failed)
        except (RedisError, RedisClusterException, OSError) as error:
            is_named = isinstance(error, RedisError)
            return error if is_named else exceptions.ConnectionError("no node answers")
        finally:
            self._looked = asyncio.get_running_loop().time()
        self._initialize = False
        return None

    def _doubt(self, node: ClusterNode | None = None) -> None:
        """Look at the slots again, soon; a node that failed gets fresh connections."""
        if node:
            node.update_active_connections_for_reconnect()
            for connection in node._free:
                connection.mark_for_reconnect()  # type: ignore[no-untyped-call]
            self.nodes_manager.move_node_to_end_of_cached_nodes(node.name)
        if not self._initialize and asyncio.get_running_loop().time() - self._looked > _APART:
            self._looking(node.name if node else None)

    async def aclose(self) -> None:
        """Close every connection; the next command connects again."""
        if self._look and not self._look.done():
            self._look.cancel()
            await asyncio.wait([self._look])
        await super().aclose()

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send one command to the primary that has its key."""
        await self.initialize()
        if "target_nodes" in options or str(args[0]).upper() in self.command_flags:
            return await super().execute_command(*args, **options)
        command = PipelineCommand(0, *args, **options)
        await self.deliver([command])
        return result_of(command)

    async def _execute_command(self, target_node: ClusterNode, *args: Any, **options: Any) -> Any:
        command = PipelineCommand(0, *args, **options)
        await self._exchange(target_node, [command])
        return result_of(command)

    def pipeline(self, transaction: Any = None, shard_hint: Any = None) -> ClusterPipeline:
        """Make a pipeline; a transaction would be of one node, and is not offered."""
        return ClusterPipeline(self)

    async def deliver(
        self, commands: Sequence[PipelineCommand], *, any_order: bool = False
    ) -> None:
        """Send commands; each has its answer, or the refusal, in ``result`` afterwards.

        They go in their order, and the first slot that cannot be reached ends that.
        Raises ``ConnectionError`` and the like.
        """
        await self.initialize()
        slots = await self._slots(commands)
        if any_order or all(command.args[0] in _READS for command in commands):
            await self._deliver_together(slots)
            return
        for slot, group in groupby(slots, key=lambda pair: pair[0]):
            await self._deliver_to(self._owner(slot), list(group))

    async def _slots(
        self, commands: Sequence[PipelineCommand]
    ) -> list[tuple[int, PipelineCommand]]:
        """Pair commands with their slots; WAIT belongs to what it waits for."""
        pairs: list[tuple[int, PipelineCommand]] = []
        for command in commands:
            if command.args[0] == "WAIT" and pairs:
                pairs.append((pairs[-1][0], command))
            else:
                pairs.append((await self._slot(command.args), command))
        return pairs

    async def _slot(self, args: Sequence[Any]) -> int:
        if (key := key_of(args)) is not None:
            return self.keyslot(key)
        if not self.commands_parser.commands:  # the server says which words are keys
            await self.commands_parser.initialize(self.nodes_manager.default_node)
        return await self._determine_slot(*args)

    async def _deliver_together(self, pairs: Sequence[tuple[int, PipelineCommand]]) -> None:
        """Send to all nodes at the same time, to each one in one write."""
        nodes: dict[ClusterNode, list[tuple[int, PipelineCommand]]] = {}
        for slot, command in pairs:
            nodes.setdefault(self._owner(slot), []).append((slot, command))
        if len(nodes) == 1:
            await self._deliver_to(*nodes.popitem())
            return
        work: list[Awaitable[None]] = [self._deliver_to(*pair) for pair in nodes.items()]
        for failure in await asyncio.gather(*work, return_exceptions=True):
            if failure:
                raise failure

    async def _deliver_to(
        self, node: ClusterNode, pairs: Sequence[tuple[int, PipelineCommand]]
    ) -> None:
        await self._exchange(node, [command for _, command in pairs])
        for slot, command in pairs:
            await self._follow(node, slot, command)

    async def _follow(self, node: ClusterNode, slot: int, command: PipelineCommand) -> None:
        """Send a command where it was refused to go to."""
        for _ in range(_REDIRECTS):
            refusal = command.result
            if isinstance(refusal, ClusterDownError):
                self._doubt()
            if not isinstance(refusal, (AskError, TryAgainError)):
                return
            asking = False
            if isinstance(refusal, AskError):  # or MovedError, which is one
                refusal.host = refusal.host or node.host
                asking = not isinstance(refusal, MovedError)
                if asking:
                    node = self._node(refusal)
                else:
                    await self.nodes_manager.move_slot(refusal)
                    self._doubt()
                    node = self._owner(slot)
            else:
                await asyncio.sleep(_PAUSE)
            await self._exchange(node, [command], asking=asking)

    def _owner(self, slot: int) -> ClusterNode:
        """Return the primary that has a slot.  Raises ``ClusterDownError``."""
        nodes = self.nodes_manager.slots_cache.get(slot)
        if not nodes:
            self._doubt()
            raise ClusterDownError("no node has the slot")
        node: ClusterNode = nodes[0]
        return node

    def _node(self, refusal: AskError) -> ClusterNode:
        manager = self.nodes_manager
        node = manager.get_node(host=refusal.host, port=refusal.port)
        if node is None:
            node = ClusterNode(refusal.host, refusal.port, _PRIMARY, **manager.connection_kwargs)
            manager.set_nodes(manager.nodes_cache, {node.name: node})
        return node

    async def _exchange(
        self, node: ClusterNode, commands: Sequence[PipelineCommand], *, asking: bool = False
    ) -> None:
        is_whole = False
        try:
            await exchange(node, commands, asking=asking)
            is_whole = True
        finally:
            if not is_whole:  # a deadline may have ended the wait for a hung node
                self._doubt(node)


class ClusterPipeline(AnyPipeline):
    """Commands that go out in their order, or, with ``any_order``, to all nodes at once."""

    _event_dispatcher: Any = None  # mypy takes it for abstract

    def __init__(self, client: Cluster) -> None:
        super().__init__(client)
        self._client = client
        self._commands: list[PipelineCommand] = []
        self.any_order = False

    def execute_command(self, *args: Any, **options: Any) -> ClusterPipeline:
        """Queue a command."""
        self._commands.append(PipelineCommand(len(self._commands), *args, **options))
        return self

    def __len__(self) -> int:
        return len(self._commands)

    async def execute(
        self, raise_on_error: bool = True, allow_redirections: bool = True
    ) -> list[Any]:
        """Send what is queued; returns the answers, errors in their places unless raised."""
        commands, self._commands = self._commands, []
        if commands:
            await self._client.deliver(commands, any_order=self.any_order)
        return [result_of(one) if raise_on_error else one.result for one in commands]

    async def reset(self) -> None:  # type: ignore[override]
        """Forget what is queued."""
        self._commands = []
