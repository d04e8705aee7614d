"""Storage: partition logs in Kafka's file format, over the Disk port: segments, indexes, epochs, producers."""

from cluster.storage.checkpoints import read_checkpoint, read_log_start, was_compacted, write_checkpoint
from cluster.storage.cleaning_plan import Dirt
from cluster.storage.compaction import compact, dirt_of
from cluster.storage.epochs import EpochEndOffset, EpochStart
from cluster.storage.identity import check_identity, read_topic_id, write_topic_id
from cluster.storage.log import DELETED_SUFFIX, Appended, Flush, Log
from cluster.storage.producers import BatchSequence, ProducerState, ProducerStates
from cluster.storage.timestamps import TimestampOffset

__all__ = [
    "DELETED_SUFFIX",
    "Appended",
    "BatchSequence",
    "Dirt",
    "EpochEndOffset",
    "EpochStart",
    "Flush",
    "Log",
    "ProducerState",
    "ProducerStates",
    "TimestampOffset",
    "check_identity",
    "compact",
    "dirt_of",
    "read_checkpoint",
    "read_log_start",
    "read_topic_id",
    "was_compacted",
    "write_checkpoint",
    "write_topic_id",
]
