"""What lies on the disk of a broker that comes back: logs of topics that exist stay, others go."""

from __future__ import annotations

from dataclasses import replace

from replica_cluster import ReplicaCluster

from cluster.base.ids import NodeId
from cluster.storage import DELETED_SUFFIX


def test_only_logs_of_topics_that_are_gone_are_deleted() -> None:
    cluster = ReplicaCluster(3)
    disk = cluster.disks[NodeId(2)]
    disk.append(f"payments-0{DELETED_SUFFIX}/00000000000000000000.log", [b"half of a deletion"])
    disk.append("__cluster_metadata-0/wal", [b"no partition of a topic"])
    cluster.replicas[NodeId(2)].delete_strays(cluster.image)
    assert disk.list("") == ["__cluster_metadata-0", "orders-0"]
    cluster.replicas[NodeId(2)].delete_strays(replace(cluster.image, topics={}, topic_names={}))
    assert disk.list("") == ["__cluster_metadata-0"]


def test_a_log_whose_replica_has_moved_elsewhere_is_deleted() -> None:
    cluster = ReplicaCluster(3)
    node, disk = NodeId(2), cluster.disks[NodeId(2)]
    disk.append("orders-0 copy/partition.metadata", [disk.read("orders-0/partition.metadata", 0, 100)])
    topic = cluster.image.topics["orders"]
    moved = replace(topic, partitions=(replace(topic.partitions[0], replicas=(NodeId(1), NodeId(3))),))
    cluster.replicas[node].delete_strays(replace(cluster.image, topics={"orders": moved}))
    assert disk.list("") == ["orders-0 copy"], "what somebody else has put there stays"
