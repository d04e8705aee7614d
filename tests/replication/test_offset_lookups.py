"""Offsets are looked up by time inside batches that nobody has read before: what is in them harms only who asks."""

from __future__ import annotations

import pytest
from replica_cluster import TOPIC, ReplicaCluster

from cluster.base.errors import ErrorCode
from cluster.records import build_batch
from cluster.records.header import CHECKED_OFFSET, CRC_OFFSET, HEADER, compute_crc
from cluster.replication import PartitionRole


def nonsense(timestamp_ms: int) -> bytearray:
    """A batch with a sound header and checksum around bytes that are no records."""
    batch = build_batch([(None, b"value", ())], timestamp_ms=timestamp_ms)
    batch[HEADER.size :] = b"\xff" * (len(batch) - HEADER.size)
    batch[CRC_OFFSET:CHECKED_OFFSET] = compute_crc(memoryview(batch), 0, len(batch)).to_bytes(4, "big")
    return batch


@pytest.mark.parametrize("by_timestamp", [True, False])
def test_a_batch_that_holds_nonsense_takes_nothing_offline(by_timestamp: bool) -> None:
    cluster = ReplicaCluster(1)
    failures: list[Exception] = []
    cluster.replicas[cluster.nodes[0]].on_disk_failure = failures.append
    appended = cluster[1].append(memoryview(nonsense(cluster.wall_ms)), 1, cluster.now_ms, cluster.wall_ms)
    assert appended.error is ErrorCode.NONE
    outcome = cluster[1].offset_for_timestamp(cluster.wall_ms) if by_timestamp else cluster[1].max_timestamp()
    assert outcome.error is ErrorCode.CORRUPT_MESSAGE
    assert failures == [] and cluster[1].role is PartitionRole.LEADER
    assert cluster.produce(1, "after").error is ErrorCode.NONE


def test_a_disk_that_fails_takes_the_replica_offline() -> None:
    cluster = ReplicaCluster(1)
    cluster.produce(1, "a")
    cluster.disks[cluster.nodes[0]].is_broken = True
    assert cluster[1].offset_for_timestamp(cluster.wall_ms).error is ErrorCode.KAFKA_STORAGE_ERROR
    assert cluster.replicas[cluster.nodes[0]].get(TOPIC) is not None and not cluster[1].is_online
