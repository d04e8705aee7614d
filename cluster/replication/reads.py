"""What may be read of a replica: records by consumers, and offsets by position, time and epoch.

Here: the checks that come before every read, and the reads. Only a leader answers them. Not here: what followers
fetch (`partition`), the bytes (`cluster.storage`).
"""

from __future__ import annotations

from collections.abc import Callable

from cluster.base.errors import NO_ERROR, ErrorCode, KafkaError
from cluster.base.ids import NO_EPOCH
from cluster.base.ports import DiskError
from cluster.base.trace import ReplicaFenced
from cluster.replication.divergence import is_diverging
from cluster.replication.leadership import Leadership
from cluster.replication.outcomes import EpochOutcome, OffsetOutcome, ReadOutcome
from cluster.replication.replica import Replica
from cluster.replication.roles import PartitionRole
from cluster.storage import EpochEndOffset, TimestampOffset

READ_COMMITTED = 1
"""Kafka's isolation level that stops at the last stable offset."""


class ReadableReplica(Replica):
    """A replica that answers reads while it leads, and to consumers that want it while it follows."""

    _leadership: Leadership | None = None

    def check_leader(self, current_leader_epoch: int, or_follower: bool = False) -> ErrorCode:
        """Return why a request that believes in `current_leader_epoch` (-1: it does not say) is refused, or NONE."""
        if not self.is_online:
            return ErrorCode.KAFKA_STORAGE_ERROR
        if current_leader_epoch not in (NO_EPOCH, self.leader_epoch):
            is_old = current_leader_epoch < self.leader_epoch
            error = ErrorCode.FENCED_LEADER_EPOCH if is_old else ErrorCode.UNKNOWN_LEADER_EPOCH
            self._trace_fenced(error, current_leader_epoch)
            return error
        if self._leadership is None and not (or_follower and self.role is PartitionRole.FOLLOWER):
            return ErrorCode.NOT_LEADER_OR_FOLLOWER
        return NO_ERROR

    def _trace_fenced(self, error: ErrorCode, given_epoch: int) -> None:
        if self._host.tracer.enabled:
            topic, number = self.topic_partition
            self._host.tracer.emit(ReplicaFenced(topic, number, error.name, given_epoch, self.leader_epoch))

    def read(
        self,
        *,
        offset: int,
        max_bytes: int,
        isolation_level: int = 0,
        current_leader_epoch: int = NO_EPOCH,
        last_fetched_epoch: int = NO_EPOCH,
        at_least_one: bool = False,
        from_follower: bool = False,
    ) -> ReadOutcome:
        """Read for a consumer: whole batches below the high watermark (or, read_committed, the last stable offset).

        Between there and the log end offset a consumer gets nothing and no error; beyond, OFFSET_OUT_OF_RANGE.
        `from_follower`: a follower may answer as well. Beyond its end it says OFFSET_NOT_AVAILABLE: the leader may be
        further (KIP-392).
        """
        if self._legacy.believes_consumers:
            current_leader_epoch = last_fetched_epoch = NO_EPOCH
        error = self.check_leader(current_leader_epoch, from_follower)
        if error is not NO_ERROR:
            return ReadOutcome(error)
        if self._leadership is None and offset > self.log.log_end_offset:
            return ReadOutcome(ErrorCode.OFFSET_NOT_AVAILABLE, log_start_offset=self.log.log_start_offset)
        error, diverging = self.check_position(offset, last_fetched_epoch)
        end_offset = self.last_stable_offset if isolation_level == READ_COMMITTED else self.high_watermark
        records = b""
        if error is NO_ERROR and diverging is None and offset < end_offset:
            error, records = self.read_log(offset, max_bytes, end_offset, at_least_one)
        if error is not NO_ERROR:
            return ReadOutcome(error, log_start_offset=self.log.log_start_offset)
        aborted = self.log.aborted_transactions(records) if isolation_level == READ_COMMITTED else None
        return ReadOutcome(
            error, self.high_watermark, self.last_stable_offset, self.log.log_start_offset, records, diverging, aborted
        )

    def read_log(self, offset: int, max_bytes: int, end_offset: int, at_least_one: bool) -> tuple[ErrorCode, bytes]:
        """Read bytes, with failures as values; a disk that fails takes this replica offline."""
        try:
            return NO_ERROR, self.log.read(offset, max_bytes, end_offset, at_least_one)
        except KafkaError as error:
            if error.code is ErrorCode.KAFKA_STORAGE_ERROR:
                self.disk_failed(error)
            return error.code, b""
        except DiskError as error:
            self.disk_failed(error)
            return ErrorCode.KAFKA_STORAGE_ERROR, b""

    def check_position(self, offset: int, last_fetched_epoch: int) -> tuple[ErrorCode, EpochEndOffset | None]:
        """Return OFFSET_OUT_OF_RANGE, or where this log and the reader's part, or neither (Kafka: `readRecords`)."""
        log = self.log
        if offset < log.log_start_offset:
            return ErrorCode.OFFSET_OUT_OF_RANGE, None
        if last_fetched_epoch >= 0 and (last_fetched_epoch != log.latest_epoch or offset > log.log_end_offset):
            leaders = log.end_offset_for_epoch(last_fetched_epoch)
            if leaders.epoch < 0 or leaders.end_offset < 0:
                return ErrorCode.OFFSET_OUT_OF_RANGE, None
            if is_diverging(offset, last_fetched_epoch, leaders):
                return NO_ERROR, leaders
        return (ErrorCode.OFFSET_OUT_OF_RANGE if offset > log.log_end_offset else NO_ERROR), None

    # --- offsets ----------------------------------------------------------------------------------

    def earliest(self, current_leader_epoch: int = NO_EPOCH) -> OffsetOutcome:
        """ListOffsets -2: the first offset of the log."""
        error = self.check_leader(current_leader_epoch)
        if error is not NO_ERROR:
            return OffsetOutcome(error)
        start = self.log.log_start_offset
        return OffsetOutcome(error, start, leader_epoch=self.log.epoch_for_offset(start))

    def latest(self, isolation_level: int = 0, current_leader_epoch: int = NO_EPOCH) -> OffsetOutcome:
        """ListOffsets -1: the offset that the next committed record may have.

        OFFSET_NOT_AVAILABLE while a new leader's high watermark is behind the start of its epoch: the true one may
        be higher than what it knows, and an offset must not go back (KIP-207).
        """
        error = self.check_leader(current_leader_epoch)
        if error is not NO_ERROR:
            return OffsetOutcome(error)
        if self._is_behind_its_epoch():
            return OffsetOutcome(ErrorCode.OFFSET_NOT_AVAILABLE)
        return OffsetOutcome(error, self._readable_end(isolation_level), leader_epoch=self.leader_epoch)

    def offset_for_timestamp(
        self, timestamp: int, isolation_level: int = 0, current_leader_epoch: int = NO_EPOCH
    ) -> OffsetOutcome:
        """ListOffsets by time: the first readable record that is not older than `timestamp` (ms since 1970)."""
        return self._look_up(lambda: self.log.offset_for_timestamp(timestamp), isolation_level, current_leader_epoch)

    def max_timestamp(self, isolation_level: int = 0, current_leader_epoch: int = NO_EPOCH) -> OffsetOutcome:
        """ListOffsets -3: the record with the greatest timestamp (KIP-734)."""
        return self._look_up(self.log.max_timestamp_offset, isolation_level, current_leader_epoch)

    def _look_up(
        self, find: Callable[[], TimestampOffset | None], isolation_level: int, current_leader_epoch: int
    ) -> OffsetOutcome:
        error = self.check_leader(current_leader_epoch)
        if error is not NO_ERROR:
            return OffsetOutcome(error)
        try:
            found = find()
        except KafkaError as failed:  # CORRUPT_MESSAGE is about one batch, which some producer may have sent so
            if failed.code is ErrorCode.KAFKA_STORAGE_ERROR:
                self.disk_failed(failed)
            return OffsetOutcome(failed.code)
        if found is not None and found.offset < self._readable_end(isolation_level):
            return OffsetOutcome(error, found.offset, found.timestamp, found.leader_epoch)
        behind = self._is_behind_its_epoch()
        return OffsetOutcome(ErrorCode.OFFSET_NOT_AVAILABLE if behind else NO_ERROR)

    def _readable_end(self, isolation_level: int) -> int:
        return self.last_stable_offset if isolation_level == READ_COMMITTED else self.high_watermark

    def _is_behind_its_epoch(self) -> bool:
        return self._leadership is not None and self.high_watermark < self._leadership.epoch_start_offset

    def end_offset_for_epoch(self, epoch: int, current_leader_epoch: int = NO_EPOCH) -> EpochOutcome:
        """OffsetForLeaderEpoch: the largest epoch not above `epoch` and where it ended; -1 and -1 when unknown."""
        error = self.check_leader(current_leader_epoch)
        if error is not NO_ERROR:
            return EpochOutcome(error)
        found = self.log.end_offset_for_epoch(epoch)
        return EpochOutcome(error, found.epoch, found.end_offset)
