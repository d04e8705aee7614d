"""What the groups of a shard decide: what to write, what changes with it, and who is answered then.

Here: the decision, and `Turn`, in which the decision about one group is put together. Not here: the rules that do so,
and the coordinator that writes and answers.

Nothing has happened yet when a decision is made. Its records are appended first; if that fails, nothing has happened
still. Then `GroupShard.accept` takes it in, and when the records are committed the answers leave.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cluster.base.answers import Answer, LogRecord, batches_of
from cluster.base.moments import Moment
from cluster.base.trace import TraceEvent
from cluster.groups.consumer.group import ConsumerGroup
from cluster.groups.group import Group
from cluster.groups.states import GroupEvent, next_state

AnyGroup = Group | ConsumerGroup
"""A group of the classic or of the new protocol; the same id may be the one today and the other tomorrow."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The configs that groups go by; the names are Kafka's."""

    initial_rebalance_delay_ms: int = 3000
    session_timeout_ms_min: int = 6000
    session_timeout_ms_max: int = 1_800_000
    new_member_timeout_ms: int = 300_000
    members_max: int = 2**31 - 1
    offset_metadata_bytes_max: int = 4096
    offsets_retention_ms: int = 7 * 24 * 3_600_000
    offsets_retention_check_ms: int = 600_000
    consumer_session_timeout_ms: int = 45_000
    consumer_heartbeat_interval_ms: int = 5_000
    consumer_session_timeout_ms_min: int = 45_000
    consumer_session_timeout_ms_max: int = 60_000
    consumer_heartbeat_interval_ms_min: int = 5_000
    consumer_heartbeat_interval_ms_max: int = 15_000
    consumers_max: int = 2**31 - 1
    assignors: tuple[str, ...] = ("uniform", "range")
    migration_policy: str = "bidirectional"
    share_session_timeout_ms: int = 45_000
    share_heartbeat_interval_ms: int = 5_000
    share_session_timeout_ms_min: int = 45_000
    share_session_timeout_ms_max: int = 60_000
    share_heartbeat_interval_ms_min: int = 5_000
    share_heartbeat_interval_ms_max: int = 15_000
    share_members_max: int = 200


@dataclass(frozen=True, slots=True)
class Decision:
    """Records to write, together or not at all if `is_atomic`, and what follows.

    `groups` are the groups as they will be; None for one that is gone. With `waits_for_commit` the answers leave when
    everything this shard has written so far is committed: they tell nothing that could still be lost. What is true
    in any case, such as an answer to a heartbeat, does not wait. `traces` are told when the decision is taken in.
    `producer` is the id and epoch of the one in whose transaction the records are written.
    """

    records: Sequence[LogRecord] = ()
    answers: Sequence[Answer] = ()
    groups: Sequence[tuple[str, AnyGroup | None]] = ()
    waits_for_commit: bool = True
    traces: Sequence[TraceEvent] = ()
    producer: tuple[int, int] | None = None
    is_atomic: bool = True

    def pieces(self, batch_bytes_max: int) -> Sequence[Decision]:
        """Return the decisions to carry out one after the other until one fails; what follows comes with the last."""
        if self.is_atomic:
            return (self,)
        *before, last = list(batches_of(self.records, batch_bytes_max)) or [()]
        return (*(Decision(records) for records in before), replace(self, records=last, is_atomic=True))


def reply_now(token: int, reply: Any) -> Decision:
    """Answer without writing or changing anything, and without waiting."""
    return Decision(answers=(Answer(token, reply),), waits_for_commit=False)


def reply_when_committed(token: int, reply: Any) -> Decision:
    """Answer with what has been decided so far, once that is committed."""
    return Decision(answers=(Answer(token, reply),))


@dataclass(slots=True)
class Turn:
    """One group's decision while it is being made.

    `is_written` says that the group has to be written; `lost_members` counts those that were removed.
    """

    group: Group
    settings: Settings
    now: Moment
    answers: list[Answer] = field(default_factory=list)
    is_written: bool = False
    lost_members: int = 0

    @property
    def now_ms(self) -> int:
        """The monotonic time of the decision, from which deadlines are counted."""
        return self.now.monotonic_ms

    def become(self, event: GroupEvent) -> None:
        """Let the group's state change; an event that the state does not know is a bug."""
        state = next_state(self.group.state, event)
        self.group = replace(self.group, state=state, state_timestamp_ms=self.now.wall_ms)

    def answer(self, token: int | None, reply: Any) -> None:
        """Answer a request that waited; nothing happens when there is none."""
        if token is not None:
            self.answers.append(Answer(token, reply))
