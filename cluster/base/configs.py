"""Kafka's configuration names: types, defaults, scopes, and the two profiles.

Here: every config that has an effect in Fencepost, as data. A name that is not in the table is refused,
so that nobody believes in a setting that does nothing. Not here: who reads a config, and when.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from math import isnan

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.kafka_releases import RELEASES

LONG_MAX = 2**63 - 1
INT_MAX = 2**31 - 1


class ConfigType(Enum):
    """How a value is written; the names are Kafka's (`ConfigDef.Type`)."""

    BOOLEAN = 1
    STRING = 2
    INT = 3
    SHORT = 4
    LONG = 5
    DOUBLE = 6
    LIST = 7


@dataclass(frozen=True, slots=True)
class ConfigDefinition:
    """One config: its name, type and default.

    `topic_name` and `group_name` are what it is called on a topic and on a group, when these can have it themselves.
    """

    name: str
    type: ConfigType
    default: str
    documentation: str
    topic_name: str | None = None
    at_least: int | None = None
    at_most: int | None = None
    choices: tuple[str, ...] = ()
    group_name: str | None = None

    @property
    def is_dynamic(self) -> bool:
        """Whether the broker-level value may change at run time: those are read anew each time they are used."""
        return self.topic_name is not None or self.name in _DYNAMIC

    def check(self, name: str, value: str) -> None:
        """Raise KafkaError(INVALID_CONFIG), naming the config and what it accepts, when the value does not fit."""
        if self.type is ConfigType.BOOLEAN and value not in ("true", "false"):
            raise KafkaError(ErrorCode.INVALID_CONFIG, f"{name} must be true or false, not {value!r}")
        if self.type in (ConfigType.INT, ConfigType.SHORT, ConfigType.LONG):
            self._check_number(name, value, "a whole number")
        elif self.type is ConfigType.DOUBLE:
            self._check_number(name, value, "a number")
        if self.choices and any(part not in self.choices for part in value.split(",")):
            allowed = ", ".join(self.choices)
            raise KafkaError(ErrorCode.INVALID_CONFIG, f"{name} must be one of {allowed}, not {value!r}")

    def _check_number(self, name: str, value: str, kind: str) -> None:
        try:
            number = float(value) if self.type is ConfigType.DOUBLE else int(value)
        except ValueError:
            raise KafkaError(ErrorCode.INVALID_CONFIG, f"{name} must be {kind}, not {value!r}") from None
        if isnan(number):
            raise KafkaError(ErrorCode.INVALID_CONFIG, f"{name} must be {kind}, not {value!r}")
        if self.at_least is not None and number < self.at_least:
            raise KafkaError(ErrorCode.INVALID_CONFIG, f"{name} must be at least {self.at_least}, not {number}")
        if self.at_most is not None and number > self.at_most:
            raise KafkaError(ErrorCode.INVALID_CONFIG, f"{name} must be at most {self.at_most}, not {number}")


def _long(
    name: str, default: int, documentation: str, topic_name: str | None = None, at_least: int = 0
) -> ConfigDefinition:
    return ConfigDefinition(name, ConfigType.LONG, str(default), documentation, topic_name, at_least, LONG_MAX)


def _int(
    name: str, default: int, documentation: str, topic_name: str | None = None, at_least: int = 0
) -> ConfigDefinition:
    return ConfigDefinition(name, ConfigType.INT, str(default), documentation, topic_name, at_least, INT_MAX)


def _boolean(name: str, default: bool, documentation: str, topic_name: str | None = None) -> ConfigDefinition:
    return ConfigDefinition(name, ConfigType.BOOLEAN, str(default).lower(), documentation, topic_name)


def _legacy(name: str, default: str, mistake: str, documentation: str) -> ConfigDefinition:
    return ConfigDefinition(name, ConfigType.STRING, default, documentation, choices=(default, mistake))


_DYNAMIC = ("producer.id.expiration.ms",)
"""Broker-level configs that may change at run time although no topic can have them."""

_REPLICA_PACKAGE = "org.apache.kafka.common.replica."
_REPLICA_SELECTORS = ("RackAwareReplicaSelector", "LeaderSelector")

_DEFINITIONS = (
    # The metadata quorum
    _int(
        "controller.quorum.fetch.timeout.ms",
        2000,
        "A voter that hears nothing from the leader for so long campaigns",
        at_least=1,
    ),
    _int(
        "controller.quorum.election.timeout.ms",
        1000,
        "A candidate without a majority tries again after so long",
        at_least=1,
    ),
    _long(
        "metadata.log.max.record.bytes.between.snapshots",
        20_971_520,
        "A snapshot is taken after so many bytes of metadata",
        at_least=1,
    ),
    # Brokers and the controller
    _int("broker.session.timeout.ms", 9000, "A broker that sends no heartbeat for so long is fenced", at_least=1),
    _int("broker.heartbeat.interval.ms", 2000, "Between two heartbeats of a broker", at_least=1),
    _boolean("controlled.shutdown.enable", True, "Hand leadership over before stopping"),
    _boolean("auto.leader.rebalance.enable", True, "Move leadership back to preferred replicas from time to time"),
    _long("leader.imbalance.check.interval.seconds", 300, "Between two such checks", at_least=1),
    _boolean(
        "eligible.leader.replicas.enable",
        True,
        "KIP-966: remember replicas that left the ISR with everything committed",
    ),
    # Topics
    _boolean("auto.create.topics.enable", True, "Create a topic when a client first asks for it"),
    _int("num.partitions", 1, "Partitions of a topic that is created without a count", at_least=1),
    ConfigDefinition(
        "default.replication.factor",
        ConfigType.SHORT,
        "1",
        "Replicas of a topic that is created without a count",
        None,
        1,
        64,
    ),
    _int(
        "min.insync.replicas",
        1,
        "acks=all is refused when fewer replicas are in sync",
        "min.insync.replicas",
        at_least=1,
    ),
    _boolean(
        "unclean.leader.election.enable",
        False,
        "Let a replica lead that may lack committed records",
        "unclean.leader.election.enable",
    ),
    # Replication
    _long(
        "replica.lag.time.max.ms", 30_000, "A follower that was not caught up for so long leaves the ISR", at_least=1
    ),
    _int(
        "replica.fetch.wait.max.ms",
        500,
        "How long a leader holds a follower's fetch that finds nothing new",
        at_least=1,
    ),
    _int("replica.fetch.max.bytes", 1_048_576, "Bytes of one partition in a fetch between brokers", at_least=1),
    _int("replica.fetch.response.max.bytes", 1_048_576, "Bytes of one fetch response between brokers", at_least=1),
    _int("replica.fetch.backoff.ms", 1000, "Pause after a failed fetch between brokers", at_least=1),
    # Logs
    _int("log.segment.bytes", 1_073_741_824, "A segment of this size is closed", "segment.bytes", at_least=1024),
    _long("log.roll.ms", 604_800_000, "A segment of this age is closed", "segment.ms", at_least=1),
    _int("log.index.interval.bytes", 4096, "One index entry for so many bytes", "index.interval.bytes"),
    _int(
        "log.index.size.max.bytes",
        10_485_760,
        "A segment whose index has this size is closed",
        "segment.index.bytes",
        at_least=12,
    ),
    _long("log.flush.interval.messages", LONG_MAX, "fsync after so many records", "flush.messages", at_least=1),
    _long("log.flush.interval.ms", LONG_MAX, "fsync records of this age", "flush.ms"),
    _long(
        "log.retention.ms",
        604_800_000,
        "Segments older than this may be deleted; -1 keeps them",
        "retention.ms",
        at_least=-1,
    ),
    _long(
        "log.retention.bytes",
        -1,
        "Segments beyond this size may be deleted; -1 keeps them",
        "retention.bytes",
        at_least=-1,
    ),
    _long("log.retention.check.interval.ms", 300_000, "Between two looks for segments that may be deleted", at_least=1),
    ConfigDefinition(
        "log.cleanup.policy",
        ConfigType.LIST,
        "delete",
        "What happens to old segments",
        "cleanup.policy",
        choices=("delete", "compact"),
    ),
    _boolean("log.cleaner.enable", True, "Compact the topics that ask for it"),
    _long("log.cleaner.backoff.ms", 15_000, "Between two looks for logs that are worth compacting", at_least=1),
    ConfigDefinition(
        "log.cleaner.min.cleanable.ratio",
        ConfigType.DOUBLE,
        "0.5",
        "A log is compacted when so much of it is dirty",
        "min.cleanable.dirty.ratio",
        at_least=0,
        at_most=1,
    ),
    _long(
        "log.cleaner.min.compaction.lag.ms",
        0,
        "Records younger than this are not compacted",
        "min.compaction.lag.ms",
    ),
    _long(
        "log.cleaner.max.compaction.lag.ms",
        LONG_MAX,
        "Records older than this are compacted however clean the log is",
        "max.compaction.lag.ms",
        at_least=1,
    ),
    _long(
        "log.cleaner.delete.retention.ms",
        86_400_000,
        "How long a compacted tombstone is kept for readers to see",
        "delete.retention.ms",
    ),
    _long(
        "log.cleaner.dedupe.buffer.size",
        134_217_728,
        "Bytes of memory for the keys of one compaction",
        at_least=1,
    ),
    ConfigDefinition(
        "log.message.timestamp.type",
        ConfigType.STRING,
        "CreateTime",
        "Whose clock stamps a record",
        "message.timestamp.type",
        choices=("CreateTime", "LogAppendTime"),
    ),
    _int("message.max.bytes", 1_048_588, "The largest record batch", "max.message.bytes"),
    _int(
        "producer.id.expiration.ms",
        86_400_000,
        "How long an idle producer's sequence numbers are remembered",
        at_least=1,
    ),
    # Consumer groups
    _int("offsets.topic.num.partitions", 50, "Partitions of __consumer_offsets when it is created", at_least=1),
    ConfigDefinition(
        "offsets.topic.replication.factor",
        ConfigType.SHORT,
        "3",
        "Replicas of __consumer_offsets when it is created; fewer when there are fewer brokers",
        None,
        1,
        64,
    ),
    _int("offsets.topic.segment.bytes", 104_857_600, "The segment.bytes of __consumer_offsets", at_least=1024),
    _int("offsets.commit.timeout.ms", 5000, "How long a coordinator waits for what it wrote to commit", at_least=1),
    _int("offset.metadata.max.bytes", 4096, "The longest note that a client may leave with an offset"),
    _int("group.initial.rebalance.delay.ms", 3000, "How long an empty group waits for more members after the first"),
    _int("group.min.session.timeout.ms", 6000, "The shortest session timeout that a member may ask for", at_least=1),
    _int("group.max.session.timeout.ms", 1_800_000, "The longest session timeout of a member", at_least=1),
    _int("group.max.size", INT_MAX, "Members of one group", at_least=1),
    _int("offsets.retention.minutes", 10_080, "Committed offsets that nobody needs are kept for so long", at_least=1),
    _long("offsets.retention.check.interval.ms", 600_000, "Between two looks for such offsets", at_least=1),
    # Consumer groups of the new protocol (KIP-848)
    ConfigDefinition(
        "group.consumer.session.timeout.ms",
        ConfigType.INT,
        "45000",
        "A member that sends no heartbeat for so long is fenced",
        group_name="consumer.session.timeout.ms",
        at_least=1,
        at_most=INT_MAX,
    ),
    _int("group.consumer.min.session.timeout.ms", 45_000, "The shortest session timeout of one group", at_least=1),
    _int("group.consumer.max.session.timeout.ms", 60_000, "The longest session timeout of one group", at_least=1),
    ConfigDefinition(
        "group.consumer.heartbeat.interval.ms",
        ConfigType.INT,
        "5000",
        "Members are told to send a heartbeat so often",
        group_name="consumer.heartbeat.interval.ms",
        at_least=1,
        at_most=INT_MAX,
    ),
    _int("group.consumer.min.heartbeat.interval.ms", 5000, "The shortest heartbeat interval of one group", at_least=1),
    _int("group.consumer.max.heartbeat.interval.ms", 15_000, "The longest heartbeat interval of one group", None, 1),
    _int("group.consumer.max.size", INT_MAX, "Members of one group of the new protocol", at_least=1),
    ConfigDefinition(
        "group.consumer.assignors",
        ConfigType.LIST,
        "uniform,range",
        "Server-side assignors; the first is taken when no member asks for one",
        choices=("uniform", "range"),
    ),
    ConfigDefinition(
        "group.consumer.migration.policy",
        ConfigType.STRING,
        "bidirectional",
        "Whether groups may change the protocol while they have members",
        choices=("bidirectional", "upgrade", "downgrade", "disabled"),
    ),
    # Mistakes that Kafka once made
    _legacy("legacy.truncation", "epoch", "high-watermark", "How a follower finds what to cut (KIP-101)"),
    _legacy("legacy.epoch.lookup", "iterative", "once", "How often a follower compares epochs (KIP-279)"),
    _legacy("legacy.consumer.fencing", "epoch", "none", "Whether consumers are fenced by leader epochs (KIP-320)"),
    _legacy("legacy.high.watermark", "maximal-isr", "isr", "Which replicas hold the high watermark back (KIP-497)"),
    # Transactions
    _int("transaction.state.log.num.partitions", 50, "Partitions of __transaction_state", at_least=1),
    ConfigDefinition(
        "transaction.state.log.replication.factor",
        ConfigType.SHORT,
        "3",
        "Replicas of __transaction_state when it is created; fewer when there are fewer brokers",
        None,
        1,
        64,
    ),
    _int("transaction.state.log.segment.bytes", 104_857_600, "The segment.bytes of __transaction_state", at_least=1024),
    _int("transaction.state.log.min.isr", 2, "The min.insync.replicas of __transaction_state", at_least=1),
    _int("transaction.max.timeout.ms", 900_000, "The longest transaction.timeout.ms of a producer", at_least=1),
    _int(
        "transactional.id.expiration.ms", 604_800_000, "A transactional id unused for so long is forgotten", at_least=1
    ),
    _int(
        "transaction.abort.timed.out.transaction.cleanup.interval.ms",
        10_000,
        "Between two looks for transactions that take too long",
        at_least=1,
    ),
    _int(
        "transaction.remove.expired.transaction.cleanup.interval.ms",
        3_600_000,
        "Between two looks for transactional ids that are unused",
        at_least=1,
    ),
    _boolean(
        "transaction.partition.verification.enable",
        True,
        "A leader asks whether a transaction is open before it appends to one (KIP-890)",
    ),
    # Listeners
    _int("socket.request.max.bytes", 104_857_600, "The largest request", at_least=1),
    _int(
        "max.request.partition.size.limit", 2000, "The most partitions in one answer about topics (KIP-966)", at_least=1
    ),
    _int("quota.window.num", 11, "Windows over which a client's bytes a second are measured", at_least=2),
    _int("quota.window.size.seconds", 1, "The length of such a window", at_least=1),
    _int(
        "max.incremental.fetch.session.cache.slots",
        1000,
        "Fetch sessions that a broker remembers; consumers beyond them say all they want with every fetch",
    ),
    _int(
        "min.incremental.fetch.session.eviction.ms",
        120_000,
        "A fetch session that was not used for so long makes room for another",
    ),
    ConfigDefinition(
        "replica.selector.class",
        ConfigType.STRING,
        "",
        "Who chooses the replica that a consumer reads from; empty: always the leader",
        choices=("", *(package + name for name in _REPLICA_SELECTORS for package in ("", _REPLICA_PACKAGE))),
    ),
    ConfigDefinition(
        "fencepost.as.version",
        ConfigType.STRING,
        "",
        "The release of Kafka whose API versions are advertised and served; empty: all that there are",
        choices=("", *RELEASES),
    ),
    _int("fetch.max.bytes", 57_671_680, "The most bytes in a fetch response to a client", at_least=1024),
)

DEFINITIONS: Mapping[str, ConfigDefinition] = {definition.name: definition for definition in _DEFINITIONS}
"""Broker-level configs by name."""

TOPIC_DEFINITIONS: Mapping[str, ConfigDefinition] = {
    definition.topic_name: definition for definition in _DEFINITIONS if definition.topic_name is not None
}
"""Topic-level configs by their own name; the definition's name is the broker-level synonym."""

GROUP_DEFINITIONS: Mapping[str, ConfigDefinition] = {
    definition.group_name: definition for definition in _DEFINITIONS if definition.group_name is not None
}
"""Group-level configs by their own name; the definition's name is the broker-level synonym."""

_FAST = {
    "controller.quorum.fetch.timeout.ms": "300",
    "controller.quorum.election.timeout.ms": "150",
    "broker.session.timeout.ms": "900",
    "broker.heartbeat.interval.ms": "200",
    "replica.lag.time.max.ms": "3000",
    "replica.fetch.backoff.ms": "100",
    "group.initial.rebalance.delay.ms": "300",
    "group.min.session.timeout.ms": "600",
    "group.consumer.session.timeout.ms": "4500",
    "group.consumer.min.session.timeout.ms": "600",
    "group.consumer.heartbeat.interval.ms": "500",
    "group.consumer.min.heartbeat.interval.ms": "100",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
}

PROFILES: Mapping[str, Mapping[str, str]] = {"kafka": {}, "fast": _FAST}
"""`kafka` has the real default timeouts; `fast` has about a tenth, for laptops and impatient tests."""


@dataclass(frozen=True, slots=True)
class Configs:
    """Values in force: what was set, over the defaults. Topic configs fall back to their broker synonym."""

    values: Mapping[str, str]

    @classmethod
    def of(cls, given: Mapping[str, str], profile: str = "kafka") -> Configs:
        """Check and take broker-level values over a profile. Raises KafkaError(INVALID_CONFIG)."""
        for name, value in given.items():
            check_config(DEFINITIONS, name, value)
        return cls({**PROFILES[profile], **given})

    def text(self, name: str) -> str:
        """Return the value of a broker-level config."""
        return self.values.get(name, DEFINITIONS[name].default)

    def integer(self, name: str) -> int:
        """Return the value of a numeric config."""
        return int(self.text(name))

    def decimal(self, name: str) -> float:
        """Return the value of a config that need not be whole."""
        return float(self.text(name))

    def flag(self, name: str) -> bool:
        """Return the value of a boolean config."""
        return self.text(name) == "true"

    def for_topic(self, overrides: Mapping[str, str]) -> Configs:
        """Return these configs with a topic's own values laid over their broker-level synonyms."""
        return self._with_synonyms(TOPIC_DEFINITIONS, overrides)

    def for_group(self, overrides: Mapping[str, str]) -> Configs:
        """Return these configs with a group's own values laid over their broker-level synonyms."""
        return self._with_synonyms(GROUP_DEFINITIONS, overrides)

    def _with_synonyms(self, table: Mapping[str, ConfigDefinition], overrides: Mapping[str, str]) -> Configs:
        if not overrides:
            return self
        synonyms = {table[name].name: value for name, value in overrides.items() if name in table}
        return Configs({**self.values, **synonyms})


def check_config(table: Mapping[str, ConfigDefinition], name: str, value: str) -> None:
    """Raise KafkaError(INVALID_CONFIG) when the table has no such name or the value does not fit it."""
    if name not in table:
        raise KafkaError(ErrorCode.INVALID_CONFIG, f"unknown config {name!r}{_suggestion(table, name)}")
    table[name].check(name, value)


def _suggestion(table: Mapping[str, ConfigDefinition], name: str) -> str:
    near = get_close_matches(name, list(table), n=1)
    return f"; did you mean {near[0]}?" if near else ""
