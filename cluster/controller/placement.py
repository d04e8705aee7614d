"""Where the replicas of new partitions go: spread over racks first, then evenly over brokers.

The idea is Kafka's (`StripedReplicaPlacer`), the walk is simpler. Racks stand in a ring, and the brokers of each
rack in a ring of their own. A partition starts one rack after the one before it, and takes one broker from each
rack in turn, so that no rack gets a second replica before every other rack has its first. After a round of all
racks, every inner ring turns by one, so that leaders and followers are spread evenly. Where the rings start is
drawn by the caller's dice, so that many small topics do not all begin on the same broker.

Fenced brokers come last in their rack and never lead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ids import NodeId
from cluster.base.ports import Rng
from cluster.metadata import MetadataImage

Replicas = tuple[NodeId, ...]


@dataclass(frozen=True, slots=True)
class UsableBroker:
    """A broker that may hold replicas. Brokers without a rack are in one rack together."""

    broker_id: NodeId
    rack: str
    fenced: bool


@dataclass(frozen=True, slots=True)
class _Rack:
    """One rack's brokers; each of the two rings starts somewhere of its own."""

    running: Replicas
    fenced: Replicas

    def nth(self, index: int, turn: int) -> NodeId | None:
        """Return the broker for this rack's `index`-th replica of a partition; None when it has no more."""
        if index < len(self.running):
            return self.running[(index + turn) % len(self.running)]
        index -= len(self.running)
        return self.fenced[(index + turn) % len(self.fenced)] if index < len(self.fenced) else None


def usable_brokers(image: MetadataImage) -> tuple[UsableBroker, ...]:
    """Return who may hold new replicas: every registered broker that is not on its way out."""
    return tuple(
        UsableBroker(broker.broker_id, broker.rack or "", broker.fenced)
        for broker in image.brokers.values()
        if not broker.in_controlled_shutdown
    )


def place_replicas(
    brokers: Sequence[UsableBroker], partitions: int, replication_factor: int, rng: Rng
) -> list[Replicas]:
    """Return the replicas of each new partition, leader first.

    Raises KafkaError(INVALID_REPLICATION_FACTOR) when there are fewer brokers than replicas, or none that runs.
    """
    if replication_factor > len(brokers):
        raise KafkaError(
            ErrorCode.INVALID_REPLICATION_FACTOR,
            f"The target replication factor of {replication_factor} cannot be reached because only "
            f"{len(brokers)} broker(s) are registered.",
        )
    if all(broker.fenced for broker in brokers):
        raise KafkaError(
            ErrorCode.INVALID_REPLICATION_FACTOR,
            f"Unable to replicate the partition {replication_factor} time(s): All brokers are currently fenced.",
        )
    racks = _racks(brokers, rng)
    start = rng.randrange(0, len(racks))
    return [_place_one(racks, start + number, replication_factor) for number in range(partitions)]


def _racks(brokers: Sequence[UsableBroker], rng: Rng) -> list[_Rack]:
    racks = []
    for name in sorted({broker.rack for broker in brokers}):
        members = [broker for broker in brokers if broker.rack == name]
        running = sorted(broker.broker_id for broker in members if not broker.fenced)
        fenced = sorted(broker.broker_id for broker in members if broker.fenced)
        racks.append(_Rack(_turned(running, rng), _turned(fenced, rng)))
    return racks


def _turned(ring: list[NodeId], rng: Rng) -> Replicas:
    if len(ring) < 2:
        return tuple(ring)
    start = rng.randrange(0, len(ring))
    return (*ring[start:], *ring[:start])


def _place_one(racks: list[_Rack], position: int, replication_factor: int) -> Replicas:
    """Walk the ring of racks, round after round, until there are enough replicas."""
    turn, first = divmod(position, len(racks))
    while not racks[first].running:
        first = (first + 1) % len(racks)
    replicas: list[NodeId] = []
    index = 0
    while len(replicas) < replication_factor:
        for step in range(len(racks)):
            broker_id = racks[(first + step) % len(racks)].nth(index, turn)
            if broker_id is not None and len(replicas) < replication_factor:
                replicas.append(broker_id)
        index += 1
    return tuple(replicas)
