"""How groups look from outside: to admins, and in the trace.

Here: read-only views of a group.
"""

from __future__ import annotations

from collections.abc import Iterator

from cluster.base.group_trace import GroupStateChanged
from cluster.base.trace import TraceEvent
from cluster.groups.group import Group, Member
from cluster.groups.requests import DescribedGroup, DescribedMember
from cluster.groups.states import GroupState


def describe(group: Group) -> DescribedGroup:
    """Return a group as DescribeGroups shows it: what members chose and got, only while that holds."""
    is_stable = group.state is GroupState.STABLE
    return DescribedGroup(
        group.group_id,
        group.state.value,
        group.protocol_type or "",
        (group.protocol or "") if is_stable else "",
        tuple(_describe_member(group, member, is_stable) for member in group.members.values()),
    )


def _describe_member(group: Group, member: Member, is_stable: bool) -> DescribedMember:
    return DescribedMember(
        member.member_id,
        member.instance_id,
        member.client_id,
        member.client_host,
        member.metadata_for(group.protocol) if is_stable else b"",
        member.assignment if is_stable else b"",
    )


def changes(before: Group | None, after: Group | None) -> Iterator[TraceEvent]:
    """Tell of another state or generation."""
    if after is None:
        if before is not None:
            yield GroupStateChanged(before.group_id, GroupState.DEAD.value, before.generation, (), "")
        return
    was = (GroupState.EMPTY, 0) if before is None else (before.state, before.generation)
    if was != (after.state, after.generation):
        members = tuple(after.members)
        yield GroupStateChanged(after.group_id, after.state.value, after.generation, members, after.leader or "")
