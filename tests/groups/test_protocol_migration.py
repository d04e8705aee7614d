"""Groups change from the classic to the new protocol and back while they have members (KIP-848)."""

from __future__ import annotations

from typing import Any

import pytest
from driven_consumers import Consumer, DrivenConsumers, settle
from driven_groups import GROUP

from cluster.base.errors import ErrorCode
from cluster.base.ids import TopicPartition
from cluster.groups import ConsumerGroup, Group, GroupState, JoinReply, SyncReply, assigned_partitions
from cluster.groups.subscription import write_assignment
from cluster.wire import INT16, INT32, string

FORMER = [TopicPartition("orders", number) for number in range(4)]


def subscription(*owned: TopicPartition) -> bytes:
    """A subscription to orders, version 1: cooperative consumers say what they own."""
    head = INT16.pack(1) + INT32.pack(1) + string("orders", False) + INT32.pack(-1)
    parts = [string("orders", False) + INT32.pack(len(owned))] if owned else []
    numbers = b"".join(INT32.pack(part.partition) for part in owned)
    return head + INT32.pack(len(parts)) + b"".join(parts) + numbers


class ClassicConsumer:
    """A cooperative consumer of the classic protocol, as its client is."""

    def __init__(self, groups: DrivenConsumers, member_id: str = "", **settings: Any) -> None:
        self.groups = groups
        self.member_id = member_id
        self.settings = settings
        self.generation = -1
        self.owned: tuple[TopicPartition, ...] = ()

    @property
    def instance_id(self) -> str | None:
        value: str | None = self.settings.get("instance_id")
        return value

    def join(self) -> JoinReply:
        protocols = (("cooperative-sticky", subscription(*self.owned)),)
        token = self.groups.join(self.member_id, protocols=protocols, **self.settings)
        reply: JoinReply = self.groups.replies[token]
        if reply.error is ErrorCode.NONE:
            self.member_id, self.generation = reply.member_id, reply.generation
        return reply

    def sync(self) -> SyncReply:
        token = self.groups.sync(self.member_id, self.generation, instance_id=self.instance_id)
        reply: SyncReply = self.groups.replies[token]
        if reply.error is ErrorCode.NONE:
            self.owned = assigned_partitions(reply.assignment)
        return reply

    def beat(self) -> ErrorCode:
        """Send a heartbeat, and join and sync again when it says so."""
        error = self.groups.heartbeat(self.member_id, self.generation, self.instance_id)
        if error is ErrorCode.REBALANCE_IN_PROGRESS:
            assert self.join().error is ErrorCode.NONE
            assert self.sync().error in (ErrorCode.NONE, ErrorCode.REBALANCE_IN_PROGRESS)
        return error


def classic_group(groups: DrivenConsumers, count: int = 2, **settings: Any) -> list[ClassicConsumer]:
    """A stable classic group that shares orders' four partitions."""
    tokens = [groups.join(protocols=(("cooperative-sticky", subscription()),), **settings) for _ in range(count)]
    groups.sleep(groups.settings.initial_rebalance_delay_ms * 2 + 1)
    replies = [groups.joined(token) for token in tokens]
    shares = {reply.member_id: FORMER[place::count] for place, reply in enumerate(replies)}
    written = {member_id: write_assignment(share, 1) for member_id, share in shares.items()}
    members = []
    for reply in reversed(replies):
        groups.sync(reply.member_id, reply.generation, written if reply.member_id == reply.leader else None)
        member = ClassicConsumer(groups, reply.member_id)
        member.generation, member.owned = reply.generation, tuple(shares[reply.member_id])
        members.append(member)
    assert groups.state == "Stable"
    return list(reversed(members))


def group_of(groups: DrivenConsumers) -> Any:
    return groups.shard._groups[GROUP]


def settle_both(classic: list[ClassicConsumer], new: list[Consumer]) -> None:
    for _ in range(12):
        for member in classic:
            member.beat()
        for consumer in new:
            consumer.beat()
            consumer.revoke()
        owned = [str(part) for member in classic for part in member.owned]
        owned += [name for consumer in new for name in consumer.names]
        assert len(owned) == len(set(owned)), "a partition has two owners"


def test_a_classic_group_is_upgraded_under_way_and_nobody_owns_what_another_does() -> None:
    groups = DrivenConsumers()
    first, second = classic_group(groups)
    new = Consumer(groups, "new")
    assert new.beat().error is ErrorCode.NONE
    assert isinstance(group_of(groups), ConsumerGroup) and new.owned == frozenset()
    settle_both([first, second], [new])
    assert len(new.owned) >= 1 and len(first.owned) + len(second.owned) + len(new.owned) == 4
    assert groups.moved().shard.listed() == groups.shard.listed(), "the log says the same"
    described = {member.member_id: member.is_classic for member in groups.described_consumers().members}
    assert described == {first.member_id: True, second.member_id: True, "new": False}


def test_when_all_have_changed_the_group_is_wholly_new() -> None:
    groups = DrivenConsumers()
    former = classic_group(groups)
    new = [Consumer(groups, "n1"), Consumer(groups, "n2")]
    new[0].beat()
    for member in former:
        assert groups.leave(member.member_id) == (ErrorCode.NONE,)
    settle(*new)
    assert sorted(new[0].names + new[1].names) == ["orders-0", "orders-1", "orders-2", "orders-3"]
    assert not group_of(groups).has_only_classic_members


def test_when_the_last_new_member_leaves_the_group_is_classic_again() -> None:
    groups = DrivenConsumers()
    former = classic_group(groups)
    new = Consumer(groups, "new")
    new.beat()
    settle_both(former, [new])
    new.leave()
    group = group_of(groups)
    assert isinstance(group, Group) and group.state is GroupState.PREPARING
    tokens = [
        groups.join(member.member_id, protocols=(("cooperative-sticky", subscription(*member.owned)),))
        for member in former
    ]
    replies = [groups.joined(token) for token in tokens]
    assert {reply.generation for reply in replies} == {group.generation + 1}
    assert isinstance(group_of(groups.moved()), Group)


@pytest.mark.parametrize(("policy", "goes_up", "goes_down"), [("disabled", False, False), ("upgrade", True, False)])
def test_the_policy_forbids(policy: str, goes_up: bool, goes_down: bool) -> None:
    groups = DrivenConsumers(migration_policy=policy)
    former = classic_group(groups)
    new = Consumer(groups, "new")
    reply = new.beat()
    assert (reply.error is ErrorCode.NONE) == goes_up
    if not goes_up:
        assert reply.error is ErrorCode.GROUP_ID_NOT_FOUND
        return
    settle_both(former, [new])
    new.leave()
    assert isinstance(group_of(groups), ConsumerGroup) != goes_down


def test_waiting_members_of_a_group_that_is_upgraded_are_sent_to_join_again() -> None:
    groups = DrivenConsumers()
    former = classic_group(groups)
    waiting = groups.join(protocols=(("cooperative-sticky", subscription()),))
    assert groups.reply(waiting) is None
    Consumer(groups, "new").beat()
    assert groups.replies[waiting].error is ErrorCode.REBALANCE_IN_PROGRESS
    settle_both(former, [])


def test_a_group_with_an_assignor_of_its_own_is_not_upgraded() -> None:
    groups = DrivenConsumers()
    token = groups.join(protocols=(("mine", subscription()),))
    groups.sleep(10_000)
    reply = groups.joined(token)
    assignment = write_assignment(FORMER, 1)[:-4] + INT32.pack(4) + b"mine"
    groups.sync(reply.member_id, reply.generation, {reply.member_id: assignment})
    refused = Consumer(groups, "new").beat()
    assert refused.error is ErrorCode.GROUP_ID_NOT_FOUND and "assignor" in (refused.error_message or "")


def test_a_group_that_speaks_something_else_is_left_alone() -> None:
    groups = DrivenConsumers()
    groups.form(1, protocol_type="connect")
    refused = Consumer(groups, "new").beat()
    assert refused.error is ErrorCode.GROUP_ID_NOT_FOUND
    assert refused.error_message == "Group g is not a consumer group."


def test_empty_groups_change_their_kind_at_once_and_keep_their_offsets() -> None:
    groups = DrivenConsumers()
    (member,) = classic_group(groups, 1)
    groups.commit(5, member.member_id, member.generation)
    groups.leave(member.member_id)
    new = Consumer(groups, "new")
    new.beat()
    assert isinstance(group_of(groups), ConsumerGroup) and groups.fetched() == 5
    new.leave()
    token = groups.join(protocols=(("range", subscription()),))
    groups.sleep(10_000)
    assert groups.joined(token).generation == 1
    assert isinstance(group_of(groups), Group) and groups.fetched() == 5
    assert isinstance(group_of(groups.moved()), Group)


def test_a_static_member_changes_its_protocol_and_back_without_a_rebalance() -> None:
    groups = DrivenConsumers()
    token = groups.join(instance_id="i1", protocols=(("range", subscription()),))
    groups.sleep(10_000)
    reply = groups.joined(token)
    groups.sync(reply.member_id, reply.generation, {reply.member_id: write_assignment(FORMER, 1)}, instance_id="i1")
    new = Consumer(groups, "new", instance_id="i1")
    new.beat()
    assert len(new.owned) == 4 and list(group_of(groups).members) == ["new"]
    back = ClassicConsumer(groups, instance_id="i1")
    joined = back.join()
    assert joined.error is ErrorCode.NONE
    group = group_of(groups)
    assert isinstance(group, Group) and group.state is GroupState.STABLE
    assert back.sync().error is ErrorCode.NONE and len(back.owned) == 4


def test_a_classic_member_that_does_not_join_again_in_time_is_fenced() -> None:
    groups = DrivenConsumers()
    former = classic_group(groups)
    new = Consumer(groups, "new")
    new.beat()
    assert groups.heartbeat(former[0].member_id, former[0].generation) is ErrorCode.REBALANCE_IN_PROGRESS
    for _ in range(13):
        groups.sleep(5_000)
        groups.heartbeat(former[0].member_id, former[0].generation)
        former[1].beat()
        new.beat()
        new.revoke()
    assert former[0].member_id not in group_of(groups).members
    assert groups.heartbeat(former[0].member_id, former[0].generation) is ErrorCode.UNKNOWN_MEMBER_ID


def test_classic_members_are_held_to_their_epoch() -> None:
    groups = DrivenConsumers()
    former, *_ = classic_group(groups)
    Consumer(groups, "new").beat()
    assert groups.heartbeat(former.member_id, 77) is ErrorCode.ILLEGAL_GENERATION
    assert groups.heartbeat("new", 2) is ErrorCode.UNKNOWN_MEMBER_ID, "it does not speak that protocol"
    assert groups.commit(1, former.member_id, 77) is ErrorCode.ILLEGAL_GENERATION
    assert groups.commit(1, former.member_id, former.generation) is ErrorCode.NONE
    wrong = groups.sync(former.member_id, former.generation, protocol="range", protocol_type="consumer")
    assert groups.replies[wrong].error is ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    stranger = groups.join(protocols=(("range", subscription()),))
    assert groups.replies[stranger].error is ErrorCode.INCONSISTENT_GROUP_PROTOCOL
