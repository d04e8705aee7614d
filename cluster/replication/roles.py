"""The roles of a replica and the table of its transitions.

Here: the state machine, as data. Not here: what a replica does on a transition (`partition`).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum


class PartitionRole(Enum):
    """What a replica is on this broker; the value is its name in the trace."""

    NEW = "new"
    LEADER = "leader"
    FOLLOWER = "follower"
    OFFLINE = "offline"


class RoleEvent(Enum):
    """What changes a role: two words of the controller, a broken disk, a deleted topic."""

    LEAD = "lead"
    FOLLOW = "follow"
    FAIL = "fail"


TRANSITIONS: Mapping[PartitionRole, Mapping[RoleEvent, PartitionRole]] = {
    PartitionRole.NEW: {
        RoleEvent.LEAD: PartitionRole.LEADER,
        RoleEvent.FOLLOW: PartitionRole.FOLLOWER,
        RoleEvent.FAIL: PartitionRole.OFFLINE,
    },
    PartitionRole.LEADER: {
        RoleEvent.LEAD: PartitionRole.LEADER,
        RoleEvent.FOLLOW: PartitionRole.FOLLOWER,
        RoleEvent.FAIL: PartitionRole.OFFLINE,
    },
    PartitionRole.FOLLOWER: {
        RoleEvent.LEAD: PartitionRole.LEADER,
        RoleEvent.FOLLOW: PartitionRole.FOLLOWER,
        RoleEvent.FAIL: PartitionRole.OFFLINE,
    },
    # As in Kafka, a replica whose disk failed comes back only with a restart of its broker.
    PartitionRole.OFFLINE: {},
}
"""The next role by present role and event; a pair that is missing is a bug of the caller."""


def next_role(role: PartitionRole, event: RoleEvent) -> PartitionRole:
    """Return the role after `event`. Raises AssertionError for a transition that is not in the table."""
    after = TRANSITIONS[role].get(event)
    assert after is not None, f"a replica that is {role.value} cannot {event.value}"
    return after
