"""Whatever happens to brokers, in whatever order, the decisions keep the invariants of the TLA+ models of KIP-966.

A random walk over everything a cluster can ask of its controller, with the invariants checked after every step,
and planted bugs that they must catch.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from cluster_images import ELR_OFF, ELR_ON, SESSION_MS, SmallCluster, broken_invariants

from cluster.base.configs import Configs
from cluster.base.errors import KafkaError
from cluster.base.ids import NO_NODE, NodeId
from cluster.controller import (
    alter_configs,
    alter_partition_reassignments,
    alter_partitions,
    balance_leaders,
    elect_leaders,
    fence_broker,
)
from cluster.metadata import TOPIC_RESOURCE, MetadataImage, TopicState, read_snapshot, write_snapshot
from cluster.rpc import controller_pb2 as rpc
from cluster.rpc import metadata_pb2 as pb

BROKERS = (1, 2, 3, 4)


class Walk:
    """One cluster under random events."""

    def __init__(self, settings: Configs, seed: int) -> None:
        self.rng = Random(seed)
        self.cluster = SmallCluster(settings, seed)
        self.cluster.add_brokers(*BROKERS)
        for name, minimum in (("a", "1"), ("b", "2"), ("c", "3")):
            self.cluster.create(name, (1, 2, 3), (2, 3, 4), (4, 1, 2), min_insync_replicas=minimum)
        self.cluster.create("alone", (3,))
        self.cluster.create("d", (1, 2, 3), unclean_leader_election_enable="true", min_insync_replicas="2")

    def step(self) -> str:
        """Let one thing happen; return its name."""
        events = (
            self.fence,
            self.let_in,
            self.restart,
            self.shut_down,
            self.propose,
            self.propose,
            self.ask,
            self.move,
        )
        event = self.rng.choice(events)
        event()
        return event.__name__

    def fence(self) -> None:
        broker_id = NodeId(self.rng.choice(BROKERS))
        if not self.cluster.image.brokers[broker_id].fenced:
            self.cluster.apply(fence_broker(self.cluster.image, self.cluster.configs, broker_id))

    def let_in(self) -> None:
        self.cluster.heartbeat(self.rng.choice(BROKERS))

    def restart(self) -> None:
        broker_id = self.rng.choice(BROKERS)
        epoch = self.cluster.image.brokers[broker_id].broker_epoch
        self.cluster.now_ms += self.rng.choice((0, SESSION_MS))
        try:
            self.cluster.register(broker_id, self.rng.choice((epoch, -1)))
        except KafkaError:
            return  # the earlier process may still be alive

    def shut_down(self) -> None:
        self.cluster.heartbeat(self.rng.choice(BROKERS), want_shut_down=True)

    def propose(self) -> None:
        """A leader proposes some ISR, of whoever it believes to be running."""
        image = self.cluster.image
        where, state = self.rng.choice(list(image.partitions()))
        if state.leader == NO_NODE:
            return
        isr = [node for node in state.replicas if node == state.leader or self.rng.random() < 0.5]
        change = rpc.AlterPartitionData(
            topic_id=state.topic_id.bytes,
            partition=where.partition,
            leader_epoch=state.leader_epoch,
            partition_epoch=state.partition_epoch,
            new_isr=[
                rpc.BrokerState(broker_id=node, broker_epoch=image.brokers[node].broker_epoch - self.rng.choice((0, 1)))
                if node != state.leader
                else rpc.BrokerState(broker_id=node, broker_epoch=-1)
                for node in isr
            ],
        )
        request = rpc.AlterPartitionRequest(
            broker_id=state.leader, broker_epoch=image.brokers[state.leader].broker_epoch, partitions=[change]
        )
        self.cluster.commit(alter_partitions(image, self.cluster.configs, request))

    def move(self) -> None:
        """An operator moves a partition's replicas, or takes the move back."""
        where, _ = self.rng.choice(list(self.cluster.image.partitions()))
        target = pb.Replicas(ids=self.rng.sample(BROKERS, self.rng.randint(1, 4)))
        request = rpc.AlterPartitionReassignmentsRequest(
            partitions=[
                rpc.PartitionReassignment(
                    topic=where.topic, partition=where.partition, target=self.rng.choice((target, target, None))
                )
            ],
            allow_replication_factor_change=True,
        )
        self.cluster.commit(alter_partition_reassignments(self.cluster.image, self.cluster.configs, request))

    def ask(self) -> None:
        """An operator wants another election, or another minimum."""
        image, settings = self.cluster.image, self.cluster.configs
        choice = self.rng.randrange(0, 3)
        if choice == 0:
            request = rpc.ElectLeadersRequest(election_type=self.rng.choice((0, 1)), all_partitions=True)
            self.cluster.commit(elect_leaders(image, settings, request))
        elif choice == 1:
            self.cluster.apply(balance_leaders(image, settings))
        else:
            change = rpc.AlterConfig(name="min.insync.replicas", value=self.rng.choice(("1", "2", "3")))
            resource = rpc.AlterConfigsResource(
                resource_type=TOPIC_RESOURCE, resource_name=self.rng.choice(("a", "b", "c")), configs=[change]
            )
            self.cluster.commit(
                alter_configs(image, settings, rpc.IncrementalAlterConfigsRequest(resources=[resource]))
            )


@pytest.mark.parametrize("settings", [ELR_ON, ELR_OFF], ids=["with-elr", "without-elr"])
@pytest.mark.parametrize("seed", range(15))
def test_no_order_of_events_breaks_an_invariant(settings: Configs, seed: int) -> None:
    walk = Walk(settings, seed)
    epochs: dict[object, tuple[int, int]] = {}
    history: list[str] = []
    for _ in range(150):
        history.append(walk.step())
        image = walk.cluster.image
        assert broken_invariants(image, settings) == [], history
        for where, state in image.partitions():
            before = epochs.get(where, (0, 0))
            assert (state.leader_epoch, state.partition_epoch) >= before
            assert state.partition_epoch > before[1] or state.leader_epoch == before[0]
            epochs[where] = (state.leader_epoch, state.partition_epoch)
    image = walk.cluster.image
    assert read_snapshot(write_snapshot(image), image.offset, image.epoch) == image


def test_the_same_seed_makes_the_same_decisions() -> None:
    images = []
    for _ in range(2):
        walk = Walk(ELR_ON, 99)
        for _ in range(100):
            walk.step()
        images.append(write_snapshot(walk.cluster.image))
    assert images[0] == images[1]


@pytest.mark.parametrize(
    ("damage", "claim"),
    [
        ({"leader": NodeId(2), "isr": (NodeId(1),)}, "the leader is in the ISR"),
        ({"isr": (NodeId(1), NodeId(9))}, "ISR and ELR are replicas"),
        ({"isr": (NodeId(1), NodeId(1))}, "nobody is in the ISR twice"),
        ({"eligible_leader_replicas": (NodeId(1),)}, "disjoint"),
        ({"isr": (NodeId(1), NodeId(2)), "eligible_leader_replicas": (NodeId(3),)}, "suffices"),
        ({"isr": (), "leader": NO_NODE}, "somebody is remembered"),
        ({"adding_replicas": (NodeId(4),)}, "who comes and who goes"),
        ({"adding_replicas": (NodeId(3),)}, "is over"),
    ],
)
def test_a_planted_bug_is_seen(damage: dict[str, object], claim: str) -> None:
    cluster = SmallCluster(ELR_ON)
    cluster.add_brokers(1, 2, 3)
    cluster.create("orders", (1, 2, 3), min_insync_replicas="2")
    broken = replace(cluster.partition(), **damage)  # type: ignore[arg-type]
    image = with_partition(cluster.image, broken)
    assert [line for line in broken_invariants(image, ELR_ON) if claim in line]


def test_a_fenced_leader_is_seen() -> None:
    cluster = SmallCluster(ELR_ON)
    cluster.add_brokers(1, 2, 3)
    cluster.create("orders", (1, 2, 3))
    before = cluster.partition()
    cluster.apply(fence_broker(cluster.image, cluster.configs, NodeId(1)))
    broken = broken_invariants(with_partition(cluster.image, before), ELR_ON)
    assert len(broken) == 2  # it leads, and it is in the ISR


def with_partition(image: MetadataImage, state: object) -> MetadataImage:
    topic = image.topics["orders"]
    changed = TopicState(topic.name, topic.topic_id, (state,))  # type: ignore[arg-type]
    return replace(image, topics={"orders": changed})
