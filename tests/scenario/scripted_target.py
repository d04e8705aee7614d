"""A target without a cluster: it notes what is done to it, and a test says what the trace tells."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cluster.base.ids import NodeId, TopicPartition
from cluster.base.trace import NodeFaulted, PartitionMetadataApplied, Traced, TraceEvent
from cluster.lab import LAB, ClusterSpec, StoredReplica
from cluster.lab.damage import NodeFiles
from cluster.runtime.links import LinkRule
from cluster.runtime.node_rules import NodeRule

_STATES = {
    "kill": "killed",
    "crash": "killed",
    "stop": "stopped",
    "power_off": "powered-off",
    "start_node": "started",
    "pause": "paused",
    "resume": "resumed",
}


@dataclass
class ScriptedClient:
    name: str
    task: asyncio.Task[None]

    @property
    def done(self) -> bool:
        return self.task.done()

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])

    async def wait(self) -> None:
        await self.task


class ScriptedTarget:
    """`done` lists what was done, with the time in milliseconds; `rules` and `node_rules` are in force."""

    kind = "sim"
    bootstrap = ""

    def __init__(self, spec: ClusterSpec, now_us: Callable[[], int]) -> None:
        self.spec = spec
        self.node_names: tuple[str, ...] = spec.node_names
        self.node_ids: Mapping[str, NodeId] = spec.node_ids
        self.now_us = now_us
        self.done: list[tuple[int, str, str]] = []
        self.rules: dict[str, tuple[LinkRule, ...]] = {}
        self.node_rules: dict[str, tuple[NodeRule, ...]] = {}
        self.disks: dict[str, NodeFiles] = {}
        self._subscribers: list[Callable[[Traced], None]] = []
        self._metadata_offset = 0

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def settle(self) -> None: ...

    async def kill(self, name: str) -> None:
        self._do("kill", name)

    async def stop(self, name: str) -> None:
        self._do("stop", name)

    async def start_node(self, name: str) -> None:
        self._do("start_node", name)

    async def pause(self, name: str) -> None:
        self._do("pause", name)

    async def resume(self, name: str) -> None:
        self._do("resume", name)

    async def power_off(self, name: str) -> None:
        self._do("power_off", name)

    async def crash(self, name: str) -> None:
        self._do("crash", name)

    def is_running(self, name: str) -> bool:
        return True

    def is_paused(self, name: str) -> bool:
        return False

    def files(self, name: str) -> NodeFiles:
        return self.disks[name]

    def _do(self, verb: str, name: str) -> None:
        self.done.append((self.now_us() // 1000, verb, name))
        self.emit(LAB, NodeFaulted(name, _STATES[verb]))

    async def set_node_rules(self, rule_id: str, rules: Sequence[NodeRule]) -> None:
        self.node_rules[rule_id] = tuple(rules)

    async def clear_node_rules(self, rule_id: str) -> None:
        self.node_rules.pop(rule_id, None)

    async def set_link_rule(self, rule_id: str, rules: Sequence[LinkRule]) -> None:
        self.rules[rule_id] = tuple(rules)

    async def clear_link_rule(self, rule_id: str) -> None:
        self.rules.pop(rule_id, None)

    def spawn_client(self, name: str, main: Callable[[], Coroutine[Any, Any, None]]) -> ScriptedClient:
        return ScriptedClient(name, asyncio.create_task(main()))

    def subscribe(self, on_event: Callable[[Traced], None]) -> None:
        self._subscribers.append(on_event)

    def emit(self, node: str, event: TraceEvent) -> None:
        for subscriber in self._subscribers:
            subscriber(Traced(self.now_us(), node, event))

    async def read_replica(self, name: str, topic_partition: TopicPartition) -> StoredReplica:
        return StoredReplica()

    def elect(self, leader: int, epoch: int, isr: Sequence[int], on: str = "c1") -> None:
        """Let a node apply new metadata of orders-0, which has replicas on brokers 1, 2 and 3."""
        self._metadata_offset += 1
        event = PartitionMetadataApplied(
            "orders", 0, leader, epoch, epoch, (1, 2, 3), tuple(isr), (), self._metadata_offset
        )
        self.emit(on, event)
