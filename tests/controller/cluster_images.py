"""Small clusters for the controller tests: images made by real decisions, and the invariants they must keep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from random import Random
from uuid import UUID

from cluster.base.configs import Configs
from cluster.base.ids import NO_NODE, NodeId, TopicPartition
from cluster.controller import BrokerSessions, Decision, create_topics, heartbeat, register_broker, topic_settings
from cluster.metadata import MetadataImage, PartitionState, apply_batch
from cluster.rpc import controller_pb2 as rpc
from cluster.rpc import metadata_pb2 as pb

CLUSTER_ID = "test-cluster"
SESSION_MS = 1000
TOPIC_ID = UUID(int=7)


def configs(**values: str) -> Configs:
    """Broker-level configs; write `_` for each dot."""
    return Configs.of({name.replace("_", "."): value for name, value in values.items()})


ELR_ON = configs()
ELR_OFF = configs(eligible_leader_replicas_enable="false")


def partition(
    replicas: tuple[int, ...], isr: tuple[int, ...], leader: int, elr: tuple[int, ...] = (), **more: object
) -> PartitionState:
    """A partition in a few words."""
    nodes = [tuple(NodeId(node) for node in part) for part in (replicas, isr, elr)]
    state = PartitionState(TOPIC_ID, nodes[0], nodes[1], NodeId(leader), eligible_leader_replicas=nodes[2])
    return replace(state, **more)  # type: ignore[arg-type]


class SmallCluster:
    """One image that decisions move forward, one at a time, with a clock and sessions."""

    def __init__(self, settings: Configs = ELR_ON, seed: int = 1) -> None:
        self.configs = settings
        self.image = MetadataImage.empty(CLUSTER_ID)
        self.sessions = BrokerSessions(SESSION_MS)
        self.rng = Random(seed)
        self.now_ms = 0

    def apply(self, records: tuple[pb.MetadataRecord, ...]) -> None:
        """Commit records."""
        if records:
            self.image, _ = apply_batch(self.image, records, self.image.offset + 1, 1)

    def commit(self, decision: Decision[object]) -> object:
        """Commit a decision and return its reply."""
        self.apply(decision.records)
        return decision.reply

    def register(self, broker_id: int, previous_epoch: int = -1, rack: str = "", incarnation: int | None = None) -> int:
        """A new process of a broker registers; return its epoch."""
        identity = self.rng.getrandbits(128) if incarnation is None else incarnation
        request = rpc.RegisterBrokerRequest(
            cluster_id=CLUSTER_ID,
            broker_id=broker_id,
            incarnation_id=UUID(int=identity).bytes,
            rack=rack,
            previous_broker_epoch=previous_epoch,
        )
        decision = register_broker(self.image, self.configs, self.sessions, request, self.now_ms)
        self.apply(decision.records)
        self.sessions.touch(NodeId(broker_id), decision.reply.broker_epoch, self.now_ms)
        return decision.reply.broker_epoch

    def heartbeat(self, broker_id: int, **wishes: bool) -> rpc.BrokerHeartbeatReply:
        """A broker that knows all metadata sends a heartbeat."""
        request = rpc.BrokerHeartbeatRequest(
            broker_id=broker_id,
            broker_epoch=self.image.brokers[broker_id].broker_epoch,
            current_metadata_offset=self.image.offset,
            **wishes,
        )
        decision, _ = heartbeat(self.image, self.configs, self.sessions, request)
        self.apply(decision.records)
        self.sessions.touch(NodeId(broker_id), request.broker_epoch, self.now_ms, request.current_metadata_offset)
        return decision.reply

    def add_brokers(self, *broker_ids: int, racks: Mapping[int, str] | None = None) -> None:
        """Register brokers and let them in."""
        for broker_id in broker_ids:
            self.register(broker_id, rack=(racks or {}).get(broker_id, ""))
            self.heartbeat(broker_id)

    def create(self, name: str, *replicas: tuple[int, ...], **topic_configs: str) -> None:
        """Create a topic with these replicas, one tuple for each partition."""
        topic = rpc.NewTopic(
            name=name,
            partitions=-1,
            replication_factor=-1,
            assignments=[
                rpc.ManualAssignment(partition=number, replicas=nodes) for number, nodes in enumerate(replicas)
            ],
            configs=[rpc.ConfigEntry(name=key.replace("_", "."), value=value) for key, value in topic_configs.items()],
        )
        request = rpc.CreateTopicsRequest(topics=[topic])
        decision = create_topics(self.image, self.configs, request, self.rng)
        assert decision.reply.topics[0].error_code == 0, decision.reply.topics[0].error_message
        self.apply(decision.records)

    def partition(self, name: str = "orders", number: int = 0) -> PartitionState:
        """Return a partition."""
        found = self.image.partition(TopicPartition(name, number))
        assert found is not None
        return found


def broken_invariants(image: MetadataImage, settings: Configs) -> list[str]:
    """Return what `ValidControllerIsrAndElr` and `LeaderInIsr` of the TLA+ models would object to."""
    found = []
    elr_enabled = settings.flag("eligible.leader.replicas.enable")
    for where, state in image.partitions():
        isr, elr = state.isr, state.eligible_leader_replicas
        minimum = topic_settings(image, settings, where.topic).integer("min.insync.replicas")
        fenced = [node for node in isr if node not in image.brokers or image.brokers[node].fenced]
        claims = {
            "the leader is in the ISR, or nobody leads": state.leader == NO_NODE or state.leader in isr,
            "the leader runs": state.leader == NO_NODE or not image.brokers[state.leader].fenced,
            "ISR and ELR are replicas": all(node in state.replicas for node in (*isr, *elr)),
            "ISR and ELR are disjoint": not set(isr) & set(elr),
            "nobody is in the ISR twice": len(set(isr)) == len(isr),
            "an ISR that suffices has no ELR beside it": len(isr) < min(minimum, len(state.replicas)) or not elr,
            "no fenced broker is in the ISR, except the last without ELR": not fenced
            or (not elr_enabled and len(isr) == 1 and state.leader == NO_NODE),
            "without ELR somebody is always in the ISR": elr_enabled or bool(isr),
            "without the feature there is no ELR": elr_enabled or not elr,
            "who comes and who goes are replicas, and different ones": set(state.adding_replicas)
            | set(state.removing_replicas)
            <= set(state.replicas)
            and not set(state.adding_replicas) & set(state.removing_replicas),
            "a move that has all its replicas in sync is over": not (state.adding_replicas or state.removing_replicas)
            or bool(set(state.replicas) - set(state.removing_replicas) - set(isr)),
            "somebody is remembered": bool(isr or elr or state.last_known_elr),
        }
        found += [f"{where}: {claim}: {state}" for claim, holds in claims.items() if not holds]
    return found
