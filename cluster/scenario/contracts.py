"""The contract of a run: what its plan configures, what befell its cluster, and how findings weigh against both.

Here: reading a plan and a trace into what `cluster.checks` asks for, and its answers into checks of the result.
Not here: the rules (`cluster.checks.contract`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from cluster.base.configs import Configs
from cluster.base.ids import TopicPartition
from cluster.base.trace import Traced
from cluster.checks import (
    WHITE_BOX,
    Circumstances,
    ClientSetting,
    Judgement,
    Panel,
    Setting,
    TopicSetting,
    Violation,
    permission,
    weigh,
)
from cluster.checks.history import check_history, history_of
from cluster.lab.quantities import US_PER_SECOND
from cluster.report import Anomaly, CheckResult, Story, tell_story
from cluster.scenario.adversities import Adversities
from cluster.scenario.plan import Plan
from cluster.scenario.read_back import READER
from cluster.scenario.schema import Client
from cluster.scenario.steps import ConfigChange, Elect, Produce

_LOST = ("unseen", "vanished", "lost-write")

_TOLD = (*_LOST, "duplicate", "nonmonotonic-send", "inconsistent-offsets", "aborted-read")
"""Anomalies of one record, whose story is worth telling; the first is told first."""

_VIOLATIONS_TOLD_MAX = 20

_NEVER_FLUSHED = 2**31
"""From here on `flush.messages` means never: Kafka's default is the largest 64-bit number."""


_LONGER_THAN_A_RUN_MS = 86_400_000


def setting_of(plan: Plan) -> Setting:
    """Return what a plan configures, as far as promises depend on it."""
    scenario = plan.scenario
    broker = Configs.of(plan.cluster.properties, plan.cluster.profile)
    topics: dict[str, TopicSetting] = {}
    # Topics that the plan does not name, the internal ones above all, are made with the brokers' defaults.
    others = TopicSetting(
        min_insync_replicas=broker.integer("min.insync.replicas"),
        unclean_leader_election=broker.flag("unclean.leader.election.enable"),
    )
    for topic in plan.cluster.topics:
        configs = broker.for_topic(topic.configs)
        flush = configs.integer("log.flush.interval.messages")
        topics[topic.name] = TopicSetting(
            replication_factor=topic.replication_factor,
            min_insync_replicas=configs.integer("min.insync.replicas"),
            unclean_leader_election=configs.flag("unclean.leader.election.enable"),
            flush_messages=flush if flush < _NEVER_FLUSHED else None,
            cleanup_policy=configs.text("log.cleanup.policy"),
            retention_ms=_limit(configs.integer("log.retention.ms"), _LONGER_THAN_A_RUN_MS),
            retention_bytes=_limit(configs.integer("log.retention.bytes"), _NEVER_FLUSHED),
            delete_retention_ms=configs.integer("log.cleaner.delete.retention.ms"),
        )
    clients = {READER: _READER, **{name: _client(client) for name, client in scenario.clients.items()}}
    for step in scenario.steps:
        if isinstance(made := getattr(step, "produce", None), Produce):
            clients[step.id] = ClientSetting(acks=str(made.acks), idempotence=False)
        if isinstance(election := getattr(step, "elect", None), Elect) and election.unclean is not None:
            name = election.unclean.rpartition("-")[0]
            topics[name] = replace(topics.get(name, others), unclean_leader_election=True)
        if isinstance(change := getattr(step, "config", None), ConfigChange) and change.topic is not None:
            topics[change.topic] = _loosened(topics.get(change.topic, others), change.set_)
    return Setting(
        clients=clients,
        # A program that produces by hand does so without idempotence, as a step does.
        default_client=ClientSetting(idempotence=False),
        topics=topics,
        default_topic=others,
        eligible_leader_replicas=broker.flag("eligible.leader.replicas.enable"),
        legacy=tuple(scenario.cluster.legacy),
        names={number: name for name, number in plan.cluster.node_ids.items()},
        voters=tuple(plan.cluster.controllers),
    )


def _limit(value: int, beyond: int) -> int | None:
    """Return a limit of retention, None when no run reaches it."""
    return value if 0 <= value < beyond else None


def _loosened(topic: TopicSetting, changes: Mapping[str, str | None]) -> TopicSetting:
    """Return what is promised when configs change on the way: the weaker of before and after."""
    min_isr = changes.get("min.insync.replicas", str(topic.min_insync_replicas)) or "1"
    is_unclean = changes.get("unclean.leader.election.enable") == "true"
    return replace(
        topic,
        min_insync_replicas=min(topic.min_insync_replicas, int(min_isr)),
        unclean_leader_election=topic.unclean_leader_election or is_unclean,
        flush_messages=None if "flush.messages" in changes else topic.flush_messages,
        cleanup_policy=_both(topic.cleanup_policy, changes.get("cleanup.policy") or topic.cleanup_policy),
        retention_ms=_shorter(topic.retention_ms, changes.get("retention.ms")),
        retention_bytes=_shorter(topic.retention_bytes, changes.get("retention.bytes")),
        delete_retention_ms=_shorter(topic.delete_retention_ms, changes.get("delete.retention.ms")) or 0,
    )


def _shorter(before: int | None, after: str | None) -> int | None:
    """Return the tighter of two limits of retention. What is not changed, taken back, or -1 limits nothing further."""
    limits = [limit for limit in (before, None if after in (None, "-1") else int(after or 0)) if limit is not None]
    return min(limits, default=None)


def _both(before: str, after: str) -> str:
    """Return the policy under which everything may go that may go under one of the two."""
    return before if before == after else "compact,delete"


def _client(client: Client) -> ClientSetting:
    if client.transact is not None:
        return _COPIER
    is_transactional = client.transactional_id is not None
    return ClientSetting(
        acks=str(client.acks),
        idempotence=is_transactional or client.config.get("enable.idempotence") == "true",
        transactional=is_transactional,
        isolation=client.config.get("isolation.level", "read_uncommitted"),
    )


_COPIER = ClientSetting(transactional=True, isolation="read_committed")
_READER = ClientSetting(isolation="read_committed")
"""The reading back asks for what is committed."""


def check_contract(judgements: Sequence[Judgement], is_read: bool) -> CheckResult:
    """The check that no author can forget: clients saw nothing that the configuration does not permit."""
    bugs = [judgement for judgement in judgements if not judgement.permitted]
    told = bugs[0].sentence if bugs else "what they saw is permitted" if judgements else ""
    unread = "" if is_read else "not everything could be read back"
    return CheckResult(
        id="contract",
        kind="finally",
        statement="clients saw nothing that the configuration does not permit",
        outcome="violated" if bugs else "holds" if is_read else "unknown",
        expected="holds",
        detail=unread or told,
        violations=tuple(f"{judgement.anomaly}: {judgement.first}" for judgement in bugs),
        violation_count=sum(judgement.count for judgement in bugs),
    )


def weigh_trace(trace: Sequence[Traced], setting: Setting, adversities: Adversities) -> tuple[Judgement, ...]:
    """Return what the clients of a run saw that should not be, and what of it the configuration permits."""
    return weigh(check_history(history_of(trace), setting), setting, lambda key: adversities.on(_partition_of(key)))


def check_invariants(panel: Panel, adversities: Adversities, start_us: int) -> CheckResult:
    """The other one: what the brokers' own design demands held, but for losses that the configuration permits."""
    bugs: list[str] = []
    excused: dict[str, None] = {}
    count = 0
    for name in WHITE_BOX:
        oracle = panel.oracles[name]
        found = 0
        for violation in oracle.violations:
            reason = _excuse(panel.setting, oracle.permitted_as, violation, adversities)
            if reason:
                excused[name] = None
            else:
                at = f"{(violation.time_us - start_us) / US_PER_SECOND:.3f}s"
                bugs.append(f"{name}: {violation.message} [{at}]")
                if not found:
                    count += oracle.count - len(oracle.violations)  # beyond those that it describes, it only counts
                found += 1
        count += found
    return CheckResult(
        id="invariants",
        kind="always",
        statement=f"all {len(WHITE_BOX)} invariants of the brokers' design",
        outcome="violated" if bugs else "holds",
        expected="holds",
        detail=f"{count}: first {bugs[0]}" if bugs else "but for permitted losses" if excused else "",
        violations=tuple(bugs[:_VIOLATIONS_TOLD_MAX]),
        violation_count=count,
    )


def _excuse(setting: Setting, permitted_as: str, violation: Violation, adversities: Adversities) -> str:
    if not permitted_as:
        return ""
    topic = setting.topic("" if violation.partition is None else violation.partition.topic)
    # What befalls a replica later was not the cause.
    adversity = adversities.on(violation.partition, violation.time_us)
    # A strict client: whatever producers asked for, what was committed is not theirs to lose.
    asked = Circumstances(ClientSetting(isolation="read_committed"), topic, setting, adversity)
    answer = permission(permitted_as, asked)
    return "" if answer is None else answer.reason


def anomalies_of(judgements: Iterable[Judgement], story: Story) -> tuple[Anomaly, ...]:
    """Return judgements as the result holds them; a loss says what became of the first record, when that is known."""
    return tuple(
        Anomaly(
            one.anomaly,
            one.count,
            one.permitted,
            f"{one.sentence}; {story.cause}" if one.anomaly in _LOST and story.cause else one.sentence,
            one.reason,
            one.source,
            one.first,
        )
        for one in judgements
    )


def story_of(trace: Sequence[Traced], judgements: Sequence[Judgement], start_us: int) -> Story:
    """Tell the story of the first record that was lost, else stored twice, else out of order; bugs come first."""
    told = [one for one in judgements if one.anomaly in _TOLD]
    if not told:
        return Story("", "")
    chosen = min(told, key=lambda one: (one.permitted, _TOLD.index(one.anomaly)))
    finding = chosen.first_finding
    offsets = [finding.offset] if finding.again_at < 0 else [finding.offset, finding.again_at]
    story = tell_story(trace, _partition_of(finding.key), offsets, str(finding.value), start_us)
    return story if chosen.anomaly in _LOST else Story(story.text, "")


def _partition_of(key: str) -> TopicPartition:
    topic, _, number = key.rpartition("-")
    return TopicPartition(topic, int(number))
