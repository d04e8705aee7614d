"""The four roles of a voter and the table of moves between them (paper, figure 4; thesis, section 9.6).

Here: the table. Not here: what a role does (`follower`, `candidate`, `leader`) or when it changes (`node`).
"""

from __future__ import annotations

from enum import Enum


class Role(Enum):
    """What a voter is at the moment; the value is its name in the trace."""

    FOLLOWER = "follower"
    PRE_CANDIDATE = "pre-candidate"
    CANDIDATE = "candidate"
    LEADER = "leader"


TRANSITIONS: dict[Role, dict[Role, str]] = {
    Role.FOLLOWER: {
        Role.FOLLOWER: "heard of a higher term, or learned who leads",
        Role.PRE_CANDIDATE: "heard nothing from a leader for too long",
        Role.CANDIDATE: "was asked by the leader to take over (TimeoutNow)",
    },
    Role.PRE_CANDIDATE: {
        Role.FOLLOWER: "heard of a leader or a higher term, or a majority refused",
        Role.PRE_CANDIDATE: "nobody won in time: ask again",
        Role.CANDIDATE: "a majority would grant its vote",
    },
    Role.CANDIDATE: {
        Role.FOLLOWER: "heard of a leader or a higher term, or a majority refused",
        Role.PRE_CANDIDATE: "nobody won in time: ask again",
        Role.LEADER: "a majority granted its vote",
    },
    Role.LEADER: {
        Role.FOLLOWER: "heard of a higher term, or lost contact with the majority (CheckQuorum)",
    },
}
"""From each role to each role it may take next, with the reason. What is not listed is a bug."""


def check_transition(source: Role, target: Role) -> None:
    """Assert that the table allows the move."""
    assert target in TRANSITIONS[source], f"a {source.value} never becomes {target.value}"
