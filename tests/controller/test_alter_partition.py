"""AlterPartition is believed only when it speaks for the present (KIP-497, KIP-841, KIP-903)."""

from __future__ import annotations

import pytest
from cluster_images import SmallCluster

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ids import NodeId
from cluster.controller import alter_partitions, fence_broker
from cluster.rpc import controller_pb2 as rpc


def three_brokers() -> SmallCluster:
    cluster = SmallCluster()
    cluster.add_brokers(1, 2, 3)
    cluster.create("orders", (1, 2, 3))
    return cluster


def proposal(cluster: SmallCluster, isr: tuple[int, ...], **changes: object) -> rpc.AlterPartitionRequest:
    """What the leader sends when it knows the present; `changes` make it wrong."""
    state = cluster.partition()
    brokers = cluster.image.brokers
    data: dict[str, object] = {
        "topic_id": state.topic_id.bytes,
        "partition": 0,
        "leader_epoch": state.leader_epoch,
        "partition_epoch": state.partition_epoch,
        "new_isr": [rpc.BrokerState(broker_id=node, broker_epoch=brokers[node].broker_epoch) for node in isr],
    }
    sender = int(str(changes.pop("sender", state.leader)))
    data.update(changes)
    return rpc.AlterPartitionRequest(
        broker_id=sender,
        broker_epoch=brokers[sender].broker_epoch,
        partitions=[rpc.AlterPartitionData(**data)],  # type: ignore[arg-type]
    )


def answer(cluster: SmallCluster, request: rpc.AlterPartitionRequest) -> rpc.AlterPartitionResult:
    decision = alter_partitions(cluster.image, cluster.configs, request)
    cluster.apply(decision.records)
    return decision.reply.partitions[0]


def test_a_leader_may_shrink_and_expand_its_isr() -> None:
    cluster = three_brokers()
    for isr in ((1, 2), (1,), (1, 2, 3)):
        result = answer(cluster, proposal(cluster, isr))
        assert result.error_code == ErrorCode.NONE
        assert tuple(result.isr) == isr == cluster.partition().isr
        assert result.partition_epoch == cluster.partition().partition_epoch
    assert (cluster.partition().leader_epoch, cluster.partition().partition_epoch) == (0, 3)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"topic_id": bytes(16)}, ErrorCode.UNKNOWN_TOPIC_ID),
        ({"topic_id": b"short"}, ErrorCode.UNKNOWN_TOPIC_ID),
        ({"partition": 7}, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        ({"partition": -1}, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        ({"leader_epoch": 0}, ErrorCode.FENCED_LEADER_EPOCH),
        ({"leader_epoch": 2}, ErrorCode.NOT_CONTROLLER),
        ({"partition_epoch": 0}, ErrorCode.INVALID_UPDATE_VERSION),
        ({"partition_epoch": 2}, ErrorCode.NOT_CONTROLLER),
        ({"sender": 3}, ErrorCode.INVALID_REQUEST),
        ({"new_isr": [rpc.BrokerState(broker_id=3, broker_epoch=-1)]}, ErrorCode.INVALID_REQUEST),
        ({"new_isr": []}, ErrorCode.INVALID_REQUEST),
        ({"leader_recovery_state": 1}, ErrorCode.INVALID_REQUEST),
        ({"leader_recovery_state": 5}, ErrorCode.INVALID_REQUEST),
    ],
)
def test_what_does_not_fit_is_refused_as_in_kafka(changes: dict[str, object], error: ErrorCode) -> None:
    cluster = three_brokers()
    cluster.apply(fence_broker(cluster.image, cluster.configs, NodeId(1)))  # 2 leads under epoch 1
    before = cluster.image
    assert answer(cluster, proposal(cluster, (2,), **changes)).error_code == error
    assert cluster.image is before


def test_of_two_proposals_from_one_state_only_the_first_counts() -> None:
    cluster = three_brokers()
    first, second = proposal(cluster, (1, 2)), proposal(cluster, (1, 3))
    assert answer(cluster, first).error_code == ErrorCode.NONE
    assert answer(cluster, second).error_code == ErrorCode.INVALID_UPDATE_VERSION


def test_a_fenced_or_restarted_follower_is_not_let_into_the_isr() -> None:
    cluster = three_brokers()
    request = proposal(cluster, (1, 2, 3))
    cluster.apply(fence_broker(cluster.image, cluster.configs, NodeId(3)))
    request.partitions[0].partition_epoch = cluster.partition().partition_epoch
    assert answer(cluster, request).error_code == ErrorCode.INELIGIBLE_REPLICA  # fenced
    cluster.now_ms += 10_000
    cluster.register(3)
    cluster.heartbeat(3)
    request.broker_epoch = cluster.image.brokers[1].broker_epoch
    assert answer(cluster, request).error_code == ErrorCode.INELIGIBLE_REPLICA  # another process (KIP-903)
    assert answer(cluster, proposal(cluster, (1, 2, 3))).error_code == ErrorCode.NONE


def test_an_earlier_process_of_the_leader_is_not_heard() -> None:
    cluster = three_brokers()
    request = proposal(cluster, (1,))
    request.broker_epoch -= 1
    with pytest.raises(KafkaError) as refusal:
        alter_partitions(cluster.image, cluster.configs, request)
    assert refusal.value.code is ErrorCode.STALE_BROKER_EPOCH


def test_one_request_changes_a_partition_once() -> None:
    cluster = three_brokers()
    request = proposal(cluster, (1, 2))
    request.partitions.append(request.partitions[0])
    decision = alter_partitions(cluster.image, cluster.configs, request)
    assert [result.error_code for result in decision.reply.partitions] == [0, ErrorCode.INVALID_REQUEST]
    assert len(decision.records) == 1


def test_below_the_minimum_a_shrunk_follower_is_eligible_until_the_isr_suffices() -> None:
    cluster = SmallCluster()
    cluster.add_brokers(1, 2)
    cluster.create("orders", (1, 2), min_insync_replicas="2")
    answer(cluster, proposal(cluster, (1,)))
    assert cluster.partition().eligible_leader_replicas == (2,)
    answer(cluster, proposal(cluster, (1, 2)))
    assert cluster.partition().eligible_leader_replicas == ()
