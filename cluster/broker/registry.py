"""The registry: which Kafka APIs are served, in which versions, and by whom.

This is data. ApiVersions answers from it, the router looks handlers up in it, the table in README.md is made
from it (`api_table`). The versions are all that kio has of each API; a test holds them to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

from cluster.base.kafka_releases import newest_version
from cluster.broker import (
    add_offsets_to_txn,
    add_partitions_to_txn,
    alter_client_quotas,
    alter_configs,
    alter_partition_reassignments,
    alter_replica_log_dirs,
    alter_share_group_offsets,
    api_versions,
    consumer_group_describe,
    consumer_group_heartbeat,
    create_partitions,
    create_topics,
    delete_groups,
    delete_records,
    delete_share_group_offsets,
    delete_topics,
    describe_client_quotas,
    describe_cluster,
    describe_configs,
    describe_groups,
    describe_log_dirs,
    describe_producers,
    describe_quorum,
    describe_share_group_offsets,
    describe_topic_partitions,
    describe_transactions,
    describe_user_scram_credentials,
    elect_leaders,
    end_txn,
    fetch,
    find_coordinator,
    heartbeat,
    incremental_alter_configs,
    init_producer_id,
    join_group,
    leave_group,
    list_config_resources,
    list_groups,
    list_offsets,
    list_partition_reassignments,
    list_transactions,
    metadata,
    offset_commit,
    offset_delete,
    offset_fetch,
    offset_for_leader_epoch,
    produce,
    share_acknowledge,
    share_fetch,
    share_group_describe,
    share_group_heartbeat,
    sync_group,
    txn_offset_commit,
    unregister_broker,
    update_features,
    write_txn_markers,
)
from cluster.broker.request import Serve, answer_later, answer_member, answer_now


@dataclass(frozen=True, slots=True)
class Api:
    """One Kafka API: its key, its name, the versions that are served (both included), and its handler.

    From `flexible_from` on, messages and headers have compact lengths and tagged fields (KIP-482). kio knows it too,
    but loading its classes takes ten milliseconds a version, which the first Produce need not pay.
    """

    key: int
    name: str
    oldest: int
    newest: int
    flexible_from: int
    serve: Serve


def _listed(release: str) -> tuple[Api, ...]:
    return tuple(served_apis(release).values())


APIS: tuple[Api, ...] = (
    Api(0, "Produce", 3, 13, 9, produce.serve),
    Api(1, "Fetch", 4, 18, 12, fetch.serve),
    Api(2, "ListOffsets", 1, 11, 6, answer_now(list_offsets.handle)),
    Api(3, "Metadata", 0, 13, 9, metadata.serve),
    Api(8, "OffsetCommit", 2, 10, 8, answer_later(offset_commit.handle)),
    Api(9, "OffsetFetch", 1, 10, 6, answer_later(offset_fetch.handle)),
    Api(10, "FindCoordinator", 0, 6, 3, answer_later(find_coordinator.handle)),
    Api(11, "JoinGroup", 0, 9, 6, answer_member(join_group.handle)),
    Api(12, "Heartbeat", 0, 4, 4, answer_later(heartbeat.handle)),
    Api(13, "LeaveGroup", 0, 5, 4, answer_later(leave_group.handle)),
    Api(14, "SyncGroup", 0, 5, 4, answer_later(sync_group.handle)),
    Api(15, "DescribeGroups", 0, 6, 5, answer_later(describe_groups.handle)),
    Api(16, "ListGroups", 0, 5, 3, answer_now(list_groups.handle)),
    Api(18, "ApiVersions", 0, 4, 3, answer_now(api_versions.handler_of(_listed))),
    Api(19, "CreateTopics", 2, 7, 5, answer_later(create_topics.handle)),
    Api(20, "DeleteTopics", 1, 6, 4, answer_later(delete_topics.handle)),
    Api(21, "DeleteRecords", 0, 2, 2, answer_later(delete_records.handle)),
    Api(22, "InitProducerId", 0, 6, 2, answer_later(init_producer_id.handle)),
    Api(23, "OffsetForLeaderEpoch", 2, 4, 4, answer_now(offset_for_leader_epoch.handle)),
    Api(24, "AddPartitionsToTxn", 0, 5, 3, answer_later(add_partitions_to_txn.handle)),
    Api(25, "AddOffsetsToTxn", 0, 4, 3, answer_later(add_offsets_to_txn.handle)),
    Api(26, "EndTxn", 0, 5, 3, answer_later(end_txn.handle)),
    Api(27, "WriteTxnMarkers", 1, 2, 1, answer_later(write_txn_markers.handle)),
    Api(28, "TxnOffsetCommit", 0, 5, 3, answer_later(txn_offset_commit.handle)),
    Api(32, "DescribeConfigs", 1, 4, 4, answer_now(describe_configs.handle)),
    Api(33, "AlterConfigs", 0, 2, 2, answer_later(alter_configs.handle)),
    Api(34, "AlterReplicaLogDirs", 1, 2, 2, answer_now(alter_replica_log_dirs.handle)),
    Api(35, "DescribeLogDirs", 1, 5, 2, answer_now(describe_log_dirs.handle)),
    Api(37, "CreatePartitions", 0, 3, 2, answer_later(create_partitions.handle)),
    Api(42, "DeleteGroups", 0, 2, 2, answer_later(delete_groups.handle)),
    Api(43, "ElectLeaders", 0, 2, 2, answer_later(elect_leaders.handle)),
    Api(44, "IncrementalAlterConfigs", 0, 1, 1, answer_later(incremental_alter_configs.handle)),
    Api(45, "AlterPartitionReassignments", 0, 1, 0, answer_later(alter_partition_reassignments.handle)),
    Api(46, "ListPartitionReassignments", 0, 0, 0, answer_now(list_partition_reassignments.handle)),
    Api(47, "OffsetDelete", 0, 0, 1, answer_later(offset_delete.handle)),
    Api(48, "DescribeClientQuotas", 0, 1, 1, answer_now(describe_client_quotas.handle)),
    Api(49, "AlterClientQuotas", 0, 1, 1, answer_later(alter_client_quotas.handle)),
    Api(50, "DescribeUserScramCredentials", 0, 0, 0, answer_now(describe_user_scram_credentials.handle)),
    Api(55, "DescribeQuorum", 0, 2, 0, answer_later(describe_quorum.handle)),
    Api(57, "UpdateFeatures", 0, 2, 0, answer_later(update_features.handle)),
    Api(60, "DescribeCluster", 0, 2, 0, answer_now(describe_cluster.handle)),
    Api(61, "DescribeProducers", 0, 0, 0, answer_now(describe_producers.handle)),
    Api(64, "UnregisterBroker", 0, 0, 0, answer_later(unregister_broker.handle)),
    Api(65, "DescribeTransactions", 0, 0, 0, answer_now(describe_transactions.handle)),
    Api(66, "ListTransactions", 0, 2, 0, answer_now(list_transactions.handle)),
    Api(68, "ConsumerGroupHeartbeat", 0, 1, 0, answer_member(consumer_group_heartbeat.handle)),
    Api(69, "ConsumerGroupDescribe", 0, 1, 0, answer_later(consumer_group_describe.handle)),
    Api(74, "ListConfigResources", 0, 1, 0, answer_now(list_config_resources.handle)),
    Api(75, "DescribeTopicPartitions", 0, 0, 0, answer_now(describe_topic_partitions.handle)),
    Api(76, "ShareGroupHeartbeat", 1, 1, 0, answer_member(share_group_heartbeat.handle)),
    Api(77, "ShareGroupDescribe", 1, 1, 0, answer_later(share_group_describe.handle)),
    Api(78, "ShareFetch", 1, 2, 0, answer_later(share_fetch.handle)),
    Api(79, "ShareAcknowledge", 1, 2, 0, answer_later(share_acknowledge.handle)),
    Api(90, "DescribeShareGroupOffsets", 0, 1, 0, answer_later(describe_share_group_offsets.handle)),
    Api(91, "AlterShareGroupOffsets", 0, 0, 0, answer_later(alter_share_group_offsets.handle)),
    Api(92, "DeleteShareGroupOffsets", 0, 0, 0, answer_later(delete_share_group_offsets.handle)),
)

API_BY_KEY: Mapping[int, Api] = {api.key: api for api in APIS}


@cache
def served_apis(release: str) -> Mapping[int, Api]:
    """Return the APIs by key, in the versions that a release of Kafka has; all there are when it is empty.

    What the release has and we have not is left out, at both ends.
    """
    if not release:
        return API_BY_KEY
    served: dict[int, Api] = {}
    for api in APIS:
        newest = newest_version(api.key, release)
        if newest is not None and newest >= api.oldest:
            served[api.key] = replace(api, newest=min(api.newest, newest))
    return served


def api_table() -> str:
    """Return the table of README.md, in Markdown."""
    rows = ["| key | API | versions |", "| ---: | --- | --- |"]
    rows += [f"| {api.key} | {api.name} | {api.oldest} to {api.newest} |" for api in APIS]
    return "\n".join(rows)
