"""What leader and follower have in common, and what a follower does: its log, role, epochs and high watermark.

Here: the facts of one replica, whom it tells when they move, copying from a leader and cutting by epoch. Not here:
what clients read (`reads`), leading (`partition`), fetching (`leader_feed`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from cluster.base.configs import Configs
from cluster.base.errors import NO_ERROR, ErrorCode, KafkaError
from cluster.base.ids import NO_EPOCH, NO_NODE, NodeId, TopicId, TopicPartition
from cluster.base.ports import Buffer, DiskError
from cluster.base.trace import BatchAppended, HighWatermarkAdvanced, LogStartMoved, LogTruncated, PartitionRoleChanged
from cluster.metadata import PartitionState
from cluster.replication.divergence import truncation_of
from cluster.replication.high_watermark import follower_high_watermark, high_watermark_after_truncation
from cluster.replication.legacy import Legacy
from cluster.replication.partition_host import PartitionHost
from cluster.replication.roles import PartitionRole, RoleEvent, next_role
from cluster.storage import Appended, EpochEndOffset, Log

StreamNotice = Callable[[bool, int], None]
"""Tells a follower's stream that something moved; True when it is worth answering at once."""

_logger = logging.getLogger(__name__)


class Replica:
    """The common part of a replica. Its `log` is open as long as the role is not OFFLINE."""

    def __init__(
        self,
        host: PartitionHost,
        topic_partition: TopicPartition,
        topic_id: TopicId,
        *,
        log: Log,
        configs: Configs,
        high_watermark: int,
        wall_ms: int,
    ) -> None:
        self.topic_partition = topic_partition
        self.topic_id = topic_id
        self.log = log
        self._become(PartitionRole.NEW)
        self.leader = NO_NODE
        self.leader_epoch = NO_EPOCH
        self.partition_epoch = -1
        self.isr: tuple[NodeId, ...] = ()
        # What a checkpoint says may be more than what a loss of power left of the log.
        self.high_watermark = max(log.log_start_offset, min(high_watermark, log.log_end_offset))
        self._host = host
        self._streams: dict[NodeId, StreamNotice] = {}
        self._flush_needed = log.flush_due(wall_ms)  # a process that was killed may have left something
        self._compares_epochs = True
        self._obey(configs)

    # --- facts ------------------------------------------------------------------------------------

    @property
    def last_stable_offset(self) -> int:
        """The offset below which everything is committed and the end of every transaction is.

        Of an open transaction the first records may be deleted: then it is where the log starts, as in Kafka
        (`UnifiedLog.maybeIncrementFirstUnstableOffset`).
        """
        producers = self.log.producers
        if producers.all_settled:
            return self.high_watermark
        stable = producers.stable_offset(self.high_watermark)
        return max(stable, min(self.log.log_start_offset, self.high_watermark))

    @property
    def log_end_offset(self) -> int:
        """The offset that the next record will have."""
        return self.log.log_end_offset

    @property
    def epoch_to_compare(self) -> int:
        """The epoch of the last record, which a fetch names so that the leader compares logs; -1 when it shall not."""
        return self.log.latest_epoch if self._compares_epochs else NO_EPOCH

    @property
    def is_compacted(self) -> bool:
        """Whether `cleanup.policy` asks for compaction and the log may be used."""
        return self.log.settings.is_compacted and self.is_online

    def flush_needed(self) -> bool:
        """Whether `flush.messages` or `flush.ms` asks for a sync before anybody may rely on what the log holds.

        A leader commits nothing beyond the last sync then, and a follower acknowledges nothing. Whoever appended, or is
        about to acknowledge, has the log synced (`LogFlusher`); a log that nobody asks for is synced within a second.
        """
        return self._flush_needed and self.log.recovery_point < self.log.log_end_offset

    def flushed(self, now_ms: int, wall_ms: int) -> None:
        """A sync ended; more may have been appended meanwhile."""
        self._flush_needed = self.is_online and self.log.flush_due(wall_ms)

    def reconfigure(self, configs: Configs) -> None:
        """Take the topic's configs into force."""
        self._obey(configs)
        self.log.reconfigure(configs)

    def _obey(self, configs: Configs) -> None:
        self._min_insync_replicas = configs.integer("min.insync.replicas")
        self._legacy = Legacy.of(configs)
        self._cleanup_policy = configs.text("log.cleanup.policy").split(",")

    # --- copying from a leader --------------------------------------------------------------------

    def append_fetched(
        self, records: Buffer, leaders_high_watermark: int, leaders_start_offset: int, wall_ms: int
    ) -> ErrorCode:
        """Append what the leader sent (it may be nothing) and learn its high watermark.

        CORRUPT_MESSAGE when the bytes are damaged, KAFKA_STORAGE_ERROR when the disk fails (then it is offline).
        """
        assert self.role is PartitionRole.FOLLOWER, f"{self.topic_partition} is {self.role.value} and copies nothing"
        self._compared_epochs()
        try:
            if records:
                appended = self.log.append_as_follower(records, wall_ms, self.leader_epoch)
                self._trace_append(appended)
                self._flush_needed = self.log.flush_due(wall_ms)
            known = follower_high_watermark(self.high_watermark, leaders_high_watermark, self.log.log_end_offset)
            if known > self.high_watermark:
                self._set_high_watermark(known)
            if self.log.log_start_offset < leaders_start_offset <= self.high_watermark:
                self._move_log_start(leaders_start_offset)
        except KafkaError as error:
            if error.code is ErrorCode.KAFKA_STORAGE_ERROR:
                self.disk_failed(error)
                return error.code
            _logger.warning("%s: what the leader sent cannot be appended: %s", self.topic_partition, error)
            return error.code
        except DiskError as error:
            self.disk_failed(error)
            return ErrorCode.KAFKA_STORAGE_ERROR
        return NO_ERROR

    def truncate_by_divergence(self, leaders: EpochEndOffset) -> None:
        """Cut what the leader says is no part of its history; the next fetch asks whether the rest is (KIP-279)."""
        assert self.role is PartitionRole.FOLLOWER, "a leader's log is the history"
        if self._legacy.looks_epochs_up_once:
            self._compared_epochs()
            self._truncate(min(leaders.end_offset, self.log.log_end_offset))
            return
        own = self.log.end_offset_for_epoch(leaders.epoch)
        self._truncate(truncation_of(leaders, own, self.log.log_end_offset).offset)

    def start_from_leaders_range(self, leaders_start_offset: int, leaders_end_offset: int) -> None:
        """The leader has nothing at this replica's end: cut down to its end, or begin anew at its start.

        The first can follow only from an unclean election, the second from records deleted by retention
        (Kafka: `AbstractFetcherThread.fetchOffsetAndTruncate`).
        """
        assert self.role is PartitionRole.FOLLOWER, "a leader's log is the history"
        if leaders_end_offset < self.log.log_end_offset:
            self._truncate(leaders_end_offset)
        elif self.log.log_end_offset < leaders_start_offset:
            try:
                self.log.truncate_fully_and_start_at(leaders_start_offset)
            except DiskError as error:
                self.disk_failed(error)
                return
            self._set_high_watermark(leaders_start_offset)

    def _begin_to_compare(self) -> None:
        """This replica begins to follow a leader, whose log may be another history."""
        self._compares_epochs = not self._legacy.truncates_to_high_watermark
        if self._legacy.truncates_to_high_watermark:
            self._truncate(self.high_watermark)

    def _compared_epochs(self) -> None:
        """The leader has answered: whatever it said, an old Kafka does not ask again."""
        if self._legacy.looks_epochs_up_once:
            self._compares_epochs = False

    def _truncate(self, offset: int) -> None:
        end_before = self.log.log_end_offset
        try:
            self.log.truncate_to(offset)  # also when no record goes: an epoch without records may have to
        except DiskError as error:
            self.disk_failed(error)
            return
        end = self.log.log_end_offset
        if end < end_before and self._host.tracer.enabled:
            topic, number = self.topic_partition
            self._host.tracer.emit(LogTruncated(topic, number, end_before, end, self.leader_epoch))
        self.high_watermark = high_watermark_after_truncation(self.high_watermark, end)
        self._notify(urgent=True)

    def enforce_retention(self, wall_ms: int) -> None:
        """Delete old segments as `retention.ms` and `retention.bytes` ask for, but nothing uncommitted.

        Every replica does so by itself, as in Kafka; a follower that finds its leader's log begin later starts there.
        """
        if not self.is_online or "delete" not in self._cleanup_policy:
            return
        try:
            offset = self.log.retention_offset(wall_ms, self.high_watermark)
            if offset > self.log.log_start_offset:
                _logger.info("%s: retention deletes everything below %d", self.topic_partition, offset)
                if offset == self.log.log_end_offset:
                    self.log.roll()  # the segment that is written to has nothing else, and goes as well
                self._move_log_start(offset)
        except (KafkaError, DiskError) as error:
            self.disk_failed(error)

    def _move_log_start(self, offset: int) -> None:
        self.log.advance_log_start_offset(offset)
        if self._host.tracer.enabled:
            topic, number = self.topic_partition
            self._host.tracer.emit(LogStartMoved(topic, number, self.role.value, self.log.log_start_offset))
        self._notify(urgent=True)

    # --- telling others ---------------------------------------------------------------------------

    def attach_stream(self, follower: NodeId, notice: StreamNotice) -> None:
        """Let a follower's stream hear of moves; a newer stream of the same follower takes the place of an older."""
        self._streams[follower] = notice

    def detach_stream(self, follower: NodeId, notice: StreamNotice) -> None:
        """Let it hear no more; nothing happens when a newer stream took its place."""
        if self._streams.get(follower) is notice:
            del self._streams[follower]

    def disk_failed(self, error: Exception) -> None:
        """Take this replica offline and tell the broker."""
        if self.is_online:  # one that is gone may have a successor of the same name
            _logger.error("%s goes offline, its disk failed: %s", self.topic_partition, error)
            self._host.disk_failed(self.topic_partition, error)

    def _set_high_watermark(self, high_watermark: int) -> None:
        assert high_watermark <= self.log.log_end_offset, "nobody claims more than he holds"
        self.high_watermark = high_watermark
        self.log.producers.settle(high_watermark)
        if self._host.tracer.enabled:
            topic, number = self.topic_partition
            self._host.tracer.emit(
                HighWatermarkAdvanced(topic, number, self.role_name, high_watermark, self.leader_epoch)
            )
        self._notify(urgent=False)

    def _notify(self, urgent: bool) -> None:
        for notice in self._streams.values():
            notice(urgent, 0)
        self._host.watches.notify(self.topic_partition)

    def _become(self, role: PartitionRole) -> None:
        self.role = role
        self.role_name = role.value
        self.is_online = role is not PartitionRole.OFFLINE  # whether the log may be used

    def _take_role(self, event: RoleEvent, state: PartitionState) -> None:
        assert state.leader_epoch >= self.leader_epoch, "leader epochs do not go back"
        self._become(next_role(self.role, event))
        self.leader = NodeId(state.leader)
        self.leader_epoch = state.leader_epoch
        self.partition_epoch = state.partition_epoch
        self._trace_role()

    def _trace_role(self) -> None:
        if self._host.tracer.enabled:
            topic, number = self.topic_partition
            ends = (self.log.log_end_offset, self.high_watermark)
            self._host.tracer.emit(PartitionRoleChanged(topic, number, self.role_name, self.leader_epoch, *ends))

    def _trace_append(self, appended: Appended) -> None:
        if self._host.tracer.enabled:
            topic, number = self.topic_partition
            for batch in appended.batches:
                self._host.tracer.emit(
                    BatchAppended(
                        topic, number, self.role_name, batch.base_offset, batch.last_offset, batch.leader_epoch
                    )
                )
