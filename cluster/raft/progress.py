"""What a leader knows about one follower: how far it agrees, what is under way, when it last answered.

Here: the bookkeeping of figure 2's `nextIndex` and `matchIndex`, with a pipeline. Not here: sending (`leader`).
"""

from __future__ import annotations

from collections import deque
from enum import Enum

from cluster.base.limits import RAFT_APPENDS_IN_FLIGHT_MAX


class Pace(Enum):
    """How a leader feeds a follower."""

    PROBE = "probe"  # looking for the last agreed entry: one message at a time
    REPLICATE = "replicate"  # agreed: a pipeline of messages
    SNAPSHOT = "snapshot"  # the next entry is gone: a snapshot is under way


class Progress:
    """One follower, as its leader believes it to be. Times in milliseconds."""

    def __init__(self, next_index: int, now_ms: int) -> None:
        self.match_index = 0
        self.next_index = next_index
        self.pace = Pace.PROBE
        self.contact_ms = now_ms
        self.caught_up_ms = now_ms
        self.commit_sent = 0
        self.probe_sent = False
        self.snapshot_index = 0
        self.snapshot_sent_ms = now_ms
        self._in_flight: deque[int] = deque()  # last index of each AppendEntries that is not answered

    @property
    def is_full(self) -> bool:
        """Whether no more entries may be sent before something is answered."""
        if self.pace is Pace.PROBE:
            return self.probe_sent
        return self.pace is Pace.SNAPSHOT or len(self._in_flight) >= RAFT_APPENDS_IN_FLIGHT_MAX

    def sent(self, last_index: int, has_entries: bool) -> None:
        """Note an AppendEntries that ends at `last_index`. In a pipeline the next one follows on without waiting."""
        if self.pace is Pace.PROBE:
            self.probe_sent = True
        elif has_entries:
            self.next_index = last_index + 1
            self._in_flight.append(last_index)

    def accepted(self, match_index: int) -> bool:
        """Take a success. Whether the follower is further than was known."""
        while self._in_flight and self._in_flight[0] <= match_index:
            self._in_flight.popleft()
        advanced = match_index > self.match_index
        self.match_index = max(self.match_index, match_index)
        self.next_index = max(self.next_index, self.match_index + 1)
        agreed = self.pace is Pace.PROBE and self.match_index + 1 >= self.next_index
        installed = self.pace is Pace.SNAPSHOT and self.match_index >= self.snapshot_index
        if agreed or installed:
            self._enter(Pace.REPLICATE, self.match_index + 1)
        # A success that teaches nothing (the follower's disk is behind) leaves a probe open until the next heartbeat:
        # to repeat it at once would make two voters talk in circles.
        return advanced

    def refused(self, reject_index: int, retry_index: int) -> bool:
        """Take a refusal: go on after `retry_index`. False when it is old news, overtaken by another answer."""
        if self.pace is Pace.SNAPSHOT or reject_index <= self.match_index:
            return False
        if self.pace is Pace.PROBE and reject_index != self.next_index - 1:
            return False
        self._enter(Pace.PROBE, max(self.match_index, min(retry_index, reject_index - 1)) + 1)
        return True

    def send_snapshot(self, snapshot_index: int, now_ms: int) -> None:
        """Note that a snapshot is on its way."""
        self._enter(Pace.SNAPSHOT, snapshot_index + 1)
        self.snapshot_index = snapshot_index
        self.snapshot_sent_ms = now_ms

    def _enter(self, pace: Pace, next_index: int) -> None:
        assert next_index > self.match_index
        self.pace = pace
        self.next_index = next_index
        self.probe_sent = False
        self._in_flight.clear()
