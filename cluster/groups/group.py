"""One group and its members, as frozen facts (Kafka: `ClassicGroup`, `ClassicGroupMember`).

Here: the facts and questions about them. Not here: what changes them. A group is never changed in place: a decision
makes the next one, and whoever could not write what the decision says simply keeps the group it had.

Times are milliseconds of the monotonic clock; a deadline that is None is not set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from cluster.groups.requests import JoinedMember, Protocols
from cluster.groups.states import GroupState


@dataclass(frozen=True, slots=True)
class Member:
    """One member. Everything up to `assignment` is written to the log, the rest lives as long as its coordinator.

    `is_new`: it has not been part of a generation yet. `join_token` and `sync_token` are requests of it that wait
    for their answer. `owes_sync`: it got a generation and did not ask for its assignment yet.
    """

    member_id: str
    instance_id: str | None
    client_id: str
    client_host: str
    session_timeout_ms: int
    rebalance_timeout_ms: int
    protocols: Protocols
    assignment: bytes = b""
    expires_ms: int = 0
    is_new: bool = False
    join_token: int | None = None
    sync_token: int | None = None
    owes_sync: bool = False

    @property
    def expiry_ms(self) -> int | None:
        """When it is thrown out; one that waits for the others is not late, unless it was never a member."""
        waits = self.join_token is not None or self.sync_token is not None
        return None if waits and not self.is_new else self.expires_ms

    def heard(self, now_ms: int) -> Member:
        """Return the member after a sign of life."""
        return replace(self, expires_ms=now_ms + self.session_timeout_ms)

    def metadata_for(self, protocol: str | None) -> bytes:
        """Return its subscription as an assignor reads it; empty for one that it does not support."""
        return next((metadata for name, metadata in self.protocols if name == protocol), b"")


@dataclass(frozen=True, slots=True)
class Group:
    """One group. `members` and `pending` keep the order in which members came.

    `pending` are ids that were given away (KIP-394) and the time until which their owners have to come back.
    `join_deadline_ms` ends the wait for members to join again, `sync_deadline_ms` for them to fetch assignments.
    In an empty group's first rebalance `initial_delay_left_ms` is how much longer it may wait for newcomers.
    """

    group_id: str
    state: GroupState = GroupState.EMPTY
    protocol_type: str | None = None
    generation: int = 0
    protocol: str | None = None
    leader: str | None = None
    members: Mapping[str, Member] = field(default_factory=dict)
    pending: Mapping[str, int] = field(default_factory=dict)
    state_timestamp_ms: int = -1
    join_deadline_ms: int | None = None
    sync_deadline_ms: int | None = None
    initial_delay_left_ms: int | None = None
    has_newcomers: bool = False

    # --- questions --------------------------------------------------------------------------------

    @property
    def rebalance_timeout_ms(self) -> int:
        """How long a rebalance may take: as long as the most patient member grants."""
        return max((member.rebalance_timeout_ms for member in self.members.values()), default=0)

    @property
    def all_have_joined(self) -> bool:
        """Whether nobody has to be waited for, neither members nor those who were given an id."""
        return not self.pending and all(member.join_token is not None for member in self.members.values())

    @property
    def is_forgettable(self) -> bool:
        """Whether nothing of it was ever written and nobody is about to join."""
        return self.state is GroupState.EMPTY and self.generation == 0 and not self.pending

    def static_member(self, instance_id: str | None) -> Member | None:
        """Return the member that has an instance id."""
        if instance_id is None:
            return None
        return next((member for member in self.members.values() if member.instance_id == instance_id), None)

    def next_deadline_ms(self) -> int | None:
        """Return when something happens to this group if nobody asks it anything."""
        return min(self._deadlines_ms(), default=None)

    def _deadlines_ms(self) -> Iterator[int]:
        yield from self.pending.values()
        for member in self.members.values():
            if member.expiry_ms is not None:
                yield member.expiry_ms
        if self.join_deadline_ms is not None:
            yield self.join_deadline_ms
        if self.sync_deadline_ms is not None:
            yield self.sync_deadline_ms

    def joined_members(self) -> tuple[JoinedMember, ...]:
        """Return the members as the leader is told of them."""
        return tuple(
            JoinedMember(member.member_id, member.instance_id, member.metadata_for(self.protocol))
            for member in self.members.values()
        )

    # --- protocols --------------------------------------------------------------------------------

    def supports(self, protocol_type: str, protocols: Protocols) -> bool:
        """Whether somebody with these protocols could be a member: all members must share at least one."""
        if not self.members:
            return bool(protocol_type and protocols)
        shared = self.shared_protocols()
        return self.protocol_type == protocol_type and any(name in shared for name, _ in protocols)

    def shared_protocols(self) -> tuple[str, ...]:
        """Return the protocols that all members support, in the first member's order."""
        members = tuple(self.members.values())
        if not members:
            return ()
        names = [[name for name, _ in member.protocols] for member in members]
        return tuple(name for name in names[0] if all(name in others for others in names[1:]))

    def chosen_protocol(self) -> str:
        """Return the protocol that most members like best among those that all support.

        Where Kafka leaves a tie to the order of a hash map, the first member's preference decides.
        """
        shared = self.shared_protocols()
        assert shared, "whoever shares no protocol with the others is not let in"
        votes = dict.fromkeys(shared, 0)
        for member in self.members.values():
            votes[next(name for name, _ in member.protocols if name in votes)] += 1
        return max(shared, key=votes.__getitem__)

    # --- the next group ---------------------------------------------------------------------------

    def with_member(self, member: Member) -> Group:
        """Return the group with a member added or changed. The first one leads."""
        members = {**self.members, member.member_id: member}
        return replace(self, members=members, leader=self.leader or member.member_id)

    def without_member(self, member_id: str) -> Group:
        """Return the group without a member; when it led, one that has joined again leads, else the first."""
        members = {key: member for key, member in self.members.items() if key != member_id}
        leader = self.leader
        if leader == member_id:
            joined = (key for key, member in members.items() if member.join_token is not None)
            leader = next(joined, next(iter(members), None))
        return replace(self, members=members, leader=leader)

    def with_members(self, members: Mapping[str, Member]) -> Group:
        """Return the group with every member replaced; the same ids."""
        return replace(self, members=members)

    def without_pending(self, member_id: str) -> Group:
        """Return the group without an id that was given away."""
        return replace(self, pending={key: until for key, until in self.pending.items() if key != member_id})
