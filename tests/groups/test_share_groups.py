"""Who is a member of a share group and what it reads (KIP-932); which records each one gets is `tests/sharing`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from driven_consumers import Consumer, DrivenConsumers
from driven_groups import GROUP
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.base.errors import ErrorCode
from cluster.groups import HeartbeatReply, SharedTopic, ShareGroup, ShareHeartbeat
from cluster.groups.consumer.assignors import Subscriber
from cluster.groups.share.assignor import assign_shared
from cluster.metadata.image import GROUP_RESOURCE


class DrivenShares(DrivenConsumers):
    """A shard with a share group."""

    def share(self, member_id: str, epoch: int, *topics: str, **changes: Any) -> HeartbeatReply:
        request = ShareHeartbeat(member_id, epoch, topics=topics or None, **changes)
        token = self.ask(lambda token: self.shard.share_heartbeat(token, GROUP, request, self.now))
        reply = self.replies[token]
        assert isinstance(reply, HeartbeatReply)
        return reply

    @property
    def shares(self) -> ShareGroup:
        group = self.shard._groups[GROUP]
        assert isinstance(group, ShareGroup)
        return group


def test_members_read_the_same_partitions_at_once() -> None:
    groups = DrivenShares({"orders": 2})
    first = groups.share("m1", 0, "orders")
    assert first.assignment is not None and groups.names(first.assignment) == ("orders-0", "orders-1")
    replies = [groups.share(f"m{number}", 0, "orders") for number in (2, 3)]
    assert all(reply.assignment for reply in replies), "three members, two partitions: everybody has one at once"
    again = groups.share("m1", first.member_epoch)
    assert again.assignment is not None and len(again.assignment) == 1
    assert groups.share("m1", again.member_epoch).assignment is None, "nothing has changed"


def test_other_epochs_are_fenced_and_lost_answers_forgiven() -> None:
    groups = DrivenShares()
    epoch = groups.share("m1", 0, "orders").member_epoch
    groups.share("m2", 0, "orders")
    after = groups.share("m1", epoch).member_epoch
    assert groups.share("m1", epoch).member_epoch == after
    assert groups.share("m1", after + 1).error is ErrorCode.FENCED_MEMBER_EPOCH
    assert groups.share("m9", 3).error is ErrorCode.UNKNOWN_MEMBER_ID


@pytest.mark.parametrize(
    ("member", "epoch", "topics", "changes"),
    [("", 0, ("orders",), {}), ("m1", 0, (), {}), ("m1", -2, (), {}), ("m1", 0, ("orders",), {"rack_id": ""})],
)
def test_requests_that_make_no_sense_are_refused(
    member: str, epoch: int, topics: tuple[str, ...], changes: dict[str, Any]
) -> None:
    assert DrivenShares().share(member, epoch, *topics, **changes).error in (
        ErrorCode.INVALID_REQUEST,
        ErrorCode.GROUP_ID_NOT_FOUND,
    )


def test_who_leaves_or_falls_silent_is_gone() -> None:
    groups = DrivenShares()
    groups.share("m1", 0, "orders")
    groups.share("m2", 0, "orders")
    assert groups.share("m2", -1).member_epoch == -1
    assert list(groups.shares.members) == ["m1"]
    groups.sleep(45_001)
    assert not groups.shares.members and groups.shares.state.value == "Empty"


def test_a_full_group_takes_no_more_members() -> None:
    groups = DrivenShares(share_members_max=1)
    groups.share("m1", 0, "orders")
    assert groups.share("m2", 0, "orders").error is ErrorCode.GROUP_MAX_SIZE_REACHED


def test_a_group_may_have_timeouts_of_its_own_within_bounds() -> None:
    groups = DrivenShares(share_session_timeout_ms_min=1_000)
    own = {"share.session.timeout.ms": "2000", "share.heartbeat.interval.ms": "1"}
    groups.have_image(replace(groups.topics.image, configs={(GROUP_RESOURCE, GROUP): own}))
    assert groups.share("m1", 0, "orders").heartbeat_interval_ms == 5_000
    groups.sleep(2_001)
    assert not groups.shares.members


def test_kinds_of_groups_do_not_mix() -> None:
    groups = DrivenShares()
    groups.share("m1", 0, "orders")
    assert Consumer(groups, "c1").beat().error is ErrorCode.GROUP_ID_NOT_FOUND
    joined = groups.replies[groups.join()]
    assert joined.error is ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    assert groups.commit(5) is ErrorCode.GROUP_ID_NOT_FOUND
    listed = groups.shard.listed()
    assert [(each.group_type, each.state) for each in listed] == [("share", "Stable")]
    others = DrivenShares()
    Consumer(others, "c1").beat()
    assert others.share("m1", 0, "orders").error is ErrorCode.GROUP_ID_NOT_FOUND


def test_a_new_coordinator_knows_the_group_and_what_it_has_read() -> None:
    groups = DrivenShares({"orders": 2, "payments": 1})
    groups.share("m1", 0, "orders", "payments")
    groups.share("m2", 0, "orders")
    moved = groups.moved()
    assert (moved.shares.epoch, moved.shares.targets) == (groups.shares.epoch, groups.shares.targets)
    assert sorted(moved.shares.shared.values(), key=str) == [SharedTopic("orders", 2), SharedTopic("payments", 1)]
    assert moved.share("m1", groups.shares.members["m1"].epoch).error is ErrorCode.NONE
    assert moved.deleted() is ErrorCode.NON_EMPTY_GROUP
    moved.share("m1", -1)
    moved.share("m2", -1)
    moved.sleep(8 * 24 * 3_600_000)
    assert moved.shard.listed(), "it has no offsets that could expire"
    assert moved.deleted() is ErrorCode.NONE
    assert not moved.moved().shard.listed()


def test_topics_that_are_gone_are_forgotten() -> None:
    groups = DrivenShares({"orders": 1, "payments": 1})
    epoch = groups.share("m1", 0, "orders", "payments").member_epoch
    groups.have_topics({"payments": 2})
    reply = groups.share("m1", epoch)
    assert reply.assignment is not None and groups.names(reply.assignment) == ("payments-0", "payments-1")
    assert list(groups.shares.shared.values()) == [SharedTopic("payments", 2)]


@given(st.lists(st.frozensets(st.sampled_from([UUID(int=1), UUID(int=2)])), max_size=6), st.integers(0, 8))
@settings(max_examples=200, deadline=None)
def test_every_partition_has_a_reader_and_every_member_something_to_read(wants: list[Any], size: int) -> None:
    subscribers = [Subscriber(f"m{number}", None, topics, frozenset()) for number, topics in enumerate(wants)]
    sizes = {UUID(int=1): size, UUID(int=2): 3}
    assigned = assign_shared(subscribers, sizes)
    for topic, count in sizes.items():
        readers = [each for each in subscribers if topic in each.topics]
        read = {part.partition for each in readers for part in assigned[each.member_id] if part.topic_id == topic}
        assert read == (set(range(count)) if readers else set())
        assert all(any(part.topic_id == topic for part in assigned[each.member_id]) for each in readers if count)
    assert all(part.topic_id in each.topics for each in subscribers for part in assigned[each.member_id])
