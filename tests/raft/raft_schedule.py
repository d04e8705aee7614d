"""Random schedules: a seed decides what is delivered, twice, late or never, who crashes, and what the disk forgets.

Swarm: the weight of each kind of trouble is itself drawn from the seed, so that some runs are calm and some are not.
A run has two phases: safety under faults, then everything is healed and progress is demanded.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from raft_cluster import Cluster, Voter
from raft_invariants import Invariants

from cluster.base.ids import NodeId

_UNDER_WAY_MAX = 200


class Schedule:
    """One seeded run of `voters` voters."""

    def __init__(self, seed: int, voters: int, invariants: Invariants | None = None) -> None:
        self.rng = Random(f"raft/{seed}")
        self.invariants = invariants or Invariants()
        self.cluster = Cluster(voters, self.rng, self.invariants)
        self._blocked: dict[tuple[NodeId, NodeId], bool] = {}
        self._proposed = 0
        actions: list[tuple[Callable[[], None], float]] = [
            (self._deliver, 60),
            (self._pass_time, 15),
            (self._begin_sync, 6),
            (self._finish_sync, 12),
            (self._propose, 12),
            (self._duplicate, self._swarm(3)),
            (self._drop, self._swarm(6)),
            (self._crash, self._swarm(0.5)),
            (self._start, 3),
            (self._partition, self._swarm(0.8)),
            (self._heal, 0.4),
            (self._snapshot, self._swarm(1)),
            (self._transfer, self._swarm(0.4)),
        ]
        self._actions = [action for action, _ in actions]
        self._weights = [weight for _, weight in actions]

    def _swarm(self, weight: float) -> float:
        return weight * self.rng.choice((0, 0.3, 1, 3))

    def run(self, steps: int) -> None:
        """Phase one: any trouble, every invariant after each step."""
        for action in self.rng.choices(self._actions, self._weights, k=steps):
            action()

    def recover(self) -> None:
        """Phase two: heal everything; a leader must come, commit, and bring everybody to the same state."""
        cluster = self.cluster
        self._blocked.clear()
        for voter in cluster.voters.values():
            if not voter.is_alive:
                cluster.start(voter)
        for _ in range(200):
            cluster.deliver_all()
            if all(voter.applied and voter.applied[-1][2] == "last" for voter in cluster.alive):
                break
            # Proposed again and again: the first leader found may be one that is about to be deposed.
            if len(cluster.leaders) == 1 and cluster.leaders[0].node.last_index == cluster.leaders[0].node.commit_index:
                cluster.propose(cluster.leaders[0], "last")
            cluster.elapse(30)
        states = [voter.applied for voter in cluster.voters.values()]
        assert states[0] and states[0][-1][2] == "last", "nothing was committed although everything is healed"
        assert all(state == states[0] for state in states), "voters applied different histories"

    # --- what can happen

    def _voter(self) -> Voter | None:
        return self.rng.choice(self.cluster.alive) if self.cluster.alive else None

    def _deliver(self) -> None:
        under_way = self.cluster.under_way
        if not under_way:
            return
        # Mostly in order; now and then something overtakes.
        position = self.rng.randrange(0, len(under_way)) if self.rng.random() < 0.2 else 0
        message = under_way.pop(position)
        if not self._blocked.get((message.source, message.target)):
            self.cluster.deliver(message)
        del under_way[: max(0, len(under_way) - _UNDER_WAY_MAX)]

    def _duplicate(self) -> None:
        if self.cluster.under_way:
            self.cluster.under_way.append(self.rng.choice(self.cluster.under_way))

    def _drop(self) -> None:
        if self.cluster.under_way:
            self.cluster.under_way.pop(self.rng.randrange(0, len(self.cluster.under_way)))

    def _pass_time(self) -> None:
        self.cluster.elapse(self.rng.choice((1, 5, 10, 30, 100)))

    def _begin_sync(self) -> None:
        if voter := self._voter():
            voter.begin_sync()

    def _finish_sync(self) -> None:
        if voter := self._voter():
            self.cluster.sync(voter)

    def _propose(self) -> None:
        if self.cluster.leaders:
            self._proposed += 1
            self.cluster.propose(self.rng.choice(self.cluster.leaders), f"v{self._proposed}")

    def _crash(self) -> None:
        if voter := self._voter():
            voter.crash(loses_power=self.rng.random() < 0.7)

    def _start(self) -> None:
        for voter in self.cluster.voters.values():
            if not voter.is_alive:
                self.cluster.start(voter)
                return

    def _partition(self) -> None:
        side = {voter_id: self.rng.random() < 0.5 for voter_id in self.cluster.voters}
        one_way = self.rng.random() < 0.3
        for source, source_side in side.items():
            for target, target_side in side.items():
                if source_side != target_side and (source_side or not one_way):
                    self._blocked[source, target] = True

    def _heal(self) -> None:
        self._blocked.clear()

    def _snapshot(self) -> None:
        if voter := self._voter():
            voter.take_snapshot()

    def _transfer(self) -> None:
        if self.cluster.leaders:
            self.cluster.transfer(self.rng.choice(self.cluster.leaders))
