"""DescribeConfigs (API 32), versions 1 to 4: the configs in force, and where each value comes from.

Topics and groups: what was set on them, else the broker's synonym. Brokers: only about themselves, INVALID_REQUEST for
another id, as in Kafka; the empty name means what was set at run time for all brokers. Other kinds of resources are
INVALID_REQUEST. Only configs with an effect are listed; nothing is sensitive.
Synonyms (KIP-226) on demand; types and documentation from version 3 on (KIP-569).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import IntEnum

from cluster.base.config_types import ConfigDefinition
from cluster.base.configs import DEFINITIONS, GROUP_DEFINITIONS, TOPIC_DEFINITIONS
from cluster.base.errors import ErrorCode, KafkaError
from cluster.broker.context import BrokerContext
from cluster.metadata import BROKER_RESOURCE, GROUP_RESOURCE, TOPIC_RESOURCE
from cluster.wire import Fields, Message


class ConfigSource(IntEnum):
    """Where a value comes from; the numbers are Kafka's (`DescribeConfigsResponse.ConfigSource`)."""

    TOPIC = 1
    DYNAMIC_BROKER = 2
    DYNAMIC_DEFAULT_BROKER = 3
    STATIC_BROKER = 4
    DEFAULT = 5
    GROUP = 8


Origin = tuple[str, str, ConfigSource]
"""A name, its value, and where that was set."""


def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """Describe each resource that is asked for."""
    return {"results": [_describe(context, resource, message) for resource in message.resources]}


def _describe(context: BrokerContext, resource: Message, message: Message) -> Fields:
    named: dict[str, object] = {"resource_type": resource.resource_type, "resource_name": resource.resource_name}
    try:
        entries = _entries_of(context, resource.resource_type, resource.resource_name)
    except KafkaError as error:
        return {**named, "error_code": error.code, "error_message": error.message}
    keys = resource.configuration_keys  # null or empty: all
    chosen = [entry for entry in entries if not keys or entry["name"] in keys]
    for entry in chosen:
        if not message.include_synonyms:
            entry["synonyms"] = ()
        if not getattr(message, "include_documentation", False):
            entry["documentation"] = None
    return {**named, "configs": chosen}


def _entries_of(context: BrokerContext, resource_type: int, name: str) -> list[dict[str, object]]:
    image = context.image()
    if resource_type == TOPIC_RESOURCE:
        if name not in image.topics:
            raise KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"The topic '{name}' does not exist.")
        return topic_entries(context, image.topic_configs(name))
    if resource_type == GROUP_RESOURCE:
        return _group_entries(context, image.group_configs(name))
    if resource_type != BROKER_RESOURCE:
        raise KafkaError(ErrorCode.INVALID_REQUEST, f"Unsupported resource type: {resource_type}")
    if name == "":
        return [
            _entry(key, [(key, value, ConfigSource.DYNAMIC_DEFAULT_BROKER)], DEFINITIONS[key], False)
            for key, value in sorted(image.broker_configs(None).items())
        ]
    if name != str(context.node_id):
        raise KafkaError(
            ErrorCode.INVALID_REQUEST,
            f"Unexpected broker id, expected {context.node_id} or empty string, but received {name}",
        )
    return [
        _entry(key, list(_broker_origins(context, definition)), definition, not definition.is_dynamic)
        for key, definition in sorted(DEFINITIONS.items())
    ]


def topic_entries(context: BrokerContext, overrides: Mapping[str, str]) -> list[dict[str, object]]:
    """Return all configs of a topic on which `overrides` are set."""
    return _entries(context, TOPIC_DEFINITIONS, overrides, ConfigSource.TOPIC)


def _group_entries(context: BrokerContext, overrides: Mapping[str, str]) -> list[dict[str, object]]:
    return _entries(context, GROUP_DEFINITIONS, overrides, ConfigSource.GROUP)


def _entries(
    context: BrokerContext, table: Mapping[str, ConfigDefinition], overrides: Mapping[str, str], source: ConfigSource
) -> list[dict[str, object]]:
    entries = []
    for name, definition in sorted(table.items()):
        origins = list(_broker_origins(context, definition))
        if name in overrides:
            origins.insert(0, (name, overrides[name], source))
        entries.append(_entry(name, origins, definition, False))
    return entries


def _broker_origins(context: BrokerContext, definition: ConfigDefinition) -> Iterator[Origin]:
    """Go through where a broker-level value is set, the one that counts first."""
    image, name = context.image(), definition.name
    layers = (
        (image.broker_configs(context.node_id), ConfigSource.DYNAMIC_BROKER),
        (image.broker_configs(None), ConfigSource.DYNAMIC_DEFAULT_BROKER),
        (context.configs.values, ConfigSource.STATIC_BROKER),
    )
    for values, source in layers:
        if name in values:
            yield name, values[name], source
    yield name, definition.default, ConfigSource.DEFAULT


def _entry(name: str, origins: list[Origin], definition: ConfigDefinition, read_only: bool) -> dict[str, object]:
    _, value, source = origins[0]
    return {
        "name": name,
        "value": value,
        "read_only": read_only,
        "config_source": source,
        "is_sensitive": False,
        "synonyms": [{"name": key, "value": text, "source": origin} for key, text, origin in origins],
        "config_type": definition.type.value,
        "documentation": definition.documentation,
    }
