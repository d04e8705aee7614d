"""Which versions of each API older releases of Kafka have: facts, as their brokers tell them in ApiVersions.

Here: for every API the releases in which its newest version changed; up to 3.9 those of brokers with ZooKeeper. Not
here: the oldest versions, which are our own, as in Kafka 4 (KIP-896).
"""

from __future__ import annotations

from collections.abc import Mapping

RELEASES: tuple[str, ...] = (
    "0.11",
    "1.0",
    "1.1",
    "2.0",
    "2.1",
    "2.2",
    "2.3",
    "2.4",
    "2.5",
    "2.6",
    "2.7",
    "2.8",
    "3.0",
    "3.1",
    "3.2",
    "3.3",
    "3.4",
    "3.5",
    "3.6",
    "3.7",
    "3.8",
    "3.9",
    "4.0",
    "4.1",
    "4.2",
)
"""The releases that a broker can pass for, oldest first."""

_NEWEST: Mapping[int, str] = {
    0: "0.11:3 1.0:5 2.0:6 2.1:7 2.4:8 2.8:9 3.7:10 3.8:11 4.0:12 4.1:13",  # Produce
    1: "0.11:5 1.0:6 1.1:7 2.0:8 2.1:10 2.3:11 2.7:12 3.1:13 3.5:15 3.7:16 3.9:17 4.1:18",  # Fetch
    2: "0.11:2 2.0:3 2.1:4 2.2:5 2.8:6 3.0:7 3.5:8 3.9:9 4.0:10 4.2:11",  # ListOffsets
    3: "0.11:4 1.0:5 2.0:6 2.1:7 2.3:8 2.4:9 2.8:11 3.1:12 4.0:13",  # Metadata
    8: "0.11:3 2.0:4 2.1:6 2.3:7 2.4:8 3.7:9 4.2:10",  # OffsetCommit
    9: "0.11:3 2.0:4 2.1:5 2.4:6 2.5:7 3.0:8 3.7:9 4.2:10",  # OffsetFetch
    10: "0.11:1 2.0:2 2.4:3 3.0:4 3.8:5 3.9:6",  # FindCoordinator
    11: "0.11:2 2.0:3 2.2:4 2.3:5 2.4:6 2.5:7 3.2:9",  # JoinGroup
    12: "0.11:1 2.0:2 2.3:3 2.4:4",  # Heartbeat
    13: "0.11:1 2.0:2 2.4:4 3.2:5",  # LeaveGroup
    14: "0.11:1 2.0:2 2.3:3 2.4:4 2.5:5",  # SyncGroup
    15: "0.11:1 2.0:2 2.3:3 2.4:5 4.0:6",  # DescribeGroups
    16: "0.11:1 2.0:2 2.4:3 2.6:4 3.8:5",  # ListGroups
    18: "0.11:1 2.0:2 2.4:3 3.9:4",  # ApiVersions
    19: "0.11:2 2.0:3 2.4:5 2.7:6 2.8:7",  # CreateTopics
    20: "0.11:1 2.0:2 2.1:3 2.4:4 2.7:5 2.8:6",  # DeleteTopics
    21: "0.11:0 2.0:1 2.6:2",  # DeleteRecords
    22: "0.11:0 2.0:1 2.4:2 2.5:3 2.7:4 3.8:5",  # InitProducerId
    23: "0.11:0 2.0:1 2.1:2 2.3:3 2.8:4",  # OffsetForLeaderEpoch
    24: "0.11:0 2.0:1 2.7:2 2.8:3 3.6:4 3.8:5",  # AddPartitionsToTxn
    25: "0.11:0 2.0:1 2.7:2 2.8:3 3.8:4",  # AddOffsetsToTxn
    26: "0.11:0 2.0:1 2.7:2 2.8:3 3.8:4 4.0:5",  # EndTxn
    27: "0.11:0 2.8:1 4.2:2",  # WriteTxnMarkers
    28: "0.11:0 2.0:1 2.1:2 2.5:3 3.8:4 4.0:5",  # TxnOffsetCommit
    32: "0.11:0 1.1:1 2.0:2 2.6:3 2.8:4",  # DescribeConfigs
    33: "0.11:0 2.0:1 2.8:2",  # AlterConfigs
    34: "1.0:0 2.0:1 2.8:2",  # AlterReplicaLogDirs
    35: "1.0:0 2.0:1 2.6:2 3.2:3 3.3:4",  # DescribeLogDirs
    37: "1.0:0 2.0:1 2.5:2 2.7:3",  # CreatePartitions
    42: "1.1:0 2.0:1 2.4:2",  # DeleteGroups
    43: "2.2:0 2.4:2",  # ElectLeaders
    44: "2.3:0 2.4:1",  # IncrementalAlterConfigs
    45: "2.4:0 4.1:1",  # AlterPartitionReassignments
    46: "2.4:0",  # ListPartitionReassignments
    47: "2.4:0",  # OffsetDelete
    48: "2.6:0 2.8:1",  # DescribeClientQuotas
    49: "2.6:0 2.8:1",  # AlterClientQuotas
    50: "2.7:0",  # DescribeUserScramCredentials
    55: "4.0:2",  # DescribeQuorum
    57: "2.7:0 3.3:1 4.0:2",  # UpdateFeatures
    60: "2.8:0 3.7:1 4.0:2",  # DescribeCluster
    61: "2.8:0",  # DescribeProducers
    64: "4.0:0",  # UnregisterBroker
    65: "3.0:0",  # DescribeTransactions
    66: "3.0:0 3.8:1 4.1:2",  # ListTransactions
    68: "3.7:0 4.0:1",  # ConsumerGroupHeartbeat
    69: "3.8:0 4.0:1",  # ConsumerGroupDescribe
    74: "4.0:0 4.1:1",  # ListConfigResources
    75: "4.0:0",  # DescribeTopicPartitions
    76: "4.1:1",  # ShareGroupHeartbeat
    77: "4.1:1",  # ShareGroupDescribe
    78: "4.1:1 4.2:2",  # ShareFetch
    79: "4.1:1 4.2:2",  # ShareAcknowledge
    90: "4.1:0 4.2:1",  # DescribeShareGroupOffsets
    91: "4.1:0",  # AlterShareGroupOffsets
    92: "4.1:0",  # DeleteShareGroupOffsets
}
"""`2.0:6 2.1:7`: version 6 is the newest in release 2.0, version 7 from 2.1 on.

Earlier there was no such API."""


def newest_version(api_key: int, release: str) -> int | None:
    """Return the newest version of an API in a release; None when it had none."""
    position = RELEASES.index(release)
    newest = None
    for change in _NEWEST.get(api_key, "").split():
        since, _, version = change.partition(":")
        if RELEASES.index(since) <= position:
            newest = int(version)
    return newest


def has_features(release: str) -> bool:
    """Whether brokers of a release say which features are finalized, as those without ZooKeeper do."""
    return RELEASES.index(release) >= RELEASES.index("4.0")
