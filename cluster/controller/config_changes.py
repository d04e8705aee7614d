"""Configs that change while the cluster runs, of topics, brokers and groups (KIP-339, KIP-1043).

Here: which values are accepted, and what a change means at once for partitions. Groups need not exist: their configs
wait for them. Not here: definitions and defaults, and which broker-level configs are dynamic (`cluster.base.configs`).
"""

from __future__ import annotations

from collections.abc import Mapping

from cluster.base.config_types import ConfigDefinition, ConfigType
from cluster.base.configs import DEFINITIONS, GROUP_DEFINITIONS, TOPIC_DEFINITIONS, Configs, check_config
from cluster.base.errors import ErrorCode, KafkaError
from cluster.controller.decision import Decision, topic_settings
from cluster.controller.leadership import Records, reconsider_partitions
from cluster.metadata import (
    BROKER_RESOURCE,
    GROUP_RESOURCE,
    TOPIC_RESOURCE,
    MetadataImage,
    apply_batch,
    config_record,
)
from cluster.rpc import controller_pb2 as rpc

SET, DELETE, APPEND, SUBTRACT = range(4)
"""Kafka's `AlterConfigOp.OpType`."""

DYNAMIC_BROKER_DEFINITIONS: Mapping[str, ConfigDefinition] = {
    name: definition for name, definition in DEFINITIONS.items() if definition.is_dynamic
}
"""The broker-level configs that may change at run time."""

_ELECTION_CONFIGS = ("min.insync.replicas", "unclean.leader.election.enable")


def alter_configs(
    image: MetadataImage, configs: Configs, request: rpc.IncrementalAlterConfigsRequest
) -> Decision[rpc.IncrementalAlterConfigsReply]:
    """Change the configs of each resource, all of its changes or none."""
    records: Records = ()
    results = []
    keys = [(resource.resource_type, resource.resource_name) for resource in request.resources]
    for resource, key in zip(request.resources, keys, strict=True):
        result = rpc.AlterConfigsResult(resource_type=key[0], resource_name=key[1])
        try:
            if keys.count(key) > 1:
                raise KafkaError(ErrorCode.INVALID_REQUEST, "Each resource must appear at most once.")
            records += _alter_resource(image, configs, resource)
        except KafkaError as error:
            result.error_code, result.error_message = error.code, error.message
        results.append(result)
    if records:
        records += _consequences(image, configs, records)
    reply = rpc.IncrementalAlterConfigsReply(resources=results)
    return Decision(() if request.validate_only else records, reply)


def _alter_resource(image: MetadataImage, configs: Configs, resource: rpc.AlterConfigsResource) -> Records:
    table, defaults, current = _resource_configs(image, configs, resource)
    kind, name = resource.resource_type, resource.resource_name
    names = [change.name for change in resource.configs]
    records: Records = ()
    if resource.replaces_all:
        records += tuple(config_record(kind, name, key, None) for key in current if key not in names)
    for change in resource.configs:
        if names.count(change.name) > 1:
            raise KafkaError(ErrorCode.INVALID_REQUEST, f"{change.name} is changed more than once.")
        value = _new_value(table, change, current.get(change.name), defaults)
        if value is not None:
            if kind == BROKER_RESOURCE:
                _check_dynamic(table, change.name)
            check_config(table, change.name, value)
            if kind == GROUP_RESOURCE:
                _check_bounds(configs, change.name, value)
        if value != current.get(change.name):
            records += (config_record(kind, name, change.name, value),)
    return records


def _resource_configs(
    image: MetadataImage, configs: Configs, resource: rpc.AlterConfigsResource
) -> tuple[Mapping[str, ConfigDefinition], Configs, Mapping[str, str]]:
    """Return what a resource may have, what it falls back to, and what is set on it now."""
    name = resource.resource_name
    if resource.resource_type == TOPIC_RESOURCE:
        if name not in image.topics:
            raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"The topic '{name}' does not exist.")
        return TOPIC_DEFINITIONS, topic_settings(image, configs, name, {}), image.topic_configs(name)
    if resource.resource_type == GROUP_RESOURCE:
        if not name:
            raise KafkaError(ErrorCode.INVALID_REQUEST, "Default group resources are not allowed.")
        return GROUP_DEFINITIONS, configs, image.group_configs(name)
    if resource.resource_type != BROKER_RESOURCE:
        raise KafkaError(ErrorCode.INVALID_REQUEST, f"Unexpected resource type {resource.resource_type}.")
    if not name:
        return DYNAMIC_BROKER_DEFINITIONS, configs, image.broker_configs(None)
    if not name.isdigit() or int(name) not in image.brokers:
        raise KafkaError(ErrorCode.BROKER_ID_NOT_REGISTERED, f"There is no broker {name}.")
    # Whether a record is committed, and who may lead, must not depend on whom one asks.
    table = {key: value for key, value in DYNAMIC_BROKER_DEFINITIONS.items() if key not in _ELECTION_CONFIGS}
    return table, Configs({**configs.values, **image.broker_configs(None)}), image.broker_configs(int(name))


def _check_dynamic(table: Mapping[str, ConfigDefinition], name: str) -> None:
    """Raise KafkaError(INVALID_CONFIG) for a broker's config that there is, but not for this."""
    if name in DEFINITIONS and name not in table:
        is_for_all = name in DYNAMIC_BROKER_DEFINITIONS
        text = "is the same for all brokers" if is_for_all else "cannot be changed while brokers run"
        raise KafkaError(ErrorCode.INVALID_CONFIG, f"{name} {text}")


def _check_bounds(configs: Configs, name: str, value: str) -> None:
    """Raise KafkaError(INVALID_CONFIG) when a group's config leaves what the brokers allow: `group.consumer.min.*`."""
    kind, _, rest = name.partition(".")
    for bound, is_broken in (("min", int.__lt__), ("max", int.__gt__)):
        limit = f"group.{kind}.{bound}.{rest}"
        if limit in DEFINITIONS and is_broken(int(value), configs.integer(limit)):
            most = "greater" if bound == "min" else "less"
            raise KafkaError(ErrorCode.INVALID_CONFIG, f"{name} must be {most} than or equal to {limit}")


def _new_value(
    table: Mapping[str, ConfigDefinition], change: rpc.AlterConfig, current: str | None, defaults: Configs
) -> str | None:
    """Return the value after an operation; None for back to the default."""
    if change.operation == DELETE:
        # Also of a name that is not in the table: kafka-reassign-partitions deletes throttles that were never set.
        return None
    if not change.HasField("value"):
        raise KafkaError(ErrorCode.INVALID_CONFIG, f"Null value not supported for {change.name}.")
    if change.operation == SET:
        return change.value
    if change.operation not in (APPEND, SUBTRACT):
        raise KafkaError(ErrorCode.INVALID_REQUEST, f"Unknown operation {change.operation}.")
    definition = table.get(change.name)
    if definition is None or definition.type is not ConfigType.LIST:
        verb = "append to" if change.operation == APPEND else "subtract from"
        raise KafkaError(ErrorCode.INVALID_CONFIG, f"Can't {verb} key {change.name} because its type is not LIST.")
    old = defaults.text(definition.name) if current is None else current
    parts = [part for part in old.split(",") if part]
    given = [part for part in change.value.split(",") if part]
    if change.operation == APPEND:
        parts += [part for part in given if part not in parts]
    else:
        parts = [part for part in parts if part not in given]
    return ",".join(parts)


def _consequences(image: MetadataImage, configs: Configs, records: Records) -> Records:
    """Return what changed configs mean for partitions, decided on the image as it will be."""
    after, _ = apply_batch(image, records, image.offset + 1, image.epoch)
    topics: list[str] = []
    for record in records:
        if record.config.name in _ELECTION_CONFIGS:
            is_topic = record.config.resource_type == TOPIC_RESOURCE
            names = (record.config.resource_name,) if is_topic else tuple(image.topics)
            topics += [name for name in names if name not in topics]
    return reconsider_partitions(after, configs, tuple(topics))
