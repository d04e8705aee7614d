"""Records fold into images; images compare, travel as snapshots, and tell their changes."""

from __future__ import annotations

from uuid import UUID

import pytest

from cluster.base.ids import NO_NODE, NodeId, TopicPartition
from cluster.base.trace import TraceEvent
from cluster.metadata import (
    BROKER_RESOURCE,
    TOPIC_RESOURCE,
    BrokerRegistration,
    Endpoint,
    MetadataImage,
    PartitionState,
    apply_batch,
    broker_record,
    config_record,
    delta_between,
    partition_record,
    read_snapshot,
    trace_delta,
    write_snapshot,
)
from cluster.rpc import metadata_pb2 as pb

ORDERS, OTHER = UUID(int=1), UUID(int=2)
NODES = (NodeId(1), NodeId(2))


class Recorder:
    """A tracer that keeps what it hears."""

    enabled = True

    def __init__(self) -> None:
        self.events: list[TraceEvent] = []

    def emit(self, event: TraceEvent) -> None:
        self.events.append(event)


def topic(name: str, topic_id: UUID, partitions: int = 1) -> list[pb.MetadataRecord]:
    state = PartitionState(topic_id, NODES, NODES, NodeId(1))
    records = [pb.MetadataRecord(topic=pb.TopicRecord(name=name, topic_id=topic_id.bytes))]
    return records + [partition_record(number, state) for number in range(partitions)]


def broker(broker_id: int, epoch: int, fenced: bool = True) -> pb.MetadataRecord:
    return broker_record(
        BrokerRegistration(
            NodeId(broker_id), UUID(int=5), epoch, Endpoint("h", 1), Endpoint("h", 2), rack="r", fenced=fenced
        )
    )


def unfenced(broker_id: int, epoch: int) -> pb.MetadataRecord:
    change = pb.BrokerRegistrationChangeRecord(broker_id=broker_id, broker_epoch=epoch, fenced=False)
    return pb.MetadataRecord(broker_registration_change=change)


def removed(topic_id: UUID) -> pb.MetadataRecord:
    return pb.MetadataRecord(remove_topic=pb.RemoveTopicRecord(topic_id=topic_id.bytes))


def leader_change(number: int, leader: int) -> pb.MetadataRecord:
    change = pb.PartitionChangeRecord(topic_id=ORDERS.bytes, partition_id=number, leader=leader)
    return pb.MetadataRecord(partition_change=change)


def full_image() -> MetadataImage:
    records = [
        broker(2, 1),
        broker(1, 2),
        *topic("orders", ORDERS, 3),
        *topic("audit", OTHER),
        config_record(TOPIC_RESOURCE, "orders", "retention.ms", "5"),
        config_record(BROKER_RESOURCE, "", "log.retention.ms", "6"),
        pb.MetadataRecord(producer_ids=pb.ProducerIdsRecord(next_producer_id=1000)),
        pb.MetadataRecord(feature_level=pb.FeatureLevelRecord(name="kraft.version", feature_level=1)),
        pb.MetadataRecord(no_op=pb.NoOpRecord()),
    ]
    image, _ = apply_batch(MetadataImage.empty("c"), records, 4, 2)
    return image


def test_an_image_survives_as_a_snapshot_and_equal_images_are_equal_bytes() -> None:
    image = full_image()
    data = write_snapshot(image)
    assert read_snapshot(data, image.offset, image.epoch) == image
    assert write_snapshot(read_snapshot(data, 4, 2)) == data


def test_topics_and_brokers_are_in_order_whatever_the_order_of_their_records() -> None:
    image = full_image()
    assert list(image.topics) == ["audit", "orders"] and list(image.brokers) == [1, 2]
    assert [str(where) for where, _ in image.partitions()] == ["audit-0", "orders-0", "orders-1", "orders-2"]


def test_an_image_never_changes() -> None:
    image = full_image()
    before = write_snapshot(image)
    after, _ = apply_batch(image, [leader_change(1, 2), unfenced(1, 2), removed(OTHER)], 5, 2)
    assert write_snapshot(image) == before != write_snapshot(after)


def test_a_leader_in_a_change_is_a_new_leader_epoch_and_every_change_a_partition_epoch() -> None:
    image, delta = apply_batch(full_image(), [leader_change(1, NO_NODE)], 5, 2)
    state = image.partition(TopicPartition("orders", 1))
    assert state is not None
    assert (state.leader, state.leader_epoch, state.partition_epoch) == (NO_NODE, 1, 1)
    shrink = pb.PartitionChangeRecord(topic_id=ORDERS.bytes, partition_id=1, isr=pb.Replicas(ids=[2]))
    image, _ = apply_batch(image, [pb.MetadataRecord(partition_change=shrink)], 6, 2)
    state = image.partition(TopicPartition("orders", 1))
    assert state is not None
    assert (state.isr, state.leader_epoch, state.partition_epoch) == ((2,), 1, 2)
    assert [str(where) for where, _ in delta.changed_partitions] == ["orders-1"]


def test_an_empty_list_in_a_change_is_a_change() -> None:
    change = pb.PartitionChangeRecord(topic_id=ORDERS.bytes, partition_id=0, isr=pb.Replicas())
    image, _ = apply_batch(full_image(), [pb.MetadataRecord(partition_change=change)], 5, 2)
    state = image.partition(TopicPartition("orders", 0))
    assert state is not None and state.isr == ()


def test_a_batch_without_records_moves_the_offset_only() -> None:
    image = full_image()
    after, delta = apply_batch(image, [], 5, 3)
    assert (after.offset, after.epoch) == (5, 3)
    assert after.topics is image.topics and after.brokers is image.brokers
    assert delta.changed_partitions == delta.deleted_topics == delta.changed_brokers == delta.changed_configs == ()


def test_a_delta_says_what_changed_and_nothing_else() -> None:
    image = full_image()
    records = [unfenced(1, 2), removed(OTHER), config_record(TOPIC_RESOURCE, "orders", "retention.ms", None)]
    after, delta = apply_batch(image, records, 5, 2)
    assert [deleted.name for deleted in delta.deleted_topics] == ["audit"]
    assert (delta.changed_brokers, delta.changed_configs) == ((1,), ((TOPIC_RESOURCE, "orders"),))
    assert delta.changed_partitions == ()
    assert delta_between(image, after) == delta


def test_a_topic_deleted_and_created_again_is_both_in_one_delta() -> None:
    again = UUID(int=3)
    image, delta = apply_batch(full_image(), [removed(ORDERS), *topic("orders", again)], 5, 2)
    assert [deleted.topic_id for deleted in delta.deleted_topics] == [ORDERS]
    assert [(str(where), state.topic_id) for where, state in delta.changed_partitions] == [("orders-0", again)]
    assert image.topic_by_id(ORDERS) is None and image.topic_by_id(again) is not None
    assert image.topic_configs("orders") == {}


@pytest.mark.parametrize(
    "records",
    [
        [*topic("orders", UUID(int=9))],
        [removed(UUID(int=9))],
        [leader_change(7, 1)],
        [unfenced(1, 77)],
        [broker(1, 2)],
        [partition_record(5, PartitionState(ORDERS, NODES, NODES, NodeId(1)))],
        [pb.MetadataRecord(producer_ids=pb.ProducerIdsRecord(next_producer_id=1000))],
        [pb.MetadataRecord()],
    ],
)
def test_a_record_that_does_not_fit_is_a_bug(records: list[pb.MetadataRecord]) -> None:
    with pytest.raises(AssertionError):
        apply_batch(full_image(), records, 5, 2)


def test_nothing_is_applied_twice_or_by_an_earlier_leader() -> None:
    for offset, epoch in ((4, 2), (3, 2), (5, 1)):
        with pytest.raises(AssertionError):
            apply_batch(full_image(), [], offset, epoch)


def test_the_trace_tells_every_change_once() -> None:
    image = full_image()
    recorder = Recorder()
    _, delta = apply_batch(image, [unfenced(1, 2), leader_change(0, 2), removed(OTHER)], 5, 2)
    trace_delta(recorder, delta)
    told = [(event.kind, getattr(event, "state", getattr(event, "leader", None))) for event in recorder.events]
    assert told == [("TopicDeleted", None), ("BrokerStateChanged", "unfenced"), ("PartitionMetadataApplied", 2)]
    assert {getattr(event, "metadata_offset", None) for event in recorder.events} == {5}


def test_a_broker_that_registers_again_is_told_as_registered() -> None:
    recorder = Recorder()
    image, _ = apply_batch(full_image(), [unfenced(1, 2)], 5, 2)
    _, delta = apply_batch(image, [broker(1, 6)], 6, 2)
    trace_delta(recorder, delta)
    assert [getattr(event, "state", None) for event in recorder.events] == ["registered"]
