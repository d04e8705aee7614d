"""The version order of each key: which offsets anybody ever saw, counted without the gaps, and what was at them.

Built from acknowledged sends and from all polls (Jepsen's `version-orders`). An offset's place in the order is its
**index**: control records and aborted ones leave gaps in offsets that nobody must take for lost values.
"""

from __future__ import annotations

from collections.abc import Callable

from cluster.checks.history.operations import FAIL, OK, Operation, Value


class KeyVersions:
    """One key: the values seen at each offset, the offsets of each value, who sent it, and who read it."""

    __slots__ = (
        "_compaction", "_sorted", "at", "final_from", "indexes", "offsets", "others", "read", "read_finally", "repeats",
        "senders",
    )  # fmt: skip

    def __init__(self) -> None:
        self.at: dict[int, Value] = {}
        """The first value seen at an offset."""
        self.others: dict[int, dict[Value, str]] = {}
        """Further values that were seen at it, and who saw them."""
        self.offsets: dict[Value, int] = {}
        """The first known offset of a value."""
        self.repeats: dict[Value, dict[int, None]] = {}
        """All its offsets, when it has more than one."""
        self.senders: dict[Value, Operation] = {}
        self.read: set[Value] = set()
        self.read_finally: set[Value] = set()
        self.final_from = -1
        """The lowest offset of the final reading; -1 when there was none."""
        self.indexes: dict[int, int] = {}
        self._sorted: list[int] = []
        self._compaction: _Compaction | None = None

    def see(self, offset: int, value: Value, process: str) -> None:
        """Somebody was told that this value lies at this offset."""
        first = self.at.setdefault(offset, value)
        if first != value:
            self.others.setdefault(offset, {}).setdefault(value, process)
        known = self.offsets.setdefault(value, offset)
        if known != offset:
            self.repeats.setdefault(value, {known: None})[offset] = None

    def order(self, *, is_compacted: bool = False) -> None:
        """Number the offsets; call it when all have been seen. `is_compacted`: the topic keeps last values only."""
        self._sorted = sorted(self.at)
        if is_compacted:
            self._compaction = _Compaction(self)
        self.indexes = {offset: index for index, offset in enumerate(self._sorted)}

    @property
    def sorted_offsets(self) -> list[int]:
        """All offsets in order."""
        return self._sorted

    def are_passed_over(self, start: int, end: int) -> bool:
        """Whether a consumer may miss all places from `start` up to and without `end`; false for none.

        Those of values whose sending failed: who reads uncommitted is shown them, who reads committed is not. And those
        of values that compaction may have removed.
        """
        values = [self.at[self._sorted[index]] for index in range(start, end)]
        return bool(values) and all(self._is_failed(value) or self.may_be_compacted(value) for value in values)

    def _is_failed(self, value: Value) -> bool:
        sender = self.senders.get(value)
        return sender is not None and sender.outcome == FAIL

    def may_be_compacted(self, value: Value) -> bool:
        """Whether compaction may have removed a value's record: a later one of its key is known, or may be there."""
        return self._compaction is not None and self._compaction.may_remove(value, self.offsets.get(value, -1))

    def first_index(self, value: Value) -> int:
        """The place of a value's first offset; -1 when none is known."""
        offset = min(self.repeats[value]) if value in self.repeats else self.offsets.get(value)
        return -1 if offset is None else self.indexes[offset]

    def last_index(self, value: Value) -> int:
        """The place of a value's last offset; -1 when none is known."""
        offset = max(self.repeats[value]) if value in self.repeats else self.offsets.get(value)
        return -1 if offset is None else self.indexes[offset]


class _Compaction:
    """Which records of a compacted partition are superseded, by their own keys.

    A tombstone may go, too. Not before its time, but histories are read long after: who has a clock that the brokers
    share judges that (`compaction-keeps-the-latest`).
    """

    def __init__(self, versions: KeyVersions) -> None:
        self._keys: dict[Value, str] = {}
        self._tombstones: set[Value] = set()
        self._last: dict[str, int] = {}
        self._maybe_later: set[str] = set()
        for value, sender in versions.senders.items():
            for (_, sent, _), key in zip(sender.sends, sender.record_keys, strict=False):
                if sent == value and key is not None:
                    self._keys[value] = key
                    if value in sender.tombstones:
                        self._tombstones.add(value)
                    if value not in versions.offsets and sender.outcome != FAIL:
                        self._maybe_later.add(key)
        for value, offset in versions.offsets.items():
            key = self._keys.get(value)
            if key is not None:
                last = max(versions.repeats[value]) if value in versions.repeats else offset
                self._last[key] = max(last, self._last.get(key, -1))

    def may_remove(self, value: Value, offset: int) -> bool:
        key = self._keys.get(value)
        if key is None:
            return False
        is_superseded = self._last.get(key, -1) > offset or key in self._maybe_later
        return is_superseded or value in self._tombstones


def version_orders(
    operations: list[Operation], is_compacted: Callable[[str], bool] = lambda key: False
) -> dict[str, KeyVersions]:
    """Build the order of every key that operations name, keys in the order of their first appearance."""
    keys: dict[str, KeyVersions] = {}
    for operation in operations:
        for key, value, offset in operation.sends:
            versions = keys.get(key)
            if versions is None:
                versions = keys[key] = KeyVersions()
            versions.senders[value] = operation
            if offset >= 0 and operation.outcome == OK:
                versions.see(offset, value, operation.process)
        if operation.polls:
            _see_polls(keys, operation)
    for key, versions in keys.items():
        versions.order(is_compacted=is_compacted(key))
    return keys


def _see_polls(keys: dict[str, KeyVersions], operation: Operation) -> None:
    process = operation.process
    is_ok = operation.outcome == OK
    for key, records in operation.polls:
        versions = keys.get(key)
        if versions is None:
            versions = keys[key] = KeyVersions()
        for offset, value in records:
            versions.see(offset, value, process)
            if is_ok:
                versions.read.add(value)
        if is_ok and operation.final and records:
            versions.read_finally.update(value for _, value in records)
            lowest = min(offset for offset, _ in records)
            versions.final_from = lowest if versions.final_from < 0 else min(lowest, versions.final_from)
