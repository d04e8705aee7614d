"""What the tools for quorum, elections, features and log directories ask the brokers. All calls raise LabError."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from cluster.base.errors import ErrorCode
from cluster.base.ids import TopicPartition
from cluster.console.errors import failure
from cluster.console.protocol_client import API_VERSIONS, ProtocolClient, check
from cluster.console.quorum_text import Quorum, QuorumReplica

DESCRIBE_LOG_DIRS, ELECT_LEADERS, DESCRIBE_QUORUM, UPDATE_FEATURES, DESCRIBE_CLUSTER = 35, 43, 55, 57, 60

_METADATA_TOPIC = "__cluster_metadata"
_PATIENCE = timedelta(seconds=30)


def describe_quorum(client: ProtocolClient) -> Quorum:
    """Return what the active controller knows of the metadata quorum."""
    asked = [{"topic_name": _METADATA_TOPIC, "partitions": [{"partition_index": 0}]}]
    answer = client.ask(DESCRIBE_QUORUM, {"topics": asked})
    doing = "The quorum could not be described"
    check(answer.error_code, getattr(answer, "error_message", None), doing)
    (part,) = answer.topics[0].partitions
    check(part.error_code, getattr(part, "error_message", None), doing)
    endpoints = {
        node.node_id: f"{listener.name}://{listener.host}:{listener.port}"
        for node in getattr(answer, "nodes", ())
        for listener in node.listeners[:1]
    }
    described = client.ask(DESCRIBE_CLUSTER, {})
    return Quorum(
        described.cluster_id,
        part.leader_id,
        part.leader_epoch,
        part.high_watermark,
        tuple(_replica(voter, endpoints.get(voter.replica_id, "")) for voter in part.current_voters),
        tuple(_replica(observer, "") for observer in part.observers),
    )


def _replica(found: Any, endpoint: str) -> QuorumReplica:
    return QuorumReplica(
        found.replica_id,
        found.log_end_offset,
        getattr(found, "last_fetch_timestamp", -1),
        getattr(found, "last_caught_up_timestamp", -1),
        endpoint,
    )


@dataclass(frozen=True, slots=True)
class Elections:
    """What became of elections: held, not needed, or failed with a reason."""

    held: tuple[TopicPartition, ...]
    needless: tuple[TopicPartition, ...]
    failed: Mapping[TopicPartition, str]


def elect_leaders(client: ProtocolClient, *, unclean: bool, partitions: Sequence[TopicPartition] | None) -> Elections:
    """Hold elections; None means all partitions."""
    by_topic: dict[str, list[int]] = {}
    for key in partitions or ():
        by_topic.setdefault(key.topic, []).append(key.partition)
    named = None
    if partitions is not None:
        named = [{"topic": topic, "partitions": tuple(numbers)} for topic, numbers in by_topic.items()]
    answer = client.ask(ELECT_LEADERS, {"election_type": int(unclean), "topic_partitions": named, "timeout": _PATIENCE})
    check(answer.error_code, None, "The elections were refused")
    held, needless, failed = [], [], {}
    for topic in answer.replica_election_results:
        for part in topic.partition_result:
            key = TopicPartition(topic.topic, part.partition_id)
            error = ErrorCode(part.error_code)
            if error is ErrorCode.NONE:
                held.append(key)
            elif error is ErrorCode.ELECTION_NOT_NEEDED:
                needless.append(key)
            else:
                failed[key] = f"{error.name} {part.error_message or ''}".rstrip()
    return Elections(tuple(held), tuple(needless), failed)


@dataclass(frozen=True, slots=True)
class FeatureLevels:
    """One feature: what the broker supports, and what the cluster agreed on."""

    name: str
    oldest: int
    newest: int
    level: int
    epoch: int


def describe_features(client: ProtocolClient) -> list[FeatureLevels]:
    """Return all features, by name."""
    asked = {"client_software_name": "fencepost", "client_software_version": "1"}
    answer = client.ask(API_VERSIONS, asked)
    check(answer.error_code, None, "The features could not be described")
    levels = {feature.name: feature.max_version_level for feature in answer.finalized_features}
    return [
        FeatureLevels(
            feature.name,
            feature.min_version,
            feature.max_version,
            levels.get(feature.name, 0),
            answer.finalized_features_epoch,
        )
        for feature in sorted(answer.supported_features, key=lambda feature: str(feature.name))
    ]


def update_features(
    client: ProtocolClient, levels: Mapping[str, int], upgrade_type: int, *, validate_only: bool
) -> None:
    """Set levels, all of them or none."""
    updates = [
        {"feature": name, "max_version_level": level, "upgrade_type": upgrade_type} for name, level in levels.items()
    ]
    fields = {"timeout": _PATIENCE, "feature_updates": updates, "validate_only": validate_only}
    answer = client.ask(UPDATE_FEATURES, fields)
    check(answer.error_code, answer.error_message, "Could not change features")


def describe_log_dirs(client: ProtocolClient, brokers: Sequence[int], topics: Sequence[str]) -> tuple[list[int], str]:
    """Return which brokers were asked, and what they say as Kafka's JSON; nothing named means all."""
    nodes = client.nodes()
    known = [node.node_id for node in nodes]
    missing = [broker for broker in brokers if broker not in known]
    if missing:
        raise failure(
            f"ERROR: The given brokers do not exist from --broker-list: {','.join(map(str, missing))}.",
            f"Current existent brokers: {','.join(map(str, known))}",
        )
    asked = [node for node in nodes if not brokers or node.node_id in brokers]
    found = []
    for node in asked:
        answer = client.ask_node(node, DESCRIBE_LOG_DIRS, {"topics": None})
        directories = [_directory(result, topics) for result in answer.results]
        found.append({"broker": node.node_id, "logDirs": directories})
    text = json.dumps({"brokers": found, "version": 1}, separators=(",", ":"))
    return [node.node_id for node in asked], text


def _directory(result: Any, topics: Sequence[str]) -> dict[str, object]:
    error = ErrorCode(result.error_code)
    partitions = [
        {
            "partition": str(TopicPartition(topic.name, part.partition_index)),
            "size": part.partition_size,
            "offsetLag": part.offset_lag,
            "isFuture": part.is_future_key,
        }
        for topic in result.topics
        if not topics or topic.name in topics
        for part in topic.partitions
    ]
    return {
        "partitions": partitions,
        "error": None if error is ErrorCode.NONE else error.name,
        "logDir": result.log_dir,
    }
