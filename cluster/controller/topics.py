"""Topics are created, get more partitions, and are deleted.

Here: what Kafka checks and in its words, and the records that follow. One topic that is refused does not stop
the others of its request. Not here: where replicas go (`placement`), what configs accept (`config_changes`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from uuid import UUID

from cluster.base.configs import TOPIC_DEFINITIONS, Configs, check_config
from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ids import NodeId, TopicId
from cluster.base.limits import PARTITIONS_PER_CLUSTER_MAX, PARTITIONS_PER_TOPIC_MAX, TOPIC_NAME_LENGTH_MAX
from cluster.base.ports import Rng
from cluster.controller.decision import Decision
from cluster.controller.placement import Replicas, place_replicas, usable_brokers
from cluster.metadata import TOPIC_RESOURCE, MetadataImage, PartitionState, TopicState, config_record, partition_record
from cluster.rpc import controller_pb2 as rpc
from cluster.rpc import metadata_pb2 as pb

Records = list[pb.MetadataRecord]

_LEGAL_NAME = re.compile(r"[a-zA-Z0-9._-]+")


def create_topics(
    image: MetadataImage, configs: Configs, request: rpc.CreateTopicsRequest, rng: Rng
) -> Decision[rpc.CreateTopicsReply]:
    """Create each topic that passes; with `validate_only` say what would happen and write nothing."""
    records: Records = []
    results = []
    names = [topic.name for topic in request.topics]
    # Names that differ in . and _ only would have the same metrics in Kafka, so it refuses the second.
    taken = {_collision_key(name): name for name in image.topics}
    partitions_left = PARTITIONS_PER_CLUSTER_MAX - sum(len(topic.partitions) for topic in image.topics.values())
    for topic in request.topics:
        try:
            if names.count(topic.name) > 1:
                raise KafkaError(ErrorCode.INVALID_REQUEST, f"Duplicate topic name {topic.name!r} in the request.")
            _check_name(image, topic.name, taken)
            made = _create_topic(image, configs, topic, rng, partitions_left)
        except KafkaError as error:
            results.append(_refused(topic.name, error))
            continue
        new_records, result = made
        records.extend(new_records)
        results.append(result)
        partitions_left -= result.partitions
        taken[_collision_key(topic.name)] = topic.name
    reply = rpc.CreateTopicsReply(topics=results)
    return Decision(() if request.validate_only else tuple(records), reply)


def _create_topic(
    image: MetadataImage, configs: Configs, topic: rpc.NewTopic, rng: Rng, partitions_left: int
) -> tuple[Records, rpc.TopicResult]:
    for entry in topic.configs:
        if not entry.HasField("value"):
            raise KafkaError(ErrorCode.INVALID_CONFIG, f"Null value not supported for topic config {entry.name!r}.")
        check_config(TOPIC_DEFINITIONS, entry.name, entry.value)
    if topic.assignments:
        assignments = _manual_assignments(image, topic)
    else:
        assignments = _placed_assignments(image, configs, topic, rng, partitions_left)
    _check_room(len(assignments), partitions_left)
    topic_id = _new_topic_id(image, rng)
    records = [pb.MetadataRecord(topic=pb.TopicRecord(name=topic.name, topic_id=topic_id.bytes))]
    records += _partition_records(image, topic_id, 0, assignments, ErrorCode.INVALID_REPLICA_ASSIGNMENT)
    records += [config_record(TOPIC_RESOURCE, topic.name, entry.name, entry.value) for entry in topic.configs]
    result = rpc.TopicResult(
        name=topic.name,
        topic_id=topic_id.bytes,
        partitions=len(assignments),
        replication_factor=len(assignments[0]),
        configs=topic.configs,
    )
    return records, result


def _check_name(image: MetadataImage, name: str, taken: dict[str, str]) -> None:
    if name in image.topics:
        raise KafkaError(ErrorCode.TOPIC_ALREADY_EXISTS, f"Topic '{name}' already exists.")
    check_topic_name(name)
    other = taken.get(_collision_key(name))
    if other is not None:
        raise KafkaError(ErrorCode.INVALID_TOPIC_EXCEPTION, f"Topic '{name}' collides with existing topic: {other}")


def check_topic_name(name: str) -> None:
    """Raise KafkaError(INVALID_TOPIC_EXCEPTION) for a name that Kafka does not allow."""
    problem = ""
    if not name:
        problem = "the empty string is not allowed"
    elif name in (".", ".."):
        problem = "'.' or '..' is not allowed"
    elif len(name) > TOPIC_NAME_LENGTH_MAX:
        problem = f"the length of '{name}' is longer than the max allowed length {TOPIC_NAME_LENGTH_MAX}"
    elif not _LEGAL_NAME.fullmatch(name):
        problem = f"'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
    if problem:
        raise KafkaError(ErrorCode.INVALID_TOPIC_EXCEPTION, f"Topic name is invalid: {problem}")


def _collision_key(name: str) -> str:
    return name.replace(".", "_")


def _placed_assignments(
    image: MetadataImage, configs: Configs, topic: rpc.NewTopic, rng: Rng, partitions_left: int
) -> list[Replicas]:
    if topic.replication_factor < -1 or topic.replication_factor == 0:
        raise KafkaError(
            ErrorCode.INVALID_REPLICATION_FACTOR,
            "Replication factor must be larger than 0, or -1 to use the default value.",
        )
    if topic.partitions < -1 or topic.partitions == 0:
        raise KafkaError(ErrorCode.INVALID_PARTITIONS, "Number of partitions was set to an invalid non-positive value.")
    wants_default = topic.partitions == -1
    partitions = configs.integer("num.partitions") if wants_default else topic.partitions
    factor = topic.replication_factor
    if factor == -1:
        factor = configs.integer("default.replication.factor")
    _check_room(partitions, partitions_left)
    return place_replicas(usable_brokers(image), partitions, factor, rng)


def _check_room(partitions: int, partitions_left: int) -> None:
    if partitions > PARTITIONS_PER_TOPIC_MAX:
        raise KafkaError(
            ErrorCode.POLICY_VIOLATION, f"A topic may have {PARTITIONS_PER_TOPIC_MAX} partitions, not {partitions}."
        )
    if partitions > partitions_left:
        raise KafkaError(
            ErrorCode.POLICY_VIOLATION,
            f"The cluster may have {PARTITIONS_PER_CLUSTER_MAX} partitions; there is room for {partitions_left}.",
        )


def _manual_assignments(image: MetadataImage, topic: rpc.NewTopic) -> list[Replicas]:
    if topic.replication_factor not in (-1, 0):
        raise KafkaError(
            ErrorCode.INVALID_REQUEST,
            "A manual partition assignment was specified, but replication factor was not set to -1.",
        )
    if topic.partitions not in (-1, 0):
        raise KafkaError(
            ErrorCode.INVALID_REQUEST,
            "A manual partition assignment was specified, but numPartitions was not set to -1.",
        )
    ordered = sorted(topic.assignments, key=lambda assignment: assignment.partition)
    if [assignment.partition for assignment in ordered] != list(range(len(ordered))):
        raise KafkaError(
            ErrorCode.INVALID_REPLICA_ASSIGNMENT, "Partitions should be a consecutive 0-based integer sequence."
        )
    return checked_assignments(image, [assignment.replicas for assignment in ordered], None)


def checked_assignments(
    image: MetadataImage, assignments: Iterable[Sequence[int]], replication_factor: int | None
) -> list[Replicas]:
    """Raise KafkaError(INVALID_REPLICA_ASSIGNMENT) unless all have known, distinct brokers and the same length."""
    checked: list[Replicas] = []
    for replicas in assignments:
        problem = ""
        missing = [node for node in replicas if node not in image.brokers]
        if not replicas:
            problem = "an empty replica list"
        elif len({*replicas}) < len(replicas):
            problem = "the same broker more than once"
        elif missing:
            problem = f"broker {missing[0]}, but no such broker is registered"
        elif replication_factor is not None and len(replicas) != replication_factor:
            problem = (
                f"a partition with {len(replicas)} replica(s), but this is not consistent with previous partitions, "
                f"which have {replication_factor} replica(s)"
            )
        if problem:
            raise KafkaError(
                ErrorCode.INVALID_REPLICA_ASSIGNMENT, f"The manual partition assignment includes {problem}."
            )
        replication_factor = len(replicas)
        checked.append(tuple(NodeId(node) for node in replicas))
    return checked


def _partition_records(
    image: MetadataImage, topic_id: TopicId, first: int, assignments: list[Replicas], error: ErrorCode
) -> Records:
    """Write new partitions. Replicas that run are in sync from the start: there is nothing to have missed."""
    records = []
    for number, replicas in enumerate(assignments, first):
        isr = tuple(node for node in replicas if image.is_active(node))
        if not isr:
            raise KafkaError(
                error,
                f"All brokers specified in the partition assignment for partition {number} "
                "are fenced or in controlled shutdown.",
            )
        records.append(partition_record(number, PartitionState(topic_id, replicas, isr, leader=isr[0])))
    return records


def _new_topic_id(image: MetadataImage, rng: Rng) -> TopicId:
    """Draw an id (a version 4 UUID) that no topic has."""
    while True:
        topic_id = UUID(int=rng.getrandbits(128), version=4)
        if topic_id not in image.topic_names:
            return topic_id


def create_partitions(
    image: MetadataImage, request: rpc.CreatePartitionsRequest, rng: Rng
) -> Decision[rpc.CreatePartitionsReply]:
    """Add partitions to topics; the count is the new total."""
    records: Records = []
    results = []
    names = [topic.name for topic in request.topics]
    partitions_left = PARTITIONS_PER_CLUSTER_MAX - sum(len(topic.partitions) for topic in image.topics.values())
    for wanted in request.topics:
        try:
            if names.count(wanted.name) > 1:
                raise KafkaError(ErrorCode.INVALID_REQUEST, "Duplicate topic name.")
            added = _add_partitions(image, wanted, rng, partitions_left)
        except KafkaError as error:
            results.append(_refused(wanted.name, error))
            continue
        records.extend(added)
        partitions_left -= len(added)
        results.append(rpc.TopicResult(name=wanted.name, partitions=wanted.count))
    reply = rpc.CreatePartitionsReply(topics=results)
    return Decision(() if request.validate_only else tuple(records), reply)


def _add_partitions(image: MetadataImage, wanted: rpc.NewPartitions, rng: Rng, partitions_left: int) -> Records:
    topic = image.topics.get(wanted.name)
    if topic is None:
        raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"There is no topic '{wanted.name}'.")
    count = len(topic.partitions)
    if wanted.count == count:
        raise KafkaError(ErrorCode.INVALID_PARTITIONS, f"Topic already has {count} partition(s).")
    if wanted.count < count:
        raise KafkaError(
            ErrorCode.INVALID_PARTITIONS,
            f"The topic {wanted.name} currently has {count} partition(s); {wanted.count} would not be an increase.",
        )
    additional = wanted.count - count
    _check_room(additional, partitions_left)
    replication_factor = len(topic.partitions[0].replicas)
    if not wanted.assignments:
        assignments = place_replicas(usable_brokers(image), additional, replication_factor, rng)
        return _partition_records(image, topic.topic_id, count, assignments, ErrorCode.INVALID_REPLICATION_FACTOR)
    if len(wanted.assignments) != additional:
        raise KafkaError(
            ErrorCode.INVALID_REPLICA_ASSIGNMENT,
            f"Attempted to add {additional} additional partition(s), but only {len(wanted.assignments)} "
            "assignment(s) were specified.",
        )
    lists = [assignment.replicas for assignment in wanted.assignments]
    assignments = checked_assignments(image, lists, replication_factor)
    return _partition_records(image, topic.topic_id, count, assignments, ErrorCode.INVALID_REPLICA_ASSIGNMENT)


def delete_topics(image: MetadataImage, request: rpc.DeleteTopicsRequest) -> Decision[rpc.DeleteTopicsReply]:
    """Delete topics by name or by id, each once."""
    records: Records = []
    results = []
    gone: list[TopicId] = []
    for wanted in request.topics:
        try:
            topic = _topic_to_delete(image, wanted)
            if topic.topic_id in gone:
                raise KafkaError(ErrorCode.INVALID_REQUEST, "Duplicate topic.")
        except KafkaError as error:
            result = _refused(wanted.name, error)
            result.topic_id = wanted.topic_id
            results.append(result)
            continue
        gone.append(topic.topic_id)
        records.append(pb.MetadataRecord(remove_topic=pb.RemoveTopicRecord(topic_id=topic.topic_id.bytes)))
        results.append(rpc.TopicResult(name=topic.name, topic_id=topic.topic_id.bytes))
    return Decision(tuple(records), rpc.DeleteTopicsReply(topics=results))


def _topic_to_delete(image: MetadataImage, wanted: rpc.DeleteTopic) -> TopicState:
    if wanted.name and wanted.topic_id:
        raise KafkaError(ErrorCode.INVALID_REQUEST, "You may not specify both topic name and topic id.")
    if wanted.name:
        topic = image.topics.get(wanted.name)
        if topic is None:
            raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"There is no topic '{wanted.name}'.")
        return topic
    if len(wanted.topic_id) != 16:
        raise KafkaError(ErrorCode.INVALID_REQUEST, "Neither topic name nor id were specified.")
    topic = image.topic_by_id(UUID(bytes=wanted.topic_id))
    if topic is None:
        raise KafkaError(ErrorCode.UNKNOWN_TOPIC_ID, "This server does not host this topic ID.")
    return topic


def _refused(name: str, error: KafkaError) -> rpc.TopicResult:
    return rpc.TopicResult(name=name, error_code=error.code, error_message=error.message)
