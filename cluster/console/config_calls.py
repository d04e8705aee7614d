"""What the `configs` command asks the brokers and prints (`kafka.admin.ConfigCommand`)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cluster.console.errors import failure, kafka_errors, usage

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

DOING = "Error while executing config command"

BROKER_DEFAULTS = ""
"""The name of what is set for all brokers."""

# A comma inside brackets does not end a config: add-config=name=[one,two],other=value.
_COMMA = re.compile(r",(?=[^\]]*(?:\[|$))")
_NAME = re.compile(r"[a-zA-Z0-9._-]*")

_SOURCES = {  # ConfigEntry.ConfigSource, by the numbers of the protocol
    0: "UNKNOWN",
    1: "DYNAMIC_TOPIC_CONFIG",
    2: "DYNAMIC_BROKER_CONFIG",
    3: "DYNAMIC_DEFAULT_BROKER_CONFIG",
    4: "STATIC_BROKER_CONFIG",
    5: "DEFAULT_CONFIG",
    6: "DYNAMIC_BROKER_LOGGER_CONFIG",
    7: "DYNAMIC_CLIENT_METRICS_CONFIG",
    8: "DYNAMIC_GROUP_CONFIG",
}


@dataclass(frozen=True, slots=True)
class Entity:
    """What is configured: `topics`, `brokers` or `groups`, and which of them."""

    type: str
    name: str

    @property
    def dynamic_source(self) -> int:
        """The source of the configs that were set on this entity itself."""
        if self.type == "brokers":
            return 3 if self.name == BROKER_DEFAULTS else 2
        return {"topics": 1, "groups": 8}[self.type]

    @property
    def text(self) -> str:
        """As Kafka's tool names it."""
        return f"{self.type[:-1]} {self.name}"


@dataclass(frozen=True, slots=True)
class Setting:
    """One config of an entity; `synonyms` are (source, name, value), the one in force first."""

    name: str
    value: str | None
    source: int
    is_sensitive: bool = False
    synonyms: tuple[tuple[int, str, str | None], ...] = ()


def parse_added(text: str) -> dict[str, str]:
    """Read `--add-config name=value,name=[value,value]`. Raises LabError (usage)."""
    added = {}
    for pair in _COMMA.split(text):
        name, equals, value = (part.strip() for part in pair.partition("="))
        if not equals:
            raise usage(
                'Invalid entity config: all configs to be added must be in the format "key=val".', f"Correct {pair!r}."
            )
        if not _NAME.fullmatch(name):
            raise usage(f"Invalid character found for config key: {name}", "Names have letters, digits, dots, dashes.")
        added[name] = value.replace("[", "").replace("]", "")
    return added


def refused_remedy(entity: Entity) -> str:
    """Return what to do when a config of an entity is not accepted."""
    shows = f"`fencepost configs --describe --all --{entity.text}` shows its configs"
    if entity.type == "brokers":
        return f"{shows}; those that cannot change at run time are for `fencepost up --config`."
    return f"{shows}."


def describe_entity(entity: Entity, settings: Sequence[Setting], *, show_all: bool) -> list[str]:
    """Return the lines about an entity: what was set on it, or with `show_all` everything that applies to it."""
    if entity.name == BROKER_DEFAULTS:
        lines = [f"Default configs for {entity.type} in the cluster are:"]
    else:
        lines = [f"{'All' if show_all else 'Dynamic'} configs for {entity.text} are:"]
    for setting in sorted(settings, key=lambda setting: setting.name):
        if show_all or setting.source == entity.dynamic_source:
            synonyms = ", ".join(
                f"{_SOURCES[source]}:{name}={_text(value)}" for source, name, value in setting.synonyms
            )
            sensitive = "true" if setting.is_sensitive else "false"
            lines.append(f"  {setting.name}={_text(setting.value)} sensitive={sensitive} synonyms={{{synonyms}}}")
    return lines


def _synonyms(entry: Any) -> tuple[tuple[int, str, str | None], ...]:
    """Return where a value is set. The client library keeps one synonym of each name, not always the one in force."""
    kept = tuple((int(each.source), each.name, each.value) for each in entry.synonyms.values())
    if not kept or any(source == int(entry.source) for source, _, _ in kept):
        return kept
    return ((int(entry.source), entry.name, entry.value), *kept)


def _text(value: str | None) -> str:
    return "null" if value is None else value


class ConfigCalls:
    """Calls that wait for the answer, at most `timeout_ms`. All of them raise LabError."""

    def __init__(self, admin: AdminClient, timeout_ms: int) -> None:
        self._admin = admin
        self._timeout_s = timeout_ms / 1000

    def names(self, entity_type: str) -> list[str]:
        """Return all entities of a type."""
        with kafka_errors(DOING):
            cluster = self._admin.list_topics(timeout=self._timeout_s)
        if entity_type == "topics":
            return sorted(cluster.topics)
        return [str(broker) for broker in sorted(cluster.brokers)]

    def settings(self, entity: Entity) -> list[Setting]:
        """Return everything that applies to an entity."""
        resource = self._resource(entity)
        with kafka_errors(DOING):
            described = self._admin.describe_configs([resource], request_timeout=self._timeout_s)
            entries = described[resource].result()
        return [
            Setting(
                entry.name,
                entry.value,
                int(entry.source),
                bool(entry.is_sensitive),
                _synonyms(entry),
            )
            for entry in entries.values()
        ]

    def alter(self, entity: Entity, added: dict[str, str], deleted: Sequence[str]) -> None:
        """Set and remove configs; what is removed must have been set."""
        from confluent_kafka.admin import AlterConfigOpType, ConfigEntry

        if deleted:
            settings = self.settings(entity)
            present = [each.name for each in settings if each.source == entity.dynamic_source]
            invalid = [name for name in deleted if name not in present]
            if invalid:
                raise failure(
                    f"{DOING}: Invalid config(s): {','.join(invalid)}",
                    f"Set on {entity.text}: {', '.join(sorted(present)) or 'nothing'}.",
                )
        resource: Any = self._resource(entity)
        for name, value in added.items():
            entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
            resource.add_incremental_config(entry)
        for name in deleted:
            entry = ConfigEntry(name, None, incremental_operation=AlterConfigOpType.DELETE)
            resource.add_incremental_config(entry)
        with kafka_errors(DOING, {"INVALID_CONFIG": refused_remedy(entity)}):
            futures = self._admin.incremental_alter_configs([resource], request_timeout=self._timeout_s)
            futures[resource].result()

    def _resource(self, entity: Entity) -> Any:
        from confluent_kafka.admin import ConfigResource

        if entity.name == BROKER_DEFAULTS:
            raise failure(
                "The client library cannot name what holds for all brokers.",
                "Name each broker, --entity-name 1, or give it when the cluster starts: `fencepost up --config`.",
            )
        kinds = {"topics": "TOPIC", "brokers": "BROKER", "groups": "GROUP"}
        return ConfigResource(ConfigResource.Type[kinds[entity.type]], entity.name)
