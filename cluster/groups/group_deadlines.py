"""When something happens to the groups of a shard if nobody asks them anything (Kafka: `CoordinatorTimer`).

Here: the groups in the order of their deadlines. Not here: what is due then (`leaving`, `consumer.leaving`).
"""

from __future__ import annotations

from heapq import heappop, heappush


class GroupDeadlines:
    """One deadline for each group at most. Times are milliseconds of the monotonic clock."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, str]] = []
        self._deadline_of: dict[str, int] = {}

    def set(self, group_id: str, deadline_ms: int) -> None:
        """Have a group looked at; what was set for it before counts no more."""
        self._deadline_of[group_id] = deadline_ms
        heappush(self._heap, (deadline_ms, group_id))

    def advance(self, group_id: str, deadline_ms: int) -> None:
        """Have a group looked at no later than this.

        Deadlines mostly move away, with each heartbeat: who is looked at too early says when to come again.
        """
        if deadline_ms < self._deadline_of.get(group_id, deadline_ms + 1):
            self.set(group_id, deadline_ms)

    def next_ms(self) -> int | None:
        """Return the first deadline; it may be one that counts no more."""
        return self._heap[0][0] if self._heap else None

    def take_due(self, now_ms: int) -> str | None:
        """Return a group whose deadline has passed, which has none then; None when there is none left."""
        while self._heap and self._heap[0][0] <= now_ms:
            deadline_ms, group_id = heappop(self._heap)
            if self._deadline_of.get(group_id) == deadline_ms:
                del self._deadline_of[group_id]
                return group_id
        return None
