"""Committed offsets: who may commit, what a note may weigh, what deletion takes along, what survives."""

from __future__ import annotations

import struct

import pytest
from driven_groups import GROUP, ORDERS, DrivenGroups

from cluster.base.errors import ErrorCode
from cluster.base.ids import TopicPartition
from cluster.groups import CommitOffset, MemberIdentity

PAYMENTS = TopicPartition("payments", 2)


def subscription(*topics: str) -> bytes:
    """A consumer's subscription (ConsumerProtocolSubscription, version 0)."""
    names = b"".join(struct.pack(">h", len(topic)) + topic.encode() for topic in topics)
    return struct.pack(">hi", 0, len(topics)) + names + struct.pack(">i", -1)


def test_somebody_who_is_no_member_commits_for_a_group_without_members() -> None:
    groups = DrivenGroups()
    assert groups.commit(42) is ErrorCode.NONE
    assert groups.committed() == {ORDERS: 42}
    assert groups.state == "Empty"
    moved = groups.moved()
    assert moved.committed() == {ORDERS: 42} and moved.state == "Empty"


@pytest.mark.parametrize(
    ("member", "generation", "error"),
    [
        ("leader", 1, ErrorCode.NONE),
        ("leader", 0, ErrorCode.ILLEGAL_GENERATION),
        ("leader", -1, ErrorCode.ILLEGAL_GENERATION),
        ("stranger", 1, ErrorCode.UNKNOWN_MEMBER_ID),
        ("", -1, ErrorCode.UNKNOWN_MEMBER_ID),
    ],
)
def test_only_members_of_the_generation_commit_for_a_group_with_members(
    member: str, generation: int, error: ErrorCode
) -> None:
    groups = DrivenGroups()
    leader, _ = groups.form(2)
    assert groups.commit(7, leader if member == "leader" else member, generation) is error
    assert groups.committed() == ({ORDERS: 7} if error is ErrorCode.NONE else {})


def test_a_member_of_a_group_that_is_gone_does_not_bring_it_back() -> None:
    groups = DrivenGroups()
    assert groups.commit(7, "m1", 4) is ErrorCode.ILLEGAL_GENERATION
    assert groups.state == "Dead"


def test_a_member_commits_what_it_read_while_the_others_join_but_not_before_it_knows_its_new_share() -> None:
    groups = DrivenGroups()
    leader, other = groups.form(2)
    groups.join(leader)
    assert groups.commit(7, other, 1) is ErrorCode.NONE
    groups.join(other)
    assert groups.state == "CompletingRebalance"
    assert groups.commit(8, other, 2) is ErrorCode.REBALANCE_IN_PROGRESS


def test_a_commit_is_a_sign_of_life() -> None:
    groups = DrivenGroups()
    (member,) = groups.form(1)
    for offset in range(5):
        groups.sleep(9_000)
        assert groups.commit(offset, member, 1) is ErrorCode.NONE
    assert groups.state == "Stable"


def test_a_note_that_is_too_long_spoils_only_its_own_offset() -> None:
    groups = DrivenGroups(offset_metadata_bytes_max=3)
    assert groups.commit(1, metadata="abc") is ErrorCode.NONE
    assert groups.commit(2, metadata="äb c") is ErrorCode.OFFSET_METADATA_TOO_LARGE
    assert groups.committed() == {ORDERS: 1}


def test_a_commit_that_could_not_be_written_was_never_made() -> None:
    groups = DrivenGroups()
    groups.commit(1)
    groups.log_is_full = True
    assert groups.commit(2) is ErrorCode.COORDINATOR_NOT_AVAILABLE
    assert groups.committed() == {ORDERS: 1}


def test_offsets_may_be_asked_for_back_when_the_client_says_so() -> None:
    groups = DrivenGroups()
    groups.commit(9)
    groups.commit(3)
    assert groups.moved().committed() == {ORDERS: 3}


def test_deleting_a_group_takes_its_offsets_along_and_nobody_elses() -> None:
    groups = DrivenGroups()
    groups.commit(1)
    groups.commit(2, partition=PAYMENTS)
    other = MemberIdentity("")
    groups.ask(lambda token: groups.shard.commit(token, "other", other, {ORDERS: CommitOffset(5)}, groups.now))
    token = groups.ask(lambda token: groups.shard.delete(token, GROUP))
    assert groups.reply(token) is ErrorCode.NONE
    for each in (groups, groups.moved()):
        assert (each.committed(), each.committed("other"), each.state) == ({}, {ORDERS: 5}, "Dead")


def test_a_group_with_members_is_not_deleted() -> None:
    groups = DrivenGroups()
    groups.form(1)
    assert groups.reply(groups.ask(lambda token: groups.shard.delete(token, GROUP))) is ErrorCode.NON_EMPTY_GROUP
    absent = groups.ask(lambda token: groups.shard.delete(token, "absent"))
    assert groups.reply(absent) is ErrorCode.GROUP_ID_NOT_FOUND


def test_offsets_of_topics_that_are_being_read_are_not_deleted() -> None:
    groups = DrivenGroups()
    groups.commit(1)
    groups.commit(2, partition=PAYMENTS)
    groups.form(1, protocols=(("range", subscription("orders")),))
    token = groups.ask(lambda token: groups.shard.delete_offsets(token, GROUP, [ORDERS, PAYMENTS]))
    assert groups.reply(token) == {ORDERS: ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC, PAYMENTS: ErrorCode.NONE}
    assert groups.committed() == groups.moved().committed() == {ORDERS: 1}


def test_a_group_of_others_than_consumers_keeps_all_offsets_while_it_has_members() -> None:
    groups = DrivenGroups()
    groups.form(1, protocol_type="connect")
    token = groups.ask(lambda token: groups.shard.delete_offsets(token, GROUP, [ORDERS]))
    assert groups.reply(token) is ErrorCode.NON_EMPTY_GROUP


def test_a_deleted_topic_takes_its_offsets_along() -> None:
    groups = DrivenGroups()
    groups.commit(1)
    groups.commit(2, partition=PAYMENTS)
    groups.carry_out(groups.shard.forget_topics(("orders",)))
    assert groups.committed() == groups.moved().committed() == {PAYMENTS: 2}
