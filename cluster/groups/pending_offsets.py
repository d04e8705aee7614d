"""Offsets that were committed in a transaction that is still open (KIP-98, KIP-447).

Here: what waits for which producer's marker. Not here: who may commit (`offsets`), the offsets that count
(`committed_offsets`).

An offset that is committed outside of any transaction meanwhile is the newer one, whatever becomes of the transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from cluster.groups.record_codec import OffsetKey
from cluster.groups.requests import CommitOffset


class PendingOffsets:
    """Offsets by producer, in the order of their records."""

    def __init__(self) -> None:
        self._by_producer: dict[int, dict[OffsetKey, CommitOffset]] = {}

    def __contains__(self, key: OffsetKey) -> bool:
        return any(key in offsets for offsets in self._by_producer.values())

    def put(self, producer_id: int, key: OffsetKey, commit: CommitOffset | None) -> None:
        """Remember an offset until its producer's marker comes; None takes it back."""
        offsets = self._by_producer.setdefault(producer_id, {})
        offsets.pop(key, None)
        if commit is not None:
            offsets[key] = commit
        if not offsets:
            del self._by_producer[producer_id]

    def take(self, producer_id: int) -> dict[OffsetKey, CommitOffset]:
        """The marker has come: return the offsets that are not pending any more."""
        return self._by_producer.pop(producer_id, {})

    def overtaken(self, key: OffsetKey) -> None:
        """An offset was committed, or deleted, outside of any transaction."""
        for producer_id in [producer_id for producer_id, offsets in self._by_producer.items() if key in offsets]:
            self.put(producer_id, key, None)

    def of_group(self, group_id: str) -> Iterator[OffsetKey]:
        """Go through what is pending for a group."""
        for offsets in self._by_producer.values():
            yield from (key for key in offsets if key.group_id == group_id)

    def of_topics(self, topics: Collection[str]) -> dict[OffsetKey, None]:
        """Return what is pending for some topics, each once."""
        return {key: None for offsets in self._by_producer.values() for key in offsets if key.partition.topic in topics}
