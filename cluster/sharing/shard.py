"""How far share groups have come, as one partition of `__share_group_state` has it (Kafka: `ShareCoordinatorShard`).

Here: reading, writing, starting and deleting the state of share partitions, with their fences: whoever led the
partition before, or does not know that an admin has moved the start, is refused. Not here: what the states mean
(`share_partition`), and the coordinator that appends, waits and answers (`cluster.broker.coordinator`).

Every question returns a decision and changes nothing. `accept` takes a decision in once its records are in the log;
`replay` makes the same state from the log alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cluster.base.answers import Answer, LogRecord
from cluster.base.errors import ErrorCode
from cluster.base.ids import NO_OFFSET
from cluster.base.moments import Moment
from cluster.sharing.record_codec import read_key, read_snapshot, read_update, write_key, write_snapshot
from cluster.sharing.state import SharePartitionKey, ShareState

UNKNOWN = ShareState()
"""The state of a partition that a group has never read."""


@dataclass(frozen=True, slots=True)
class ShareDecision:
    """Records to write together, and what follows; see `cluster.groups.Decision`."""

    records: Sequence[LogRecord] = ()
    answers: Sequence[Answer] = ()
    after: Sequence[tuple[SharePartitionKey, ShareState | None]] = ()
    waits_for_commit: bool = True

    def pieces(self, batch_bytes_max: int) -> Sequence[ShareDecision]:
        """Return the decision: it writes one record at most."""
        return (self,)


class ShareShard:
    """States by share partition. Requests are answered with a state or an ErrorCode."""

    def __init__(self) -> None:
        self._states: dict[SharePartitionKey, ShareState] = {}

    # --- state ------------------------------------------------------------------------------------

    def replay(self, key: bytes | None, value: bytes | None) -> None:
        """Take one record of the log in. Raises MalformedMessage when it is not what its version says."""
        subject = None if key is None else read_key(key)
        if subject is None:
            return
        if value is None:
            if not subject.is_update:
                self._states.pop(subject.partition, None)
        elif subject.is_update:
            state = self._states.get(subject.partition, UNKNOWN)
            self._states[subject.partition] = read_update(value, state)
        else:
            self._states[subject.partition] = read_snapshot(value)

    def loaded(self, now_ms: int) -> None:
        """The whole log was replayed."""

    def accept(self, decision: ShareDecision) -> None:
        """Take in a decision whose records are in the log now."""
        for key, state in decision.after:
            if state is None:
                self._states.pop(key, None)
            else:
                self._states[key] = state

    def next_deadline_ms(self) -> int | None:
        """Return None: time changes nothing here."""
        return None

    def time_passed(self, now: Moment) -> ShareDecision | None:
        """Return None: time changes nothing here."""
        return None

    def retry_at(self, decision: ShareDecision, at_ms: int) -> None:
        """Nothing is ever due."""

    # --- questions --------------------------------------------------------------------------------

    def read(
        self, token: int, key: SharePartitionKey, leader_epoch: int, start_offset: int = NO_OFFSET
    ) -> ShareDecision:
        """Tell the state to whoever leads the partition; earlier leaders cannot write it from then on.

        A group that has not read anything yet begins at `start_offset`, if the leader says one. With leader epoch -1
        somebody merely looks. FENCED_LEADER_EPOCH for an earlier leader.
        """
        state = self._states.get(key, UNKNOWN)
        if 0 <= leader_epoch < state.leader_epoch:
            return _refuse(token, ErrorCode.FENCED_LEADER_EPOCH)
        if state.start_offset < 0 <= start_offset and leader_epoch >= 0:
            return self._become(token, key, replace(state, leader_epoch=leader_epoch, start_offset=start_offset))
        if leader_epoch <= state.leader_epoch or state.start_offset < 0:
            return ShareDecision(answers=(Answer(token, state),))
        return self._become(token, key, replace(state, leader_epoch=leader_epoch))

    def write(self, token: int, key: SharePartitionKey, state: ShareState) -> ShareDecision:
        """Keep what a leader has come to.

        FENCED_LEADER_EPOCH, FENCED_STATE_EPOCH for whoever is of the past, as a leader is that does not know of the
        deletion of the group.
        """
        known = self._states.get(key)
        if known is None:
            return _refuse(token, ErrorCode.FENCED_STATE_EPOCH)
        if state.leader_epoch < known.leader_epoch:
            return _refuse(token, ErrorCode.FENCED_LEADER_EPOCH)
        if state.state_epoch < known.state_epoch:
            return _refuse(token, ErrorCode.FENCED_STATE_EPOCH)
        return self._become(token, key, state)

    def begin(self, token: int, key: SharePartitionKey, start_offset: int) -> ShareDecision:
        """Let a group begin at an offset, whatever it did before: the state's epoch rises (an admin moves it)."""
        known = self._states.get(key, UNKNOWN)
        begun = ShareState(known.state_epoch + 1, known.leader_epoch, start_offset, (), known.snapshot_epoch)
        return self._become(token, key, begun)

    def delete(self, token: int, key: SharePartitionKey) -> ShareDecision:
        """Forget a share partition; answered with NONE, also when there was nothing."""
        answers = (Answer(token, ErrorCode.NONE),)
        if key not in self._states:
            return ShareDecision(answers=answers)
        return ShareDecision(((write_key(key), None),), answers, ((key, None),))

    def _become(self, token: int, key: SharePartitionKey, state: ShareState) -> ShareDecision:
        kept = replace(state, snapshot_epoch=self._states.get(key, UNKNOWN).snapshot_epoch + 1)
        record = (write_key(key), write_snapshot(kept))
        return ShareDecision((record,), (Answer(token, kept),), ((key, kept),))


def _refuse(token: int, error: ErrorCode) -> ShareDecision:
    return ShareDecision(answers=(Answer(token, error),), waits_for_commit=False)
