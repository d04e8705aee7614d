"""The states of a member and of a group of the new protocol (Kafka: `MemberState`, `ConsumerGroupState`).

Here: the state machine of reconciliation, as data. Not here: what is assigned and revoked on the way
(`reconciliation`).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, IntEnum


class MemberState(IntEnum):
    """How far a member is on its way to its target assignment; the numbers are those of the records."""

    STABLE = 0
    """It was given all that it gets in its epoch."""

    UNREVOKED_PARTITIONS = 1
    """It was told to give partitions up, and has not said that it did."""

    UNRELEASED_PARTITIONS = 2
    """It waits for partitions that others have not given up yet."""


class MemberEvent(Enum):
    """What a step of reconciliation finds."""

    MUST_REVOKE = "must revoke"
    """It owns what it shall no longer have; nothing new is given before that is revoked."""

    MUST_WAIT = "must wait"
    """Nothing is left to revoke, but others still own a part of what it shall have."""

    RECONCILED = "reconciled"
    """It has what it shall have."""


_FROM_ANYWHERE: Mapping[MemberEvent, MemberState] = {
    MemberEvent.MUST_REVOKE: MemberState.UNREVOKED_PARTITIONS,
    MemberEvent.MUST_WAIT: MemberState.UNRELEASED_PARTITIONS,
    MemberEvent.RECONCILED: MemberState.STABLE,
}

TRANSITIONS: Mapping[MemberState, Mapping[MemberEvent, MemberState]] = {
    MemberState.STABLE: _FROM_ANYWHERE,
    MemberState.UNREVOKED_PARTITIONS: _FROM_ANYWHERE,
    MemberState.UNRELEASED_PARTITIONS: _FROM_ANYWHERE,
}
"""The next state by present state and event. Any may follow any, because the target may change at any time; what the
states differ in is whether a step may be taken at all (`is_due`)."""


def next_member_state(state: MemberState, event: MemberEvent) -> MemberState:
    """Return the state after `event`."""
    return TRANSITIONS[state][event]


def is_due(state: MemberState, *, is_behind: bool, has_revoked: bool) -> bool:
    """Return whether a member in this state takes a step now.

    `is_behind`: its epoch is not the target's. `has_revoked`: it says that it owns nothing of what it must give up.
    """
    if state is MemberState.STABLE:
        return is_behind
    return has_revoked or state is MemberState.UNRELEASED_PARTITIONS


class ConsumerGroupState(Enum):
    """What a group is doing; the value is its name in ConsumerGroupDescribe and ListGroups."""

    EMPTY = "Empty"
    """No members; it may hold offsets."""

    ASSIGNING = "Assigning"
    """Its epoch was raised and the new target assignment is not made yet."""

    RECONCILING = "Reconciling"
    """Some members do not have their target assignment yet."""

    STABLE = "Stable"
    """All members have their target assignment."""

    DEAD = "Dead"
    """Deleted. Nobody ever sees such a group: it is no longer there."""
