"""Static members (KIP-345): they restart without a rebalance, and fence their former selves."""

from __future__ import annotations

import pytest
from driven_groups import SESSION_MS, DrivenGroups

from cluster.base.errors import ErrorCode
from cluster.groups import JoinReply


def static_group(groups: DrivenGroups) -> tuple[JoinReply, JoinReply]:
    """Form a group of two static members, i1 and i2; i1 leads."""
    tokens = [groups.join(instance_id="i1"), groups.join(instance_id="i2")]
    groups.sleep(6_001)
    one, two = groups.joined(tokens[0]), groups.joined(tokens[1])
    groups.assign([one, two])
    return one, two


@pytest.mark.parametrize("skips", [False, True])
def test_a_restarted_member_gets_its_share_back_and_nobody_notices(skips: bool) -> None:
    groups = DrivenGroups()
    one, two = static_group(groups)
    back = groups.joined(groups.join(instance_id="i2", skips_assignment=skips))
    assert (back.generation, back.members, back.skip_assignment) == (1, (), False)
    assert back.member_id not in (one.member_id, two.member_id) and back.leader == one.member_id
    assert groups.state == "Stable" and groups.heartbeat(one.member_id, 1, "i1") is ErrorCode.NONE
    share = groups.synced(groups.sync(back.member_id, 1, instance_id="i2")).assignment
    assert share == f"share of {two.member_id}".encode()


def test_a_restarted_leader_is_told_not_to_assign_anew() -> None:
    groups = DrivenGroups()
    one, two = static_group(groups)
    back = groups.joined(groups.join(instance_id="i1", skips_assignment=True))
    assert back.skip_assignment and back.leader == back.member_id
    assert [member.member_id for member in back.members] == [back.member_id, two.member_id]
    old_client = groups.joined(groups.join(instance_id="i1"))
    assert old_client.leader == back.member_id, "an older client does not know that it leads, and does not assign"
    assert one.member_id != back.member_id != old_client.member_id


def test_the_former_self_is_fenced_whatever_it_asks() -> None:
    groups = DrivenGroups()
    _, two = static_group(groups)
    groups.join(instance_id="i2")
    former, fenced = two.member_id, ErrorCode.FENCED_INSTANCE_ID
    assert groups.heartbeat(former, 1, "i2") is fenced
    assert groups.reply(groups.sync(former, 1, instance_id="i2")).error is fenced
    assert groups.reply(groups.join(former, instance_id="i2")).error is fenced
    assert groups.commit(1, former, 1, instance_id="i2") is fenced
    assert groups.leave((former, "i2")) == (fenced,)


def test_a_restart_is_known_to_the_next_coordinator() -> None:
    groups = DrivenGroups()
    _, two = static_group(groups)
    back = groups.joined(groups.join(instance_id="i2"))
    successor = groups.moved()
    assert successor.heartbeat(two.member_id, 1, "i2") is ErrorCode.FENCED_INSTANCE_ID
    assert successor.heartbeat(back.member_id, 1, "i2") is ErrorCode.NONE


def test_a_restart_that_cannot_be_written_has_not_happened() -> None:
    groups = DrivenGroups()
    _, two = static_group(groups)
    groups.log_is_full = True
    assert groups.reply(groups.join(instance_id="i2")) is ErrorCode.COORDINATOR_NOT_AVAILABLE
    assert groups.heartbeat(two.member_id, 1, "i2") is ErrorCode.NONE


def test_a_restart_with_another_protocol_is_a_rebalance() -> None:
    groups = DrivenGroups()
    both = (("range", b"r"), ("sticky", b"s"))
    tokens = [groups.join(instance_id="i1", protocols=both), groups.join(instance_id="i2")]
    groups.sleep(6_001)
    groups.assign([groups.joined(token) for token in tokens])
    token = groups.join(instance_id="i2", protocols=both[::-1])
    assert groups.reply(token) is not None, "one vote each: the first member's preference still decides"
    token = groups.join(instance_id="i1", protocols=both[::-1])
    assert groups.reply(token) is None and groups.state == "PreparingRebalance"


def test_the_others_rebalance_only_when_the_session_of_a_static_member_is_over() -> None:
    groups = DrivenGroups()
    one, _ = static_group(groups)
    for _ in range(3):
        groups.sleep(SESSION_MS // 3)
        assert groups.heartbeat(one.member_id, 1, "i1") is ErrorCode.NONE
    groups.sleep(1)
    assert groups.heartbeat(one.member_id, 1, "i1") is ErrorCode.REBALANCE_IN_PROGRESS


def test_a_rebalance_goes_on_without_a_static_member_and_keeps_its_place() -> None:
    groups = DrivenGroups()
    tokens = [
        groups.join(instance_id="i1", session_timeout_ms=600_000),
        groups.join(instance_id="i2", session_timeout_ms=600_000),
    ]
    groups.sleep(6_001)
    one, two = groups.joined(tokens[0]), groups.joined(tokens[1])
    groups.assign([one, two])
    token = groups.join(two.member_id, instance_id="i2", protocols=(("range", b"changed"),))
    groups.sleep(60_001)
    again = groups.joined(token)
    assert again.leader == two.member_id, "the former leader has not joined again, so somebody else leads"
    assert [member.instance_id for member in again.members] == ["i1", "i2"]


def test_an_admin_removes_a_static_member_by_its_name() -> None:
    groups = DrivenGroups()
    one, _ = static_group(groups)
    assert groups.leave(("", "i2"), ("", "nobody")) == (ErrorCode.NONE, ErrorCode.UNKNOWN_MEMBER_ID)
    assert groups.heartbeat(one.member_id, 1, "i1") is ErrorCode.REBALANCE_IN_PROGRESS
