"""What the tests of logs share: logs with small segments, batches to fill them, and reading a log back whole."""

from __future__ import annotations

from memory_disk import MemoryDisk

from cluster.base.configs import Configs
from cluster.records import BatchHeader, build_batch, iterate_headers
from cluster.storage import Appended, Log, ProducerStates

DIRECTORY = "orders-0"
NOW_MS = 1_700_000_000_000


def configs(**given: object) -> Configs:
    """Broker configs; `segment_bytes=1` means log.segment.bytes=1."""
    return Configs.of({f"log.{name.replace('_', '.')}": str(value) for name, value in given.items()})


SMALL_SEGMENTS = configs(segment_bytes=1024, index_interval_bytes=200)
"""Segments that hold about ten batches, with several index entries each."""


def open_log(disk: MemoryDisk, given: Configs = SMALL_SEGMENTS, now_ms: int = NOW_MS) -> Log:
    return Log.open(disk, DIRECTORY, given, now_ms)


def batch_of(
    record_count: int = 1, *, size: int = 20, timestamp_ms: int = NOW_MS, producer: tuple[int, int, int] | None = None
) -> bytearray:
    """A batch of `record_count` records; `producer` is (id, epoch, base sequence)."""
    producer_id, epoch, sequence = producer or (-1, -1, -1)
    return build_batch(
        [(None, b"x" * size, ())] * record_count,
        timestamp_ms=timestamp_ms,
        producer_id=producer_id,
        producer_epoch=epoch,
        base_sequence=sequence,
    )


def append(log: Log, batch: bytearray, epoch: int = 0, now_ms: int = NOW_MS) -> Appended:
    return log.append_as_leader(memoryview(batch), epoch, now_ms)


def fill(log: Log, batch_count: int, record_count: int = 3, epoch: int = 0) -> list[bytes]:
    """Append that many batches with rising timestamps; return them as they are in the log."""
    written = []
    for number in range(batch_count):
        batch = batch_of(record_count, timestamp_ms=NOW_MS + log.log_end_offset * 10 + number % 2)
        append(log, batch, epoch)
        written.append(bytes(batch))
    return written


def read_all(log: Log, max_bytes: int = 1 << 20) -> bytes:
    """Everything from the log's start to its end, as a sequential reader gets it."""
    content = bytearray()
    offset = log.log_start_offset
    while offset < log.log_end_offset:
        part = log.read(offset, max_bytes, log.log_end_offset, at_least_one=True)
        headers = headers_of(part)
        assert headers[0].base_offset <= offset <= headers[0].last_offset
        assert sum(header.size_bytes for header in headers) == len(part), "whole batches only"
        assert len(part) <= max_bytes or len(headers) == 1
        offset = headers[-1].next_offset
        content += part
    assert log.read(offset, max_bytes, log.log_end_offset, at_least_one=True) == b""
    return bytes(content)


def headers_of(content: bytes) -> list[BatchHeader]:
    return [header for _, header in iterate_headers(content)]


def sync_all(log: Log, disk: MemoryDisk, now_ms: int = NOW_MS) -> None:
    """What the shell does between the beginning and the end of a flush."""
    flush = log.begin_flush()
    for path in flush.paths:
        disk.sync_now(path)
    log.finish_flush(flush, now_ms)


def log_files(disk: MemoryDisk) -> list[str]:
    """The paths of the segments' log files, oldest first."""
    return [f"{DIRECTORY}/{name}" for name in disk.list(DIRECTORY) if name.endswith(".log")]


def producers_of(content: bytes) -> list[tuple[int, int, list[object]]]:
    """What a log with this content should remember of producers."""
    states = ProducerStates()
    for header in headers_of(content):
        if header.has_producer_id:
            states.update(header)
    return remembered(states)


def remembered(states: ProducerStates) -> list[tuple[int, int, list[object]]]:
    """Producer states as plain values that can be compared."""
    return [(producer_id, state.epoch, list(state.batches)) for producer_id, state in states]
