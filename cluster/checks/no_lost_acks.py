"""no-lost-acks: what a producer was told is stored can be read when all is over.

Kafka promises this "as long as at least one in sync replica is alive" for acks=all. A scenario may expect it to
fail: that is how acks=1 is shown. Jepsen calls the anomaly "unseen".

What compaction may remove from a compacted topic is not lost: records that a later one of their key supersedes, and
tombstones that are old enough.
"""

from __future__ import annotations

from cluster.base.ids import TopicPartition
from cluster.base.trace import RecordAcknowledged, RecordConsumed, Traced
from cluster.checks.cluster_model import ClusterModel
from cluster.checks.keyed_records import KeyedRecords
from cluster.checks.oracle import Evidence, Oracle, Violation
from cluster.checks.setting import Setting


class NoLostAcks(Oracle):
    """Every acknowledged value is in the final reading back of its partition."""

    name = "no-lost-acks"
    kinds = KeyedRecords.kinds
    needs_read_back = True

    def __init__(self) -> None:
        super().__init__()
        self._acked: dict[tuple[TopicPartition, str], Traced] = {}
        self._read: set[tuple[TopicPartition, str]] = set()
        self._keyed: KeyedRecords | None = None

    def begin(self, setting: Setting, model: ClusterModel) -> None:
        """Follow keys where a topic is compacted."""
        super().begin(setting, model)
        if any(topic.is_compacted for topic in (*setting.topics.values(), setting.default_topic)):
            self._keyed = KeyedRecords(setting)

    def on_event(self, traced: Traced) -> None:
        """Remember what was acknowledged, and what was read back."""
        event = traced.event
        if self._keyed is not None:
            self._keyed.on_event(traced)
        if isinstance(event, RecordAcknowledged):
            self._acked[(TopicPartition(event.topic, event.partition), event.value)] = traced
        elif isinstance(event, RecordConsumed) and event.final:
            self._read.add((TopicPartition(event.topic, event.partition), event.value))

    def at_end(self, evidence: Evidence) -> None:
        """Compare, in the order of the acknowledgements."""
        for (partition, value), traced in self._acked.items():
            if (partition, value) in self._read:
                continue
            if self._may_be_compacted(partition, value, evidence.time_us):
                continue
            assert isinstance(traced.event, RecordAcknowledged)
            message = f"{value} was acknowledged to {traced.node} at {partition}@{traced.event.offset} and is gone"
            self.violated(Violation(traced.time_us, message, partition, traced.event.offset, value))

    def _may_be_compacted(self, partition: TopicPartition, value: str, time_us: int) -> bool:
        record = None if self._keyed is None else self._keyed.record(value)
        if record is None or not self.setting.topic(partition.topic).is_compacted:
            return False
        assert self._keyed is not None
        return self._keyed.may_be_gone(record, time_us)
