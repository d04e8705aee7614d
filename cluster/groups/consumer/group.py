"""One group of the new protocol and its members, as frozen facts (Kafka: `ConsumerGroup`, `ConsumerGroupMember`).

Here: the facts and questions about them. Not here: what changes them. As with classic groups, a decision makes the
next group; nothing is changed in place. What is written of a group and what is not is said by `records`.

Times are milliseconds of the monotonic clock; a deadline that is None is not set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from cluster.groups.consumer.partitions import NO_PARTITIONS, Partitions, TopicIdPartition
from cluster.groups.consumer.states import ConsumerGroupState, MemberState
from cluster.groups.requests import Protocols

LEAVES = -1
"""The member epoch of a member that leaves."""

LEAVES_FOR_A_WHILE = -2
"""The member epoch of a static member that will be back: its partitions wait for it."""

JOINS = 0
"""The member epoch of a member that joins."""


@dataclass(frozen=True, slots=True)
class ClassicSide:
    """What is known of a member that still speaks the classic protocol."""

    session_timeout_ms: int
    protocols: Protocols


@dataclass(frozen=True, slots=True)
class ResolvedRegex:
    """The topics that a regular expression means. `version` is the metadata offset at which it was looked up."""

    topics: tuple[str, ...]
    version: int
    timestamp_ms: int


@dataclass(frozen=True, slots=True)
class ConsumerMember:
    """One member.

    Up to `classic` it is what the member says of itself; up to `revoking` where it is on its way to its target
    assignment: both are written to the log, apart from each other. The rest lives as long as its coordinator.
    `assigned` is what the member may use, `revoking` what it was told to give up and may still own.
    """

    member_id: str
    instance_id: str | None = None
    rack_id: str | None = None
    client_id: str = ""
    client_host: str = ""
    topics: tuple[str, ...] = ()
    regex: str | None = None
    rebalance_timeout_ms: int = -1
    assignor: str | None = None
    classic: ClassicSide | None = None
    epoch: int = 0
    previous_epoch: int = 0
    state: MemberState = MemberState.STABLE
    assigned: Partitions = NO_PARTITIONS
    revoking: Partitions = NO_PARTITIONS
    expires_ms: int = 0
    revoke_deadline_ms: int | None = None
    join_deadline_ms: int | None = None
    sync_deadline_ms: int | None = None

    @property
    def owned(self) -> Partitions:
        """What nobody else may be given: what it was assigned, and what it has not given up yet."""
        return self.assigned | self.revoking

    @property
    def next_deadline_ms(self) -> int:
        """When it is thrown out, or told to hurry, if nothing is heard of it."""
        deadlines = (self.revoke_deadline_ms, self.join_deadline_ms, self.sync_deadline_ms)
        return min([self.expires_ms, *(deadline for deadline in deadlines if deadline is not None)])

    def is_reconciled_to(self, epoch: int) -> bool:
        """Whether it has all that the target assignment of an epoch gives it."""
        return self.state is MemberState.STABLE and self.epoch == epoch

    def in_epoch(self, epoch: int) -> ConsumerMember:
        """Return the member in another epoch; that of before is remembered, in case the answer gets lost."""
        return replace(self, epoch=epoch, previous_epoch=self.epoch)


@dataclass(frozen=True, slots=True)
class ConsumerGroup:
    """One group. `members` keeps the order in which members came.

    `epoch` rises with every change of members, subscriptions or subscribed topics; `target_epoch` is the epoch of
    which `targets` is the assignment. `metadata_hash` is what the subscribed topics looked like at `epoch`.
    `topics_seen` counts changes of the cluster's topics: it says which of them this group has looked at.
    """

    group_id: str
    epoch: int = 0
    metadata_hash: int = 0
    target_epoch: int = 0
    members: Mapping[str, ConsumerMember] = field(default_factory=dict)
    targets: Mapping[str, Partitions] = field(default_factory=dict)
    regexes: Mapping[str, ResolvedRegex] = field(default_factory=dict)
    topics_seen: int = -1

    # --- questions --------------------------------------------------------------------------------

    @property
    def state(self) -> ConsumerGroupState:
        """What the group is doing: it follows from its epochs and members."""
        if not self.members:
            return ConsumerGroupState.EMPTY
        if self.epoch > self.target_epoch:
            return ConsumerGroupState.ASSIGNING
        if all(member.is_reconciled_to(self.target_epoch) for member in self.members.values()):
            return ConsumerGroupState.STABLE
        return ConsumerGroupState.RECONCILING

    def static_member(self, instance_id: str | None) -> ConsumerMember | None:
        """Return the member that has an instance id."""
        if instance_id is None:
            return None
        return next((member for member in self.members.values() if member.instance_id == instance_id), None)

    def owned_by_others(self, member_id: str) -> Partitions:
        """Return all partitions that somebody else owns or may still own."""
        owned: list[TopicIdPartition] = []
        for member in self.members.values():
            if member.member_id != member_id:
                owned += member.owned
        return frozenset(owned)

    def topics_of(self, member: ConsumerMember) -> tuple[str, ...]:
        """Return the topics that a member subscribes to, by name and by regular expression, in order."""
        resolved = self.regexes.get(member.regex) if member.regex else None
        if resolved is None:
            return member.topics
        return tuple(sorted({*member.topics, *resolved.topics}))

    def subscribed_topics(self) -> tuple[str, ...]:
        """Return the topics that any member subscribes to, in order."""
        names: dict[str, None] = {}
        for member in self.members.values():
            names |= dict.fromkeys(self.topics_of(member))
        return tuple(sorted(names))

    def next_deadline_ms(self) -> int | None:
        """Return when something happens to this group if nobody asks it anything."""
        return min(self._deadlines_ms(), default=None)

    def _deadlines_ms(self) -> Iterator[int]:
        return (member.next_deadline_ms for member in self.members.values())

    @property
    def has_only_classic_members(self) -> bool:
        """Whether nobody is left who speaks the new protocol."""
        return all(member.classic is not None for member in self.members.values())

    def supports_classic(self, names: tuple[str, ...]) -> bool:
        """Whether a classic member with these protocols may join: it must share one with all other classic ones."""
        if not self.members:
            return bool(names)
        supported = [
            [name for name, _ in member.classic.protocols]
            for member in self.members.values()
            if member.classic is not None
        ]
        return any(all(name in others for others in supported) for name in names)

    @property
    def is_forgettable(self) -> bool:
        """Whether nothing of it was ever written."""
        return self.epoch == 0 and not self.members

    # --- the next group ---------------------------------------------------------------------------

    def with_member(self, member: ConsumerMember) -> ConsumerGroup:
        """Return the group with a member added or changed."""
        return replace(self, members={**self.members, member.member_id: member})

    def without_member(self, member_id: str) -> ConsumerGroup:
        """Return the group without a member and its target."""
        members = {key: member for key, member in self.members.items() if key != member_id}
        targets = {key: target for key, target in self.targets.items() if key != member_id}
        return replace(self, members=members, targets=targets)
