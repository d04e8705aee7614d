"""The replicated log in memory: what agrees, what conflicts, what is durable, what can be forgotten.

Here: entries after a base (the last entry that was compacted away) and pure questions about them.
Not here: files (`storage`), or who may write (`follower`, `leader`).
"""

from __future__ import annotations

from collections.abc import Sequence

from cluster.raft.messages import Entry


class RaftLog:
    """Entries `base_index + 1 .. last_index`. `stable_index` is the last entry known to survive a loss of power."""

    def __init__(self, base_index: int, base_term: int, entries: Sequence[Entry], stable_index: int) -> None:
        self.base_index = base_index
        self.base_term = base_term
        self.stable_index = stable_index
        self._entries = list(entries)
        self._unsaved_from = self.last_index + 1
        assert base_index <= stable_index <= self.last_index
        assert all(entry.index == base_index + 1 + position for position, entry in enumerate(entries))

    @property
    def last_index(self) -> int:
        """Index of the last entry; the base's when there is none."""
        return self.base_index + len(self._entries)

    @property
    def last_term(self) -> int:
        """Term of the last entry; the base's when there is none."""
        return self._entries[-1].term if self._entries else self.base_term

    def term_at(self, index: int) -> int | None:
        """Return the term of the entry at an index; None when it was compacted away or does not exist."""
        if index == self.base_index:
            return self.base_term
        if self.base_index < index <= self.last_index:
            return self._entries[index - self.base_index - 1].term
        return None

    def is_up_to_date(self, last_index: int, last_term: int) -> bool:
        """Whether a log that ends so is at least as complete as this one (paper, section 5.4.1)."""
        return (last_term, last_index) >= (self.last_term, self.last_index)

    def between(self, first_index: int, last_index: int, bytes_max: int) -> tuple[Entry, ...]:
        """Return entries `first_index .. last_index`, fewer when they exceed `bytes_max`; the first always fits."""
        assert self.base_index < first_index and last_index <= self.last_index
        taken: list[Entry] = []
        size = 0
        for position in range(first_index - self.base_index - 1, last_index - self.base_index):
            entry = self._entries[position]
            size += len(entry.data)
            if taken and size > bytes_max:
                break
            taken.append(entry)
        return tuple(taken)

    def after(self, index: int) -> tuple[Entry, ...]:
        """Return all entries after `index`."""
        assert index >= self.base_index
        return tuple(self._entries[index - self.base_index :])

    def append(self, entries: Sequence[Entry]) -> None:
        """Add entries at the end (a leader never overwrites its own: paper, section 5.3)."""
        for entry in entries:
            assert entry.index == self.last_index + 1 and entry.term >= self.last_term
            self._entries.append(entry)

    def merge(self, entries: Sequence[Entry]) -> None:
        """Take a leader's entries: skip those that agree, cut at the first that conflicts, append the rest.

        Entries that agree are not cut even if more follow them: the message may be old (paper, figure 2, step 3).
        """
        for position, entry in enumerate(entries):
            if self.term_at(entry.index) == entry.term:
                continue
            if entry.index <= self.last_index:
                self._cut(entry.index)
            self.append(entries[position:])
            return

    def _cut(self, first_index: int) -> None:
        assert first_index > self.base_index
        del self._entries[first_index - self.base_index - 1 :]
        self.stable_index = min(self.stable_index, first_index - 1)
        self._unsaved_from = min(self._unsaved_from, first_index)

    def hint(self, index: int, term: int) -> tuple[int, int]:
        """Return the last (index, term) not after `index` whose term is not above `term`.

        Both sides use it to skip a whole term for each refused AppendEntries (paper, end of section 5.3).
        """
        index = min(index, self.last_index)
        while index > self.base_index:
            found = self._entries[index - self.base_index - 1].term
            if found <= term:
                return index, found
            index -= 1
        return self.base_index, self.base_term

    def take_unsaved(self) -> tuple[Entry, ...]:
        """Return what storage has not been given yet; a first index that is not new replaces what was stored."""
        first = self._unsaved_from
        self._unsaved_from = self.last_index + 1
        return self.after(first - 1)

    def mark_stable(self, index: int, term: int) -> bool:
        """Note that all up to the entry (index, term) is durable. False when that entry was replaced meanwhile."""
        if index <= self.stable_index or self.term_at(index) != term:
            return False
        self.stable_index = index
        return True

    def compact(self, index: int, entries_max: int, bytes_max: int) -> None:
        """Forget entries that a snapshot up to `index` covers, but for the last few below it."""
        assert self.base_index <= index < self._unsaved_from
        position = index - self.base_index
        size = 0
        kept = 0
        while position > 0 and kept < entries_max and size + len(self._entries[position - 1].data) <= bytes_max:
            position -= 1
            kept += 1
            size += len(self._entries[position].data)
        if position > 0:
            base = self._entries[position - 1]
            del self._entries[:position]
            self.base_index, self.base_term = base.index, base.term
        self.stable_index = max(self.stable_index, index)

    def restart_at(self, index: int, term: int) -> None:
        """Drop everything: a snapshot from the leader stands for all entries up to `index`."""
        self._entries.clear()
        self.base_index, self.base_term = index, term
        self.stable_index = index
        self._unsaved_from = index + 1
