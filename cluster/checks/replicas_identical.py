"""replicas-identical-below-high-watermark: what is committed is the same, byte for byte, on every replica.

The log matching property of KIP-101: judged at the end, on batches read straight from every node's disk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cluster.base.ids import TopicPartition
from cluster.checks.oracle import Evidence, Oracle, ReplicaBatch, Violation


class ReplicasIdentical(Oracle):
    """Below the leader's high watermark all replicas hold the same batches."""

    name = "replicas-identical-below-high-watermark"
    needs_read_back = True

    def at_end(self, evidence: Evidence) -> None:
        """Compare every replica of every partition with the first."""
        for partition, by_node in sorted(evidence.replicas.items()):
            high_watermark = evidence.high_watermarks.get(partition, 0)
            self._compare(evidence.time_us, partition, high_watermark, by_node)

    def _compare(
        self,
        time_us: int,
        partition: TopicPartition,
        high_watermark: int,
        by_node: Mapping[str, Sequence[ReplicaBatch]],
    ) -> None:
        committed = {
            node: {batch.base_offset: batch for batch in batches if batch.last_offset < high_watermark}
            for node, batches in sorted(by_node.items())
        }
        starts = [min(batches) for batches in committed.values() if batches]
        if not starts:
            return
        # Retention may have cut the heads of logs at different places; below the latest start nothing is comparable.
        start = max(starts)
        reference_node, reference = next(iter(committed.items()))
        for node, batches in committed.items():
            for offset in sorted({**reference, **batches}):
                if offset >= start and _fact(reference.get(offset)) != _fact(batches.get(offset)):
                    message = (
                        f"{partition}@{offset}: {reference_node} has {_text(reference.get(offset))}, "
                        f"{node} has {_text(batches.get(offset))}"
                    )
                    self.violated(Violation(time_us, message, partition, offset))
                    break


def _fact(batch: ReplicaBatch | None) -> tuple[int, int, int] | None:
    return None if batch is None else (batch.last_offset, batch.leader_epoch, batch.crc)


def _text(batch: ReplicaBatch | None) -> str:
    if batch is None:
        return "nothing"
    values = batch.values[0] if len(batch.values) == 1 else f"{len(batch.values)} records"
    return f"{values} of epoch {batch.leader_epoch}"
