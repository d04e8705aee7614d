"""Offsets that nobody needs are forgotten after `offsets.retention.minutes`, and empty groups with their last one."""

from __future__ import annotations

from driven_consumers import Consumer, DrivenConsumers, settle
from driven_groups import GROUP, ORDERS, DrivenGroups
from test_group_offsets import subscription

from cluster.base.errors import ErrorCode
from cluster.base.ids import TopicPartition
from cluster.groups import CommitOffset, MemberIdentity

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
CHECK_MS = 600_000
RETENTION_MS = 7 * DAY_MS
OTHER = TopicPartition("payments", 0)
ORDERS_READER = (("range", subscription("orders")),)


def test_offsets_of_an_empty_group_count_from_when_its_last_member_left() -> None:
    groups = DrivenGroups()
    (member,) = groups.form(1, protocols=ORDERS_READER, session_timeout_ms=1_800_000)
    groups.commit(5, member, 1)
    for _ in range(8 * 24 * 2):
        groups.sleep(HOUR_MS // 2 - 1)
        assert groups.heartbeat(member, 1) is ErrorCode.NONE
    assert groups.committed() == {ORDERS: 5}, "a group that lives keeps what it reads"
    groups.leave(member)
    groups.sleep(RETENTION_MS - CHECK_MS)
    assert groups.committed() == {ORDERS: 5}
    groups.sleep(2 * CHECK_MS)
    assert groups.committed() == {} and groups.state == "Dead"
    assert groups.moved().committed() == {} and groups.moved().state == "Dead"


def test_a_group_that_lives_forgets_what_it_no_longer_reads() -> None:
    groups = DrivenGroups()
    (member,) = groups.form(1, protocols=ORDERS_READER, session_timeout_ms=1_800_000)
    groups.commit(5, member, 1)
    groups.commit(6, member, 1, partition=OTHER)
    for _ in range(8 * 24 * 2):
        groups.sleep(HOUR_MS // 2 - 1)
        groups.heartbeat(member, 1)
    assert groups.committed() == {ORDERS: 5} and groups.state == "Stable"


def test_offsets_of_nobody_count_each_from_its_commit() -> None:
    groups = DrivenGroups()
    groups.commit(5)
    groups.sleep(3 * DAY_MS)
    groups.commit(6, partition=OTHER)
    groups.sleep(4 * DAY_MS + CHECK_MS)
    assert groups.committed() == {OTHER: 6}
    groups.sleep(3 * DAY_MS + CHECK_MS)
    assert groups.state == "Dead"


def test_a_retention_that_the_client_asked_for_comes_first() -> None:
    groups = DrivenGroups()
    groups.commit(5, expires_ms=groups.now.wall_ms + HOUR_MS)
    groups.sleep(HOUR_MS + CHECK_MS)
    assert groups.committed() == {}


def test_a_consumer_group_keeps_what_it_subscribes_to_and_goes_when_it_is_empty() -> None:
    groups = DrivenConsumers({"orders": 1, "payments": 1}, consumer_session_timeout_ms=1_800_000)
    member = Consumer(groups, "m1")
    settle(member)
    for partition in (ORDERS, OTHER):
        groups.commit(5, "m1", member.epoch, partition=partition, speaks_epochs=True)
    for _ in range(8 * 24 * 2):
        groups.sleep(HOUR_MS // 2 - 1)
        member.beat()
    assert groups.committed() == {ORDERS: 5}
    member.leave()
    groups.sleep(CHECK_MS)
    assert groups.committed() == {} and not groups.shard.listed(), "its own commit is long ago"
    assert not groups.moved().shard.listed()


def test_a_log_that_refuses_is_asked_again_later() -> None:
    groups = DrivenGroups()
    groups.commit(5)
    groups.log_is_full = True
    groups.sleep(RETENTION_MS + CHECK_MS)
    assert groups.committed() == {ORDERS: 5}
    groups.log_is_full = False
    groups.sleep(CHECK_MS)
    assert groups.committed() == {}


def commit_in_transaction(groups: DrivenGroups, partition: TopicPartition) -> None:
    commits = {partition: CommitOffset(7, commit_timestamp_ms=groups.now.wall_ms)}
    nobody = MemberIdentity("", None, -1)
    groups.ask(lambda token: groups.shard.commit(token, GROUP, nobody, commits, groups.now, producer=(9, 0)))


def test_a_group_stays_while_a_transaction_may_still_commit_its_offsets() -> None:
    groups = DrivenGroups()
    (member,) = groups.form(1, protocols=ORDERS_READER, session_timeout_ms=1_800_000)
    commit_in_transaction(groups, ORDERS)
    groups.leave(member)
    groups.sleep(RETENTION_MS + 2 * CHECK_MS)
    assert groups.state == "Empty"
    groups.shard.replay_marker(9, is_commit=False)
    groups.sleep(CHECK_MS)
    assert groups.state == "Dead"


def test_offsets_of_a_deleted_topic_do_not_come_back_with_their_transaction() -> None:
    groups = DrivenGroups()
    commit_in_transaction(groups, ORDERS)
    commit_in_transaction(groups, OTHER)
    groups.carry_out(groups.shard.forget_topics(["orders"]))
    groups.shard.replay_marker(9, is_commit=True)
    assert groups.committed() == {OTHER: 7}
