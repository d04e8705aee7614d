"""What the cluster and its clients were configured with, as far as it decides what they promise.

Here: the facts under Kafka's own names, and their JSON form, which is a history's line of type `setting`. Not here:
what follows from them (`contract`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ACKS = ("0", "1", "all")
CLEANUP_POLICIES = ("delete", "compact", "compact,delete", "delete,compact")
ISOLATIONS = ("read_uncommitted", "read_committed")

LEGACY = (
    "truncation",
    "epoch-lookup",
    "consumer-fencing",
    "high-watermark",
    "transaction-verification",
    "eligible-leader-replicas",
)
"""Mistakes that Kafka once made and that a cluster of ours can be told to make, by their names in a scenario."""


class SettingError(ValueError):
    """A setting has an unknown name or a value that it cannot have."""


@dataclass(frozen=True, slots=True)
class ClientSetting:
    """One client; the defaults are those of Kafka's own clients since 3.0 (KIP-679)."""

    acks: str = "all"
    idempotence: bool = True
    transactional: bool = False
    isolation: str = "read_uncommitted"


@dataclass(frozen=True, slots=True)
class TopicSetting:
    """One topic; the defaults are Kafka's, but for the replication factor, which has no useful one.

    `retention_ms` and `retention_bytes` are None where they are longer and larger than any history.
    """

    replication_factor: int = 3
    min_insync_replicas: int = 1
    unclean_leader_election: bool = False
    flush_messages: int | None = None
    cleanup_policy: str = "delete"
    retention_ms: int | None = None
    retention_bytes: int | None = None
    delete_retention_ms: int = 86_400_000

    @property
    def is_compacted(self) -> bool:
        """Whether a record may be removed that a later one of its key supersedes."""
        return "compact" in self.cleanup_policy.split(",")

    @property
    def is_deleted(self) -> bool:
        """Whether records may be removed because they are old or many. Without a limit, none is in any history."""
        limits = (self.retention_ms, self.retention_bytes)
        return "delete" in self.cleanup_policy.split(",") and limits != (None, None)

    @property
    def effective_min_isr(self) -> int:
        """How many copies acks=all asks for: never more than there are replicas."""
        return min(self.min_insync_replicas, self.replication_factor)


@dataclass(frozen=True, slots=True)
class Setting:
    """All of it. `legacy` are mistakes that the cluster makes on purpose (LEGACY).

    `names` are nodes by id, `voters` the controllers; both are empty for a cluster that is not ours.
    """

    clients: Mapping[str, ClientSetting] = field(default_factory=dict)
    topics: Mapping[str, TopicSetting] = field(default_factory=dict)
    default_client: ClientSetting = ClientSetting()
    default_topic: TopicSetting = TopicSetting()
    eligible_leader_replicas: bool = True
    legacy: tuple[str, ...] = ()
    names: Mapping[int, str] = field(default_factory=dict)
    voters: tuple[str, ...] = ()

    def client(self, name: str) -> ClientSetting:
        """A client's setting, by its process's name."""
        return self.clients.get(name, self.default_client)

    def topic(self, name: str) -> TopicSetting:
        """A topic's setting."""
        return self.topics.get(name, self.default_topic)

    def topic_of(self, key: str) -> TopicSetting:
        """The setting of the topic that a key such as `orders-0` lies in."""
        return self.topic(key.rpartition("-")[0] or key)


_CLIENT_NAMES = {
    "acks": "acks",
    "enable.idempotence": "idempotence",
    "transactional": "transactional",
    "isolation.level": "isolation",
}
_TOPIC_NAMES = {
    "replication.factor": "replication_factor",
    "min.insync.replicas": "min_insync_replicas",
    "unclean.leader.election.enable": "unclean_leader_election",
    "flush.messages": "flush_messages",
    "cleanup.policy": "cleanup_policy",
    "retention.ms": "retention_ms",
    "retention.bytes": "retention_bytes",
    "delete.retention.ms": "delete_retention_ms",
}
_TOPIC_NUMBERS = {
    "replication_factor": 1,
    "min_insync_replicas": 1,
    "flush_messages": 1,
    "retention_ms": 0,
    "retention_bytes": 0,
    "delete_retention_ms": 0,
}
"""The least that each may be."""

_PARTS = (
    "type",
    "time_us",
    "clients",
    "topics",
    "default-client",
    "default-topic",
    "eligible.leader.replicas",
    "legacy",
)


def setting_from_json(row: Mapping[str, Any]) -> Setting:
    """Read a line of type `setting`. Raises SettingError."""
    for name in row:
        if name not in _PARTS:
            raise SettingError(f"unknown setting {name!r}: there are {', '.join(_PARTS[2:])}")
    clients, topics = _mapping(row, "clients"), _mapping(row, "topics")
    return Setting(
        clients={name: _client(f"clients/{name}", given) for name, given in clients.items()},
        topics={name: _topic(f"topics/{name}", given) for name, given in topics.items()},
        default_client=_client("default-client", row.get("default-client", {})),
        default_topic=_topic("default-topic", row.get("default-topic", {})),
        eligible_leader_replicas=_flag("eligible.leader.replicas", row.get("eligible.leader.replicas", True)),
        legacy=_legacy(row.get("legacy", [])),
    )


def setting_to_json(setting: Setting) -> dict[str, Any]:
    """Write the line that `setting_from_json` reads."""
    return {
        "type": "setting",
        "clients": {name: _named(client, _CLIENT_NAMES) for name, client in setting.clients.items()},
        "topics": {name: _named(topic, _TOPIC_NAMES) for name, topic in setting.topics.items()},
        "default-client": _named(setting.default_client, _CLIENT_NAMES),
        "default-topic": _named(setting.default_topic, _TOPIC_NAMES),
        "eligible.leader.replicas": setting.eligible_leader_replicas,
        "legacy": list(setting.legacy),
    }


def _named(one: ClientSetting | TopicSetting, names: Mapping[str, str]) -> dict[str, Any]:
    found = {name: getattr(one, attribute) for name, attribute in names.items()}
    return {name: value for name, value in found.items() if value is not None}


def _client(where: str, given: object) -> ClientSetting:
    values = _values(where, given, _CLIENT_NAMES)
    acks = "all" if str(values.get("acks", "all")) == "-1" else str(values.get("acks", "all"))
    isolation = values.get("isolation", "read_uncommitted")
    if acks not in ACKS:
        raise SettingError(f"{where}/acks must be 0, 1 or all, not {acks!r}")
    if isolation not in ISOLATIONS:
        raise SettingError(f"{where}/isolation.level must be {' or '.join(ISOLATIONS)}, not {isolation!r}")
    # A producer that asks for fewer acknowledgements is not idempotent: Kafka's clients refuse or disable it.
    idempotence = _flag(f"{where}/enable.idempotence", values.get("idempotence", acks == "all"))
    transactional = _flag(f"{where}/transactional", values.get("transactional", False))
    return ClientSetting(acks, idempotence, transactional, isolation)


def _topic(where: str, given: object) -> TopicSetting:
    values = _values(where, given, _TOPIC_NAMES)
    for name, least in _TOPIC_NUMBERS.items():
        value = values.get(name)
        if value is not None and (type(value) is not int or value < least):
            raise SettingError(f"{where}/{name.replace('_', '.')} must be a whole number from {least}, not {value!r}")
    policy = values.get("cleanup_policy", "delete")
    if policy not in CLEANUP_POLICIES:
        raise SettingError(f"{where}/cleanup.policy must be {', '.join(CLEANUP_POLICIES)}, not {policy!r}")
    if "unclean_leader_election" in values:
        _flag(f"{where}/unclean.leader.election.enable", values["unclean_leader_election"])
    return TopicSetting(**values)


def _legacy(given: object) -> tuple[str, ...]:
    if not isinstance(given, list):
        raise SettingError("legacy must be a list of names")
    for name in given:
        if name not in LEGACY:
            raise SettingError(f"legacy: unknown mistake {name!r}; there are {', '.join(LEGACY)}")
    return tuple(given)


def _values(where: str, given: object, names: Mapping[str, str]) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise SettingError(f"{where} must be an object of configs")
    for name in given:
        if name not in names:
            raise SettingError(f"{where}: unknown config {name!r}; there are {', '.join(names)}")
    return {names[name]: value for name, value in given.items()}


def _mapping(row: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    given = row.get(name, {})
    if not isinstance(given, Mapping):
        raise SettingError(f"{name} must be an object")
    return given


def _flag(where: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise SettingError(f"{where} must be true or false, not {value!r}")
