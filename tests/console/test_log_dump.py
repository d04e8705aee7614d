"""A partition's files are dumped in the lines of kafka-dump-log (class DumpLogSegments)."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from cluster.console.log_dump import DumpOptions, dump_file
from cluster.lab import LabError
from cluster.records import build_batch, read_header

FIRST = build_batch(
    [(b"k", b"v", [("h", b"x"), ("i", None)]), (None, None, [])],
    timestamp_ms=1_700_000_000_000, producer_id=5, producer_epoch=1, base_sequence=10, leader_epoch=3,
)  # fmt: skip
SECOND = build_batch(
    [(None, b"later", [])], base_offset=4, timestamp_ms=1_700_000_000_001, compression=1, leader_epoch=3
)
MARKER = build_batch(
    [(struct.pack(">hh", 0, 1), struct.pack(">hi", 0, 9), [])],
    base_offset=5, timestamp_ms=7, producer_id=5, producer_epoch=1, transactional=True, control=True,
)  # fmt: skip
ALL = DumpOptions(with_records=True, with_data=True)


def segment(directory: Path, content: bytes, suffix: str = ".log") -> Path:
    path = directory / f"{0:020d}{suffix}"
    path.write_bytes(content)
    return path


def lines(path: Path, options: DumpOptions) -> list[str]:
    return [line for is_wrong, line in dump_file(path, options) if not is_wrong]


def complaints(path: Path, options: DumpOptions) -> list[str]:
    return [line for is_wrong, line in dump_file(path, options) if is_wrong]


def test_batches_and_records_have_kafkas_lines(tmp_path: Path) -> None:
    path = segment(tmp_path, bytes(FIRST))
    crc = read_header(FIRST).crc
    assert lines(path, ALL) == [
        f"Dumping {path}",
        "Log starting offset: 0",
        "baseOffset: 0 lastOffset: 1 count: 2 baseSequence: 10 lastSequence: 11 producerId: 5 producerEpoch: 1 "
        "partitionLeaderEpoch: 3 isTransactional: false isControl: false deleteHorizonMs: OptionalLong.empty "
        f"position: 0 CreateTime: 1700000000000 size: {len(FIRST)} magic: 2 compresscodec: none "
        f"crc: {crc} isvalid: true",
        "| offset: 0 CreateTime: 1700000000000 keySize: 1 valueSize: 1 sequence: 10 headerKeys: [h,i] "
        "key: k payload: v",
        "| offset: 1 CreateTime: 1700000000000 keySize: -1 valueSize: -1 sequence: 11 headerKeys: []",
    ]
    assert len(lines(path, DumpOptions())) == 3


def test_records_may_be_shown_without_their_metadata_or_without_their_data(tmp_path: Path) -> None:
    path = segment(tmp_path, bytes(SECOND))
    assert lines(path, DumpOptions(with_records=True, with_data=True, skip_metadata=True))[-1] == "| payload: later"
    assert lines(path, DumpOptions(with_records=True))[-1].endswith("valueSize: 5 sequence: -1 headerKeys: []")
    assert "compresscodec: gzip" in lines(path, DumpOptions())[-1]


def test_a_transaction_marker_says_how_it_ended(tmp_path: Path) -> None:
    shown = lines(segment(tmp_path, bytes(MARKER)), ALL)
    assert "isTransactional: true isControl: true" in shown[-2]
    assert shown[-1].endswith("headerKeys: [] endTxnMarker: COMMIT coordinatorEpoch: 9")


def test_gaps_torn_tails_and_damage_are_told(tmp_path: Path) -> None:
    damaged = bytearray(SECOND)
    damaged[-1] ^= 1
    path = segment(tmp_path, bytes(FIRST + SECOND) + b"torn")
    assert complaints(path, ALL) == [f"Non-consecutive offsets in {path}", "  1 is followed by 4"]
    assert lines(path, ALL)[-1] == f"Found 4 invalid bytes at the end of {path.name}"
    assert len(lines(path, DumpOptions(bytes_max=len(FIRST)))) == 3
    assert lines(segment(tmp_path, bytes(damaged)), ALL)[-1].endswith("isvalid: false")


def test_indexes_are_held_against_the_log(tmp_path: Path) -> None:
    segment(tmp_path, bytes(FIRST + SECOND))
    entries = [(1, 0), (4, len(FIRST)), (0, 0)]  # Kafka allocates ahead: zeros are no entry
    path = segment(tmp_path, b"".join(struct.pack(">ii", *entry) for entry in entries), ".index")
    assert lines(path, ALL)[1:] == ["offset: 1 position: 0", f"offset: 4 position: {len(FIRST)}"]
    assert complaints(path, ALL) == []
    wrong = segment(tmp_path, struct.pack(">ii", 2, 0), ".index")
    assert complaints(wrong, ALL) == [f"Mismatches in :{wrong}", "  Index offset: 2, log offset: 1"]
    assert lines(wrong, DumpOptions(verify_only=True)) == [f"Dumping {wrong}"]
    assert lines(segment(tmp_path, b"", ".index"), ALL)[-1].endswith("is empty.")
    times = segment(tmp_path, struct.pack(">qi", 1_700_000_000_000, 1) + struct.pack(">qi", 5, 4), ".timeindex")
    assert lines(times, ALL)[1:] == ["timestamp: 1700000000000 offset: 1", "timestamp: 5 offset: 4"]
    assert complaints(times, ALL)[1:] == [
        "  Index timestamp: 5, log timestamp: 1700000000001",
        "  Index timestamp: 5, Previously indexed timestamp: 1700000000000",
    ]


def test_a_producer_snapshot_shows_each_producers_last_batch(tmp_path: Path) -> None:
    entry = struct.pack(">qhiqiqiq", 5, 1, 11, 1, 1, 70, -1, -1)
    path = segment(tmp_path, struct.pack(">hIi", 1, 0, 1) + entry, ".snapshot")
    assert lines(path, ALL)[1:] == [
        "producerId: 5 producerEpoch: 1 coordinatorEpoch: -1 currentTxnFirstOffset: OptionalLong.empty "
        "lastTimestamp: 70 firstSequence: 10 lastSequence: 11 lastOffset: 1 offsetDelta: 1 timestamp: 70"
    ]


def test_other_files_are_passed_over_or_refused(tmp_path: Path) -> None:
    other = tmp_path / "leader-epoch-checkpoint"
    other.write_text("0\n")
    assert complaints(other, ALL) == [f"Ignoring unknown file {other}"]
    for name, said in (("none.log", "cannot be read"), ("orders.log", "not named after an offset")):
        path = tmp_path / name
        if name == "orders.log":
            path.write_bytes(b"")
        with pytest.raises(LabError, match=said):
            list(dump_file(path, ALL))
