"""compaction-keeps-the-latest: of every key the last value stays, on every replica, whenever each of them compacts.

Kafka promises of a compacted topic: who reads from the beginning sees at least the last record of every key, in the
order in which they were written, at the offsets that they always had; a tombstone stays for `delete.retention.ms`, so
only a consumer that is slower may miss it ("What guarantees does log compaction provide?" in Kafka's documentation).

What consumers were given, in the run and in the reading back: offsets rise; nothing is there that was not sent with
that key; an idempotent producer's values of a key come in its order; and a record that was acknowledged is passed over
only when a later one of its key had been sent, or when it is an old tombstone. Where a tombstone is gone, the values
before it are gone, too: a key does not come back to life. What replicas hold in the end: below the
high watermark all agree on the last value of every key, and none lacks it. A replica compacts nothing above the high
watermark that it knows: what lies there may yet be cut off.

Records without keys are not judged, nor keys that no workload sent. Duplicates are for `no-duplicates`, and topics
that delete by age or size are not spared: there, the last value of a key goes like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cluster.base.ids import TopicPartition
from cluster.base.trace import ConsumerPlaced, LogCompacted, RecordConsumed, Traced
from cluster.checks.keyed_records import KeyedRecord, KeyedRecords, Place
from cluster.checks.oracle import Evidence, Oracle, ReplicaLog, Violation

Latest = Mapping[str, tuple[int, str | None]]
"""Of every key the offset and the value of its last record; no value when that is a tombstone."""


@dataclass(slots=True)
class _Reading:
    """What one consumer was given of one partition: its last offset, None before the first, and each key's last record.

    `numbers` has the last of each producer, by its place in the order of sending.
    """

    position: int | None = None
    numbers: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)
    latest: dict[str, tuple[int, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Missing:
    """A record that a consumer has passed over, and nobody knows yet why it may."""

    record: KeyedRecord
    reader: str
    time_us: int


class CompactionKeepsTheLatest(Oracle):
    """Compare what consumers and disks show of every key with what was sent and acknowledged."""

    name = "compaction-keeps-the-latest"
    kinds = (*KeyedRecords.kinds, ConsumerPlaced.kind, LogCompacted.kind)
    needs_read_back = True
    uses_model = True

    def __init__(self) -> None:
        super().__init__()
        self._readings: dict[tuple[str, bool, Place], _Reading] = {}
        self._missing: list[_Missing] = []
        self._known: KeyedRecords | None = None

    @property
    def _records(self) -> KeyedRecords:
        if self._known is None:
            self._known = KeyedRecords(self.setting)
        return self._known

    def on_event(self, traced: Traced) -> None:
        """Take in what clients did; judge what they were given, and where a compaction ended."""
        event = traced.event
        if isinstance(event, LogCompacted):
            self._on_compacted(traced, event)
        elif isinstance(event, ConsumerPlaced):
            for reader, final, place in list(self._readings):
                if reader == traced.node:
                    del self._readings[(reader, final, place)]
        else:
            self._records.on_event(traced)
            if isinstance(event, RecordConsumed):
                self._on_consumed(traced, event)

    def at_end(self, evidence: Evidence) -> None:
        """Judge who was passed over, now that all places are known, and what the disks hold."""
        for place in self._records.places:
            readings = [(who, one) for (who, final, where), one in self._readings.items() if final and where == place]
            for reader, reading in readings or [("the reading back", _Reading(-1))]:
                end = max(self._records.acknowledged(place), default=-1) + 1
                self._pass_over(place, reading, end, reader, evidence.time_us)
                self._look_for_revivals(place, reading, reader, evidence.time_us)
        told: set[str] = set()
        for missing in self._missing:
            record = missing.record
            if record.value not in told and not self._records.was_superseded(record, missing.time_us):
                told.add(record.value)
                self._tell_missing(missing)
        for partition, by_node in sorted(evidence.replicas.items()):
            if tuple(partition) in self._records.places:
                self._compare(evidence, partition, by_node)

    # --- what consumers were given -----------------------------------------------------------------

    def _on_consumed(self, traced: Traced, event: RecordConsumed) -> None:
        place = (event.topic, event.partition)
        reading = self._readings.get((traced.node, event.final, place))
        if reading is None:
            # Only the reading back surely begins at the beginning.
            reading = self._readings[(traced.node, event.final, place)] = _Reading(-1 if event.final else None)
        if reading.position is not None and event.offset <= reading.position:
            message = f"{traced.node} was given {_at(place, event.offset)} after @{reading.position}"
            self._violated(traced.time_us, message, place, event.offset, event.value)
            return
        self._pass_over(place, reading, event.offset, traced.node, traced.time_us)
        reading.position = event.offset
        if event.key:
            self._on_keyed(traced, event, reading)

    def _on_keyed(self, traced: Traced, event: RecordConsumed, reading: _Reading) -> None:
        place = (event.topic, event.partition)
        record = self._records.record(event.value)
        if record is None or (record.place, record.key, record.tombstone) != (place, event.key, event.tombstone):
            if record is not None or self._records.history(place, event.key) is not None:
                what = f"{event.value or 'nothing'} with key {event.key}"
                message = f"{traced.node} was given {what} at {_at(place, event.offset)}, which nobody sent"
                self._violated(traced.time_us, message, place, event.offset, event.value)
            return
        reading.latest[record.key] = (event.offset, record.value)
        number, value = reading.numbers.get((record.producer, record.key), (-1, ""))
        if record.number < number and self.setting.client(record.producer).idempotence:
            message = f"{record.key} went back from {value} to {record.value} at {_at(place, event.offset)}"
            self._violated(traced.time_us, message, place, event.offset, event.value)
        else:
            reading.numbers[(record.producer, record.key)] = (record.number, record.value)

    def _pass_over(self, place: Place, reading: _Reading, end: int, reader: str, time_us: int) -> None:
        """A consumer was given nothing between its position and an offset."""
        if reading.position is None or end == reading.position + 1:
            return
        acknowledged = self._records.acknowledged(place)
        for offset in range(reading.position + 1, end):
            record = acknowledged.get(offset)
            if record is not None and not self._records.may_be_gone(record, time_us):
                self._missing.append(_Missing(record, reader, time_us))

    def _look_for_revivals(self, place: Place, reading: _Reading, reader: str, time_us: int) -> None:
        """Of a key whose tombstone has gone, the reading back shows nothing that lies before it."""
        for record in self._records.last_records(place):
            offset, value = reading.latest.get(record.key, (record.last_offset, ""))
            if record.tombstone and offset < record.last_offset and self._records.is_last(record):
                message = (
                    f"{record.key} came back to life: its tombstone at @{record.last_offset} is gone, "
                    f"and {reader} found {value} at {_at(place, offset)}"
                )
                self._violated(time_us, message, place, offset, value)

    def _tell_missing(self, missing: _Missing) -> None:
        record = missing.record
        what = "the tombstone" if record.tombstone else "the last value"
        where = _at(record.place, record.offset)
        message = (
            f"{record.value}, {what} of {record.key}, was acknowledged to {record.producer} at {where}, "
            f"and {missing.reader} did not find it"
        )
        self._violated(missing.time_us, message, record.place, record.offset, record.value)

    # --- what replicas did -------------------------------------------------------------------------

    def _on_compacted(self, traced: Traced, event: LogCompacted) -> None:
        place = (event.topic, event.partition)
        high_watermark = self.model.replica(place, traced.node).high_watermark
        if event.end_offset > high_watermark:
            message = (
                f"{traced.node} compacted {TopicPartition(*place)} up to @{event.end_offset}, "
                f"above its high watermark, {high_watermark}"
            )
            self._violated(traced.time_us, message, place, event.end_offset, "")

    def _compare(self, evidence: Evidence, partition: TopicPartition, by_node: Mapping[str, ReplicaLog]) -> None:
        end = evidence.high_watermarks.get(partition, 0)
        place = (partition.topic, partition.partition)
        latest = {node: _latest(replica, end) for node, replica in sorted(by_node.items())}
        for record in self._records.last_records(place):
            if record.last_offset < end and not self._records.may_be_gone(record, evidence.time_us):
                for node, found in latest.items():
                    if found.get(record.key, (-1, None))[0] < record.last_offset:
                        message = f"{node} has {_found(found, record.key)} of {record.key}, without {record.value}"
                        message = f"{_at(place, record.last_offset)}: {message}"
                        self._violated(evidence.time_us, message, place, record.last_offset, record.value)
        (first, reference), *others = latest.items() or [("", {})]
        for node, found in others:
            for key in dict.fromkeys((*reference, *found)):
                # One may have removed a tombstone that another one still has.
                if _value(reference, key) != _value(found, key):
                    message = f"of {key}, {first} has {_found(reference, key)}, {node} has {_found(found, key)}"
                    self._violated(evidence.time_us, f"{partition}: {message}", place, -1, "")

    def _violated(self, time_us: int, message: str, place: Place, offset: int, value: str) -> None:
        self.violated(Violation(time_us, message, TopicPartition(*place), offset, value))


def _latest(replica: ReplicaLog, end: int) -> Latest:
    found: dict[str, tuple[int, str | None]] = {}
    for batch in replica.batches:
        for record in batch.records if batch.base_offset < end else ():
            if record.key is not None and record.offset < end:
                value = None if record.value is None else record.value.decode("utf-8", "replace")
                found[record.key.decode("utf-8", "replace")] = (record.offset, value)
    return found


def _value(latest: Latest, key: str) -> tuple[int, str] | None:
    offset, value = latest.get(key, (-1, None))
    return None if value is None else (offset, value)


def _found(latest: Latest, key: str) -> str:
    if key not in latest:
        return "nothing"
    offset, value = latest[key]
    return f"{'a tombstone' if value is None else value} at @{offset}"


def _at(place: Place, offset: int) -> str:
    return f"{TopicPartition(*place)}@{offset}"
