"""What a configuration permits: one row for each promise, and the row next to it where the promise is made."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cluster.checks import (
    Adversity,
    ClientSetting,
    Setting,
    SettingError,
    TopicSetting,
    setting_from_json,
    setting_to_json,
    weigh,
)
from cluster.checks.contract import COMMITTED_LOST, ISR_UNCOVERED, QUORUM_DAMAGED, RULES, Circumstances, permission
from cluster.checks.history import ANOMALIES, check_history
from cluster.checks.setting import LEGACY
from tests.checks.histories import operations_of, poll, send

STRICT = Circumstances(
    ClientSetting(acks="all", idempotence=True, transactional=True, isolation="read_committed"),
    TopicSetting(replication_factor=3, min_insync_replicas=2),
    Setting(),
    Adversity(),
)
CALM = Adversity()
DARK = Adversity(power_losses=1)


def client(**changes: object) -> Circumstances:
    return replace(STRICT, client=replace(STRICT.client, **changes))  # type: ignore[arg-type]


def topic(adversity: Adversity = CALM, **changes: object) -> Circumstances:
    return replace(STRICT, topic=replace(STRICT.topic, **changes), adversity=adversity)  # type: ignore[arg-type]


def legacy(*names: str) -> Circumstances:
    return replace(STRICT, setting=Setting(legacy=names))


PERMITTED: list[tuple[str, Circumstances, str]] = [
    ("unseen", client(acks="0"), "acks=0"),
    ("unseen", client(acks="1"), "acks=1"),
    ("inconsistent-offsets", client(acks="1"), "acks=1"),
    ("unseen", topic(unclean_leader_election=True), "unclean.leader.election.enable"),
    (COMMITTED_LOST, topic(unclean_leader_election=True), "unclean.leader.election.enable"),
    ("vanished", topic(DARK, min_insync_replicas=1), "min.insync.replicas=1"),
    ("unseen", topic(DARK, replication_factor=1), "min.insync.replicas=1"),
    ("unseen", replace(topic(DARK), setting=Setting(eligible_leader_replicas=False)), "eligible.leader.replicas"),
    ("unseen", topic(Adversity(power_losses=2)), "as many replicas lost"),
    ("unseen", topic(Adversity(damaged_disks=2)), "as many replicas lost"),
    (QUORUM_DAMAGED, topic(Adversity(damaged_voters=1)), "a controller's disk was damaged"),
    ("unseen", topic(retention_ms=3000), "cleanup.policy=delete"),
    ("poll-skip", topic(retention_bytes=0, cleanup_policy="compact,delete"), "cleanup.policy=delete"),
    ("duplicate", client(idempotence=False), "enable.idempotence=false"),
    ("nonmonotonic-send", client(idempotence=False), "enable.idempotence=false"),
    ("int-send-skip", STRICT, "side by side"),
    ("poll-skip", replace(STRICT, subscribed=True), "a group moved"),
    ("aborted-read", client(isolation="read_uncommitted"), "isolation.level"),
    ("g0", STRICT, "isolate writes"),
    ("g1c-with-ww", STRICT, "isolate writes"),
    ("unseen", legacy("truncation"), "legacy truncation"),
    (COMMITTED_LOST, legacy("epoch-lookup"), "legacy epoch-lookup"),
    (ISR_UNCOVERED, legacy("high-watermark"), "legacy high-watermark"),
    ("nonmonotonic-poll", legacy("consumer-fencing"), "legacy consumer-fencing"),
    ("aborted-read", legacy("transaction-verification"), "legacy transaction-verification"),
]

PROMISED: list[tuple[str, Circumstances]] = [
    *(
        (anomaly, STRICT)
        for anomaly in (*ANOMALIES, COMMITTED_LOST)
        if anomaly not in ("int-send-skip", "g0", "g1c-with-ww")
    ),
    ("vanished", client(acks="1")),
    (COMMITTED_LOST, client(acks="0")),
    ("unseen", topic(min_insync_replicas=1)),
    ("unseen", topic(retention_ms=3000, cleanup_policy="compact")),
    ("inconsistent-offsets", topic(retention_ms=3000)),
    ("unseen", topic(cleanup_policy="compact,delete", delete_retention_ms=0)),
    ("unseen", topic(DARK)),
    ("unseen", topic(DARK, min_insync_replicas=1, flush_messages=1)),
    ("unseen", topic(Adversity(damaged_disks=1))),
    ("unseen", client(idempotence=False)),
    ("int-poll-skip", replace(STRICT, subscribed=True)),
    ("g1c", client(isolation="read_uncommitted")),
    *((anomaly, legacy(*LEGACY)) for anomaly in ("g1c", "duplicate", "int-nonmonotonic-send", QUORUM_DAMAGED)),
    (ISR_UNCOVERED, legacy("truncation", "epoch-lookup")),
    ("unseen", legacy("consumer-fencing", "eligible-leader-replicas")),
    ("vanished", legacy("transaction-verification")),
    (QUORUM_DAMAGED, topic(Adversity(power_losses=3, damaged_disks=3))),
]


@pytest.mark.parametrize(("anomaly", "asked", "reason"), PERMITTED)
def test_a_promise_that_is_not_made_permits_its_anomaly(anomaly: str, asked: Circumstances, reason: str) -> None:
    answer = permission(anomaly, asked)
    assert answer is not None
    assert reason in answer.reason
    assert answer.source


@pytest.mark.parametrize(("anomaly", "asked"), PROMISED)
def test_a_promise_that_is_made_permits_nothing(anomaly: str, asked: Circumstances) -> None:
    assert permission(anomaly, asked) is None


def test_every_rule_is_about_known_anomalies_and_is_the_reason_of_some_row() -> None:
    told = {answer.reason for anomaly, asked, _ in PERMITTED if (answer := permission(anomaly, asked)) is not None}
    for rule in RULES:
        assert {*rule.anomalies} <= {*ANOMALIES, COMMITTED_LOST, ISR_UNCOVERED, QUORUM_DAMAGED}
        assert rule.reason in told, f"no row shows: {rule.reason}"


def test_a_loss_is_permitted_only_where_the_adversity_was() -> None:
    history = operations_of(
        send("p1", "a", 0, key="dark-0"),
        send("p1", "b", 0, key="calm-0"),
        poll("r", key="dark-0", final=True),
        poll("r", key="calm-0", final=True),
    )
    bug, permitted = weigh(check_history(history), Setting(), lambda key: DARK if key == "dark-0" else CALM)
    assert (bug.first_finding.key, bug.permitted) == ("calm-0", False)
    assert (permitted.first_finding.key, permitted.permitted) == ("dark-0", True)


def test_of_two_producers_each_is_judged_by_its_own_acks() -> None:
    history = operations_of(
        send("p1", "a", 0),
        send("p2", "b", 1),
        send("p1", "c", 2),
        send("p1", "d", 3),
        poll("r", (0, "a"), final=True),
    )
    setting = Setting(clients={"p1": ClientSetting(acks="1"), "p2": ClientSetting(acks="all")})
    bug, permitted = weigh(check_history(history), setting, lambda _: CALM)
    assert (bug.count, bug.permitted) == (1, False)
    assert bug.sentence == "1 acknowledged record lost: NOT PERMITTED, " + bug.reason
    assert "b was acknowledged to p2" in bug.first
    assert (permitted.count, permitted.permitted) == (2, True)
    assert permitted.sentence.startswith("2 acknowledged records lost: permitted, acks=1: the leader alone")
    assert "c was acknowledged to p1" in permitted.first


def test_a_setting_survives_being_written_and_read() -> None:
    setting = Setting(
        clients={"p1": ClientSetting("1", False), "c1": ClientSetting(isolation="read_committed")},
        topics={
            "orders": TopicSetting(3, 2, True, 1),
            "other": TopicSetting(3, 1, False, None, "compact,delete", 9, 8, 7),
        },
        default_client=ClientSetting("0", False),
        default_topic=TopicSetting(3, 2),
        eligible_leader_replicas=False,
        legacy=("truncation",),
    )
    assert setting_from_json(setting_to_json(setting)) == setting


def test_a_producer_that_asks_for_less_than_all_is_not_idempotent() -> None:
    setting = setting_from_json({"type": "setting", "default-client": {"acks": 1}})
    assert setting.client("anybody") == ClientSetting("1", False)


@pytest.mark.parametrize(
    "row",
    [
        {"client": {}},
        {"clients": []},
        {"clients": {"p1": {"acks": 2}}},
        {"clients": {"p1": {"isolation.level": "serializable"}}},
        {"clients": {"p1": {"enable.idempotence": "yes"}}},
        {"topics": {"t": {"replication.factor": 0}}},
        {"topics": {"t": 3}},
        {"topics": {"t": {"cleanup.policy": "keep"}}},
        {"topics": {"t": {"delete.retention.ms": -1}}},
        {"eligible.leader.replicas": 1},
        {"legacy": "truncation"},
        {"legacy": ["truncaton"]},
    ],
)
def test_a_setting_that_means_nothing_is_refused(row: dict[str, object]) -> None:
    with pytest.raises(SettingError):
        setting_from_json({"type": "setting", **row})
