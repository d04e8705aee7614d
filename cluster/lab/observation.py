"""What running nodes say of themselves, put together: readiness, and the facts that selectors ask for.

Here: pure reading of Inspect replies. Not here: getting them (`node_calls`), or the history (`cluster.report`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cluster.base.ids import NodeId, TopicPartition
from cluster.lab.target import ClusterSpec
from cluster.rpc import inspect_pb2


@dataclass(frozen=True, slots=True)
class Observation:
    """The replies of all nodes that answered, by name. It is what `ClusterFacts` asks for."""

    spec: ClusterSpec
    replies: Mapping[str, inspect_pb2.DescribeReply]
    clients: Sequence[str] = ()

    @property
    def brokers(self) -> Sequence[str]:
        """All brokers, in order of node id."""
        return [broker.name for broker in self.spec.brokers]

    @property
    def controllers(self) -> Sequence[str]:
        """All voters, in order of node id."""
        return self.spec.controllers

    @property
    def racks(self) -> Mapping[str, str]:
        """Rack by broker name, for brokers that have one."""
        return {broker.name: broker.rack for broker in self.spec.brokers if broker.rack}

    def active_controller(self) -> str | None:
        """The controller that the node with the highest controller epoch believes in, if it answers."""
        beliefs = [reply for reply in self.replies.values() if reply.active_controller >= 0]
        if not beliefs:
            return None
        newest = max(beliefs, key=lambda reply: reply.controller_epoch)
        name = self._name(newest.active_controller)
        return name if name in self.replies else None

    def known(self) -> Sequence[inspect_pb2.ReplicaState]:
        """Every partition, by the newest metadata that any node has applied."""
        if not self.replies:
            return ()
        return max(self.replies.values(), key=lambda reply: reply.metadata_offset).known

    def topics(self) -> Mapping[str, int]:
        """Topics and how many partitions each has."""
        counts: dict[str, int] = {}
        for state in self.known():
            counts[state.topic] = counts.get(state.topic, 0) + 1
        return counts

    def partition_count(self, topic: str) -> int:
        """How many partitions a topic has; 0 when it is unknown."""
        return self.topics().get(topic, 0)

    def leader(self, partition: TopicPartition) -> str | None:
        """The running broker that leads, None when nobody does."""
        state = self.state(partition)
        name = None if state is None else self._name(state.leader)
        return name if name in self.replies else None

    def replicas(self, partition: TopicPartition) -> Sequence[str]:
        """The assigned replicas, preferred leader first."""
        state = self.state(partition)
        return [] if state is None else self.names(state.replicas)

    def isr(self, partition: TopicPartition) -> Sequence[str]:
        """The in-sync replicas."""
        state = self.state(partition)
        return [] if state is None else self.names(state.isr)

    def elr(self, partition: TopicPartition) -> Sequence[str]:
        """The eligible leader replicas."""
        state = self.state(partition)
        return [] if state is None else self.names(state.elr)

    def state(self, partition: TopicPartition) -> inspect_pb2.ReplicaState | None:
        """A partition's state by the newest metadata."""
        for state in self.known():
            if state.topic == partition.topic and state.partition == partition.partition:
                return state
        return None

    def names(self, node_ids: Sequence[int]) -> list[str]:
        """Names of nodes by id."""
        return [self._name(node_id) or str(node_id) for node_id in node_ids]

    def _name(self, node_id: int) -> str | None:
        return {number: name for name, number in self.spec.node_ids.items()}.get(NodeId(node_id))


def unready_brokers(observation: Observation) -> list[str]:
    """Return the brokers that do not accept clients yet: those that do not answer or are fenced."""
    first = [broker.name for broker in observation.spec.brokers if not broker.joins_later]
    return [name for name in first if name not in observation.replies or observation.replies[name].fenced]


def unready_partitions(observation: Observation, topics: Sequence[str]) -> list[str]:
    """Return the partitions of some topics that lack a leader or a replica in sync, on any broker's view.

    A topic that a broker does not know yet counts by its name.
    """
    missing: dict[str, None] = {}
    for name in [broker.name for broker in observation.spec.brokers if not broker.joins_later]:
        reply = observation.replies.get(name)
        states = [] if reply is None else [state for state in reply.known if state.topic in topics]
        known = [state.topic for state in states]
        missing |= dict.fromkeys(topic for topic in topics if topic not in known)
        missing |= dict.fromkeys(
            f"{state.topic}-{state.partition}"
            for state in states
            if state.leader < 0 or len(state.isr) < len(state.replicas)
        )
    return list(missing)


def leaderless_partitions(observation: Observation) -> list[str]:
    """Return the partitions that nobody leads, on any broker's view."""
    views = [observation.replies[name].known for name in observation.brokers if name in observation.replies]
    states = [state for view in views for state in view if state.leader < 0]
    return list(dict.fromkeys(f"{state.topic}-{state.partition}" for state in states))
