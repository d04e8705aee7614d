"""The story of one record: from the moment it was sent to the moment the state went wrong, and why it did.

Here: finding, in one pass over the trace, who stored a record, who copied it, who was told, and who cut it off; for a
record that lies at several places, all of them. Not here: which record is worth a story (`cluster.scenario.runner`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from cluster.base.ids import TopicPartition
from cluster.base.trace import (
    BatchAppended,
    LogTruncated,
    NodeFaulted,
    PartitionRoleChanged,
    RecordAcknowledged,
    RecordConsumed,
    RecordFailed,
    RecordSent,
    RecordUnknown,
    Traced,
)

_ENDS = {"killed": "was killed", "stopped": "was stopped", "powered-off": "lost power", "paused": "was paused"}


@dataclass(frozen=True, slots=True)
class Story:
    """`text` is one line of turns, each with its time; `cause` a clause that says why a record is gone, or nothing."""

    text: str
    cause: str


def tell_story(
    trace: Iterable[Traced], partition: TopicPartition, offsets: Sequence[int], value: str, start_us: int
) -> Story:
    """Tell what became of a value that was seen at some offsets; times are seconds since `start_us`.

    The epoch under which a record was first appended tells its copies from another record that got its offset.
    """
    teller = _Teller(partition, offsets, value, start_us)
    for traced in trace:
        teller.on_event(traced)
    places = " and ".join((f"{partition}@{offsets[0]}", *(f"@{offset}" for offset in offsets[1:])))
    return Story(f"story of {places} ({value}): " + " · ".join(teller.chapters), teller.cause)


@dataclass(slots=True)
class _Place:
    """One offset at which the record was stored: under which epoch, and who has it there; `had` forgets nobody."""

    offset: int
    epoch: int | None = None
    holders: list[str] = field(default_factory=list)
    had: list[str] = field(default_factory=list)


class _Teller:
    def __init__(self, partition: TopicPartition, offsets: Sequence[int], value: str, start_us: int) -> None:
        self.partition = partition
        self.places = [_Place(offset) for offset in offsets]
        self.value = value
        self.start_us = start_us
        self.chapters: list[str] = []
        self.cause = ""
        self.was_sent = False
        self._readers: list[str] = []
        self._lone_end = ""

    def on_event(self, traced: Traced) -> None:
        event = traced.event
        if isinstance(event, RecordSent | RecordAcknowledged | RecordFailed | RecordUnknown):
            if event.value == self.value:
                self._on_client(traced, event)
        elif isinstance(event, RecordConsumed):
            if event.value == self.value and traced.node not in self._readers:
                self._readers.append(traced.node)
                self._tell(traced, f"given to {traced.node}")
        elif isinstance(event, NodeFaulted):
            self._on_fault(traced, event)
        elif (
            self.was_sent
            and isinstance(event, BatchAppended | LogTruncated | PartitionRoleChanged)
            and event.partition == self.partition.partition
            and event.topic == self.partition.topic
        ):
            for place in self.places:
                self._on_log(traced, event, place)

    def _tell(self, traced: Traced, text: str) -> None:
        self.chapters.append(f"{text} {(traced.time_us - self.start_us) / 1e6:.3f}")

    def _on_client(self, traced: Traced, event: RecordSent | RecordAcknowledged | RecordFailed | RecordUnknown) -> None:
        self.was_sent = True
        words = {RecordSent: "sent by", RecordAcknowledged: "acked to", RecordFailed: "failed for"}
        self._tell(traced, f"{words.get(type(event), 'unknown to')} {traced.node}")

    def _on_fault(self, traced: Traced, event: NodeFaulted) -> None:
        holding = [place for place in self.places if event.target in place.holders]
        if not holding:
            return
        is_lone = len(self.places) == 1 and holding[0].had == [event.target] and event.state in _ENDS
        self._tell(traced, f"{event.target} {event.state}" + (", no follower had fetched it" if is_lone else ""))
        if is_lone and not self._lone_end:
            self._lone_end = f"{event.target} {_ENDS[event.state]} before any follower had fetched it"

    def _on_log(
        self, traced: Traced, event: BatchAppended | LogTruncated | PartitionRoleChanged, place: _Place
    ) -> None:
        if isinstance(event, BatchAppended):
            if event.base_offset <= place.offset <= event.last_offset:
                self._on_append(traced, event, place)
        elif isinstance(event, LogTruncated):
            if traced.node in place.holders and event.to_offset <= place.offset:
                place.holders.remove(traced.node)
                self._tell(traced, f"{traced.node} truncates to {event.to_offset} under e{event.leader_epoch} at")
        elif place.epoch is not None and event.role == "leader" and event.log_end_offset <= place.offset:
            self._tell(traced, f"e{event.leader_epoch} starts at {event.log_end_offset} on {traced.node}")
            self.cause = self.cause or self._why(traced.node, place)

    def _why(self, leader: str, place: _Place) -> str:
        """Why a leader begins without the record."""
        if leader in place.had:
            return f"{leader} came back with less than it had stored, and led"
        if len(place.had) == 1:
            return self._lone_end or f"{place.had[0]} was replaced as leader before any follower had fetched it"
        return f"{leader} led without it, though {', '.join(place.had)} had it"

    def _on_append(self, traced: Traced, event: BatchAppended, place: _Place) -> None:
        where = f" at @{place.offset}" if len(self.places) > 1 else ""
        if event.role == "leader" and place.epoch is None:
            place.epoch = event.leader_epoch
            self._holds(traced.node, place)
            self._tell(traced, f"appended {traced.node} e{event.leader_epoch}{where}")
        elif event.leader_epoch == place.epoch and traced.node not in place.holders:
            self._holds(traced.node, place)
            self._tell(traced, f"copied by {traced.node}{where}")
        elif event.role == "leader" and event.leader_epoch != place.epoch:
            self._tell(traced, f"its offset is given again by {traced.node} e{event.leader_epoch}")

    def _holds(self, node: str, place: _Place) -> None:
        place.holders.append(node)
        if node not in place.had:
            place.had.append(node)
