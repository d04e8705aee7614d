"""What the invariants of the brokers' design take into account: harm from outside, settings, topics that come again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cluster.base.trace import (
    StepFired,
    TopicConfigApplied,
    TopicDeleted,
)
from cluster.checks import ClientSetting, TopicSetting
from tests.checks.test_white_box import BROKEN
from tests.checks.traced_partition import (
    BEGUN,
    SETTING,
    TEN_COMMITTED,
    UNCOMMITTED,
    Step,
    append,
    broker,
    commit,
    down,
    hears,
    judge,
    metadata,
    role,
    up,
)

RETURNED = [metadata("b3", 2, 1, (2, 3), at=2), metadata("b3", 3, 2, (3,), at=3), role("b2", "follower", 2, 6)]
"""b1 sleeps: b2 led for a while, and its disk has come back with six records."""

DARK_MEMBER = [down("b2", "powered-off"), up("b2"), *RETURNED]

HELD_BY_ALL = [*TEN_COMMITTED, append("b1", "leader", 10, 10), append("b2", "follower", 10, 10)]
HELD_BY_ALL.append(append("b3", "follower", 10, 10))

SAID_BY_ALL = [hears("b1", 3, 11), hears("b1", 2, 11)]


@pytest.mark.parametrize(
    "harm",
    [
        DARK_MEMBER,
        [("lab", StepFired("torn", "torn-write", ("b2",))), down("b2"), up("b2"), *RETURNED],
        [("lab", StepFired("gone", "wipe", ("b2",))), down("b2"), up("b2"), *RETURNED],
    ],
    ids=["power-off", "torn-write", "wipe"],
)
def test_a_leader_that_slept_may_commit_what_a_member_acknowledged_and_lost_meanwhile(harm: list[Step]) -> None:
    assert judge("weak-isr", [*HELD_BY_ALL, *harm, *SAID_BY_ALL, commit("b1", 11)]).count == 0


@pytest.mark.parametrize(
    "trace",
    [
        [*HELD_BY_ALL, *DARK_MEMBER, commit("b1", 11)],
        [*HELD_BY_ALL, *DARK_MEMBER, *SAID_BY_ALL, hears("b1", 2, 6), commit("b1", 11)],
        [*HELD_BY_ALL, *DARK_MEMBER, hears("b1", 3, 11), hears("b1", 2, 11, epoch=2), commit("b1", 11)],
        [
            *UNCOMMITTED,
            append("b2", "follower", 12, 14, 3),
            down("b3"),
            *DARK_MEMBER,
            hears("b1", 2, 15),
            commit("b1", 14),
        ],
        [*UNCOMMITTED, down("b3"), *DARK_MEMBER, hears("b1", 2, 15), commit("b1", 15)],
        [*HELD_BY_ALL, down("b2"), up("b2"), *RETURNED, *SAID_BY_ALL, commit("b1", 11)],
    ],
    ids=[
        "not acknowledged",
        "heard that it is lost",
        "in another epoch",
        "held another record",
        "never held",
        "killed",
    ],
)
def test_it_may_not_commit_what_a_member_never_had_or_is_known_to_lack(trace: list[Step]) -> None:
    assert judge("weak-isr", trace).count == 1


def test_what_a_topic_syncs_before_it_acknowledges_no_loss_of_power_takes() -> None:
    trace = [*HELD_BY_ALL, *DARK_MEMBER, *SAID_BY_ALL, commit("b1", 11)]
    synced = replace(SETTING, topics={"orders": TopicSetting(3, 2, flush_messages=1)})
    assert judge("weak-isr", trace, synced).count == 1
    wiped = [*HELD_BY_ALL, ("lab", StepFired("gone", "wipe", ("b2",))), *DARK_MEMBER, *SAID_BY_ALL, commit("b1", 11)]
    assert judge("weak-isr", wiped, synced).count == 0


def test_a_minimum_that_was_changed_while_running_counts() -> None:
    lowered = ("b1", TopicConfigApplied("orders", ("min.insync.replicas=1",), 2))
    alone = [metadata("b1", 1, 0, (1,), at=3), append("b1", "leader", 0, 0), commit("b1", 1)]
    assert judge("commit-needs-min-isr", [*BEGUN, lowered, *alone]).count == 0
    restored = ("b1", TopicConfigApplied("orders", (), 4))
    assert (
        judge(
            "commit-needs-min-isr", [*BEGUN, lowered, *alone, restored, append("b1", "leader", 1, 1), commit("b1", 2)]
        ).count
        == 1
    )


def test_a_topic_that_is_created_again_has_nothing_committed() -> None:
    deleted = [("b1", TopicDeleted("orders", 5)), role("b1", "leader", 0, 0)]
    assert judge("leader-completeness", [*TEN_COMMITTED, *deleted]).count == 0
    late = [append("b2", "follower", 10, 12), commit("b2", 12, what="follower")]
    assert judge("log-matching", [*TEN_COMMITTED, *deleted, *late]).count == 0, "b2 has not heard of the deletion"


def test_the_last_member_may_stay_in_the_isr_when_there_are_no_eligible_replicas() -> None:
    trace = [metadata("b1", 1, 0, (1,), at=1), broker("b1", 1, "fenced", 2), metadata("b1", -1, 1, (1,), at=2)]
    assert judge("valid-isr-and-elr", trace, replace(SETTING, eligible_leader_replicas=False)).count == 0
    assert judge("valid-isr-and-elr", trace).count == 1


def test_what_a_client_with_one_ack_is_told_need_not_be_committed() -> None:
    one = replace(SETTING, clients={"p1": ClientSetting("1", False)})
    assert judge("acks-all-means-committed", BROKEN["acks-all-means-committed"], one).count == 0
