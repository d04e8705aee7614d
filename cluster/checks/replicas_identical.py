"""replicas-identical-below-high-watermark: what is committed is the same, byte for byte, on every replica.

The log matching property of KIP-101: judged at the end, on batches read straight from every node's disk. What lies
below a replica's log start offset was deleted, by retention or on request, and is not compared; but what lies at it
must be there. Replicas compact each for itself: of compacted ones only batches are compared that both have, and not
their bytes. In each log, a batch begins where the one before it ended: nothing lies there twice, and only compaction
may leave offsets out.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from cluster.base.ids import TopicPartition
from cluster.checks.oracle import Evidence, Oracle, ReplicaBatch, ReplicaLog, Violation


class ReplicasIdentical(Oracle):
    """Below the leader's high watermark all replicas hold the same batches."""

    name = "replicas-identical-below-high-watermark"
    needs_read_back = True

    def at_end(self, evidence: Evidence) -> None:
        """Compare every replica of every partition with the first."""
        for partition, by_node in sorted(evidence.replicas.items()):
            high_watermark = evidence.high_watermarks.get(partition, 0)
            self._look_for_heads(evidence.time_us, partition, by_node)
            self._look_for_order(evidence.time_us, partition, by_node)
            self._compare(evidence.time_us, partition, high_watermark, by_node)

    def _look_for_heads(self, time_us: int, partition: TopicPartition, by_node: Mapping[str, ReplicaLog]) -> None:
        for node, replica in sorted(by_node.items()):
            if replica.head_offset > replica.log_start_offset:
                message = (
                    f"{partition}@{replica.log_start_offset}: {node} has lost its head, "
                    f"its log should begin there and begins at {replica.head_offset}"
                )
                self.violated(Violation(time_us, message, partition, replica.log_start_offset))

    def _look_for_order(self, time_us: int, partition: TopicPartition, by_node: Mapping[str, ReplicaLog]) -> None:
        for node, replica in sorted(by_node.items()):
            for before, batch in pairwise(replica.batches):
                expected = before.last_offset + 1
                if batch.base_offset < expected or (batch.base_offset > expected and not replica.has_gaps):
                    message = f"{partition}@{batch.base_offset}: on {node} it follows @{before.last_offset}"
                    self.violated(Violation(time_us, message, partition, batch.base_offset))
                    break

    def _compare(
        self, time_us: int, partition: TopicPartition, high_watermark: int, by_node: Mapping[str, ReplicaLog]
    ) -> None:
        committed = {
            node: {batch.base_offset: batch for batch in replica.batches if batch.last_offset < high_watermark}
            for node, replica in sorted(by_node.items())
        }
        if not committed:
            return
        start = max(max(replica.log_start_offset, replica.head_offset) for replica in by_node.values())
        has_gaps = any(replica.has_gaps for replica in by_node.values())
        reference_node, reference = next(iter(committed.items()))
        for node, batches in committed.items():
            for offset in sorted({**reference, **batches}):
                one, other = reference.get(offset), batches.get(offset)
                if offset >= start and not _agree(one, other, has_gaps=has_gaps):
                    message = f"{partition}@{offset}: {reference_node} has {_text(one)}, {node} has {_text(other)}"
                    self.violated(Violation(time_us, message, partition, offset))
                    break


def _agree(one: ReplicaBatch | None, other: ReplicaBatch | None, *, has_gaps: bool) -> bool:
    if one is None or other is None:
        return one is other or has_gaps
    facts = [(batch.last_offset, batch.leader_epoch, 0 if has_gaps else batch.crc) for batch in (one, other)]
    return facts[0] == facts[1]


def _text(batch: ReplicaBatch | None) -> str:
    if batch is None:
        return "nothing"
    values = batch.values[0] if len(batch.values) == 1 else f"{len(batch.values)} records"
    return f"{values} of epoch {batch.leader_epoch}"
