"""Replicas move in the order of KIP-455: the new ones catch up, then the old ones go."""

from __future__ import annotations

import pytest
from cluster_images import ELR_OFF, SmallCluster

from cluster.base.configs import Configs
from cluster.base.errors import ErrorCode
from cluster.base.ids import NO_NODE, NodeId
from cluster.controller import alter_partition_reassignments, alter_partitions, fence_broker
from cluster.controller.assignments import Assignment, toward
from cluster.metadata import RECOVERING, read_snapshot, write_snapshot
from cluster.rpc import controller_pb2 as rpc
from cluster.rpc import metadata_pb2 as pb


def five_brokers(settings: Configs | None = None, **topic_configs: str) -> SmallCluster:
    cluster = SmallCluster() if settings is None else SmallCluster(settings)
    cluster.add_brokers(1, 2, 3, 4, 5)
    cluster.create("orders", (1, 2, 3), **topic_configs)
    return cluster


def move(cluster: SmallCluster, *target: int, allow_other_factor: bool = True, **names: object) -> ErrorCode:
    """Ask for these replicas; for none at all, to take the move back."""
    wanted = {"topic": "orders", "partition": 0, "target": pb.Replicas(ids=target) if target else None, **names}
    request = rpc.AlterPartitionReassignmentsRequest(
        partitions=[rpc.PartitionReassignment(**wanted)],  # type: ignore[arg-type]
        allow_replication_factor_change=allow_other_factor,
    )
    decision = alter_partition_reassignments(cluster.image, cluster.configs, request)
    cluster.apply(decision.records)
    return ErrorCode(decision.reply.partitions[0].error_code)


def propose(cluster: SmallCluster, *isr: int) -> rpc.AlterPartitionResult:
    """The leader asks for an ISR."""
    state = cluster.partition()
    request = rpc.AlterPartitionRequest(
        broker_id=state.leader,
        broker_epoch=cluster.image.brokers[state.leader].broker_epoch,
        partitions=[
            rpc.AlterPartitionData(
                topic_id=state.topic_id.bytes,
                partition=0,
                leader_epoch=state.leader_epoch,
                partition_epoch=state.partition_epoch,
                new_isr=[rpc.BrokerState(broker_id=node, broker_epoch=-1) for node in isr],
            )
        ],
    )
    decision = alter_partitions(cluster.image, cluster.configs, request)
    cluster.apply(decision.records)
    return decision.reply.partitions[0]


def test_a_move_adds_first_and_takes_away_when_all_new_replicas_are_in_sync() -> None:
    cluster = five_brokers()
    assert move(cluster, 4, 5, 2) is ErrorCode.NONE
    state = cluster.partition()
    assert (state.replicas, state.adding_replicas, state.removing_replicas) == ((4, 5, 2, 1, 3), (4, 5), (1, 3))
    assert (state.leader, state.isr, state.leader_epoch) == (1, (1, 2, 3), 0), "nothing else changes yet"
    assert propose(cluster, 1, 2, 3, 4).error_code == ErrorCode.NONE
    assert cluster.partition().adding_replicas == (4, 5), "one of two is not enough"
    answer = propose(cluster, 1, 2, 3, 4, 5)
    assert answer.error_code == ErrorCode.NEW_LEADER_ELECTED, "the sender has no place in the new assignment"
    state = cluster.partition()
    assert (state.replicas, state.adding_replicas, state.removing_replicas) == ((4, 5, 2), (), ())
    assert state.leader == 4 and set(state.isr) == {2, 4, 5} and state.leader_epoch == 1


def test_the_leader_that_stays_gets_a_new_epoch_when_replicas_are_taken_away() -> None:
    cluster = five_brokers()
    move(cluster, 1, 2, 4)
    answer = propose(cluster, 1, 2, 3, 4)
    state = cluster.partition()
    assert answer.error_code == ErrorCode.NONE
    assert (answer.leader_epoch, list(answer.isr), answer.partition_epoch) == (1, [1, 2, 4], state.partition_epoch)
    assert (state.leader, state.leader_epoch, state.replicas) == (1, 1, (1, 2, 4))


@pytest.mark.parametrize("target", [(3, 1, 2), (2,), (3, 2)])
def test_what_needs_no_copying_is_done_at_once(target: tuple[int, ...]) -> None:
    cluster = five_brokers()
    assert move(cluster, *target) is ErrorCode.NONE
    state = cluster.partition()
    assert state.replicas == target and not state.adding_replicas and not state.removing_replicas
    assert state.leader == (1 if 1 in target else target[0])


def test_a_move_ends_although_an_old_replica_is_down_and_waits_for_a_new_one_that_is() -> None:
    cluster = five_brokers()
    cluster.apply(fence_broker(cluster.image, cluster.configs, NodeId(3)))
    move(cluster, 1, 4, 5)
    cluster.apply(fence_broker(cluster.image, cluster.configs, NodeId(5)))
    propose(cluster, 1, 2, 4)
    assert cluster.partition().adding_replicas == (4, 5)
    cluster.heartbeat(5)
    propose(cluster, 1, 2, 4, 5)
    assert cluster.partition().replicas == (1, 4, 5)


def test_a_move_survives_the_controller() -> None:
    """All of it is in the metadata: whoever reads a snapshot, or the log, goes on with it."""
    cluster = five_brokers()
    move(cluster, 4, 5, 2)
    propose(cluster, 1, 2, 3, 4)
    cluster.image = read_snapshot(write_snapshot(cluster.image), cluster.image.offset, cluster.image.epoch)
    propose(cluster, 1, 2, 3, 4, 5)
    assert cluster.partition().replicas == (4, 5, 2)


def test_a_move_can_be_taken_back() -> None:
    cluster = five_brokers()
    move(cluster, 4, 5, 2)
    propose(cluster, 1, 2, 3, 4)
    assert move(cluster) is ErrorCode.NONE
    state = cluster.partition()
    assert set(state.replicas) == {1, 2, 3} and state.isr == (1, 2, 3) and state.leader == 1
    assert not state.adding_replicas and not state.removing_replicas and state.leader_epoch == 1
    assert move(cluster) is ErrorCode.NO_REASSIGNMENT_IN_PROGRESS


def stuck(settings: Configs | None = None, **topic_configs: str) -> SmallCluster:
    """A move from 1 to 4 and 5 that only 4 is left of."""
    cluster = SmallCluster() if settings is None else SmallCluster(settings)
    cluster.add_brokers(1, 4, 5)
    cluster.create("orders", (1,), **topic_configs)
    move(cluster, 4, 5)
    propose(cluster, 1, 4)
    cluster.apply(fence_broker(cluster.image, cluster.configs, NodeId(1)))
    assert (cluster.partition().leader, cluster.partition().isr) == (4, (4,))
    return cluster


@pytest.mark.parametrize("settings", [None, ELR_OFF], ids=["with-elr", "without-elr"])
def test_a_move_whose_new_replicas_alone_have_everything_is_not_taken_back(settings: Configs | None) -> None:
    cluster = stuck(settings)
    before = cluster.image
    assert move(cluster) is ErrorCode.INVALID_REPLICA_ASSIGNMENT
    assert cluster.image is before


@pytest.mark.parametrize("settings", [None, ELR_OFF], ids=["with-elr", "without-elr"])
def test_unless_unclean_elections_are_allowed_and_somebody_runs(settings: Configs | None) -> None:
    cluster = stuck(settings, unclean_leader_election_enable="true")
    assert move(cluster) is ErrorCode.INVALID_REPLICA_ASSIGNMENT, "1 is down"
    cluster.heartbeat(1)
    assert move(cluster) is ErrorCode.NONE
    state = cluster.partition()
    assert (state.replicas, state.isr, state.leader, state.leader_recovery_state) == ((1,), (1,), 1, RECOVERING)


def test_a_second_move_drops_what_the_first_was_adding_and_remembers_where_it_began() -> None:
    cluster = five_brokers()
    move(cluster, 4, 5, 2)
    propose(cluster, 1, 2, 3, 4)
    move(cluster, 5, 2, 3)
    state = cluster.partition()
    assert (state.replicas, state.adding_replicas, state.removing_replicas) == ((5, 2, 3, 1), (5,), (1,))
    assert state.isr == (1, 2, 3), "nobody wants 4 any more"
    move(cluster)
    assert set(cluster.partition().replicas) == {1, 2, 3}


def test_the_only_replicas_that_have_everything_are_kept_until_others_do() -> None:
    assert toward(Assignment((4, 1), adding=(4,), removing=(1,)), (5,), knowing=(4,)) == Assignment(
        (5, 1, 4), adding=(5,), removing=(1, 4)
    )
    cluster = stuck()
    move(cluster, 5)
    assert cluster.partition().leader == 4 and cluster.partition().replicas == (5, 1, 4)
    propose(cluster, 4, 5)
    assert (cluster.partition().leader, cluster.partition().replicas) == (5, (5,))


@pytest.mark.parametrize(
    ("target", "names", "error"),
    [
        ((4,), {"topic": "nothing"}, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        ((4,), {"partition": 1}, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        ((4,), {"partition": -1}, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        ((4, 9), {}, ErrorCode.INVALID_REPLICA_ASSIGNMENT),
        ((4, 4), {}, ErrorCode.INVALID_REPLICA_ASSIGNMENT),
        ((4,), {"target": pb.Replicas()}, ErrorCode.INVALID_REPLICA_ASSIGNMENT),
        ((), {}, ErrorCode.NO_REASSIGNMENT_IN_PROGRESS),
    ],
)
def test_what_does_not_fit_is_refused(target: tuple[int, ...], names: dict[str, object], error: ErrorCode) -> None:
    cluster = five_brokers()
    before = cluster.image
    assert move(cluster, *target, **names) is error
    assert cluster.image is before


def test_a_replication_factor_changes_only_when_that_is_allowed() -> None:
    cluster = five_brokers()
    assert move(cluster, 4, 5, allow_other_factor=False) is ErrorCode.INVALID_REPLICATION_FACTOR
    assert move(cluster, 4, 5, 3, allow_other_factor=False) is ErrorCode.NONE
    assert move(cluster, 4, 5, 1, allow_other_factor=False) is ErrorCode.NONE, (
        "five hold it while it moves; three count"
    )


def test_one_partition_that_is_refused_does_not_stop_the_others() -> None:
    cluster = five_brokers()
    wanted = [("orders", (4, 5, 2)), ("nothing", (1,)), ("nothing", (1,))]
    request = rpc.AlterPartitionReassignmentsRequest(
        partitions=[rpc.PartitionReassignment(topic=topic, target=pb.Replicas(ids=ids)) for topic, ids in wanted],
        allow_replication_factor_change=True,
    )
    decision = alter_partition_reassignments(cluster.image, cluster.configs, request)
    assert [result.error_code for result in decision.reply.partitions] == [0, 42, 42]
    assert len(decision.records) == 1


def test_a_leaderless_partition_gets_a_leader_when_its_move_back_leaves_one() -> None:
    """5, which was being added, is the last member of the ISR; 1 and 2 are eligible beside it."""
    cluster = SmallCluster()
    cluster.add_brokers(1, 2, 5)
    cluster.create("orders", (1, 2), min_insync_replicas="2")
    move(cluster, 5, 2)
    propose(cluster, 1, 2, 5)
    assert cluster.partition().replicas == (5, 2)
    move(cluster, 1, 2)
    for node in (2, 5):
        cluster.apply(fence_broker(cluster.image, cluster.configs, NodeId(node)))
    assert cluster.partition().leader == NO_NODE
    cluster.heartbeat(2)
    assert cluster.partition().leader == 2
