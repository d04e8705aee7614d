"""The committed offsets of a shard's groups (Kafka: `OffsetMetadataManager`).

Here: which offsets count, which wait for the end of their transaction, and the records that forget them. Not here: who
may commit (`offsets`), when offsets expire (`expiry`), and the groups themselves (`shard`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from cluster.base.answers import LogRecord
from cluster.base.ids import TopicPartition
from cluster.groups.pending_offsets import PendingOffsets
from cluster.groups.record_codec import OffsetKey, read_offset, write_offset_key
from cluster.groups.requests import NO_COMMIT, UNSTABLE, CommitOffset

Offsets = Mapping[TopicPartition, CommitOffset]


class CommittedOffsets:
    """Offsets by group and partition. Records change them, nothing else does."""

    def __init__(self) -> None:
        self._by_group: dict[str, dict[TopicPartition, CommitOffset]] = {}
        self._pending = PendingOffsets()

    # --- records ----------------------------------------------------------------------------------

    def replay(self, key: OffsetKey, value: bytes | None) -> None:
        """Take in a commit, or with None a tombstone. Raises MalformedMessage."""
        commit = None if value is None else read_offset(value)
        self._pending.overtaken(key)
        offsets = self._by_group.setdefault(key.group_id, {})
        if commit is None:
            offsets.pop(key.partition, None)
        else:
            offsets[key.partition] = commit
        if not offsets:
            del self._by_group[key.group_id]

    def replay_pending(self, producer_id: int, key: OffsetKey, value: bytes | None) -> None:
        """Take in a commit that counts when its producer's transaction does. Raises MalformedMessage."""
        self._pending.put(producer_id, key, None if value is None else read_offset(value))

    def replay_marker(self, producer_id: int, is_commit: bool) -> Collection[str]:
        """End a producer's transaction; return the groups whose offsets count from now on."""
        ended = self._pending.take(producer_id)
        if not is_commit:
            return ()
        for key, commit in ended.items():
            self._by_group.setdefault(key.group_id, {})[key.partition] = commit
        return dict.fromkeys(key.group_id for key in ended)

    # --- questions --------------------------------------------------------------------------------

    @property
    def groups(self) -> Collection[str]:
        """The groups that have offsets which count."""
        return self._by_group.keys()

    def settled(self, group_id: str) -> Offsets:
        """Return a group's offsets except those that an open transaction may change."""
        offsets = self._by_group.get(group_id, {})
        pending = frozenset(key.partition for key in self._pending.of_group(group_id))
        return {partition: commit for partition, commit in offsets.items() if partition not in pending}

    def fetch(self, group_id: str, partitions: Sequence[TopicPartition] | None, require_stable: bool) -> Offsets:
        """Return an offset for each partition, or (None) all there are.

        NO_COMMIT where there is none, and with `require_stable` UNSTABLE where an open transaction may change it.
        """
        offsets = self._by_group.get(group_id, {})
        wanted = offsets if partitions is None else partitions
        found = {key: offsets.get(key, NO_COMMIT) for key in wanted}
        if require_stable:
            found.update({key: UNSTABLE for key in wanted if OffsetKey(group_id, key) in self._pending})
        return found

    # --- forgetting -------------------------------------------------------------------------------

    def partitions(self, group_id: str) -> Collection[TopicPartition]:
        """Return the partitions for which a group has offsets, pending ones too."""
        pending = (key.partition for key in self._pending.of_group(group_id))
        return dict.fromkeys((*self._by_group.get(group_id, {}), *pending))

    def tombstones(self, group_id: str, partitions: Iterable[TopicPartition]) -> list[LogRecord]:
        """Return the records that forget a group's offsets for some partitions."""
        known = self.partitions(group_id)
        return [(write_offset_key(group_id, each), None) for each in partitions if each in known]

    def tombstones_of_topics(self, topics: Collection[str]) -> list[LogRecord]:
        """Return the records that forget all groups' offsets for some topics."""
        gone = {
            OffsetKey(group_id, partition): None
            for group_id, offsets in self._by_group.items()
            for partition in offsets
            if partition.topic in topics
        }
        gone |= self._pending.of_topics(topics)
        return [(write_offset_key(key.group_id, key.partition), None) for key in gone]
