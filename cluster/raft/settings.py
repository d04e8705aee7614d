"""What a voter is told once: who it is, who votes, how patient it is; and what it found on its disk.

Here: facts and the timeouts derived from Kafka's configs.
"""

from __future__ import annotations

from dataclasses import dataclass

from cluster.base.configs import Configs
from cluster.base.ids import NO_NODE, NodeId
from cluster.raft.messages import Entry, Snapshot

_HEARTBEATS_PER_FETCH_TIMEOUT = 10
_HEARTBEAT_INTERVAL_MS_MIN = 20


@dataclass(frozen=True, slots=True)
class RaftSettings:
    """One voter's identity and timeouts in milliseconds.

    `voters` is sorted and holds `node_id`. A follower campaigns after `fetch_timeout_ms` without a leader, plus up to
    `election_timeout_ms` by chance; a candidate tries again after one to two `election_timeout_ms`.
    """

    node_id: NodeId
    voters: tuple[NodeId, ...]
    fetch_timeout_ms: int
    election_timeout_ms: int
    heartbeat_interval_ms: int
    check_quorum_ms: int

    def __post_init__(self) -> None:
        assert self.node_id in self.voters and list(self.voters) == sorted(self.voters)
        assert self.heartbeat_interval_ms < self.fetch_timeout_ms <= self.check_quorum_ms

    @property
    def peers(self) -> tuple[NodeId, ...]:
        """All voters but this one, in order."""
        return tuple(voter for voter in self.voters if voter != self.node_id)

    @classmethod
    def of(cls, node_id: NodeId, voters: tuple[NodeId, ...], configs: Configs) -> RaftSettings:
        """Derive the timeouts from `controller.quorum.*`.

        CheckQuorum waits half as long again as a follower does (Kafka's checkQuorumTimeoutMs in LeaderState).
        """
        fetch_timeout_ms = max(configs.integer("controller.quorum.fetch.timeout.ms"), 2 * _HEARTBEAT_INTERVAL_MS_MIN)
        return cls(
            node_id=node_id,
            voters=tuple(sorted(voters)),
            fetch_timeout_ms=fetch_timeout_ms,
            election_timeout_ms=configs.integer("controller.quorum.election.timeout.ms"),
            heartbeat_interval_ms=max(fetch_timeout_ms // _HEARTBEATS_PER_FETCH_TIMEOUT, _HEARTBEAT_INTERVAL_MS_MIN),
            check_quorum_ms=fetch_timeout_ms * 3 // 2,
        )


@dataclass(frozen=True, slots=True)
class HardState:
    """What a voter must never forget: its term, and whom it voted for in that term (NO_NODE: nobody)."""

    term: int = 0
    voted_for: NodeId = NO_NODE


@dataclass(frozen=True, slots=True)
class Restored:
    """What storage found at start. Entries follow (`base_index`, `base_term`), which a snapshot covers unless it is 0.

    Nothing above the snapshot counts as durable yet: a killed process leaves entries that were never synced.
    """

    hard_state: HardState = HardState()
    snapshot: Snapshot | None = None
    base_index: int = 0
    base_term: int = 0
    entries: tuple[Entry, ...] = ()
