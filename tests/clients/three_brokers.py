"""Three brokers as processes, for tests that are written without asyncio: break them, look at them, make them whole.

Here: a local target on a loop of its own, and the conditions that tests wait for. Not here: what clients do.
Every wait is for a condition and has a deadline; nothing sleeps and hopes.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from cluster.base.ids import TopicPartition
from cluster.base.trace import Traced
from cluster.checks import ORACLES
from cluster.lab.local_target import LocalTarget
from cluster.lab.observation import Observation, unready_brokers, unready_partitions
from cluster.lab.target import StoredBatch, TopicSpec, numbered_cluster
from cluster.rpc import inspect_pb2
from cluster.runtime.links import LinkRule

T = TypeVar("T")

SOON_S = 20.0
"""How long anything may take that must happen: many times what it takes, because the machine may be busy."""

PROPERTIES = {"min.insync.replicas": "2", "default.replication.factor": "3", "num.partitions": "2"}
_LOOK_AGAIN_S = 0.02
_LINES_SHOWN = 25
_LINKS = "links"  # what is broken about them, which is one thing at a time
_WATCHED = ("one-leader-per-epoch", "one-active-controller-per-epoch", "high-watermark-monotonic-per-epoch")


class ThreeBrokers:
    """Brokers b1, b2 and b3, which are the controllers as well."""

    def __init__(
        self, directory: Path, properties: Mapping[str, str] = MappingProxyType({}), racks: Sequence[str] = ()
    ) -> None:
        self._properties = {**PROPERTIES, **properties}
        self._racks = racks or ("", "", "")
        self._oracles = [ORACLES[name]() for name in _WATCHED]
        self._numbers = count(1)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        # On the loop's own thread: gRPC binds channels to it, and the processes end with the thread that began them.
        self.target = self._do(self._make_target(directory))
        self.bootstrap = self.target.bootstrap
        try:
            self._do(self.target.start(), patience_s=60)
        except BaseException:
            self._end()
            raise

    def close(self) -> None:
        """Stop everything. Raises AssertionError when the trace or the logs show what must never be."""
        try:
            self._do(self.target.settle())
            violations = [violation for oracle in self._oracles for violation in oracle.violations]
            complaints = [line for name in self.target.node_names for line in self._complaints(name)]
        finally:
            self._end()
        assert not violations, "\n".join(str(violation) for violation in violations)
        assert not complaints, "\n".join(complaints)

    # --- topics ------------------------------------------------------------------------------------

    def new_topic(self, partitions: int = 1, **configs: str) -> str:
        """Create a topic of three replicas; return its name when every broker knows it and every ISR is full."""
        name = self.new_name()
        spec = TopicSpec(name, partitions, 3, {key.replace("_", "."): value for key, value in configs.items()})
        self._do(self.target.create_topics([spec]))
        return name

    def new_name(self) -> str:
        """Return a name that no topic has."""
        return f"topic-{next(self._numbers)}"

    def high_watermark(self, partition: TopicPartition) -> int:
        """The leader's, -1 while there is none."""
        return leader_high_watermark(self._do(self.target.observe()), partition)

    def stored_batches(self, partition: TopicPartition) -> list[StoredBatch]:
        """Wait until all three replicas end alike, and return what is on their disks, which must be the same."""
        self.until(f"the replicas of {partition} end alike", lambda now: len(log_ends(now, partition)) == 1)
        held = [self._do(self.target.read_replica(name, partition)) for name in self.target.node_names]
        assert held[0] == held[1] == held[2], f"the replicas of {partition} differ"
        return list(held[0])

    # --- looking and waiting -----------------------------------------------------------------------

    def until(self, what: str, claim: Callable[[Observation], T], patience_s: float = SOON_S) -> T:
        """Look until the claim is truthy and return what it returned. Raises AssertionError when time is up."""
        return self._do(self._until(what, claim, patience_s), patience_s + 10)

    def leader(self, partition: TopicPartition) -> str:
        """Wait for a running leader and return its name."""
        return self.until(f"{partition} has a leader", lambda now: now.leader(partition)) or ""

    def new_leader(self, partition: TopicPartition, old: str) -> str:
        """Wait until another broker than the old one leads, by that broker's own account."""

        def other(now: Observation) -> str | None:
            name = now.leader(partition)
            return name if name != old and is_acting_leader(now, name, partition) else None

        return self.until(f"{partition} has another leader than {old}", other) or ""

    def bootstrap_of(self, name: str) -> str:
        """Bootstrap servers for a client that begins with one broker."""
        address = self.target.addresses[name]
        return f"{address.host}:{address.kafka_port}"

    def bootstrap_without(self, name: str) -> str:
        """Bootstrap servers for a client that does not begin with a certain broker."""
        return ",".join(self.bootstrap_of(other) for other in self.target.node_names if other != name)

    def process_ids(self) -> list[int | None]:
        """The process of each broker."""
        return [self.target.pid(name) for name in self.target.node_names]

    # --- breaking and mending ----------------------------------------------------------------------

    def kill(self, name: str) -> None:
        """SIGKILL."""
        self._do(self.target.kill(name))

    def stop(self, name: str) -> None:
        """SIGTERM: a controlled shutdown."""
        self._do(self.target.stop(name), patience_s=30)

    def pause(self, name: str) -> None:
        """SIGSTOP."""
        self._do(self.target.pause(name))

    def isolate(self, name: str) -> None:
        """Cut it off from the other brokers, but not from clients."""
        others = [other for other in self.target.node_names if other != name]
        rules = [LinkRule(name, other, cut=True) for other in others]
        rules += [LinkRule(other, name, cut=True) for other in others]
        self._do(self.target.set_link_rule(_LINKS, rules))

    def slow_down_fetches_from(self, name: str) -> None:
        """Let what this broker takes in reach the others late, so that it has something that nobody else has."""
        others = [other for other in self.target.node_names if other != name]
        rules = [LinkRule(other, name, latency_ms=100, apis=("Fetch",)) for other in others]
        self._do(self.target.set_link_rule(_LINKS, rules))

    def let_fetch_nothing(self, name: str) -> None:
        """Keep other brokers' records from a broker that the controller goes on to hear from."""
        rules = [LinkRule(name, other, cut=True, apis=("Fetch",)) for other in self.target.node_names if other != name]
        self._do(self.target.set_link_rule(_LINKS, rules))

    def mend(self) -> None:
        """Undo all that was done to brokers; return when all are in service and every ISR is full."""
        assert self.target.crashes == {}, "a broker died of itself"
        self._do(self._mend())
        self.until("every broker is in service", lambda now: not unready_brokers(now))
        self.until("every ISR is full", lambda now: not unready_partitions(now, list(now.topics())))

    # --- inside ------------------------------------------------------------------------------------

    async def _make_target(self, directory: Path) -> LocalTarget:
        numbered = numbered_cluster(3, 3, combined=True)
        brokers = tuple(replace(each, rack=rack) for each, rack in zip(numbered.brokers, self._racks, strict=True))
        spec = replace(numbered, brokers=brokers, profile="fast", properties=self._properties)
        target = LocalTarget(spec, directory=directory)
        target.subscribe(self._show)
        return target

    def _end(self) -> None:
        self._do(self.target.close(), patience_s=60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _mend(self) -> None:
        await self.target.clear_link_rule(_LINKS)
        for name in list(self.target.paused):
            await self.target.resume(name)
        for name in self.target.node_names:
            if not self.target.is_running(name):
                await self.target.start_node(name)

    async def _until(self, what: str, claim: Callable[[Observation], T], patience_s: float) -> T:
        deadline_s = self._loop.time() + patience_s
        while True:
            now = await self.target.observe()
            if outcome := claim(now):
                return outcome
            if self._loop.time() > deadline_s:
                raise AssertionError(f"after {patience_s:g} s it is not so that {what}: {summary(now)}")
            await asyncio.sleep(_LOOK_AGAIN_S)

    def _do(self, work: Coroutine[Any, Any, T], patience_s: float = SOON_S) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(patience_s)

    def _show(self, traced: Traced) -> None:
        for oracle in self._oracles:
            if traced.event.kind in oracle.kinds:
                oracle.on_event(traced)

    def _complaints(self, name: str) -> list[str]:
        lines = (self.target.directory(name) / "node.log").read_text(errors="replace").splitlines()
        found = [number for number, line in enumerate(lines) if re.search(r"Traceback| (ERROR|CRITICAL) ", line)]
        return ["\n".join([f"{name}:", *lines[number : number + _LINES_SHOWN]]) for number in found]


def replica_states(now: Observation, partition: TopicPartition) -> dict[str, inspect_pb2.ReplicaState]:
    """What each broker that answers says of its own replica."""
    return {
        name: state
        for name, reply in now.replies.items()
        for state in reply.partitions
        if (state.topic, state.partition) == (partition.topic, partition.partition)
    }


def is_acting_leader(now: Observation, name: str | None, partition: TopicPartition) -> bool:
    """Whether a broker says of itself that it leads."""
    state = replica_states(now, partition).get(name or "")
    return state is not None and state.role == "leader"


def leader_high_watermark(now: Observation, partition: TopicPartition) -> int:
    """What the leader says, -1 while nobody leads."""
    name = now.leader(partition)
    return replica_states(now, partition)[name].high_watermark if is_acting_leader(now, name, partition) else -1


def log_ends(now: Observation, partition: TopicPartition) -> Sequence[tuple[int, int]]:
    """The different ends (and high watermarks) that the replicas have; several while they are not alike."""
    states = replica_states(now, partition)
    ends = {(state.log_end_offset, state.high_watermark) for state in states.values()}
    return sorted(ends) if len(states) == 3 else []


def summary(now: Observation) -> str:
    """Say in one line how the cluster is."""
    broken = unready_partitions(now, list(now.topics()))
    states = [
        f"{state.topic}-{state.partition}: leader {state.leader}, ISR {list(state.isr)}"
        for state in now.known()
        if f"{state.topic}-{state.partition}" in broken
    ]
    return f"answering {list(now.replies)}, unready {unready_brokers(now)}, active {now.active_controller()}, {states}"
