"""committed-offsets-kept: a group's committed offset never goes back unless somebody asked for it.

Whoever asks for a committed offset gets the one that was acknowledged last, or one that somebody asked to commit
after it: a commit without an answer may have been carried out. A fetch that a coordinator of an earlier epoch answers
without knowing that it was replaced is not judged: Kafka promises nothing there either, and the next commit or
rebalance ends it. What such a coordinator acknowledges must be kept all the same.
"""

from __future__ import annotations

from cluster.base.group_trace import GroupStateChanged, OffsetCommitAsked, OffsetCommitted, OffsetFetched
from cluster.base.ids import NO_EPOCH, TopicPartition
from cluster.base.trace import Traced
from cluster.checks.oracle import Oracle, Violation

_DELETED = "Dead"

_Key = tuple[str, TopicPartition]


class _Kept:
    """One committed offset: what it is, under which epoch that was said, and what it may have become since."""

    def __init__(self) -> None:
        self.acknowledged: int | None = None
        self.epoch = NO_EPOCH
        self.asked: list[int] = []

    def settle(self, offset: int, epoch: int) -> None:
        """It is this one: what was asked for before no longer counts. An answer that was overtaken changes nothing."""
        if offset in self.asked:
            del self.asked[: self.asked.index(offset) + 1]
            self.acknowledged, self.epoch = offset, epoch


class CommittedOffsetsKept(Oracle):
    """Compare what is fetched with what was acknowledged."""

    name = "committed-offsets-kept"
    kinds = (
        OffsetCommitAsked.kind,
        OffsetCommitted.kind,
        OffsetFetched.kind,
        GroupStateChanged.kind,
    )

    def __init__(self) -> None:
        super().__init__()
        self._kept: dict[_Key, _Kept] = {}

    def on_event(self, traced: Traced) -> None:
        """Take a request, an acknowledgement or a fetch in."""
        event = traced.event
        if isinstance(event, GroupStateChanged):
            if event.state == _DELETED:
                self._kept = {key: kept for key, kept in self._kept.items() if key[0] != event.group}
        elif isinstance(event, OffsetCommitAsked):
            self._of(event).asked.append(event.offset)
        elif isinstance(event, OffsetCommitted):
            self._of(event).settle(event.offset, event.epoch)
        elif isinstance(event, OffsetFetched):
            self._on_fetched(traced, event, self._of(event))

    def _of(self, event: OffsetCommitAsked | OffsetCommitted | OffsetFetched) -> _Kept:
        return self._kept.setdefault((event.group, TopicPartition(event.topic, event.partition)), _Kept())

    def _on_fetched(self, traced: Traced, event: OffsetFetched, kept: _Kept) -> None:
        if kept.acknowledged is None or event.epoch < kept.epoch or event.offset == kept.acknowledged:
            return
        if event.offset in kept.asked:
            kept.settle(event.offset, event.epoch)
            return
        partition = TopicPartition(event.topic, event.partition)
        message = f"{event.group} had committed {kept.acknowledged}, and was told {event.offset}"
        self.violated(Violation(traced.time_us, message, partition, event.offset))
