"""Share sessions: which partitions a member of a share group reads from this broker (KIP-932).

Here: sessions and their epochs, as plain state. A member begins a session with epoch 0, counts on with each request,
and ends it with -1. Not here: the requests (`share_fetch`, `share_acknowledge`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from cluster.base.errors import ErrorCode
from cluster.base.ids import TopicId

INITIAL_EPOCH = 0
FINAL_EPOCH = -1
_EPOCH_MAX = 2**31 - 1

SharedPartition = tuple[TopicId, int]


@dataclass(slots=True)
class ShareSession:
    """One member's session. `partitions` are read in turn: whoever was served goes to the end."""

    group_id: str
    member_id: str
    epoch: int = 1
    partitions: dict[SharedPartition, None] = field(default_factory=dict)

    def take(self, named: Iterable[SharedPartition], forgotten: Iterable[SharedPartition]) -> list[SharedPartition]:
        """Read from other partitions from now on; return those that are new."""
        added = [partition for partition in named if partition not in self.partitions]
        self.partitions |= dict.fromkeys(added)
        for partition in forgotten:
            self.partitions.pop(partition, None)
        return added

    def served(self, partition: SharedPartition) -> None:
        """Let the others have their turn first next time."""
        if partition in self.partitions:
            del self.partitions[partition]
            self.partitions[partition] = None


class ShareSessions:
    """The sessions on this broker, the one that was used least lately first; never more than `sessions_max`."""

    def __init__(self, sessions_max: int) -> None:
        self._sessions_max = sessions_max
        self._sessions: dict[tuple[str, str], ShareSession] = {}

    def has_group(self, group_id: str) -> bool:
        """Whether a member of the group has a session."""
        return any(group == group_id for group, _ in self._sessions)

    def find(self, group_id: str, member_id: str, epoch: int) -> ShareSession | ErrorCode:
        """Return the session that a request belongs to, which counts on; a new one for epoch 0.

        SHARE_SESSION_NOT_FOUND, INVALID_SHARE_SESSION_EPOCH: the member has to begin a new one. A request that ends a
        session that is not there belongs to an empty one.
        """
        session = self._sessions.pop((group_id, member_id), None)
        if epoch == INITIAL_EPOCH:
            while len(self._sessions) >= self._sessions_max:
                del self._sessions[next(iter(self._sessions))]
            session = ShareSession(group_id, member_id)
            self._sessions[group_id, member_id] = session
            return session
        if session is None:
            return ErrorCode.SHARE_SESSION_NOT_FOUND
        if epoch == FINAL_EPOCH:
            return session
        self._sessions[group_id, member_id] = session
        if epoch != session.epoch:
            return ErrorCode.INVALID_SHARE_SESSION_EPOCH
        session.epoch = 1 if epoch == _EPOCH_MAX else epoch + 1
        return session
