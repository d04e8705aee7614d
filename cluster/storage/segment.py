"""A segment: one stretch of a log in one `.log` file with its two indexes (class LogSegment).

Here: appending, finding and reading batches, truncation, and rebuilding the indexes out of the batches. Not
here: which segment an offset is in, when to roll, and what the offsets mean to anybody (`log`).

Readers are mostly sequential, so a segment remembers where recent reads ended: a fetch that continues there
needs neither the index nor a walk through headers.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from struct import Struct

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ports import Buffer, Disk, DiskError
from cluster.records import BatchHeader
from cluster.records.header import HEADER, LENGTH_OFFSET
from cluster.storage.epochs import EpochStart
from cluster.storage.indexes import OFFSET_ENTRY, TIME_ENTRY, SparseIndex
from cluster.storage.scan import scan_batches
from cluster.storage.transaction_index import TransactionIndex

NO_TIMESTAMP = -1

_RELATIVE_OFFSET_MAX = 2**31 - 1
_POSITIONS_REMEMBERED = 128
_WALK_BLOCK_BYTES = 8 * 1024

_HEAD = Struct(">qi11xi")
"""Base offset, length and last offset delta: what it takes to walk from batch to batch."""


class Segment:
    """Batches from `base_offset` up to `next_offset`, in `size_bytes` bytes of file."""

    def __init__(
        self, disk: Disk, directory: str, base_offset: int, index_interval_bytes: int, suffix: str = ""
    ) -> None:
        name = f"{directory}/{base_offset:020d}"
        self._disk = disk
        self._index = SparseIndex(disk, f"{name}.index", OFFSET_ENTRY)
        self._time_index = SparseIndex(disk, f"{name}.timeindex", TIME_ENTRY)
        self.aborted = TransactionIndex(disk, f"{name}.txnindex")
        self.path = f"{name}.log{suffix}"
        self.base_offset = base_offset
        self.index_interval_bytes = index_interval_bytes
        self._is_torn = False
        self.size_bytes = 0
        self.next_offset = base_offset
        self.first_timestamp = NO_TIMESTAMP
        self.max_timestamp = NO_TIMESTAMP
        self._max_timestamp_offset = base_offset
        self._unindexed_bytes = 0
        self._positions: dict[int, int] = {}

    @property
    def paths(self) -> tuple[str, ...]:
        """The files that hold the segment; an index that has no entry yet has no file."""
        indexes = (index.path for index in (self._index, self._time_index, self.aborted) if len(index))
        return (self.path, *indexes)

    def create(self) -> None:
        """Make the empty file, so that the base offset is known after a restart."""
        self._disk.append(self.path, (b"",))

    def delete(self) -> None:
        """Remove the segment's files."""
        self.delete_indexes()
        self._disk.delete(self.path)

    def delete_indexes(self) -> None:
        """Remove the index files: what is in the log file is about to change."""
        self._disk.delete(self._index.path)
        self._disk.delete(self._time_index.path)
        self.aborted.delete()

    @property
    def index_bytes(self) -> int:
        """The size that the larger of the two index files has or will have."""
        return max(len(self._index) * OFFSET_ENTRY.size, len(self._time_index) * TIME_ENTRY.size)

    # Appending

    def has_room(self, headers: Sequence[BatchHeader], size_bytes_max: int, index_bytes_max: int) -> bool:
        """Whether the batches fit by size, number of index entries and offset. Any one batch fits an empty segment."""
        if self.size_bytes == 0 and len(headers) == 1:
            return True
        size_bytes = self.size_bytes
        for header in headers:
            size_bytes += header[1]
        return (
            size_bytes <= size_bytes_max
            and (len(self._index.keys) + 1) * OFFSET_ENTRY.size <= index_bytes_max
            and (len(self._time_index.keys) + 1) * TIME_ENTRY.size <= index_bytes_max
            and headers[-1].last_offset - self.base_offset <= _RELATIVE_OFFSET_MAX
        )

    def age_ms(self, max_timestamp: int) -> int:
        """How long the segment has been filled when a record of this timestamp comes, by the records' own clock."""
        return max_timestamp - self.first_timestamp if self.first_timestamp > NO_TIMESTAMP else 0

    def append(self, chunk: Buffer, headers: Sequence[BatchHeader]) -> None:
        """Write whole batches, whose headers these are, at the end. Raises DiskError; then nothing was appended."""
        if self._is_torn:
            self._mend()
        try:
            self._disk.append(self.path, (chunk,))
        except DiskError:
            self._is_torn = True
            self._mend()
            raise
        for header in headers:
            self._note(header)

    def _mend(self) -> None:
        """Cut what a failed write left behind: the next batch must follow the last whole one."""
        if self._disk.size(self.path) > self.size_bytes:
            self._disk.truncate(self.path, self.size_bytes)
        self._is_torn = False

    def _note(self, header: BatchHeader) -> None:
        """Count a batch that lies at the end of the file, and index it when the interval is over."""
        size_bytes = header[1]
        last_offset = header[0] + header[6]
        if header[8] > self.max_timestamp:
            self.max_timestamp = header[8]
            self._max_timestamp_offset = last_offset
        if self.size_bytes == 0:
            self.first_timestamp = header[8]
        if self._unindexed_bytes > self.index_interval_bytes:
            self._index.append(last_offset - self.base_offset, self.size_bytes)
            self._index_timestamp()
            self._unindexed_bytes = 0
        self._unindexed_bytes += size_bytes
        self.size_bytes += size_bytes
        self.next_offset = last_offset + 1

    def _index_timestamp(self) -> None:
        keys = self._time_index.keys
        if self.max_timestamp > (keys[-1] if keys else NO_TIMESTAMP):
            self._time_index.append(self.max_timestamp, self._max_timestamp_offset - self.base_offset)

    def write_indexes(self, is_final: bool) -> None:
        """Bring the index files up to date; `is_final` adds the largest timestamp, as Kafka does at a roll."""
        if is_final:
            self._index_timestamp()
        self._index.write_pending()
        self._time_index.write_pending()

    # Finding and reading

    def read(self, offset: int, max_bytes: int, end_offset: int, at_least_one: bool) -> bytes:
        """Return whole batches from the one that holds `offset`, up to the one that holds `end_offset`, exclusive.

        At most `max_bytes`, except that `at_least_one` returns the first batch however large it is.
        """
        start = self.locate(offset)
        end = self.size_bytes if end_offset >= self.next_offset else self.locate(end_offset)
        next_offset = min(end_offset, self.next_offset)
        if end - start > max_bytes:
            end, next_offset = self._last_boundary(start, max_bytes, at_least_one)
        if end <= start:
            return b""
        self._remember(next_offset, end)
        content = self._disk.read(self.path, start, end - start)
        if len(content) != end - start:
            missing = end - start - len(content)
            raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, f"{self.path} is {missing} bytes shorter than it was")
        return content

    def locate(self, offset: int) -> int:
        """Return the position of the batch that holds an offset; the end of the file when the offset is later."""
        position = self._positions.get(offset)
        if position is not None:
            return position
        if offset >= self.next_offset:
            return self.size_bytes
        entry = self._index.floor(offset - self.base_offset)
        start = self._index.values[entry] if entry >= 0 else 0
        for found, (base_offset, _, delta) in self._walk(start, _HEAD):
            if base_offset + delta >= offset:
                return found
        raise KafkaError(ErrorCode.KAFKA_STORAGE_ERROR, f"{self.path} does not hold offset {offset} any more")

    def headers(self, position: int) -> Iterator[tuple[int, BatchHeader]]:
        """Yield position and header of the batches from a batch's position on; stop where no whole batch follows."""
        for found, fields in self._walk(position, HEADER):
            yield found, BatchHeader(fields[0], fields[1] + LENGTH_OFFSET, *fields[2:])

    def read_batch(self, position: int, header: BatchHeader) -> bytes:
        """Return one batch."""
        return self._disk.read(self.path, position, header.size_bytes)

    def locate_timestamp(self, timestamp: int) -> int:
        """Return a position at or before the first batch that has a record of `timestamp` or later."""
        entry = self._time_index.floor(timestamp)
        if entry < 0:
            return 0
        index_entry = self._index.floor(self._time_index.values[entry])
        return self._index.values[index_entry] if index_entry >= 0 else 0

    def _last_boundary(self, start: int, max_bytes: int, at_least_one: bool) -> tuple[int, int]:
        """Return the end of the last batch that ends at most `max_bytes` after `start`, and the offset there."""
        limit = start + max_bytes
        entry = bisect_right(self._index.values, limit) - 1
        walk_from = max(start, self._index.values[entry]) if entry >= 0 else start
        for position, (base_offset, length, delta) in self._walk(walk_from, _HEAD):
            end = position + length + LENGTH_OFFSET
            if end > limit:
                is_first = position == start and at_least_one
                return (end, base_offset + delta + 1) if is_first else (position, base_offset)
        return self.size_bytes, self.next_offset

    def _walk(self, position: int, layout: Struct) -> Iterator[tuple[int, tuple[int, ...]]]:
        """Go from batch to batch; yield positions and fields. Stop where no whole batch follows.

        Only the heads of large batches are read, not what lies between.
        """
        block = b""
        block_start = position
        while position + HEADER.size <= self.size_bytes:
            if position + layout.size > block_start + len(block):
                block = self._disk.read(self.path, position, _WALK_BLOCK_BYTES)
                block_start = position
                if len(block) < layout.size:
                    return
            fields = layout.unpack_from(block, position - block_start)
            size_bytes = fields[1] + LENGTH_OFFSET
            if size_bytes < HEADER.size or position + size_bytes > self.size_bytes:
                return
            yield position, fields
            position += size_bytes

    def _remember(self, offset: int, position: int) -> None:
        positions = self._positions
        if len(positions) >= _POSITIONS_REMEMBERED:
            del positions[next(iter(positions))]
        positions[offset] = position

    # Truncation and recovery

    def truncate_to(self, offset: int) -> None:
        """Cut the batch that holds `offset` and everything after it, in the log and in the indexes."""
        position = self.locate(offset)
        _, header = next(self.headers(position), (position, None))
        if header is not None:
            self._disk.truncate(self.path, position)
            self._index.cut_values_from(position)
            self._time_index.cut_values_from(header.base_offset - self.base_offset)
            self.aborted.truncate_to(header.base_offset)
            self.size_bytes = position
            self._walk_tail()

    def load(self) -> bool:
        """Take over the files as they are; False when they do not fit together and the log must be scanned."""
        self.size_bytes = self._disk.size(self.path)
        is_sound = self._index.load() and self._time_index.load() and self._walk_tail()
        return is_sound and self.aborted.load(self.base_offset, self.next_offset)

    def recover(self, last_epoch: int, has_gaps: bool) -> tuple[list[EpochStart], bool]:
        """Read every batch, cut the file where it stops making sense, and build the indexes anew.

        Offsets must follow one another, without gaps unless compaction leaves some, and leader epochs must not fall:
        after a loss of power, sound batches of an older history can reappear behind newer ones. Returns where epochs
        begin, and whether all was sound.
        """
        self._index.reset()
        self._time_index.reset()
        self._forget_batches()
        starts = []
        has_markers = False
        for header in scan_batches(self._disk, self.path):
            follows = header.base_offset >= self.next_offset if has_gaps else header.base_offset == self.next_offset
            if not follows or header.leader_epoch < last_epoch:
                break
            if header.leader_epoch > last_epoch:
                last_epoch = header.leader_epoch
                starts.append(EpochStart(last_epoch, header.base_offset))
            self._note(header)
            has_markers = has_markers or header.is_control
        self.aborted.reset(has_markers)
        if self.size_bytes == self._disk.size(self.path):
            return starts, True
        self._disk.truncate(self.path, self.size_bytes)
        return starts, False

    def _walk_tail(self) -> bool:
        """Learn from the indexes, and from the batches behind their last entries, what an append would have noted.

        False when the last index entry is not about the batch that it points at, when the last batch does not
        end where the file ends, or when there is no index where there should be one: to read a large segment
        without it is to walk from its start each time.
        """
        size_bytes = self.size_bytes
        self._forget_batches()
        if len(self._time_index):
            self.max_timestamp = self._time_index.keys[-1]
            self._max_timestamp_offset = self.base_offset + self._time_index.values[-1]
        start = self._index.values[-1] if len(self._index) else 0
        self.size_bytes = size_bytes  # the walk reads up to here
        last = end = start
        for position, header in self.headers(start):
            last_offset = header.last_offset
            if position == start and len(self._index) and last_offset != self.base_offset + self._index.keys[-1]:
                return False
            if header.max_timestamp > self.max_timestamp:
                self.max_timestamp = header.max_timestamp
                self._max_timestamp_offset = last_offset
            last = position
            end = position + header.size_bytes
            self.next_offset = last_offset + 1
        for _, header in self.headers(0):
            self.first_timestamp = header.max_timestamp
            break
        self._unindexed_bytes = end - start
        return end == size_bytes and (len(self._index) > 0 or last <= self.index_interval_bytes)

    def _forget_batches(self) -> None:
        self.size_bytes = 0
        self.next_offset = self.base_offset
        self.first_timestamp = NO_TIMESTAMP
        self.max_timestamp = NO_TIMESTAMP
        self._max_timestamp_offset = self.base_offset
        self._unindexed_bytes = 0
        self._positions.clear()
