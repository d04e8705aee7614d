"""A target is a cluster that can be broken: what is wanted of it, and the one interface that every kind has.

Here: the description of a cluster, its layout into node configurations, and the protocol. The targets themselves are
in files of their own (`local_target` runs processes, `sim_target` runs the simulation).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from cluster.base.configs import TOPIC_DEFINITIONS, Configs, check_config
from cluster.base.errors import KafkaError
from cluster.base.facts import unguarded
from cluster.base.ids import NodeId, TopicPartition
from cluster.base.limits import BROKERS_MAX, CONTROLLERS_MAX, PARTITIONS_PER_TOPIC_MAX
from cluster.base.ports import Buffer
from cluster.base.trace import Traced, TraceEvent
from cluster.lab.damage import NodeFiles
from cluster.lab.errors import USAGE, LabError
from cluster.node.config import NodeConfig, Voter
from cluster.records import Record, read_records
from cluster.runtime.links import LinkRule
from cluster.runtime.node_rules import NodeRule

LAB = "lab"
"""The name under which the lab itself writes trace events."""

CONTROLLER_ID_FIRST = 101
"""Controllers with a process of their own are numbered from here, so that no id is ever both."""


@dataclass(frozen=True, slots=True)
class BrokerSpec:
    """One broker by name (`b1`); the rack is empty when racks play no part.

    One that `joins_later` has its id and its addresses, and is not started with the cluster.
    """

    name: str
    rack: str = ""
    joins_later: bool = False


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic that exists before the first client comes. Configs carry Kafka's topic-level names."""

    name: str
    partitions: int = 1
    replication_factor: int = 1
    configs: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> TopicSpec:
        """Read `orders`, `orders:6` or `orders:6:3` (partitions, replication factor). Raises LabError (usage)."""
        name, *counts = text.split(":")
        if not name or len(counts) > 2 or not all(count.isdigit() and int(count) > 0 for count in counts):
            remedy = "Write it as name:partitions:replication-factor, such as orders:6:3."
            raise LabError(f"{text!r} is not a topic.", remedy, USAGE)
        partitions, replication_factor = ([int(count) for count in counts] + [1, 1])[:2]
        return cls(name, partitions, replication_factor)


@dataclass(frozen=True, slots=True)
class ClusterSpec:
    """One cluster. In combined mode `controllers` names the brokers that are voters as well.

    `storage_writeback_ms` is how long the page cache keeps what nobody synced (simulation only);
    `latency_ms` and `jitter_ms` hold for every link (simulation only).
    """

    brokers: tuple[BrokerSpec, ...]
    controllers: tuple[str, ...]
    combined: bool = False
    profile: str = "kafka"
    properties: Mapping[str, str] = field(default_factory=dict)
    topics: tuple[TopicSpec, ...] = ()
    storage_writeback_ms: int = 30_000
    latency_ms: float = 0.0
    jitter_ms: float = 0.0

    @property
    def node_names(self) -> tuple[str, ...]:
        """Controllers first, because brokers wait for them; in combined mode there are brokers only."""
        brokers = tuple(broker.name for broker in self.brokers)
        return brokers if self.combined else self.controllers + brokers

    @property
    def first_names(self) -> tuple[str, ...]:
        """Those that are there from the start, in the same order."""
        later = [broker.name for broker in self.brokers if broker.joins_later]
        return tuple(name for name in self.node_names if name not in later)

    @property
    def node_ids(self) -> Mapping[str, NodeId]:
        """Brokers count from 1, controllers with a process of their own from 101."""
        ids = {broker.name: NodeId(number) for number, broker in enumerate(self.brokers, start=1)}
        if not self.combined:
            ids |= {name: NodeId(CONTROLLER_ID_FIRST + number) for number, name in enumerate(self.controllers)}
        return ids

    def check(self) -> None:
        """Raise LabError (usage) when no such cluster can exist."""
        if not 1 <= len(self.brokers) <= BROKERS_MAX:
            raise LabError(f"A cluster has 1 to {BROKERS_MAX} brokers, not {len(self.brokers)}.", "Choose -n.", USAGE)
        if not 1 <= len(self.controllers) <= CONTROLLERS_MAX:
            cause = f"A quorum has 1 to {CONTROLLERS_MAX} controllers, not {len(self.controllers)}."
            raise LabError(cause, "Choose -c; 3 survive the loss of one.", USAGE)
        names = [broker.name for broker in self.brokers] + ([] if self.combined else list(self.controllers))
        if len(set(names)) != len(names):
            raise LabError("Two nodes have the same name.", "Give every broker and controller its own name.", USAGE)
        if self.combined and not set(self.controllers) <= set(names):
            cause = "In combined mode every controller is one of the brokers."
            raise LabError(cause, "Ask for at most as many controllers as brokers.", USAGE)
        topics = [topic.name for topic in self.topics]
        for topic in self.topics:
            if topics.count(topic.name) > 1:
                raise LabError(f"The topic {topic.name} is asked for twice.", "Name each topic once.", USAGE)
            check_topic(topic, sum(not broker.joins_later for broker in self.brokers))
        try:
            Configs.of(self.properties, self.profile)
        except KafkaError as error:
            raise LabError(_sentence(error.message), "Use Kafka's own names and values.", USAGE) from None


def check_topic(topic: TopicSpec, broker_count: int) -> None:
    """Raise LabError (usage) when a cluster of so many brokers cannot have the topic."""
    if topic.partitions > PARTITIONS_PER_TOPIC_MAX:
        cause = f"{topic.name} would have {topic.partitions} partitions; the limit is {PARTITIONS_PER_TOPIC_MAX}."
        raise LabError(cause, "Ask for fewer.", USAGE)
    if topic.replication_factor > broker_count:
        cause = f"{topic.name} wants {topic.replication_factor} replicas, and there are {broker_count} brokers."
        raise LabError(cause, "Start more brokers with -n, or lower the replication factor.", USAGE)
    from cluster.controller import check_topic_name  # here, because a start without topics need not load it

    try:
        check_topic_name(topic.name)
        for name, value in topic.configs.items():
            check_config(TOPIC_DEFINITIONS, name, value)
    except KafkaError as error:
        cause = _sentence(f"{topic.name}: {error.message}")
        raise LabError(cause, "Use Kafka's topic names and configs.", USAGE) from None


def _sentence(text: str) -> str:
    """Return a text that ends as a sentence does; some end as a question already."""
    return text if text.endswith((".", "?")) else f"{text}."


def numbered_cluster(broker_count: int, controller_count: int, *, combined: bool = False) -> ClusterSpec:
    """Return a cluster of `b1`, `b2`, ... and `c1`, `c2`, ...; combined, the first brokers are the controllers."""
    brokers = tuple(BrokerSpec(f"b{number}") for number in range(1, broker_count + 1))
    prefix = "b" if combined else "c"
    controllers = tuple(f"{prefix}{number}" for number in range(1, controller_count + 1))
    return ClusterSpec(brokers=brokers, controllers=controllers, combined=combined)


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """Where a node listens. A controller has no Kafka listener: its port is 0."""

    host: str
    rpc_port: int
    kafka_port: int = 0


def layout(spec: ClusterSpec, addresses: Mapping[str, NodeAddress], cluster_id: str) -> tuple[NodeConfig, ...]:
    """Return the configuration of every node, in the order of `spec.node_names`."""
    ids = spec.node_ids
    voters = tuple(Voter(ids[name], addresses[name].host, addresses[name].rpc_port) for name in spec.controllers)
    racks = {broker.name: broker.rack for broker in spec.brokers}
    return tuple(
        NodeConfig(
            cluster_id=cluster_id,
            node_id=ids[name],
            name=name,
            is_broker=name in racks,
            is_controller=name in spec.controllers,
            host=addresses[name].host,
            rpc_port=addresses[name].rpc_port,
            voters=voters,
            kafka_port=addresses[name].kafka_port,
            rack=racks.get(name, ""),
            profile=spec.profile,
            properties=spec.properties,
        )
        for name in spec.node_names
    )


@unguarded
@dataclass(frozen=True, slots=True)
class StoredBatch:
    """A record batch as it lies on a node's disk."""

    base_offset: int
    last_offset: int
    leader_epoch: int
    crc: int
    content: Buffer

    @property
    def values(self) -> tuple[str, ...]:
        """The record values as text, decoded when asked for: most batches are only compared by their checksums."""
        return tuple((record.value or b"").decode("utf-8", "replace") for record in self.records)

    @property
    def records(self) -> tuple[Record, ...]:
        """The records, decoded when asked for."""
        return tuple(read_records(self.content))


@dataclass(frozen=True, slots=True)
class StoredReplica:
    """A replica as it lies on a node's disk: its batches without control batches, oldest first.

    The log claims to begin at `log_start_offset`, its first segment file begins at `head_offset` (-1 without any).
    `has_gaps`: compaction may have left offsets out.
    """

    batches: tuple[StoredBatch, ...] = ()
    log_start_offset: int = 0
    head_offset: int = -1
    has_gaps: bool = False

    def __iter__(self) -> Iterator[StoredBatch]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class ClientHandle(Protocol):
    """A client that runs beside the cluster."""

    name: str

    @property
    def done(self) -> bool:
        """Whether its main coroutine has ended."""

    async def stop(self) -> None:
        """Cancel it and wait for its end; what it raised of its own is raised here."""

    async def wait(self) -> None:
        """Wait until its main coroutine has returned; what it raised is raised here."""


class Target(Protocol):
    """A cluster that can be broken. Names are node names (`b1`, `c1`); times are microseconds of `now_us`.

    Every change of a machine is traced as NodeFaulted by the node `lab`. Methods raise LabError when the kind of
    target cannot do what is asked.
    """

    kind: str
    spec: ClusterSpec
    node_names: tuple[str, ...]
    node_ids: Mapping[str, NodeId]
    bootstrap: str

    async def start(self) -> None:
        """Start all nodes and topics; return when every ISR is full. Raises LabError when that fails."""

    async def close(self) -> None:
        """Heal and stop everything; nothing is left behind. May be called twice."""

    def now_us(self) -> int:
        """Return the time on the clock that stamps trace events."""

    async def kill(self, name: str) -> None:
        """End the process at once: what it wrote stays in the page cache."""

    async def stop(self, name: str) -> None:
        """Stop it in good order (controlled shutdown) and wait for its end."""

    async def start_node(self, name: str) -> None:
        """Start a node that is not running; return when it runs, not when it is ready."""

    async def pause(self, name: str) -> None:
        """Freeze it, as a long garbage collection does: sockets stay open, nothing answers."""

    async def resume(self, name: str) -> None:
        """Let a paused node go on."""

    async def power_off(self, name: str) -> None:
        """Take its power: it keeps only what it synced. Start it again with `start_node`."""

    async def crash(self, name: str) -> None:
        """End the process at once, so that `files` can tell what it had synced."""

    def is_running(self, name: str) -> bool:
        """Whether a node has a process, paused or not."""

    def is_paused(self, name: str) -> bool:
        """Whether a node is frozen."""

    def files(self, name: str) -> NodeFiles:
        """Return a node's files, for damage to be done to them."""

    async def set_node_rules(self, rule_id: str, rules: Sequence[NodeRule]) -> None:
        """Put rules about disks, clocks and requests in force under one name, replacing what had that name."""

    async def clear_node_rules(self, rule_id: str) -> None:
        """Take the node rules of that name back."""

    async def set_link_rule(self, rule_id: str, rules: Sequence[LinkRule]) -> None:
        """Put rules in force under one name, replacing what had that name."""

    async def clear_link_rule(self, rule_id: str) -> None:
        """Take the rules of that name back; messages that were held are delivered."""

    def spawn_client(self, name: str, main: Callable[[], Coroutine[Any, Any, None]]) -> ClientHandle:
        """Run a client; it must use `name` as its Kafka client.id."""

    def subscribe(self, on_event: Callable[[Traced], None]) -> None:
        """Call back with every trace event, in order of time."""

    def emit(self, node: str, event: TraceEvent) -> None:
        """Enter an event of a client or of the lab into the trace, now."""

    def read_replica(self, name: str, topic_partition: TopicPartition) -> Awaitable[StoredReplica]:
        """Read a replica straight from the node's disk; empty when it has none. No control batches."""

    async def settle(self) -> None:
        """Return when subscribers have been told everything that happened before the call."""
