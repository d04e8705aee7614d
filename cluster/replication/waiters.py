"""Who waits for what: produce requests for an offset to be committed, fetches for anything to move.

Here: the two registers, without polling: whoever waits is called when it is time. Not here: time-outs, which
belong to whoever waits (Kafka: `DelayedOperationPurgatory`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heappop, heappush

from cluster.base.errors import NO_ERROR, ErrorCode
from cluster.base.ids import TopicPartition


class Waiter:
    """One who waits for an offset. It is called once, unless it is cancelled before."""

    __slots__ = ("_called",)

    def __init__(self, called: Callable[[ErrorCode], None] | None) -> None:
        self._called = called

    @property
    def is_waiting(self) -> bool:
        """Whether it was neither called nor cancelled."""
        return self._called is not None

    def cancel(self) -> None:
        """Wait no longer; nothing happens when it was called already."""
        self._called = None

    def call(self, error: ErrorCode) -> None:
        """Tell it; nothing happens the second time."""
        called, self._called = self._called, None
        if called is not None:
            called(error)


class CommitWaiters:
    """Those who wait for a high watermark, served in the order of their offsets."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Waiter]] = []
        self._count = 0

    def __len__(self) -> int:
        return sum(1 for _, _, waiter in self._heap if waiter.is_waiting)

    def add(self, required_offset: int, called: Callable[[ErrorCode], None]) -> Waiter:
        """Call `called` with NONE once the high watermark reaches `required_offset`."""
        waiter = Waiter(called)
        heappush(self._heap, (required_offset, self._count, waiter))  # the count keeps equals in their order
        self._count += 1
        return waiter

    def committed(self, high_watermark: int) -> None:
        """Tell everyone who waited for no more than `high_watermark`."""
        heap = self._heap
        while heap and heap[0][0] <= high_watermark:
            heappop(heap)[2].call(NO_ERROR)

    def fail(self, error: ErrorCode) -> None:
        """Tell everyone that the wait is in vain."""
        waiting, self._heap = self._heap, []
        for _, _, waiter in sorted(waiting, key=lambda entry: entry[:2]):
            waiter.call(error)


class Watch:
    """One who wants to hear of every move on some partitions, until it is cancelled."""

    __slots__ = ("_number", "_partitions", "_watches")

    def __init__(self, watches: Watches, number: int, partitions: tuple[TopicPartition, ...]) -> None:
        self._watches = watches
        self._number = number
        self._partitions = partitions

    def cancel(self) -> None:
        """Hear no more; nothing happens the second time."""
        self._watches.forget(self._number, self._partitions)
        self._partitions = ()


class Watches:
    """Watches by partition; a partition that does not exist yet may be watched."""

    def __init__(self) -> None:
        self._by_partition: dict[TopicPartition, dict[int, Callable[[], None]]] = {}
        self._next_number = 0

    def add(self, partitions: Sequence[TopicPartition], on_change: Callable[[], None]) -> Watch:
        """Call `on_change` whenever something moves on any of the partitions."""
        number, self._next_number = self._next_number, self._next_number + 1
        for partition in partitions:
            self._by_partition.setdefault(partition, {})[number] = on_change
        return Watch(self, number, tuple(partitions))

    def forget(self, number: int, partitions: Sequence[TopicPartition]) -> None:
        """Remove one watch; for `Watch.cancel`."""
        for partition in partitions:
            watching = self._by_partition.get(partition)
            if watching is not None and watching.pop(number, None) is not None and not watching:
                del self._by_partition[partition]

    def notify(self, partition: TopicPartition) -> None:
        """Call all who watch the partition, in the order in which they came."""
        watching = self._by_partition.get(partition)
        if watching:
            for on_change in tuple(watching.values()):  # a callback may cancel its watch
                on_change()
