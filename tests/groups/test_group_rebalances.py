"""Rebalances of dynamic members, in virtual time: who is waited for, for how long, and who hears what."""

from __future__ import annotations

import pytest
from driven_groups import REBALANCE_MS, SESSION_MS, DrivenGroups

from cluster.base.errors import ErrorCode
from cluster.groups import TRANSITIONS, GroupEvent, GroupState, next_state


@pytest.mark.parametrize("state", GroupState)
@pytest.mark.parametrize("event", GroupEvent)
def test_a_transition_that_is_not_in_the_table_is_a_bug(state: GroupState, event: GroupEvent) -> None:
    if event in TRANSITIONS[state]:
        assert next_state(state, event) is TRANSITIONS[state][event]
    else:
        with pytest.raises(AssertionError, match=event.value):
            next_state(state, event)


def test_an_empty_group_waits_for_more_members_after_the_first() -> None:
    groups = DrivenGroups()
    first = groups.join()
    groups.sleep(2_000)
    second = groups.join()
    groups.sleep(1_000)
    assert groups.reply(first) is None, "the newcomer has prolonged the wait"
    groups.sleep(3_000)
    one, two = groups.joined(first), groups.joined(second)
    assert (one.generation, one.leader, one.protocol) == (1, one.member_id, "range")
    assert [member.member_id for member in one.members] == [one.member_id, two.member_id]
    assert [member.metadata for member in one.members] == [b"range-subscription"] * 2
    assert two.members == () and two.leader == one.member_id
    assert groups.state == "CompletingRebalance"


def test_the_first_wait_ends_with_the_rebalance_timeout_however_many_come() -> None:
    groups = DrivenGroups()
    tokens = [groups.join(rebalance_timeout_ms=7_000)]
    for _ in range(6):
        groups.sleep(1_000)
        tokens.append(groups.join(rebalance_timeout_ms=7_000))
    groups.sleep(1_000)
    assert {groups.joined(token).generation for token in tokens} == {1}


def test_whoever_has_no_id_is_given_one_and_comes_again_with_it() -> None:
    groups = DrivenGroups()
    refused = groups.reply(groups.join(needs_known_id=True))
    assert (refused.error, refused.member_id) == (ErrorCode.MEMBER_ID_REQUIRED, "m1")
    token = groups.join("m1", needs_known_id=True)
    groups.sleep(3_001)
    assert groups.joined(token).member_id == "m1"


def test_an_id_that_is_not_used_within_the_session_timeout_is_void() -> None:
    groups = DrivenGroups()
    groups.join(needs_known_id=True)
    groups.sleep(SESSION_MS)
    assert groups.reply(groups.join("m1")).error is ErrorCode.UNKNOWN_MEMBER_ID
    assert groups.state == "Dead", "nothing is left of a group that nobody joined"


def test_a_rebalance_waits_for_an_id_that_was_given_away() -> None:
    groups = DrivenGroups()
    (member,) = groups.form(1)
    groups.join(needs_known_id=True)
    token = groups.join(member, protocols=(("range", b"other"),))
    assert groups.reply(token) is None
    other = groups.join("m2", needs_known_id=True)
    assert {groups.joined(token).generation, groups.joined(other).generation} == {2}


def test_a_new_member_makes_the_others_join_again() -> None:
    groups = DrivenGroups()
    (leader,) = groups.form(1)
    assert groups.heartbeat(leader, 1) is ErrorCode.NONE
    newcomer = groups.join()
    assert groups.state == "PreparingRebalance"
    assert groups.heartbeat(leader, 1) is ErrorCode.REBALANCE_IN_PROGRESS
    again = groups.join(leader)
    replies = [groups.joined(again), groups.joined(newcomer)]
    assert {reply.generation for reply in replies} == {2} and {reply.leader for reply in replies} == {leader}
    groups.assign(replies)
    assert groups.state == "Stable"


def test_who_does_not_join_again_in_time_is_left_behind() -> None:
    groups = DrivenGroups()
    leader, other = groups.form(2)
    token = groups.join(leader, protocols=(("range", b"changed"),))
    for _ in range(7):
        groups.heartbeat(other, 1)
        groups.sleep(REBALANCE_MS // 7 + 1)
    assert [member.member_id for member in groups.joined(token).members] == [leader]
    assert groups.heartbeat(other, 1) is ErrorCode.UNKNOWN_MEMBER_ID


def test_a_follower_whose_answer_was_lost_hears_of_the_same_generation_again() -> None:
    groups = DrivenGroups()
    _, other = groups.form(2)
    assert groups.joined(groups.join(other)).generation == 1
    assert groups.state == "Stable"


@pytest.mark.parametrize("completed", [False, True])
def test_a_leader_that_joins_again_while_stable_wants_a_rebalance(completed: bool) -> None:
    groups = DrivenGroups()
    if completed:
        leader, _ = groups.form(2)
        assert groups.reply(groups.join(leader)) is None
        assert groups.state == "PreparingRebalance"
    else:
        token = groups.join()
        groups.sleep(3_001)
        again = groups.joined(groups.join(groups.joined(token).member_id))
        assert again.generation == 1 and len(again.members) == 1, "its answer was lost, it must hear who is there"


def test_nobody_is_told_an_assignment_before_the_leader_has_brought_it() -> None:
    groups = DrivenGroups()
    tokens = [groups.join(), groups.join()]
    groups.sleep(6_001)
    leader, other = (groups.joined(token).member_id for token in tokens)
    waiting = groups.sync(other, 1)
    assert groups.reply(waiting) is None
    groups.sync(leader, 1, {leader: b"a", other: b"b"})
    assert groups.synced(waiting).assignment == b"b"
    assert groups.synced(groups.sync(other, 1)).assignment == b"b", "and may ask again"


def test_a_member_that_the_leader_forgot_gets_nothing() -> None:
    groups = DrivenGroups()
    tokens = [groups.join(), groups.join()]
    groups.sleep(6_001)
    leader, other = (groups.joined(token).member_id for token in tokens)
    groups.sync(leader, 1, {leader: b"a"})
    assert groups.synced(groups.sync(other, 1)).assignment == b""


def test_members_that_wait_for_their_share_are_sent_back_when_the_generation_ends() -> None:
    groups = DrivenGroups()
    tokens = [groups.join(), groups.join()]
    groups.sleep(6_001)
    _, other = (groups.joined(token).member_id for token in tokens)
    waiting = groups.sync(other, 1)
    groups.join()
    assert groups.reply(waiting).error is ErrorCode.REBALANCE_IN_PROGRESS


def test_who_does_not_fetch_its_share_in_time_is_thrown_out() -> None:
    groups = DrivenGroups()
    tokens = [groups.join(session_timeout_ms=300_000), groups.join(session_timeout_ms=300_000)]
    groups.sleep(6_001)
    leader, other = (groups.joined(token).member_id for token in tokens)
    groups.sync(leader, 1, {leader: b"a", other: b"b"})
    groups.sleep(REBALANCE_MS)
    assert groups.heartbeat(other, 1) is ErrorCode.UNKNOWN_MEMBER_ID
    assert groups.heartbeat(leader, 1) is ErrorCode.REBALANCE_IN_PROGRESS


def test_a_member_that_falls_silent_is_thrown_out_after_its_session_and_not_before() -> None:
    groups = DrivenGroups()
    leader, other = groups.form(2)
    groups.sleep(SESSION_MS // 2)
    groups.heartbeat(other, 1)
    groups.sleep(SESSION_MS // 2 - 1)
    groups.heartbeat(leader, 1)
    groups.sleep(SESSION_MS // 2)
    assert groups.state == "Stable"
    groups.sleep(1)
    assert groups.state == "PreparingRebalance", "the other one's session is over"
    assert groups.joined(groups.join(leader)).generation == 2


def test_a_member_that_waits_for_the_others_is_not_thrown_out() -> None:
    groups = DrivenGroups()
    leader, other = groups.form(2)
    token = groups.join(leader)
    for _ in range(5):
        groups.sleep(SESSION_MS - 1)
        assert groups.heartbeat(other, 1) is ErrorCode.REBALANCE_IN_PROGRESS
    assert groups.reply(token) is None and groups.state == "PreparingRebalance"
    groups.join(other)
    assert groups.joined(token).generation == 2


def test_members_that_leave_are_not_waited_for() -> None:
    groups = DrivenGroups()
    leader, other, third = groups.form(3)
    assert groups.leave(other) == (ErrorCode.NONE,)
    assert groups.state == "PreparingRebalance"
    token = groups.join(leader)
    assert groups.reply(token) is None
    assert groups.leave(third, "nobody") == (ErrorCode.NONE, ErrorCode.UNKNOWN_MEMBER_ID)
    assert [member.member_id for member in groups.joined(token).members] == [leader]


def test_a_group_whose_last_member_leaves_is_empty_and_keeps_counting() -> None:
    groups = DrivenGroups()
    (member,) = groups.form(1)
    groups.leave(member)
    assert groups.state == "Empty"
    assert groups.moved().state == "Empty"
    token = groups.join()
    groups.sleep(3_001)
    assert groups.joined(token).generation == 3


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"session_timeout_ms": 5_999}, ErrorCode.INVALID_SESSION_TIMEOUT),
        ({"session_timeout_ms": 1_800_001}, ErrorCode.INVALID_SESSION_TIMEOUT),
        ({"protocol_type": "connect"}, ErrorCode.INCONSISTENT_GROUP_PROTOCOL),
        ({"protocols": (("sticky", b""),)}, ErrorCode.INCONSISTENT_GROUP_PROTOCOL),
        ({"protocols": ()}, ErrorCode.INCONSISTENT_GROUP_PROTOCOL),
        ({"member_id": "stranger"}, ErrorCode.UNKNOWN_MEMBER_ID),
        ({"member_id": "stranger", "instance_id": "i"}, ErrorCode.UNKNOWN_MEMBER_ID),
    ],
)
def test_who_does_not_fit_is_refused_and_disturbs_nobody(changes: dict[str, object], error: ErrorCode) -> None:
    groups = DrivenGroups()
    groups.form(2)
    assert groups.reply(groups.join(**changes)).error is error  # type: ignore[arg-type]
    assert groups.state == "Stable"


def test_a_full_group_takes_nobody_else_but_its_own_members_again() -> None:
    groups = DrivenGroups(members_max=2)
    leader, _ = groups.form(2)
    assert groups.reply(groups.join()).error is ErrorCode.GROUP_MAX_SIZE_REACHED
    assert groups.reply(groups.join(leader)) is None


@pytest.mark.parametrize(
    ("members", "chosen"),
    [
        ([("a", "b"), ("b", "a"), ("b", "a")], "b"),
        ([("a", "b"), ("b", "a")], "a"),
        ([("a", "b", "c"), ("c", "b"), ("b", "c")], "b"),
        ([("a", "b"), ("b",)], "b"),
    ],
)
def test_the_protocol_is_the_one_that_most_members_like_best_of_those_all_support(
    members: list[tuple[str, ...]], chosen: str
) -> None:
    groups = DrivenGroups()
    tokens = [groups.join(protocols=tuple((name, name.encode()) for name in names)) for names in members]
    groups.sleep(6_001)
    assert [groups.joined(token).protocol for token in tokens] == [chosen] * len(members)
    assert {member.metadata for member in groups.joined(tokens[0]).members} == {chosen.encode()}


def test_a_member_of_an_earlier_generation_is_told_so() -> None:
    groups = DrivenGroups()
    leader, other = groups.form(2)
    assert groups.heartbeat(other, 0) is ErrorCode.ILLEGAL_GENERATION
    assert groups.reply(groups.sync(other, 7)).error is ErrorCode.ILLEGAL_GENERATION
    assert groups.commit(1, other, 0) is ErrorCode.ILLEGAL_GENERATION
    assert groups.reply(groups.sync(leader, 1, protocol="sticky")).error is ErrorCode.INCONSISTENT_GROUP_PROTOCOL
    assert groups.reply(groups.sync(leader, 1, protocol_type="x")).error is ErrorCode.INCONSISTENT_GROUP_PROTOCOL


def test_an_assignment_that_could_not_be_written_was_never_made() -> None:
    groups = DrivenGroups()
    tokens = [groups.join(), groups.join()]
    groups.sleep(6_001)
    leader, other = (groups.joined(token).member_id for token in tokens)
    waiting = groups.sync(other, 1)
    groups.log_is_full = True
    assert groups.reply(groups.sync(leader, 1, {leader: b"a", other: b"b"})) is ErrorCode.COORDINATOR_NOT_AVAILABLE
    assert groups.reply(waiting) is None and groups.state == "CompletingRebalance"
    groups.log_is_full = False
    groups.sync(leader, 1, {leader: b"a", other: b"b"})
    assert groups.synced(waiting).assignment == b"b"


def test_what_time_demands_is_written_as_soon_as_it_can_be() -> None:
    groups = DrivenGroups()
    groups.form(1)
    groups.log_is_full = True
    groups.sleep(SESSION_MS + 3_000)
    assert groups.state == "Stable"
    groups.log_is_full = False
    groups.sleep(500)
    assert groups.state == "Empty"
