"""What a consumer group of the new protocol does for its members, claim by claim (KIP-848)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from driven_consumers import NOTHING, REBALANCE_MS, Consumer, DrivenConsumers, settle

from cluster.base.errors import ErrorCode
from cluster.groups import ConsumerGroupState, MemberState
from cluster.metadata import MetadataImage
from cluster.metadata.image import GROUP_RESOURCE

GONE = ErrorCode.UNKNOWN_MEMBER_ID
FENCED = ErrorCode.FENCED_MEMBER_EPOCH
ALL = ("orders-0", "orders-1", "orders-2", "orders-3")


def pair(groups: DrivenConsumers, **settings: Any) -> tuple[Consumer, Consumer]:
    """Two members that share four partitions."""
    first, second = Consumer(groups, "m1", **settings), Consumer(groups, "m2", **settings)
    settle(first, second)
    assert len(first.owned) == len(second.owned) == 2
    return first, second


# --- joining and sharing --------------------------------------------------------------------------------


def test_the_first_member_gets_everything_at_once() -> None:
    groups = DrivenConsumers()
    reply = groups.join_new("m1")
    assert reply.error is ErrorCode.NONE and reply.member_epoch == 1 and reply.heartbeat_interval_ms == 5_000
    assert reply.assignment is not None and groups.names(reply.assignment) == ALL
    assert groups.consumers.state is ConsumerGroupState.STABLE


def test_a_newcomer_gets_what_it_shall_have_only_after_it_was_given_up() -> None:
    groups = DrivenConsumers()
    first, second = Consumer(groups, "m1"), Consumer(groups, "m2")
    first.beat()
    second.beat()
    assert second.owned == NOTHING and second.epoch == 2, "it is in the new epoch and waits"
    assert groups.consumers.members["m2"].state is MemberState.UNRELEASED_PARTITIONS
    first.beat()  # learns what to give up, and still owns it
    assert first.epoch == 1 and groups.consumers.members["m1"].state is MemberState.UNREVOKED_PARTITIONS
    second.beat()
    assert second.owned == NOTHING
    first.revoke()
    first.beat()
    second.beat()
    assert (first.epoch, second.epoch) == (2, 2) and len(first.owned) == len(second.owned) == 2
    assert groups.consumers.state is ConsumerGroupState.STABLE


def test_who_reports_nothing_has_given_up_nothing() -> None:
    groups = DrivenConsumers()
    first, second = Consumer(groups, "m1"), Consumer(groups, "m2")
    first.beat()
    second.beat()
    first.beat()
    first.revoke()
    first.beat(reports=False)
    second.beat()
    assert second.owned == NOTHING


def test_a_heartbeat_that_changes_nothing_writes_nothing_and_tells_nothing() -> None:
    groups = DrivenConsumers()
    first, _ = pair(groups)
    written = len(groups.log)
    assert first.beat(reports=False).assignment is None
    assert len(groups.log) == written


def test_a_member_that_leaves_is_replaced_at_the_next_heartbeat() -> None:
    groups = DrivenConsumers()
    first, second = pair(groups)
    assert second.leave().member_epoch == -1
    assert groups.consumers.state is ConsumerGroupState.ASSIGNING
    first.beat()
    assert first.names == ALL and groups.consumers.state is ConsumerGroupState.STABLE


def test_topics_that_grow_come_and_go_raise_the_epoch() -> None:
    groups = DrivenConsumers({"orders": 2})
    member = Consumer(groups, "m1", "orders", "later")
    settle(member)
    epoch = member.epoch
    groups.have_topics({"orders": 3})
    settle(member)
    assert member.names == ("orders-0", "orders-1", "orders-2") and member.epoch == epoch + 1
    groups.have_topics({"orders": 3, "later": 1, "another": 1})
    settle(member)
    assert "later-0" in member.names and member.epoch == epoch + 2
    groups.have_topics({"orders": 3, "later": 1})
    settle(member)
    assert member.epoch == epoch + 2, "nobody reads from the other topic"
    groups.have_topics({"later": 1})
    settle(member)
    assert member.names == ("later-0",)


def test_a_topic_that_is_made_anew_is_another_topic() -> None:
    groups = DrivenConsumers({"orders": 1})
    member = Consumer(groups, "m1")
    settle(member)
    before = member.owned
    groups.have_topics({"orders": 1}, generation=1)
    settle(member)
    assert member.names == ("orders-0",) and member.owned != before


def test_a_regular_expression_follows_the_topics_there_are() -> None:
    groups = DrivenConsumers({"orders": 1, "orders-eu": 1, "payments": 1})
    member = Consumer(groups, "m1", regex="orders.*", topics=None)
    member.settings["topics"] = None
    settle(member)
    assert member.names == ("orders-0", "orders-eu-0")
    groups.have_topics({"orders": 1, "orders-us": 1, "my-orders": 1})
    settle(member)
    assert member.names == ("orders-0", "orders-us-0"), "the whole name must match"


@pytest.mark.parametrize("regex", ["(", "(?=ahead)", r"(a)\1", "*"])
def test_what_re2_does_not_understand_is_refused(regex: str) -> None:
    reply = DrivenConsumers().join_new("m1", regex=regex)
    assert reply.error is ErrorCode.INVALID_REGULAR_EXPRESSION and regex in (reply.error_message or "")


def test_members_choose_the_assignor_by_majority() -> None:
    groups = DrivenConsumers({"orders": 4, "payments": 4})
    members = [Consumer(groups, f"m{n}", "orders", "payments", assignor="range") for n in (1, 2)]
    settle(*members)
    assert members[0].names == ("orders-0", "orders-1", "payments-0", "payments-1")
    assert groups.described_consumers().assignor == "range"
    assert groups.join_new("m3", assignor="sticky").error is ErrorCode.UNSUPPORTED_ASSIGNOR


# --- epochs and fencing -----------------------------------------------------------------------------------


def test_other_epochs_are_fenced_but_a_lost_answer_is_forgiven() -> None:
    groups = DrivenConsumers()
    first, second = Consumer(groups, "m1"), Consumer(groups, "m2")
    first.beat()
    second.beat()
    settle(first, second)
    assert groups.beat("m1", first.epoch + 1).error is FENCED
    assert groups.beat("m1", first.epoch - 1).error is FENCED, "it does not say what it owns"
    repeated = groups.beat("m1", first.epoch - 1, owned=first.owned)
    assert repeated.error is ErrorCode.NONE and repeated.member_epoch == first.epoch
    other = second.owned
    assert groups.beat("m1", first.epoch - 1, owned=other).error is FENCED, "it says it owns what it must not"
    assert groups.beat("nobody", 3).error is GONE


def test_only_who_joins_makes_a_group() -> None:
    groups = DrivenConsumers()
    assert groups.beat("m1", 1).error is ErrorCode.GROUP_ID_NOT_FOUND
    assert groups.beat("m1", -1).error is ErrorCode.GROUP_ID_NOT_FOUND


@pytest.mark.parametrize(
    ("epoch", "changes"),
    [
        (0, {"rebalance_timeout_ms": -1}),
        (0, {"owned": None}),
        (0, {"topics": None}),
        (0, {"instance_id": ""}),
        (0, {"rack_id": ""}),
        (-2, {}),
        (-3, {}),
    ],
)
def test_requests_that_make_no_sense_are_refused(epoch: int, changes: dict[str, Any]) -> None:
    values = {"rebalance_timeout_ms": 1000, "topics": ("orders",), "owned": NOTHING, **changes}
    assert DrivenConsumers().beat("m1", epoch, **values).error is ErrorCode.INVALID_REQUEST


def test_members_make_their_ids_themselves_except_in_version_0() -> None:
    groups = DrivenConsumers()
    assert groups.join_new("").error is ErrorCode.INVALID_REQUEST
    assert groups.join_new("", needs_member_id=False, new_member_id="given").member_id == "given"


def test_a_full_group_takes_no_more_members_but_keeps_those_it_has() -> None:
    groups = DrivenConsumers(consumers_max=1)
    member = Consumer(groups, "m1")
    settle(member)
    assert groups.join_new("m2").error is ErrorCode.GROUP_MAX_SIZE_REACHED
    assert member.beat().error is ErrorCode.NONE


# --- time ---------------------------------------------------------------------------------------------------


def test_a_member_that_falls_silent_is_fenced_after_its_session() -> None:
    groups = DrivenConsumers()
    first, second = pair(groups)
    groups.sleep(30_000)
    first.beat()
    groups.sleep(15_001)
    assert list(groups.consumers.members) == ["m1"]
    first.beat()
    assert first.names == ALL
    assert second.beat().error is GONE


def test_a_member_that_does_not_revoke_in_time_is_fenced() -> None:
    groups = DrivenConsumers()
    first, second = Consumer(groups, "m1"), Consumer(groups, "m2")
    first.beat()
    second.beat()
    first.beat()
    for _ in range(REBALANCE_MS // 20_000):
        assert "m1" in groups.consumers.members
        first.beat(reports=False)
        second.beat()
        groups.sleep(20_000)
    assert list(groups.consumers.members) == ["m2"]


def test_a_group_may_have_a_session_timeout_of_its_own_within_bounds() -> None:
    groups = DrivenConsumers(consumer_session_timeout_ms_min=1_000)
    own = {"consumer.session.timeout.ms": "2000", "consumer.heartbeat.interval.ms": "1"}
    image: MetadataImage = replace(groups.topics.image, configs={(GROUP_RESOURCE, "g"): own})
    groups.have_image(image)
    assert groups.join_new("m1").heartbeat_interval_ms == 5_000, "not below group.consumer.min.heartbeat.interval.ms"
    groups.sleep(2_001)
    assert not groups.consumers.members


def test_a_new_coordinator_goes_on_where_the_old_one_was() -> None:
    groups = DrivenConsumers()
    first, second = Consumer(groups, "m1"), Consumer(groups, "m2", regex=".*")
    settle(first, second)
    third = Consumer(groups, "m3")
    third.beat()
    first.beat()
    before = groups.consumers
    moved = groups.moved()
    after = moved.consumers
    for member_id, member in before.members.items():
        soft = {"expires_ms": 0, "revoke_deadline_ms": None}
        assert replace(after.members[member_id], **soft) == replace(member, **soft)
    assert (after.epoch, after.targets, after.regexes) == (before.epoch, before.targets, before.regexes)
    for member in (first, second, third):
        member.groups = moved
    settle(first, second, third)
    assert sorted(first.names + second.names + third.names) == sorted(ALL)


def test_a_new_coordinator_gives_members_time_to_revoke_too() -> None:
    groups = DrivenConsumers()
    first = Consumer(groups, "m1")
    first.beat()
    groups.join_new("m2")
    first.beat()
    moved = groups.moved()
    assert moved.consumers.members["m1"].revoke_deadline_ms == moved.now_ms + REBALANCE_MS


# --- static members ------------------------------------------------------------------------------------------


def test_a_static_member_that_steps_out_finds_its_partitions_again_under_another_id() -> None:
    groups = DrivenConsumers()
    first, second = Consumer(groups, "m1", instance_id="i1"), Consumer(groups, "m2")
    settle(first, second)
    owned = first.owned
    assert groups.beat("m1", -2, instance_id="i1").member_epoch == -2
    second.beat()
    assert len(second.owned) == 2, "they wait for it"
    reply = groups.join_new("m3", instance_id="i1")
    assert reply.assignment == owned and reply.member_epoch == second.epoch
    assert groups.beat("m1", first.epoch, instance_id="i1").error is ErrorCode.FENCED_INSTANCE_ID


def test_a_static_member_that_does_not_come_back_loses_its_partitions() -> None:
    groups = DrivenConsumers()
    first, second = Consumer(groups, "m1", instance_id="i1"), Consumer(groups, "m2")
    settle(first, second)
    groups.beat("m1", -2, instance_id="i1")
    groups.sleep(30_000)
    second.beat()
    groups.sleep(15_001)
    second.beat()
    assert second.names == ALL


def test_an_instance_id_in_use_is_not_given_away() -> None:
    groups = DrivenConsumers()
    settle(Consumer(groups, "m1", instance_id="i1"))
    assert groups.join_new("m2", instance_id="i1").error is ErrorCode.UNRELEASED_INSTANCE_ID
    assert groups.beat("m2", 1, instance_id="i9").error is GONE
    assert groups.beat("m2", -1, instance_id="i1").error is ErrorCode.FENCED_INSTANCE_ID
    assert groups.beat("m1", -1, instance_id="i1").error is ErrorCode.NONE


# --- offsets and admins -----------------------------------------------------------------------------------------


def test_commits_and_fetches_need_the_present_epoch() -> None:
    groups = DrivenConsumers()
    member = Consumer(groups, "m1")
    settle(member)
    assert groups.commit(7, "m1", member.epoch, speaks_epochs=True) is ErrorCode.NONE
    assert groups.commit(8, "m1", member.epoch - 1, speaks_epochs=True) is ErrorCode.STALE_MEMBER_EPOCH
    assert groups.commit(8, "m2", member.epoch, speaks_epochs=True) is GONE
    assert groups.commit(8) is GONE, "it has members: an admin may not"
    assert groups.commit(8, "m1", member.epoch) is ErrorCode.UNSUPPORTED_VERSION
    assert groups.fetched("m1", member.epoch) == 7
    assert groups.fetched("m1", member.epoch + 1) is ErrorCode.STALE_MEMBER_EPOCH
    assert groups.fetched("m2", 1) is GONE
    assert groups.fetched() == 7, "admins do not say who they are"
    member.leave()
    assert groups.commit(9) is ErrorCode.NONE


def test_a_commit_for_a_group_that_is_not_there_says_so() -> None:
    groups = DrivenConsumers()
    assert groups.commit(1, "m1", 3, speaks_epochs=True) is ErrorCode.GROUP_ID_NOT_FOUND
    assert groups.commit(1, "m1", 3) is ErrorCode.ILLEGAL_GENERATION


def test_it_is_described_listed_and_deleted_when_it_is_empty() -> None:
    groups = DrivenConsumers()
    first, second = pair(groups)
    described = groups.described_consumers()
    assert (described.state, described.epoch, described.assignor) == ("Stable", 2, "uniform")
    assert [each.member_id for each in described.members] == ["m1", "m2"]
    assert groups.described() is None, "it is no classic group"
    listed = groups.shard.listed()
    assert [(each.group_id, each.state, each.group_type) for each in listed] == [("g", "Stable", "consumer")]
    assert groups.deleted() is ErrorCode.NON_EMPTY_GROUP
    first.leave()
    second.leave()
    groups.commit(3)
    assert groups.deleted() is ErrorCode.NONE
    assert not groups.moved().shard.listed() and not groups.moved().committed()


def test_offsets_of_topics_that_are_read_cannot_be_deleted() -> None:
    groups = DrivenConsumers()
    member = Consumer(groups, "m1")
    settle(member)
    groups.commit(7, "m1", member.epoch, speaks_epochs=True)
    assert groups.deleted_offsets("orders-0", "payments-0") == [ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC, ErrorCode.NONE]


def test_a_log_that_refuses_leaves_everything_as_it_was() -> None:
    groups = DrivenConsumers()
    first, _ = pair(groups)
    before = groups.consumers
    groups.log_is_full = True
    assert groups.join_new("m3").error is ErrorCode.COORDINATOR_NOT_AVAILABLE
    assert groups.consumers == before
    assert first.beat(reports=False).error is ErrorCode.NONE, "what writes nothing goes on"
