"""Kafka's configuration names: types, defaults, scopes, and the two profiles.

Here: every config that has an effect in Fencepost, as data. A name that is not in the table is refused,
so that nobody believes in a setting that does nothing. Not here: who reads a config, and when.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from cluster.base.config_types import (
    LONG_MAX,
    ConfigDefinition,
    ConfigType,
    boolean_config,
    int_config,
    long_config,
)
from cluster.base.coordinator_configs import COORDINATOR_DEFINITIONS
from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.kafka_releases import RELEASES


def _legacy(name: str, default: str, mistake: str, documentation: str) -> ConfigDefinition:
    return ConfigDefinition(name, ConfigType.STRING, default, documentation, choices=(default, mistake))


_REPLICA_PACKAGE = "org.apache.kafka.common.replica."
_REPLICA_SELECTORS = ("RackAwareReplicaSelector", "LeaderSelector")

_DEFINITIONS = (
    # The metadata quorum
    int_config(
        "controller.quorum.fetch.timeout.ms",
        2000,
        "A voter that hears nothing from the leader for so long campaigns",
        at_least=1,
    ),
    int_config(
        "controller.quorum.election.timeout.ms",
        1000,
        "A candidate without a majority tries again after so long",
        at_least=1,
    ),
    long_config(
        "metadata.log.max.record.bytes.between.snapshots",
        20_971_520,
        "A snapshot is taken after so many bytes of metadata",
        at_least=1,
    ),
    # Brokers and the controller
    int_config("broker.session.timeout.ms", 9000, "A broker that sends no heartbeat for so long is fenced", at_least=1),
    int_config("broker.heartbeat.interval.ms", 2000, "Between two heartbeats of a broker", at_least=1),
    boolean_config("controlled.shutdown.enable", True, "Hand leadership over before stopping"),
    boolean_config(
        "auto.leader.rebalance.enable", True, "Move leadership back to preferred replicas from time to time"
    ),
    long_config("leader.imbalance.check.interval.seconds", 300, "Between two such checks", at_least=1),
    boolean_config(
        "eligible.leader.replicas.enable",
        True,
        "KIP-966: remember replicas that left the ISR with everything committed",
    ),
    # Topics
    boolean_config("auto.create.topics.enable", True, "Create a topic when a client first asks for it"),
    int_config("num.partitions", 1, "Partitions of a topic that is created without a count", at_least=1),
    ConfigDefinition(
        "default.replication.factor",
        ConfigType.SHORT,
        "1",
        "Replicas of a topic that is created without a count",
        None,
        1,
        64,
    ),
    int_config(
        "min.insync.replicas",
        1,
        "acks=all is refused when fewer replicas are in sync",
        "min.insync.replicas",
        at_least=1,
    ),
    boolean_config(
        "unclean.leader.election.enable",
        False,
        "Let a replica lead that may lack committed records",
        "unclean.leader.election.enable",
    ),
    # Replication
    long_config(
        "replica.lag.time.max.ms", 30_000, "A follower that was not caught up for so long leaves the ISR", at_least=1
    ),
    int_config(
        "replica.fetch.wait.max.ms",
        500,
        "How long a leader holds a follower's fetch that finds nothing new",
        at_least=1,
    ),
    int_config("replica.fetch.max.bytes", 1_048_576, "Bytes of one partition in a fetch between brokers", at_least=1),
    int_config(
        "replica.fetch.response.max.bytes", 1_048_576, "Bytes of one fetch response between brokers", at_least=1
    ),
    int_config("replica.fetch.backoff.ms", 1000, "Pause after a failed fetch between brokers", at_least=1),
    # Logs
    int_config("log.segment.bytes", 1_073_741_824, "A segment of this size is closed", "segment.bytes", at_least=1024),
    long_config("log.roll.ms", 604_800_000, "A segment of this age is closed", "segment.ms", at_least=1),
    int_config("log.index.interval.bytes", 4096, "One index entry for so many bytes", "index.interval.bytes"),
    int_config(
        "log.index.size.max.bytes",
        10_485_760,
        "A segment whose index has this size is closed",
        "segment.index.bytes",
        at_least=12,
    ),
    long_config("log.flush.interval.messages", LONG_MAX, "fsync after so many records", "flush.messages", at_least=1),
    long_config("log.flush.interval.ms", LONG_MAX, "fsync records of this age", "flush.ms"),
    long_config(
        "log.retention.ms",
        604_800_000,
        "Segments older than this may be deleted; -1 keeps them",
        "retention.ms",
        at_least=-1,
    ),
    long_config(
        "log.retention.bytes",
        -1,
        "Segments beyond this size may be deleted; -1 keeps them",
        "retention.bytes",
        at_least=-1,
    ),
    long_config(
        "log.retention.check.interval.ms", 300_000, "Between two looks for segments that may be deleted", at_least=1
    ),
    ConfigDefinition(
        "log.cleanup.policy",
        ConfigType.LIST,
        "delete",
        "What happens to old segments",
        "cleanup.policy",
        choices=("delete", "compact"),
    ),
    boolean_config("log.cleaner.enable", True, "Compact the topics that ask for it"),
    long_config("log.cleaner.backoff.ms", 15_000, "Between two looks for logs that are worth compacting", at_least=1),
    ConfigDefinition(
        "log.cleaner.min.cleanable.ratio",
        ConfigType.DOUBLE,
        "0.5",
        "A log is compacted when so much of it is dirty",
        "min.cleanable.dirty.ratio",
        at_least=0,
        at_most=1,
    ),
    long_config(
        "log.cleaner.min.compaction.lag.ms",
        0,
        "Records younger than this are not compacted",
        "min.compaction.lag.ms",
    ),
    long_config(
        "log.cleaner.max.compaction.lag.ms",
        LONG_MAX,
        "Records older than this are compacted however clean the log is",
        "max.compaction.lag.ms",
        at_least=1,
    ),
    long_config(
        "log.cleaner.delete.retention.ms",
        86_400_000,
        "How long a compacted tombstone is kept for readers to see",
        "delete.retention.ms",
    ),
    long_config(
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
    int_config("message.max.bytes", 1_048_588, "The largest record batch", "max.message.bytes"),
    int_config(
        "producer.id.expiration.ms",
        86_400_000,
        "How long an idle producer's sequence numbers are remembered",
        at_least=1,
    ),
    *COORDINATOR_DEFINITIONS,
    # Mistakes that Kafka once made
    _legacy("legacy.truncation", "epoch", "high-watermark", "How a follower finds what to cut (KIP-101)"),
    _legacy("legacy.epoch.lookup", "iterative", "once", "How often a follower compares epochs (KIP-279)"),
    _legacy("legacy.consumer.fencing", "epoch", "none", "Whether consumers are fenced by leader epochs (KIP-320)"),
    _legacy("legacy.high.watermark", "maximal-isr", "isr", "Which replicas hold the high watermark back (KIP-497)"),
    # Listeners
    int_config("socket.request.max.bytes", 104_857_600, "The largest request", at_least=1),
    int_config(
        "max.request.partition.size.limit", 2000, "The most partitions in one answer about topics (KIP-966)", at_least=1
    ),
    int_config("quota.window.num", 11, "Windows over which a client's bytes a second are measured", at_least=2),
    int_config("quota.window.size.seconds", 1, "The length of such a window", at_least=1),
    int_config(
        "max.incremental.fetch.session.cache.slots",
        1000,
        "Fetch sessions that a broker remembers; consumers beyond them say all they want with every fetch",
    ),
    int_config(
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
    int_config("fetch.max.bytes", 57_671_680, "The most bytes in a fetch response to a client", at_least=1024),
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
    "group.share.session.timeout.ms": "4500",
    "group.share.heartbeat.interval.ms": "500",
    "group.share.min.session.timeout.ms": "600",
    "group.share.min.heartbeat.interval.ms": "100",
    "group.share.record.lock.duration.ms": "3000",
    "group.share.min.record.lock.duration.ms": "100",
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
