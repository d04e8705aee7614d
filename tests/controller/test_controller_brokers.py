"""Brokers register, are fenced and unfenced, and shut down (Kafka's ClusterControlManager, BrokerHeartbeatManager)."""

from __future__ import annotations

import pytest
from cluster_images import CLUSTER_ID, ELR_OFF, SESSION_MS, SmallCluster, broken_invariants, configs

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ids import NO_NODE, NodeId
from cluster.controller import fence_broker, heartbeat, register_broker, unregister_broker
from cluster.metadata import RECOVERING
from cluster.rpc import controller_pb2 as rpc


def fence(cluster: SmallCluster, broker_id: int) -> None:
    cluster.apply(fence_broker(cluster.image, cluster.configs, NodeId(broker_id)))


def test_broker_epochs_are_offsets_of_their_records_and_only_rise() -> None:
    cluster = SmallCluster()
    epochs = [cluster.register(broker_id) for broker_id in (1, 2, 3)]
    assert epochs == [1, 2, 3]
    cluster.now_ms += SESSION_MS
    assert cluster.register(1) == 4


def test_a_new_broker_is_fenced_until_it_has_seen_its_own_registration() -> None:
    cluster = SmallCluster()
    epoch = cluster.register(1)
    request = rpc.BrokerHeartbeatRequest(broker_id=1, broker_epoch=epoch, current_metadata_offset=epoch - 1)
    decision, _ = heartbeat(cluster.image, cluster.configs, cluster.sessions, request)
    assert decision.reply.is_fenced and not decision.reply.is_caught_up and not decision.records
    assert not cluster.heartbeat(1).is_fenced
    assert cluster.image.is_active(1)


@pytest.mark.parametrize("is_remembered", [True, False], ids=["by who fenced it", "by a later controller"])
def test_a_broker_that_was_fenced_is_let_in_only_when_it_knows_that_it_was(is_remembered: bool) -> None:
    cluster = SmallCluster()
    cluster.add_brokers(1, 2)
    known = cluster.image.offset
    fence(cluster, 1)
    if is_remembered:
        cluster.sessions.fence(NodeId(1), cluster.image.offset)
    else:
        cluster.sessions.restart(cluster.image, cluster.now_ms)
    epoch = cluster.image.brokers[1].broker_epoch
    request = rpc.BrokerHeartbeatRequest(broker_id=1, broker_epoch=epoch, current_metadata_offset=known)
    decision, _ = heartbeat(cluster.image, cluster.configs, cluster.sessions, request)
    assert decision.reply.is_fenced
    assert not decision.records
    assert not cluster.heartbeat(1).is_fenced


def test_a_second_process_waits_for_the_session_of_the_first() -> None:
    cluster = SmallCluster()
    cluster.register(1, incarnation=11)
    cluster.now_ms = SESSION_MS - 1
    with pytest.raises(KafkaError) as refusal:
        cluster.register(1, incarnation=12)
    assert refusal.value.code is ErrorCode.DUPLICATE_BROKER_REGISTRATION
    cluster.now_ms = SESSION_MS
    assert cluster.register(1, incarnation=12) == 2


def test_the_same_process_may_register_again_and_stays_as_it_was() -> None:
    cluster = SmallCluster()
    cluster.register(1, incarnation=11)
    cluster.heartbeat(1)
    epoch = cluster.register(1, incarnation=11)
    assert not cluster.image.brokers[1].fenced and cluster.image.brokers[1].broker_epoch == epoch


def test_a_broker_of_another_cluster_is_refused() -> None:
    cluster = SmallCluster()
    request = rpc.RegisterBrokerRequest(cluster_id="elsewhere", broker_id=1, incarnation_id=bytes(16))
    with pytest.raises(KafkaError, match=f"elsewhere.*{CLUSTER_ID}") as refusal:
        register_broker(cluster.image, cluster.configs, cluster.sessions, request, 0)
    assert refusal.value.code is ErrorCode.INCONSISTENT_CLUSTER_ID


def test_heartbeats_of_an_earlier_registration_are_stale() -> None:
    cluster = SmallCluster()
    cluster.register(1, incarnation=11)
    stale = cluster.image.brokers[1]
    cluster.register(1, incarnation=11)
    for broker_id, epoch, code in (
        (1, stale.broker_epoch, ErrorCode.STALE_BROKER_EPOCH),
        (9, 1, ErrorCode.BROKER_ID_NOT_REGISTERED),
    ):
        request = rpc.BrokerHeartbeatRequest(broker_id=broker_id, broker_epoch=epoch)
        with pytest.raises(KafkaError) as refusal:
            heartbeat(cluster.image, cluster.configs, cluster.sessions, request)
        assert refusal.value.code is code


def test_fencing_a_leader_elects_another_and_raises_its_epoch() -> None:
    cluster = SmallCluster()
    cluster.add_brokers(1, 2, 3)
    cluster.create("orders", (1, 2, 3))
    fence(cluster, 1)
    state = cluster.partition()
    assert (state.leader, state.isr, state.leader_epoch, state.partition_epoch) == (2, (2, 3), 1, 1)


def test_fencing_a_follower_is_no_new_leader_epoch() -> None:
    """Kafka 3.6 and later: a smaller ISR raises the partition epoch only."""
    cluster = SmallCluster()
    cluster.add_brokers(1, 2, 3)
    cluster.create("orders", (1, 2, 3))
    fence(cluster, 3)
    state = cluster.partition()
    assert (state.leader, state.isr, state.leader_epoch, state.partition_epoch) == (1, (1, 2), 0, 1)


def test_below_the_minimum_whoever_leaves_the_isr_stays_eligible() -> None:
    cluster = SmallCluster()
    cluster.add_brokers(1, 2, 3)
    cluster.create("orders", (1, 2, 3), min_insync_replicas="2")
    for broker_id, isr, elr in ((3, (1, 2), ()), (2, (1,), (2,)), (1, (), (1, 2))):
        fence(cluster, broker_id)
        assert (cluster.partition().isr, cluster.partition().eligible_leader_replicas) == (isr, elr)
    assert cluster.partition().leader == NO_NODE
    cluster.heartbeat(3)
    assert cluster.partition().leader == NO_NODE, "3 left while 1 and 2 could commit without it"
    cluster.heartbeat(2)
    state = cluster.partition()
    assert (state.leader, state.isr, state.eligible_leader_replicas) == (2, (2,), (1,))


def test_without_elr_the_last_of_the_isr_stays_in_it_and_may_return() -> None:
    cluster = SmallCluster(ELR_OFF)
    cluster.add_brokers(1, 2)
    cluster.create("orders", (1, 2))
    fence(cluster, 1)
    fence(cluster, 2)
    assert (cluster.partition().leader, cluster.partition().isr) == (NO_NODE, (2,))
    cluster.heartbeat(1)
    assert cluster.partition().leader == NO_NODE
    cluster.heartbeat(2)
    assert (cluster.partition().leader, cluster.partition().leader_epoch) == (2, 3)


def crash_and_return(cluster: SmallCluster, broker_id: int, previous_epoch: int = -1) -> None:
    fence(cluster, broker_id)
    cluster.now_ms += SESSION_MS
    cluster.register(broker_id, previous_epoch)


def test_an_unclean_stop_costs_the_place_in_the_elr_and_a_clean_one_does_not() -> None:
    for is_clean in (True, False):
        cluster = SmallCluster()
        cluster.add_brokers(1, 2, 3)
        cluster.create("orders", (1, 2, 3), min_insync_replicas="2")
        fence(cluster, 3)
        crash_and_return(cluster, 2, cluster.image.brokers[2].broker_epoch if is_clean else -1)
        assert cluster.partition().eligible_leader_replicas == ((2,) if is_clean else ())
        assert broken_invariants(cluster.image, cluster.configs) == []


def test_when_nobody_clean_is_left_the_last_leader_returns_uncleanly() -> None:
    cluster = SmallCluster()
    cluster.add_brokers(1, 2)
    cluster.create("orders", (1, 2))
    fence(cluster, 2)
    crash_and_return(cluster, 1)
    state = cluster.partition()
    assert (state.isr, state.eligible_leader_replicas, state.last_known_elr) == ((), (), (1,))
    cluster.heartbeat(2)
    assert cluster.partition().leader == NO_NODE, "2 was never the last one"
    cluster.heartbeat(1)
    state = cluster.partition()
    assert (state.leader, state.isr, state.leader_recovery_state, state.last_known_elr) == (1, (1,), RECOVERING, ())


def test_unclean_election_happens_only_where_it_is_configured() -> None:
    cluster = SmallCluster()
    cluster.add_brokers(1, 2)
    cluster.create("safe", (1, 2))
    cluster.create("daring", (1, 2), unclean_leader_election_enable="true")
    fence(cluster, 2)
    fence(cluster, 1)
    cluster.heartbeat(2)
    assert cluster.partition("safe").leader == NO_NODE
    daring = cluster.partition("daring")
    assert (daring.leader, daring.isr, daring.leader_recovery_state) == (2, (2,), RECOVERING)


def test_a_controlled_shutdown_hands_over_before_it_is_granted() -> None:
    cluster = SmallCluster()
    cluster.add_brokers(1, 2, 3)
    cluster.create("orders", (1, 2, 3))
    reply = cluster.heartbeat(1, want_shut_down=True)
    cluster.sessions.leave(NodeId(1), cluster.image.offset)
    assert not reply.should_shut_down and not reply.is_fenced
    assert cluster.partition().leader == 2 and 1 not in cluster.partition().isr
    assert not cluster.heartbeat(1, want_shut_down=True).should_shut_down, "2 does not know yet that it leads"
    cluster.heartbeat(2)
    cluster.heartbeat(3)
    reply = cluster.heartbeat(1, want_shut_down=True)
    assert reply.should_shut_down and reply.is_fenced
    registration = cluster.image.brokers[1]
    assert registration.fenced and not registration.in_controlled_shutdown


def test_a_broker_that_leads_nothing_may_stop_at_once() -> None:
    cluster = SmallCluster()
    cluster.add_brokers(1, 2)
    cluster.create("orders", (1, 2))
    assert cluster.heartbeat(2, want_shut_down=True).should_shut_down
    assert cluster.partition().isr == (1,)


def test_an_unregistered_broker_is_forgotten_everywhere() -> None:
    cluster = SmallCluster()
    cluster.add_brokers(1, 2)
    cluster.create("orders", (1, 2), min_insync_replicas="2")
    fence(cluster, 2)
    cluster.apply(unregister_broker(cluster.image, cluster.configs, rpc.UnregisterBrokerRequest(broker_id=2)).records)
    assert 2 not in cluster.image.brokers
    assert cluster.partition().eligible_leader_replicas == ()


def test_sessions_end_in_the_order_of_their_last_contact() -> None:
    cluster = SmallCluster()
    cluster.add_brokers(1, 2)
    cluster.now_ms = 400
    cluster.heartbeat(2)
    assert cluster.sessions.next_deadline_ms(cluster.image, 400) == SESSION_MS
    assert cluster.sessions.expired(cluster.image, SESSION_MS - 1) == ()
    assert cluster.sessions.expired(cluster.image, SESSION_MS) == (1,)
    assert cluster.sessions.expired(cluster.image, 400 + SESSION_MS) == (1, 2)


def test_a_new_controller_gives_everybody_a_whole_session() -> None:
    cluster = SmallCluster()
    cluster.add_brokers(1, 2)
    cluster.sessions.restart(cluster.image, 5000)
    assert cluster.sessions.expired(cluster.image, 5000 + SESSION_MS - 1) == ()
    assert cluster.sessions.expired(cluster.image, 5000 + SESSION_MS) == (1, 2)


def test_the_number_of_brokers_is_limited() -> None:
    cluster = SmallCluster(configs())
    for broker_id in range(64):
        cluster.register(broker_id)
    with pytest.raises(KafkaError) as refusal:
        cluster.register(64)
    assert refusal.value.code is ErrorCode.INVALID_REGISTRATION
