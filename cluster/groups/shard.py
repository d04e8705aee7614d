"""The groups whose records lie in one partition of `__consumer_offsets` (Kafka: `GroupCoordinatorShard`).

Here: the state, what may be asked of it, and how records become state. Not here: the rules of each request
(`joining`, `syncing`, `leaving`, `offsets`), and the coordinator that appends, waits and answers
(`cluster.broker.coordinator`).

Every question returns a decision and changes nothing. `accept` takes a decision in once its records are in the log;
`replay` makes the same state from the log alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from heapq import heappop, heappush

from cluster.base.errors import ErrorCode
from cluster.base.ids import TopicPartition
from cluster.base.ports import Tracer
from cluster.groups.decision import Decision, Moment, Settings, Turn, reply_now, reply_when_committed
from cluster.groups.descriptions import describe, trace_change
from cluster.groups.group import Group
from cluster.groups.joining import join
from cluster.groups.leaving import leave, time_passed
from cluster.groups.membership import heartbeat
from cluster.groups.offsets import (
    commit_records,
    commit_refusal,
    deletion_refusals,
    take_commit_as_life_sign,
)
from cluster.groups.record_codec import (
    GroupKey,
    OffsetKey,
    read_group,
    read_key,
    read_offset,
    write_group,
    write_group_key,
    write_offset_key,
)
from cluster.groups.requests import (
    NO_COMMIT,
    UNKNOWN_MEMBER,
    CommitOffset,
    DescribedGroup,
    JoinReply,
    JoinRequest,
    MemberIdentity,
    SyncReply,
    SyncRequest,
)
from cluster.groups.states import GroupState
from cluster.groups.syncing import sync

Offsets = dict[TopicPartition, CommitOffset]


class GroupShard:
    """Groups by id, and their offsets."""

    def __init__(self, settings: Settings, tracer: Tracer) -> None:
        self.settings = settings
        self._tracer = tracer
        self._groups: dict[str, Group] = {}
        self._offsets: dict[str, Offsets] = {}
        self._due: list[tuple[int, str]] = []
        self._due_of: dict[str, int] = {}

    # --- state ------------------------------------------------------------------------------------

    def replay(self, key: bytes | None, value: bytes | None) -> None:
        """Take one record of the log in. Raises MalformedMessage when it is not what its version says."""
        subject = None if key is None else read_key(key)
        if isinstance(subject, OffsetKey):
            self._replay_offset(subject, value)
        elif isinstance(subject, GroupKey):
            if value is None:
                self._groups.pop(subject.group_id, None)
            else:
                self._groups[subject.group_id] = read_group(subject.group_id, value)

    def _replay_offset(self, key: OffsetKey, value: bytes | None) -> None:
        offsets = self._offsets.setdefault(key.group_id, {})
        if value is None:
            offsets.pop(key.partition, None)
        else:
            offsets[key.partition] = read_offset(value)
        if not offsets:
            del self._offsets[key.group_id]

    def loaded(self, now_ms: int) -> None:
        """The whole log was replayed: begin to serve. Members get a full session to find this coordinator."""
        for group_id in self._offsets:
            self._groups.setdefault(group_id, Group(group_id))
        for group_id, group in self._groups.items():
            members = {key: member.heard(now_ms) for key, member in group.members.items()}
            self._put(group_id, group.with_members(members))

    def accept(self, decision: Decision) -> None:
        """Take in a decision whose records are in the log now."""
        for key, value in decision.records:
            subject = read_key(key)
            if isinstance(subject, OffsetKey):
                self._replay_offset(subject, value)
        for group_id, group in decision.groups:
            if self._tracer.enabled:
                trace_change(self._tracer, self._groups.get(group_id), group)
            self._put(group_id, group)

    def _put(self, group_id: str, group: Group | None) -> None:
        if group is None or (group.is_forgettable and group_id not in self._offsets):
            self._groups.pop(group_id, None)
            return
        self._groups[group_id] = group
        deadline_ms = group.next_deadline_ms()
        # Deadlines mostly move away, with each heartbeat: an entry that is too early is looked at again then.
        if deadline_ms is not None and deadline_ms < self._due_of.get(group_id, deadline_ms + 1):
            self._due_of[group_id] = deadline_ms
            heappush(self._due, (deadline_ms, group_id))

    def next_deadline_ms(self) -> int | None:
        """Return when `time_passed` should be asked at the latest."""
        return self._due[0][0] if self._due else None

    def time_passed(self, now: Moment) -> Decision | None:
        """Decide what time does to one group whose deadline has passed; None when there is none left."""
        while self._due and self._due[0][0] <= now.monotonic_ms:
            due_ms, group_id = heappop(self._due)
            if self._due_of.get(group_id) != due_ms:
                continue
            del self._due_of[group_id]
            group = self._groups.get(group_id)
            if group is None:
                continue
            deadline_ms = group.next_deadline_ms()
            if deadline_ms is None or deadline_ms > now.monotonic_ms:
                self._put(group_id, group)
                continue
            turn = Turn(group, self.settings, now)
            time_passed(turn)
            return self._decision(turn)
        return None

    def retry_at(self, decision: Decision, at_ms: int) -> None:
        """What time demands could not be written: ask again later."""
        for group_id, _ in decision.groups:
            self._due_of[group_id] = at_ms
            heappush(self._due, (at_ms, group_id))

    # --- members ----------------------------------------------------------------------------------

    def join(self, token: int, group_id: str, request: JoinRequest, now: Moment) -> Decision:
        """JoinGroup: answered with a JoinReply, mostly when the others have joined too."""
        settings, member_id = self.settings, request.member.member_id
        if not settings.session_timeout_ms_min <= request.session_timeout_ms <= settings.session_timeout_ms_max:
            return reply_now(token, JoinReply(ErrorCode.INVALID_SESSION_TIMEOUT, member_id))
        group = self._groups.get(group_id)
        if group is None and member_id != UNKNOWN_MEMBER:
            return reply_now(token, JoinReply(ErrorCode.UNKNOWN_MEMBER_ID, member_id))
        turn = Turn(group or Group(group_id), settings, now)
        join(turn, token, request)
        return self._decision(turn)

    def sync(self, token: int, group_id: str, request: SyncRequest, now: Moment) -> Decision:
        """SyncGroup: answered with a SyncReply, once the leader's assignment is committed."""
        group = self._groups.get(group_id)
        if group is None:
            return reply_now(token, SyncReply(ErrorCode.UNKNOWN_MEMBER_ID))
        turn = Turn(group, self.settings, now)
        sync(turn, token, request)
        return self._decision(turn)

    def heartbeat(self, token: int, group_id: str, identity: MemberIdentity, now: Moment) -> Decision:
        """Heartbeat: answered with an ErrorCode, at once."""
        group = self._groups.get(group_id)
        if group is None:
            return reply_now(token, ErrorCode.UNKNOWN_MEMBER_ID)
        turn = Turn(group, self.settings, now)
        heartbeat(turn, token, identity)
        return replace(self._decision(turn), waits_for_commit=False)

    def leave(self, token: int, group_id: str, identities: Sequence[MemberIdentity], now: Moment) -> Decision:
        """LeaveGroup: answered with a tuple of ErrorCodes, one for each who leaves."""
        group = self._groups.get(group_id)
        if group is None:
            return reply_now(token, tuple(ErrorCode.UNKNOWN_MEMBER_ID for _ in identities))
        turn = Turn(group, self.settings, now)
        leave(turn, token, identities)
        return self._decision(turn)

    # --- offsets ----------------------------------------------------------------------------------

    def commit(
        self,
        token: int,
        group_id: str,
        identity: MemberIdentity,
        commits: Mapping[TopicPartition, CommitOffset],
        now: Moment,
    ) -> Decision:
        """OffsetCommit: answered with an ErrorCode for each partition, once committed."""
        group = self._groups.get(group_id)
        if group is None and identity.generation >= 0:
            return reply_now(token, dict.fromkeys(commits, ErrorCode.ILLEGAL_GENERATION))
        turn = Turn(group or Group(group_id), self.settings, now)
        error = commit_refusal(turn.group, identity)
        if error is not ErrorCode.NONE:
            return reply_now(token, dict.fromkeys(commits, error))
        records, errors = commit_records(group_id, commits, self.settings.offset_metadata_bytes_max)
        take_commit_as_life_sign(turn, identity)
        turn.answer(token, errors)
        return replace(self._decision(turn), records=tuple(records))

    def fetch(self, token: int, group_id: str, partitions: Sequence[TopicPartition] | None) -> Decision:
        """OffsetFetch: answered with an offset for each partition, or (None) for all that have one."""
        offsets = self._offsets.get(group_id, {})
        if partitions is None:
            return reply_when_committed(token, dict(offsets))
        return reply_when_committed(token, {key: offsets.get(key, NO_COMMIT) for key in partitions})

    def delete_offsets(self, token: int, group_id: str, partitions: Sequence[TopicPartition]) -> Decision:
        """OffsetDelete: answered with one ErrorCode for the whole, or with one for each partition."""
        group = self._groups.get(group_id)
        if group is None:
            return reply_now(token, ErrorCode.GROUP_ID_NOT_FOUND)
        refusals = deletion_refusals(group, partitions)
        if isinstance(refusals, ErrorCode):
            return reply_now(token, refusals)
        allowed = [key for key, error in refusals.items() if error is ErrorCode.NONE]
        return replace(reply_when_committed(token, refusals), records=self._tombstones(group_id, allowed))

    def forget_topics(self, topics: Sequence[str]) -> Decision:
        """Topics were deleted: so are all offsets committed for them. Nobody is answered."""
        return Decision(
            tuple(
                record
                for group_id, offsets in self._offsets.items()
                for record in self._tombstones(group_id, [key for key in offsets if key.topic in topics])
            )
        )

    def _tombstones(
        self, group_id: str, partitions: Iterable[TopicPartition]
    ) -> tuple[tuple[bytes, bytes | None], ...]:
        known = self._offsets.get(group_id, {})
        return tuple((write_offset_key(group_id, key), None) for key in partitions if key in known)

    # --- whole groups -----------------------------------------------------------------------------

    def describe(self, token: int, group_id: str) -> Decision:
        """DescribeGroups: answered with a DescribedGroup, or None when there is no such group."""
        group = self._groups.get(group_id)
        return reply_now(token, None) if group is None else reply_when_committed(token, describe(group))

    def listed(self) -> list[DescribedGroup]:
        """ListGroups: every group, without its members, by id."""
        return [replace(describe(group), members=()) for _, group in sorted(self._groups.items())]

    def delete(self, token: int, group_id: str) -> Decision:
        """DeleteGroups: answered with an ErrorCode; only an empty group can be deleted, with all its offsets."""
        group = self._groups.get(group_id)
        if group is None:
            return reply_now(token, ErrorCode.GROUP_ID_NOT_FOUND)
        if group.state is not GroupState.EMPTY:
            return reply_now(token, ErrorCode.NON_EMPTY_GROUP)
        records = (*self._tombstones(group_id, self._offsets.get(group_id, {})), (write_group_key(group_id), None))
        return replace(reply_when_committed(token, ErrorCode.NONE), records=records, groups=((group_id, None),))

    # --- inside -----------------------------------------------------------------------------------

    def _decision(self, turn: Turn) -> Decision:
        group = turn.group
        records = ((write_group_key(group.group_id), write_group(group)),) if turn.is_written else ()
        return Decision(records, tuple(turn.answers), ((group.group_id, group),))
