"""DeleteRecords (API 21), versions 0 to 2: delete everything below an offset (KIP-107).

Behaviour
- The leader moves its log start offset at once; offset -1 stands for the high watermark, beyond it there is nothing to
  delete: OFFSET_OUT_OF_RANGE. Segments that hold nothing else are deleted, a record in the middle only hidden.
- Answered when the log of every live replica starts there, which followers learn with their fetches; with the low
  watermark, the least log start offset of live replicas. REQUEST_TIMED_OUT after `timeout_ms`: they still do it.
- INVALID_TOPIC_EXCEPTION for internal topics, POLICY_VIOLATION for one whose `cleanup.policy` does not say delete:
  there compaction alone decides.
"""

from __future__ import annotations

import asyncio

from cluster.base.errors import ErrorCode
from cluster.base.ids import NO_OFFSET
from cluster.broker.context import BrokerContext
from cluster.broker.controller_calls import milliseconds
from cluster.broker.coordinator import INTERNAL_TOPICS
from cluster.broker.partitions import find_partition
from cluster.replication import Partition
from cluster.wire import Fields, Message


async def handle(context: BrokerContext, version: int, message: Message) -> Fields:
    """Delete, then wait for the followers."""
    deletions = {
        topic.name: [_Deletion(context, topic.name, part) for part in topic.partitions] for topic in message.topics
    }
    await _until_done(context, [each for rows in deletions.values() for each in rows], milliseconds(message.timeout))
    return {
        "topics": [
            {"name": name, "partitions": [deletion.result() for deletion in rows]} for name, rows in deletions.items()
        ]
    }


class _Deletion:
    """One partition of the request (Kafka: `DelayedDeleteRecords`)."""

    def __init__(self, context: BrokerContext, topic: str, part: Message) -> None:
        self._number: int = part.partition_index
        self.error = ErrorCode.NONE
        self.partition: Partition | None = None
        self._required_offset = NO_OFFSET
        if topic in INTERNAL_TOPICS:
            self.error = ErrorCode.INVALID_TOPIC_EXCEPTION
            return
        found = find_partition(context, topic, part.partition_index)
        if isinstance(found, ErrorCode):
            self.error = found
            return
        self.partition = found
        self.error, self._required_offset = found.delete_records(part.offset)

    @property
    def is_done(self) -> bool:
        """Whether nothing is to be waited for; a partition that is led here no more has nothing to say either."""
        if self.error is not ErrorCode.NONE or self.partition is None:
            return True
        if not self.partition.is_leader:
            self.error = ErrorCode.NOT_LEADER_OR_FOLLOWER
            return True
        return self.partition.low_watermark >= self._required_offset

    def result(self) -> Fields:
        if not self.is_done:
            self.error = ErrorCode.REQUEST_TIMED_OUT
        has_succeeded = self.error is ErrorCode.NONE and self.partition is not None
        low_watermark = self.partition.low_watermark if has_succeeded and self.partition else NO_OFFSET
        return {"partition_index": self._number, "low_watermark": low_watermark, "error_code": self.error}


async def _until_done(context: BrokerContext, deletions: list[_Deletion], timeout_ms: int) -> None:
    waiting = [each.partition.topic_partition for each in deletions if not each.is_done and each.partition is not None]
    if not waiting:
        return
    over = asyncio.Event()

    def look() -> None:
        if all(each.is_done for each in deletions):
            over.set()

    watch = context.replicas.watch(waiting, look)
    deadline = context.deadlines.set(timeout_ms, over.set)
    try:
        await over.wait()
    finally:
        deadline.cancel()
        watch.cancel()
