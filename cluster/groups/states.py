"""The states of a group and the table of its transitions (Kafka: `ClassicGroupState`).

Here: the state machine, as data. Not here: what happens on a transition (`rebalance`, `joining`, `syncing`).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum


class GroupState(Enum):
    """What a group is doing; the value is its name in DescribeGroups and ListGroups."""

    EMPTY = "Empty"
    """No members; it may hold offsets."""

    PREPARING = "PreparingRebalance"
    """Waiting until all members have joined again."""

    COMPLETING = "CompletingRebalance"
    """A generation was handed out; its leader owes the assignment."""

    STABLE = "Stable"
    """Every member may know its assignment."""

    DEAD = "Dead"
    """Deleted. Nobody ever sees such a group: it is no longer there."""


class GroupEvent(Enum):
    """What changes a group's state."""

    REBALANCE = "rebalance"
    """A member came, changed or left."""

    GENERATION = "generation"
    """All members have joined again, or their time is up."""

    EMPTIED = "emptied"
    """The same, but nobody is left."""

    ASSIGNED = "assigned"
    """The leader has said who gets what."""

    DELETED = "deleted"
    """DeleteGroups, or nothing is left to remember."""


TRANSITIONS: Mapping[GroupState, Mapping[GroupEvent, GroupState]] = {
    GroupState.EMPTY: {
        GroupEvent.REBALANCE: GroupState.PREPARING,
        GroupEvent.DELETED: GroupState.DEAD,
    },
    GroupState.PREPARING: {
        GroupEvent.GENERATION: GroupState.COMPLETING,
        GroupEvent.EMPTIED: GroupState.EMPTY,
    },
    GroupState.COMPLETING: {
        GroupEvent.ASSIGNED: GroupState.STABLE,
        GroupEvent.REBALANCE: GroupState.PREPARING,
    },
    GroupState.STABLE: {
        GroupEvent.REBALANCE: GroupState.PREPARING,
    },
    GroupState.DEAD: {},
}
"""The next state by present state and event; a pair that is missing is a bug of the caller."""


def next_state(state: GroupState, event: GroupEvent) -> GroupState:
    """Return the state after `event`. Raises AssertionError for a transition that is not in the table."""
    after = TRANSITIONS[state].get(event)
    assert after is not None, f"a group that is {state.value} cannot take {event.value}"
    return after
