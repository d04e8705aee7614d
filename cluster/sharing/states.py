"""The states of a record that is in delivery to a share group, and the table of their transitions (KIP-932).

Here: the state machine, as data. Not here: who may do what to a record (`share_partition`).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, IntEnum


class RecordState(IntEnum):
    """What has become of a record; the numbers are those of the share coordinator's records."""

    AVAILABLE = 0
    """Somebody may have it."""

    ACQUIRED = 1
    """One member has it, until its acquisition lock ends. Never written: whoever reads the state finds it available."""

    ACKNOWLEDGED = 2
    """It was processed."""

    ARCHIVED = 4
    """Nobody will have it: it was rejected, or delivered too often."""


class RecordEvent(Enum):
    """What happens to a record."""

    ACQUIRE = "acquire"
    ACCEPT = "accept"
    RELEASE = "release"
    REJECT = "reject"
    GIVE_UP = "give up"
    """It was released, or its lock ended, after as many deliveries as there may be."""


TRANSITIONS: Mapping[RecordState, Mapping[RecordEvent, RecordState]] = {
    RecordState.AVAILABLE: {RecordEvent.ACQUIRE: RecordState.ACQUIRED},
    RecordState.ACQUIRED: {
        RecordEvent.ACCEPT: RecordState.ACKNOWLEDGED,
        RecordEvent.RELEASE: RecordState.AVAILABLE,
        RecordEvent.REJECT: RecordState.ARCHIVED,
        RecordEvent.GIVE_UP: RecordState.ARCHIVED,
    },
    RecordState.ACKNOWLEDGED: {},
    RecordState.ARCHIVED: {},
}
"""The next state by present state and event; a pair that is missing is a bug of the caller."""

ENDED = (RecordState.ACKNOWLEDGED, RecordState.ARCHIVED)


def next_record_state(state: RecordState, event: RecordEvent) -> RecordState:
    """Return the state after `event`. Raises AssertionError for a transition that is not in the table."""
    after = TRANSITIONS[state].get(event)
    assert after is not None, f"a record that is {state.name} cannot take {event.value}"
    return after
