"""The story of one record: from the moment it was sent to the moment the state went wrong.

Here: finding, in one pass over the trace, who stored a record, who copied it, who was told, and who cut it off.
"""

from __future__ import annotations

from collections.abc import Iterable

from cluster.base.ids import TopicPartition
from cluster.base.trace import (
    BatchAppended,
    LogTruncated,
    NodeFaulted,
    PartitionRoleChanged,
    RecordAcknowledged,
    RecordFailed,
    RecordSent,
    RecordUnknown,
    StepFired,
    Traced,
)


def tell_story(trace: Iterable[Traced], partition: TopicPartition, offset: int, value: str, start_us: int) -> str:
    """Tell what became of a value that was acknowledged at an offset; times are seconds since `start_us`.

    The epoch under which the record was first appended tells its copies from another record that got its offset.
    """
    teller = _Teller(partition, offset, value, start_us)
    for traced in trace:
        teller.on_event(traced)
    return f"story of {partition}@{offset} ({value}): " + " · ".join(teller.chapters)


class _Teller:
    def __init__(self, partition: TopicPartition, offset: int, value: str, start_us: int) -> None:
        self.partition = partition
        self.offset = offset
        self.value = value
        self.start_us = start_us
        self.chapters: list[str] = []
        self.holders: list[str] = []
        self.epoch: int | None = None
        self.was_sent = False

    def on_event(self, traced: Traced) -> None:
        event = traced.event
        if isinstance(event, RecordSent | RecordAcknowledged | RecordFailed | RecordUnknown):
            if event.value == self.value:
                self._on_client(traced, event)
        elif isinstance(event, StepFired | NodeFaulted):
            self._on_lab(traced, event)
        elif (
            self.was_sent
            and isinstance(event, BatchAppended | LogTruncated | PartitionRoleChanged)
            and event.partition == self.partition.partition
            and event.topic == self.partition.topic
        ):
            self._on_log(traced, event)

    def _tell(self, traced: Traced, text: str) -> None:
        self.chapters.append(f"{text} {(traced.time_us - self.start_us) / 1e6:.3f}")

    def _on_client(self, traced: Traced, event: RecordSent | RecordAcknowledged | RecordFailed | RecordUnknown) -> None:
        self.was_sent = True
        words = {RecordSent: "sent by", RecordAcknowledged: "acked to", RecordFailed: "failed for"}
        self._tell(traced, f"{words.get(type(event), 'unknown to')} {traced.node}")

    def _on_lab(self, traced: Traced, event: StepFired | NodeFaulted) -> None:
        if isinstance(event, NodeFaulted) and event.target in self.holders:
            self._tell(traced, f"{event.target} {event.state}")

    def _on_log(self, traced: Traced, event: BatchAppended | LogTruncated | PartitionRoleChanged) -> None:
        if isinstance(event, BatchAppended) and event.base_offset <= self.offset <= event.last_offset:
            self._on_append(traced, event)
        elif isinstance(event, LogTruncated) and traced.node in self.holders and event.to_offset <= self.offset:
            self.holders.remove(traced.node)
            self._tell(traced, f"{traced.node} truncates to {event.to_offset} at")
        elif isinstance(event, PartitionRoleChanged) and self._is_shorter_leader(event):
            self._tell(traced, f"e{event.leader_epoch} starts at {event.log_end_offset} on {traced.node}")

    def _is_shorter_leader(self, event: PartitionRoleChanged) -> bool:
        return self.epoch is not None and event.role == "leader" and event.log_end_offset <= self.offset

    def _on_append(self, traced: Traced, event: BatchAppended) -> None:
        if event.role == "leader" and self.epoch is None:
            self.epoch = event.leader_epoch
            self.holders.append(traced.node)
            self._tell(traced, f"appended {traced.node} e{event.leader_epoch}")
        elif event.leader_epoch == self.epoch and traced.node not in self.holders:
            self.holders.append(traced.node)
            self._tell(traced, f"copied by {traced.node}")
        elif event.role == "leader" and event.leader_epoch != self.epoch:
            self._tell(traced, f"its offset is given again by {traced.node} e{event.leader_epoch}")
