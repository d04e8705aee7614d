"""Whose files these are: `meta.properties` of a data directory, `partition.metadata` of a log directory.

Here: Kafka's two small property files that keep a node from serving somebody else's data. Not here: the data.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from uuid import UUID

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ids import NodeId, TopicId
from cluster.base.ports import Disk

IDENTITY_PATH = "meta.properties"
_TOPIC_FILE = "partition.metadata"


def check_identity(disk: Disk, cluster_id: str, node_id: NodeId) -> None:
    """Claim an empty data directory for this node, or make sure that it is this node's (class MetaProperties).

    Raises KafkaError(INCONSISTENT_CLUSTER_ID), with cause and remedy, when the directory belongs to another
    cluster or another node, or does not say to whom it belongs.
    """
    if not disk.exists(IDENTITY_PATH):
        lines = ("version=1", f"cluster.id={cluster_id}", f"node.id={node_id}", "")
        disk.replace(IDENTITY_PATH, "\n".join(lines).encode())
        return
    found = _read_properties(disk, IDENTITY_PATH, "=")
    for name, wanted in (("cluster.id", cluster_id), ("node.id", str(node_id))):
        if found.get(name) != wanted:
            owner = f"has {name} {found[name]}" if name in found else f"names no {name}"
            raise KafkaError(
                ErrorCode.INCONSISTENT_CLUSTER_ID,
                f"{IDENTITY_PATH} in the data directory {owner}, but this node has {name} {wanted}. The directory "
                "belongs to another node: give this one its own data directory, or empty this one to start afresh.",
            )


def read_topic_id(disk: Disk, directory: str) -> TopicId | None:
    """Return the id of the topic whose partition lies in a log directory; None when nobody wrote it down."""
    found = _read_properties(disk, f"{directory}/{_TOPIC_FILE}", ":")
    try:
        return UUID(bytes=urlsafe_b64decode(found["topic_id"] + "=="))
    except (KeyError, ValueError):
        return None


def write_topic_id(disk: Disk, directory: str, topic_id: TopicId) -> None:
    """Write down which topic a log directory belongs to: a topic that is created anew keeps its name, not its id."""
    text = urlsafe_b64encode(topic_id.bytes).decode().rstrip("=")
    disk.replace(f"{directory}/{_TOPIC_FILE}", f"version: 0\ntopic_id: {text}\n".encode())


def _read_properties(disk: Disk, path: str, separator: str) -> Mapping[str, str]:
    text = disk.read(path, 0, disk.size(path)).decode(errors="replace") if disk.exists(path) else ""
    pairs = (line.partition(separator) for line in text.splitlines() if not line.startswith("#"))
    return {name.strip(): value.strip() for name, _, value in pairs}
