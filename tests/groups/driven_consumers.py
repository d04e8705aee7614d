"""Consumer groups of the new protocol on a driven shard: a cluster's topics, and members as their clients are.

A `Consumer` believes what its answers tell it: it uses what it is assigned at once, gives up in its own time what it
must, and reports that. Its answers may be lost.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

from driven_groups import GROUP, DrivenGroups

from cluster.base.errors import ErrorCode
from cluster.groups import (
    ConsumerGroup,
    DescribedConsumerGroup,
    HeartbeatReply,
    HeartbeatRequest,
    Partitions,
    Topics,
    named,
)
from cluster.metadata import MetadataImage, PartitionState, TopicState

REBALANCE_MS = 60_000
NOTHING: Partitions = frozenset()


def image_of(sizes: dict[str, int], generation: int = 0) -> MetadataImage:
    """Return the metadata of topics with so many partitions; another generation gives them other ids."""
    topics = {}
    for name, size in sorted(sizes.items()):
        topic_id = UUID(bytes=name.encode().rjust(15, b"\0")[:15] + bytes((generation,)))
        partition = PartitionState(topic_id, (1,), (1,), 1)  # type: ignore[arg-type]
        topics[name] = TopicState(name, topic_id, (partition,) * size)
    names = {topic.topic_id: name for name, topic in topics.items()}
    return replace(MetadataImage.empty("cluster"), topics=topics, topic_names=names, offset=1)


class DrivenConsumers(DrivenGroups):
    """A shard whose cluster has topics."""

    def __init__(self, sizes: dict[str, int] | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self.have_topics({"orders": 4} if sizes is None else sizes)

    def have_topics(self, sizes: dict[str, int], generation: int = 0) -> None:
        self.sizes = sizes
        self.topics = Topics(image_of(sizes, generation), self.topics.version + 1)

    def have_image(self, image: MetadataImage) -> None:
        self.topics = Topics(image, self.topics.version)

    def beat(self, member_id: str, epoch: int, **changes: Any) -> HeartbeatReply:
        """Send a heartbeat as it is; return its answer."""
        request = HeartbeatRequest(member_id, epoch, **changes)
        token = self.ask(lambda token: self.shard.consumer_heartbeat(token, GROUP, request, self.now))
        reply = self.replies[token]
        if isinstance(reply, ErrorCode):
            return HeartbeatReply(reply)
        assert isinstance(reply, HeartbeatReply)
        return reply

    def join_new(self, member_id: str, *topics: str, **changes: Any) -> HeartbeatReply:
        """Join with the new protocol, with names of topics unless a regular expression is given."""
        values: dict[str, Any] = {
            "rebalance_timeout_ms": REBALANCE_MS,
            "topics": None if "regex" in changes else topics or ("orders",),
            "owned": NOTHING,
            **changes,
        }
        return self.beat(member_id, 0, **values)

    @property
    def consumers(self) -> ConsumerGroup:
        """The group as its coordinator knows it."""
        group = self.shard._groups[GROUP]
        assert isinstance(group, ConsumerGroup)
        return group

    def described_consumers(self) -> DescribedConsumerGroup:
        token = self.ask(lambda token: self.shard.describe_consumers(token, GROUP))
        group = self.replies[token]
        assert isinstance(group, DescribedConsumerGroup)
        return group

    def names(self, partitions: Partitions) -> tuple[str, ...]:
        return tuple(map(str, named(partitions, self.topics.image)))


class Consumer:
    """One client. `owned` is what it reads from; it is None in `epoch` 0, when it is no member."""

    def __init__(self, groups: DrivenConsumers, member_id: str, *topics: str, **settings: Any) -> None:
        self.groups = groups
        self.member_id = member_id
        self.topics = topics or ("orders",)
        self.settings = settings
        self.epoch = 0
        self.owned: Partitions = NOTHING
        self.wanted: Partitions = NOTHING
        self.tells_all = True

    def beat(self, *, answer_is_lost: bool = False, reports: bool = True) -> HeartbeatReply:
        """Send one heartbeat, and do as the answer says. After a lost answer everything is said again."""
        changes: dict[str, Any] = {}
        if self.epoch == 0 or self.tells_all:
            changes = {"rebalance_timeout_ms": REBALANCE_MS, "topics": self.topics, **self.settings}
        if self.epoch == 0 or self.tells_all or reports:
            changes["owned"] = self.owned
        if "instance_id" in self.settings:
            changes["instance_id"] = self.settings["instance_id"]
        reply = self.groups.beat(self.member_id, self.epoch, **changes)
        self.tells_all = answer_is_lost
        if answer_is_lost:
            return reply
        if reply.error in (ErrorCode.FENCED_MEMBER_EPOCH, ErrorCode.UNKNOWN_MEMBER_ID):
            self.forget()
        if reply.error is ErrorCode.NONE:
            self.epoch = reply.member_epoch
            if reply.assignment is not None:
                self.wanted = reply.assignment
                self.owned |= reply.assignment
        return reply

    def revoke(self) -> None:
        """Give up what it shall no longer have."""
        self.owned &= self.wanted

    def forget(self) -> None:
        """Give everything up, to join anew."""
        self.epoch, self.owned, self.wanted, self.tells_all = 0, NOTHING, NOTHING, True

    def leave(self) -> HeartbeatReply:
        reply = self.groups.beat(self.member_id, -1, instance_id=self.settings.get("instance_id"))
        self.forget()
        return reply

    @property
    def names(self) -> tuple[str, ...]:
        return self.groups.names(self.owned)


def settle(*consumers: Consumer, rounds: int = 20) -> None:
    """Let everybody send heartbeats and revoke until nothing changes any more."""
    for _ in range(rounds):
        before = [(each.epoch, each.owned) for each in consumers]
        for each in consumers:
            each.beat()
            each.revoke()
        if before == [(each.epoch, each.owned) for each in consumers]:
            return
    raise AssertionError("the group does not come to rest")
