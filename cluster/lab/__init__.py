"""The lab: clusters to break, and faults.

Here: what a target is, its kinds, and the supervisor behind `fencepost up`. Not here: the scenario language, what
counts as right (`cluster.checks`), what happened (`cluster.report`). The kinds of target are imported from their
files, so that a simulation does not load the live runtime, nor the other way round.
"""

from cluster.lab.errors import COULD_NOT_START, USAGE, LabError
from cluster.lab.target import (
    LAB,
    BrokerSpec,
    ClientHandle,
    ClusterSpec,
    NodeAddress,
    StoredBatch,
    StoredReplica,
    Target,
    TopicSpec,
    check_topic,
    layout,
    numbered_cluster,
)

__all__ = [
    "COULD_NOT_START",
    "LAB",
    "USAGE",
    "BrokerSpec",
    "ClientHandle",
    "ClusterSpec",
    "LabError",
    "NodeAddress",
    "StoredBatch",
    "StoredReplica",
    "Target",
    "TopicSpec",
    "check_topic",
    "layout",
    "numbered_cluster",
]
