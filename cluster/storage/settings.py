"""The configs that a log obeys, read once so that an append does not parse text (class LogConfig)."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.base.configs import Configs
from cluster.storage.cleaning_plan import CleaningRules


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Numbers in force for one log. Sizes in bytes, times in milliseconds."""

    segment_bytes: int
    roll_ms: int
    index_interval_bytes: int
    index_bytes_max: int
    flush_messages: int
    flush_ms: int
    batch_bytes_max: int
    stamps_append_time: bool
    producer_expiration_ms: int
    retention_ms: int
    retention_bytes: int
    is_compacted: bool
    cleaning: CleaningRules

    @classmethod
    def of(cls, configs: Configs) -> LogSettings:
        """Read the settings out of a broker's configs, on which the topic's own are already laid."""
        is_compacted = "compact" in configs.text("log.cleanup.policy").split(",")
        max_lag_ms = configs.integer("log.cleaner.max.compaction.lag.ms")
        roll_ms = configs.integer("log.roll.ms")
        return cls(
            segment_bytes=configs.integer("log.segment.bytes"),
            # Only closed segments are compacted: the active one must not keep a record longer than that.
            roll_ms=min(roll_ms, max(max_lag_ms, 1)) if is_compacted else roll_ms,
            index_interval_bytes=configs.integer("log.index.interval.bytes"),
            index_bytes_max=configs.integer("log.index.size.max.bytes"),
            flush_messages=configs.integer("log.flush.interval.messages"),
            flush_ms=configs.integer("log.flush.interval.ms"),
            batch_bytes_max=configs.integer("message.max.bytes"),
            stamps_append_time=configs.text("log.message.timestamp.type") == "LogAppendTime",
            producer_expiration_ms=configs.integer("producer.id.expiration.ms"),
            retention_ms=configs.integer("log.retention.ms"),
            retention_bytes=configs.integer("log.retention.bytes"),
            is_compacted=is_compacted,
            cleaning=CleaningRules(
                min_dirty_ratio=configs.decimal("log.cleaner.min.cleanable.ratio"),
                min_lag_ms=configs.integer("log.cleaner.min.compaction.lag.ms"),
                max_lag_ms=max_lag_ms,
                delete_retention_ms=configs.integer("log.cleaner.delete.retention.ms"),
                key_memory_bytes=configs.integer("log.cleaner.dedupe.buffer.size"),
            ),
        )
