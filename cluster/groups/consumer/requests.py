"""What a consumer group is asked and what it answers, free of the versions in which it travels.

Here: plain facts. Not here: the wire (`cluster.broker`, one file for each API).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cluster.base.errors import ErrorCode
from cluster.groups.consumer.partitions import Partitions

NOT_SAID = -1
"""A rebalance timeout that did not change since the last heartbeat."""


@dataclass(frozen=True, slots=True)
class HeartbeatRequest:
    """ConsumerGroupHeartbeat. What is None did not change since the last one.

    `needs_member_id`: the client makes its own member id (version 1, KIP-1082); otherwise `new_member_id` is given to
    whoever has none. `owned` is what the member owns by its own account.
    """

    member_id: str
    member_epoch: int
    new_member_id: str = ""
    instance_id: str | None = None
    rack_id: str | None = None
    rebalance_timeout_ms: int = NOT_SAID
    topics: Sequence[str] | None = None
    regex: str | None = None
    assignor: str | None = None
    owned: Partitions | None = None
    client_id: str = ""
    client_host: str = ""
    needs_member_id: bool = True

    @property
    def says_everything(self) -> bool:
        """Whether it is a full request, which is answered with the assignment even if that has not changed."""
        says_topics = self.topics is not None or self.regex is not None
        is_full = self.rebalance_timeout_ms != NOT_SAID and says_topics and self.owned is not None
        return self.member_epoch == 0 or is_full


@dataclass(frozen=True, slots=True)
class HeartbeatReply:
    """The answer to ConsumerGroupHeartbeat; `assignment` is None when it is what it was."""

    error: ErrorCode = ErrorCode.NONE
    error_message: str | None = None
    member_id: str = ""
    member_epoch: int = 0
    heartbeat_interval_ms: int = 0
    assignment: Partitions | None = None


@dataclass(frozen=True, slots=True)
class DescribedConsumer:
    """A member as ConsumerGroupDescribe shows it."""

    member_id: str
    instance_id: str | None
    rack_id: str | None
    client_id: str
    client_host: str
    epoch: int
    topics: Sequence[str]
    regex: str | None
    assigned: Partitions
    target: Partitions
    is_classic: bool


@dataclass(frozen=True, slots=True)
class DescribedConsumerGroup:
    """A group as ConsumerGroupDescribe shows it."""

    group_id: str
    state: str
    epoch: int
    target_epoch: int
    assignor: str
    members: Sequence[DescribedConsumer]
