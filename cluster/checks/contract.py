"""The contract: which anomalies a configuration permits, and by which promise that was not made.

Here: one table of rules with their sources, and a pure function over it. A rule speaks about one client and one
topic; rules about faults also ask what happened, when that is known. Not here: finding anomalies (`history`, the
oracles).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cluster.checks.setting import ClientSetting, Setting, TopicSetting

COMMITTED_LOST = "committed-lost"
"""What white-box invariants share: a record was committed, and a replica that should have it has it not."""

ISR_UNCOVERED = "isr-uncovered"
"""A leader does not wait for a replica that may be elected: committed records may come to be lost by that."""

QUORUM_DAMAGED = "quorum-damaged"
"""What Raft's invariants share: a voter has forgotten what it had promised or stored."""

DISK_DAMAGES = ("wipe", "bit-rot", "disk-misread", "disk-lie")
"""Faults of a scenario by which a disk loses or changes what it had stored, synced or not."""

UNSYNCED_LOSSES = ("torn-write",)
"""Faults by which a node loses only what it had not synced, besides a loss of power."""


@dataclass(frozen=True, slots=True)
class Adversity:
    """What befell the nodes that a finding is about, as far as promises depend on it. Counts are of nodes.

    `power_losses`: replicas that lost what they had not synced. `damaged_disks`: further replicas whose disk lost or
    changed what it had stored. `damaged_voters`: controllers whose disk did.
    """

    power_losses: int = 0
    damaged_disks: int = 0
    damaged_voters: int = 0


@dataclass(frozen=True, slots=True)
class Permission:
    """Why an anomaly is no bug: the configuration, in words, and where the promise is written down."""

    reason: str
    source: str


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a rule is asked about. `subscribed`: a group chose the consumer's partitions."""

    client: ClientSetting
    topic: TopicSetting
    setting: Setting
    adversity: Adversity
    subscribed: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """One promise that a configuration does not make."""

    anomalies: tuple[str, ...]
    applies: Callable[[Circumstances], bool]
    reason: str
    source: str


_ACKED_LOST = ("lost-write", "unseen", "inconsistent-offsets", "nonmonotonic-send")
"""What follows when an acknowledged record is lost: it is gone, and its offset is given to another."""

_ANY_LOST = (
    *_ACKED_LOST,
    "vanished",
    "poll-skip",
    "nonmonotonic-poll",
    "int-poll-skip",
    "int-nonmonotonic-poll",
    COMMITTED_LOST,
)
"""What follows when a committed record is lost: consumers had seen it, too."""


def _copies_lost(asked: Circumstances) -> int:
    """How many replicas may have come back with less than they had acknowledged."""
    unsynced = 0 if asked.topic.flush_messages == 1 else asked.adversity.power_losses
    return unsynced + asked.adversity.damaged_disks


RULES: tuple[Rule, ...] = (
    Rule(
        _ACKED_LOST,
        lambda asked: asked.client.acks == "0",
        "acks=0: the producer does not wait for anybody to store the record",
        "Kafka documentation, producer config acks",
    ),
    Rule(
        _ACKED_LOST,
        lambda asked: asked.client.acks == "1",
        "acks=1: the leader alone had to store it, and no follower need have fetched it when that leader is replaced",
        "Kafka documentation, producer config acks",
    ),
    Rule(
        _ANY_LOST,
        lambda asked: asked.topic.unclean_leader_election,
        "unclean.leader.election.enable=true: a replica that lacks records may become leader",
        "Kafka documentation, topic config unclean.leader.election.enable; KIP-106",
    ),
    Rule(
        _ANY_LOST,
        lambda asked: _copies_lost(asked) > 0 and asked.topic.effective_min_isr == 1,
        "min.insync.replicas=1: acks=all may mean one copy, and a replica lost what it had not synced, or its disk",
        "KIP-966, motivation",
    ),
    Rule(
        _ANY_LOST,
        lambda asked: _copies_lost(asked) > 0 and not asked.setting.eligible_leader_replicas,
        "eligible.leader.replicas.version=0: the last replica in sync may lead again with less than it had",
        "KIP-966, the last replica standing",
    ),
    Rule(
        _ANY_LOST,
        lambda asked: _copies_lost(asked) >= asked.topic.effective_min_isr,
        "as many replicas lost what they had not synced, or their disks, as min.insync.replicas asks for copies",
        "KIP-966, guarantees below min.insync.replicas unclean shutdowns",
    ),
    Rule(
        (QUORUM_DAMAGED, *_ANY_LOST),
        lambda asked: asked.adversity.damaged_voters > 0,
        "a controller's disk was damaged: Raft trusts the disks of its voters with who is in sync",
        "Ongaro and Ousterhout, In Search of an Understandable Consensus Algorithm, section 5.2",
    ),
    Rule(
        ("lost-write", "unseen", "vanished", "poll-skip", "int-poll-skip"),
        lambda asked: asked.topic.is_deleted,
        "cleanup.policy=delete: what retention.ms or retention.bytes no longer covers goes, read or not",
        "Kafka documentation, topic configs cleanup.policy and retention.ms",
    ),
    Rule(
        ("duplicate", "nonmonotonic-send", "int-nonmonotonic-send"),
        lambda asked: not asked.client.idempotence,
        "enable.idempotence=false: what got no answer is sent again, and may be stored twice or out of order",
        "KIP-98",
    ),
    Rule(
        ("int-send-skip",),
        lambda asked: True,
        "records of several producers lie side by side in a partition",
        "Jepsen's Kafka tests: always tolerated",
    ),
    Rule(
        ("poll-skip", "nonmonotonic-poll"),
        lambda asked: asked.subscribed,
        "a group moved the partition: its next owner goes on where the last commit was",
        "Kafka documentation, consumer groups; Jepsen's Kafka tests: tolerated under subscribe",
    ),
    Rule(
        ("aborted-read", "precommitted-read"),
        lambda asked: asked.client.isolation == "read_uncommitted",
        "isolation.level=read_uncommitted: records of open and aborted transactions are shown",
        "KIP-98, consumer config isolation.level",
    ),
    Rule(
        ("g0", "g1c-with-ww"),
        lambda asked: True,
        "Kafka's transactions are atomic, but do not isolate writes from each other",
        "KIP-98; Jepsen's Kafka tests: always tolerated",
    ),
    Rule(
        _ANY_LOST,
        lambda asked: "truncation" in asked.setting.legacy,
        "legacy truncation: a follower cuts its log to the high watermark it knows, below what is committed",
        "KIP-101",
    ),
    Rule(
        _ANY_LOST,
        lambda asked: "epoch-lookup" in asked.setting.legacy,
        "legacy epoch-lookup: a follower compares one epoch only, and keeps records that its leader never had",
        "KIP-279",
    ),
    Rule(
        (*_ANY_LOST, ISR_UNCOVERED),
        lambda asked: "high-watermark" in asked.setting.legacy,
        "legacy high-watermark: a leader does not wait for replicas that may be in the ISR without its knowing",
        "KIP-497",
    ),
    Rule(
        ("poll-skip", "nonmonotonic-poll"),
        lambda asked: "consumer-fencing" in asked.setting.legacy,
        "legacy consumer-fencing: a consumer goes on at its offset in a log that was cut meanwhile",
        "KIP-320",
    ),
    Rule(
        ("aborted-read", "unseen"),
        lambda asked: "transaction-verification" in asked.setting.legacy,
        "legacy transaction-verification: a late record opens a transaction that nobody ends, or joins the next one",
        "KIP-890",
    ),
)
"""All that Kafka does not promise, in the order in which reasons are given."""


def permission(anomaly: str, asked: Circumstances) -> Permission | None:
    """Return why an anomaly is permitted; None when nothing permits it, so that it is a bug."""
    for rule in RULES:
        if anomaly in rule.anomalies and rule.applies(asked):
            return Permission(rule.reason, rule.source)
    return None
