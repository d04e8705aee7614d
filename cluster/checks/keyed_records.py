"""Records with keys, as clients told of them: which of a key's records is the last, and which may be gone.

Here: one fold over the trace that is shared by the oracles that know of compaction. Not here: judgement.

A record may be gone when a later one of its key is in the log, or may be: offsets say what is later, and a record that
was sent, did not fail and has no known place may lie anywhere that its producer's own order allows. A tombstone may be
gone by itself when `delete.retention.ms` have passed since it was sent: the brokers begin to count later.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from cluster.base.trace import (
    RecordAcknowledged,
    RecordConsumed,
    RecordFailed,
    RecordSent,
    RecordUnknown,
    StepFired,
    Traced,
)
from cluster.checks.setting import Setting

Place = tuple[str, int]
"""Topic and number of a partition."""

_US_PER_MS = 1000


@dataclass(slots=True)
class KeyedRecord:
    """One record as it was sent. `number` is its place in the order of all sends; offsets are -1 until known.

    `offset` is where it was acknowledged, or first read; `last_offset` where it lies furthest, if it is there twice.
    """

    place: Place
    key: str
    value: str
    tombstone: bool
    producer: str
    number: int
    sent_us: int
    offset: int = -1
    last_offset: int = -1
    is_acknowledged: bool = False


@dataclass(slots=True)
class KeyHistory:
    """All records of one key, in the order of sending; `last` is the one that lies furthest, of those that are known.

    `unplaced` are those that were sent, did not fail, and may lie anywhere.
    """

    records: list[KeyedRecord] = field(default_factory=list)
    unplaced: dict[str, KeyedRecord] = field(default_factory=dict)
    last: KeyedRecord | None = None


class KeyedRecords:
    """Feed it every event of `kinds` in order."""

    kinds = (
        RecordSent.kind,
        RecordAcknowledged.kind,
        RecordUnknown.kind,
        RecordFailed.kind,
        RecordConsumed.kind,
        StepFired.kind,
    )

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._records: dict[str, KeyedRecord] = {}
        self._keys: dict[tuple[Place, str], KeyHistory] = {}
        self._acknowledged: dict[Place, dict[int, KeyedRecord]] = {}
        self._clocks_lie = False

    # --- questions ---------------------------------------------------------------------------------

    def record(self, value: str) -> KeyedRecord | None:
        """The record of that name, when one was sent with a key."""
        return self._records.get(value)

    def history(self, place: Place, key: str) -> KeyHistory | None:
        """What was sent with a key to a partition."""
        return self._keys.get((place, key))

    def last_records(self, place: Place) -> Iterator[KeyedRecord]:
        """The last known record of every key of a partition, keys in the order of their first records."""
        for (where, _), known in self._keys.items():
            if where == place and known.last is not None:
                yield known.last

    @property
    def places(self) -> tuple[Place, ...]:
        """The partitions that records with keys were sent to."""
        return tuple(dict.fromkeys(place for place, _ in self._keys))

    def acknowledged(self, place: Place) -> dict[int, KeyedRecord]:
        """A partition's acknowledged records by their offsets."""
        return self._acknowledged.get(place, {})

    def may_be_gone(self, record: KeyedRecord, time_us: int) -> bool:
        """Whether a record may be missing from what was read at a time, by all that is known now."""
        known = self._keys[(record.place, record.key)]
        if known.last is not None and known.last.last_offset > record.offset:
            return True
        return not self.is_last(record) or (record.tombstone and self._is_old(record, time_us))

    def is_last(self, record: KeyedRecord) -> bool:
        """Whether no record of the key whose place nobody knows may lie behind a record."""
        known = self._keys[(record.place, record.key)]
        return all(self._lies_before(other, record) for other in known.unplaced.values())

    def was_superseded(self, record: KeyedRecord, time_us: int) -> bool:
        """Whether a later record of its key had been sent by a time; asked at the end, when all places are known."""
        known = self._keys[(record.place, record.key)]
        return any(other.sent_us <= time_us and other.last_offset > record.offset for other in known.records)

    def _lies_before(self, other: KeyedRecord, record: KeyedRecord) -> bool:
        """Whether a record of unknown place lies before another one, if anywhere: idempotent producers keep order."""
        is_ordered = self._setting.client(record.producer).idempotence and other.producer == record.producer
        return other is record or (is_ordered and other.number < record.number)

    def _is_old(self, record: KeyedRecord, time_us: int) -> bool:
        retention_us = self._setting.topic(record.place[0]).delete_retention_ms * _US_PER_MS
        return self._clocks_lie or time_us - record.sent_us >= retention_us

    # --- the fold ----------------------------------------------------------------------------------

    def on_event(self, traced: Traced) -> None:
        """Take one event in."""
        event = traced.event
        if isinstance(event, RecordSent):
            if event.key:
                self._on_sent(traced, event)
        elif isinstance(event, RecordAcknowledged):
            record = self._records.get(event.value)
            if record is not None:
                record.is_acknowledged = True
                self._on_place(record, event.offset)
                self._acknowledged.setdefault(record.place, {}).setdefault(event.offset, record)
        elif isinstance(event, RecordConsumed):
            record = self._records.get(event.value) if event.key else None
            if record is not None:
                self._on_place(record, event.offset)
        elif isinstance(event, RecordFailed):
            record = self._records.get(event.value)
            if record is not None:
                self._keys[(record.place, record.key)].unplaced.pop(record.value, None)
        elif isinstance(event, StepFired) and event.action == "clock":
            self._clocks_lie = True

    def _on_sent(self, traced: Traced, event: RecordSent) -> None:
        place = (event.topic, event.partition)
        record = KeyedRecord(
            place, event.key, event.value, event.tombstone, traced.node, len(self._records), traced.time_us
        )
        self._records[event.value] = record
        known = self._keys.setdefault((place, event.key), KeyHistory())
        known.records.append(record)
        known.unplaced[event.value] = record

    def _on_place(self, record: KeyedRecord, offset: int) -> None:
        if offset < 0:
            return  # acks=0: stored, but nobody knows where
        known = self._keys[(record.place, record.key)]
        known.unplaced.pop(record.value, None)
        if record.offset < 0:
            record.offset = offset
        record.last_offset = max(record.last_offset, offset)
        if known.last is None or offset > known.last.last_offset or record is known.last:
            known.last = record
