"""The groups whose records lie in one partition of `__consumer_offsets` (Kafka: `GroupCoordinatorShard`).

Here: the state, what may be asked of it, and how records become state. Not here: the rules of each request
(`joining`, `syncing`, `leaving`, `offsets`), the offsets themselves (`committed_offsets`), and the coordinator that
appends, waits and answers (`cluster.broker.coordinator`).

Every question returns a decision and changes nothing. `accept` takes a decision in once its records are in the log;
`replay` makes the same state from the log alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from cluster.base.answers import Answer, LogRecord
from cluster.base.errors import ErrorCode
from cluster.base.ids import TopicId, TopicPartition
from cluster.base.moments import Moment
from cluster.base.ports import Tracer
from cluster.groups.committed_offsets import CommittedOffsets
from cluster.groups.consumer.decisions import (
    decide_classic_heartbeat,
    decide_heartbeat,
    decide_join,
    decide_leave,
    decide_share_heartbeat,
    decide_sync,
    decide_time_passed,
    group_changes,
)
from cluster.groups.consumer.descriptions import describe_consumers
from cluster.groups.consumer.group import ConsumerGroup
from cluster.groups.consumer.loading import renewed
from cluster.groups.consumer.record_codec import ConsumerKey
from cluster.groups.consumer.records import ReplayedGroups, difference
from cluster.groups.consumer.requests import HeartbeatRequest
from cluster.groups.consumer.settings import settings_for
from cluster.groups.consumer.turn import ConsumerTurn, Topics
from cluster.groups.decision import (
    AnyGroup,
    Decision,
    Settings,
    Turn,
    reply_now,
    reply_when_committed,
)
from cluster.groups.descriptions import describe
from cluster.groups.expiry import expired, is_empty
from cluster.groups.group import Group
from cluster.groups.group_deadlines import GroupDeadlines
from cluster.groups.joining import join
from cluster.groups.leaving import leave, time_passed
from cluster.groups.membership import heartbeat
from cluster.groups.offsets import (
    commit_records,
    commit_refusal,
    deletion_refusals,
    fetch_refusal,
    take_commit_as_life_sign,
)
from cluster.groups.record_codec import (
    GroupKey,
    OffsetKey,
    read_group,
    read_key,
    write_group,
    write_group_key,
)
from cluster.groups.requests import (
    CONSUMER_TYPE,
    SHARE_TYPE,
    UNKNOWN_MEMBER,
    CommitOffset,
    DescribedGroup,
    JoinReply,
    JoinRequest,
    MemberIdentity,
    SyncReply,
    SyncRequest,
)
from cluster.groups.share.group import SharedTopic, ShareGroup
from cluster.groups.share.heartbeat import ShareHeartbeat
from cluster.groups.subscription import CONSUMER_PROTOCOL
from cluster.groups.syncing import sync


class GroupShard:
    """Groups by id, and their offsets. `topics` returns the cluster's topics as this coordinator knows them."""

    def __init__(self, settings: Settings, tracer: Tracer, topics: Callable[[], Topics]) -> None:
        self.settings = settings
        self._tracer = tracer
        self._topics = topics
        self._groups: dict[str, AnyGroup] = {}
        self._offsets = CommittedOffsets()
        self._replayed = ReplayedGroups()
        self._deadlines = GroupDeadlines()
        self._expiry_ms = 0
        self._not_looked_at: list[str] = []

    # --- state ------------------------------------------------------------------------------------

    def replay(self, key: bytes | None, value: bytes | None) -> None:
        """Take one record of the log in. Raises MalformedMessage when it is not what its version says."""
        subject = None if key is None else read_key(key)
        if isinstance(subject, OffsetKey):
            self._offsets.replay(subject, value)
        elif isinstance(subject, GroupKey):
            if value is None:
                self._groups.pop(subject.group_id, None)
            else:
                self._groups[subject.group_id] = read_group(subject.group_id, value)
        elif isinstance(subject, ConsumerKey):
            self._replayed.replay(subject, value)

    def replay_pending(self, producer_id: int, key: bytes | None, value: bytes | None) -> None:
        """Take in a record of a transaction, which counts when its marker says so. Raises MalformedMessage."""
        subject = None if key is None else read_key(key)
        if isinstance(subject, OffsetKey):
            self._offsets.replay_pending(producer_id, subject, value)

    def replay_marker(self, producer_id: int, is_commit: bool) -> None:
        """A producer's transaction has ended: its offsets count from now on, or never will."""
        for group_id in self._offsets.replay_marker(producer_id, is_commit):
            self._groups.setdefault(group_id, Group(group_id))

    def loaded(self, now_ms: int) -> None:
        """The whole log was replayed: begin to serve. Members get a full session to find this coordinator."""
        self._groups |= self._replayed.finish()
        for group_id in self._offsets.groups:
            self._groups.setdefault(group_id, Group(group_id))
        for group_id, group in tuple(self._groups.items()):
            self._put(group_id, renewed(group, self._settings_of(group_id), now_ms))
        self._expiry_ms = now_ms + self.settings.offsets_retention_check_ms

    def accept(self, decision: Decision) -> None:
        """Take in a decision whose records are in the log now."""
        for key, value in decision.records:
            if decision.producer is not None:
                self.replay_pending(decision.producer[0], key, value)
                continue
            subject = read_key(key)
            if isinstance(subject, OffsetKey):
                self._offsets.replay(subject, value)
        if self._tracer.enabled:
            for event in decision.traces:
                self._tracer.emit(event)
        for group_id, group in decision.groups:
            if self._tracer.enabled:
                for event in group_changes(self._groups.get(group_id), group):
                    self._tracer.emit(event)
            self._put(group_id, group)

    def _put(self, group_id: str, group: AnyGroup | None) -> None:
        if group is None or (group.is_forgettable and group_id not in self._offsets.groups):
            self._groups.pop(group_id, None)
            return
        self._groups[group_id] = group
        deadline_ms = group.next_deadline_ms()
        if deadline_ms is not None:
            self._deadlines.advance(group_id, deadline_ms)

    def next_deadline_ms(self) -> int | None:
        """Return when `time_passed` should be asked at the latest."""
        if not self._groups:
            return None
        deadline_ms = self._deadlines.next_ms()
        return self._expiry_ms if deadline_ms is None else min(deadline_ms, self._expiry_ms)

    def time_passed(self, now: Moment) -> Decision | None:
        """Decide what time does to one group whose deadline has passed; None when there is none left."""
        while (group_id := self._deadlines.take_due(now.monotonic_ms)) is not None:
            group = self._groups.get(group_id)
            if group is None:
                continue
            deadline_ms = group.next_deadline_ms()
            if deadline_ms is None or deadline_ms > now.monotonic_ms:
                self._put(group_id, group)
                continue
            if isinstance(group, ConsumerGroup):
                return decide_time_passed(self._consumer_turn(group, now))
            turn = Turn(group, self.settings, now)
            time_passed(turn)
            return self._decision(turn)
        return self._expire_some(now)

    def _expire_some(self, now: Moment) -> Decision | None:
        """From time to time look through all groups, one decision a group, for offsets that have expired."""
        if now.monotonic_ms >= self._expiry_ms:  # what cannot be written now is looked at again then
            self._expiry_ms = now.monotonic_ms + self.settings.offsets_retention_check_ms
            self._not_looked_at = list(self._groups)
        while self._not_looked_at:
            group_id = self._not_looked_at.pop()
            group = self._groups.get(group_id)
            if group is None:
                continue
            offsets = self._offsets.settled(group_id)
            gone = expired(group, offsets, now.wall_ms, self.settings.offsets_retention_ms)
            records = self._offsets.tombstones(group_id, gone)
            is_left_alone = is_empty(group) and len(gone) == len(self._offsets.partitions(group_id))
            ends = is_left_alone and not isinstance(group, ShareGroup)
            if ends:
                records += self._group_tombstones(group)
            if records:
                groups = ((group_id, None),) if ends else ()
                return Decision(tuple(records), groups=groups, is_atomic=False)
        return None

    def retry_at(self, decision: Decision, at_ms: int) -> None:
        """What time demands could not be written: ask again later."""
        for group_id, _ in decision.groups:
            self._deadlines.set(group_id, at_ms)

    # --- members ----------------------------------------------------------------------------------

    def join(self, token: int, group_id: str, request: JoinRequest, now: Moment) -> Decision:
        """JoinGroup: answered with a JoinReply, mostly when the others have joined too."""
        settings, member_id = self.settings, request.member.member_id
        if not settings.session_timeout_ms_min <= request.session_timeout_ms <= settings.session_timeout_ms_max:
            return reply_now(token, JoinReply(ErrorCode.INVALID_SESSION_TIMEOUT, member_id))
        group = self._groups.get(group_id)
        ended: list[LogRecord] = []
        if isinstance(group, ConsumerGroup):
            if isinstance(group, ShareGroup):
                return reply_now(token, JoinReply(ErrorCode.INCONSISTENT_GROUP_PROTOCOL, member_id))
            if group.members:
                return decide_join(self._consumer_turn(group, now), token, request)
            ended, group = difference(group, None), None  # the next ones to use this name speak the classic protocol
        if group is None and member_id != UNKNOWN_MEMBER:
            return reply_now(token, JoinReply(ErrorCode.UNKNOWN_MEMBER_ID, member_id))
        turn = Turn(group or Group(group_id), settings, now)
        join(turn, token, request)
        decision = self._decision(turn)
        return replace(decision, records=(*ended, *decision.records)) if ended else decision

    def sync(self, token: int, group_id: str, request: SyncRequest, now: Moment) -> Decision:
        """SyncGroup: answered with a SyncReply, once the leader's assignment is committed."""
        group = self._groups.get(group_id)
        if group is None:
            return reply_now(token, SyncReply(ErrorCode.UNKNOWN_MEMBER_ID))
        if isinstance(group, ConsumerGroup):
            return decide_sync(self._consumer_turn(group, now), token, request)
        turn = Turn(group, self.settings, now)
        sync(turn, token, request)
        return self._decision(turn)

    def heartbeat(self, token: int, group_id: str, identity: MemberIdentity, now: Moment) -> Decision:
        """Heartbeat: answered with an ErrorCode, at once."""
        group = self._groups.get(group_id)
        if group is None:
            return reply_now(token, ErrorCode.UNKNOWN_MEMBER_ID)
        if isinstance(group, ConsumerGroup):
            return decide_classic_heartbeat(self._consumer_turn(group, now), token, identity)
        turn = Turn(group, self.settings, now)
        heartbeat(turn, token, identity)
        return replace(self._decision(turn), waits_for_commit=False)

    def leave(self, token: int, group_id: str, identities: Sequence[MemberIdentity], now: Moment) -> Decision:
        """LeaveGroup: answered with a tuple of ErrorCodes, one for each who leaves."""
        group = self._groups.get(group_id)
        if group is None:
            return reply_now(token, tuple(ErrorCode.UNKNOWN_MEMBER_ID for _ in identities))
        if isinstance(group, ConsumerGroup):
            return decide_leave(self._consumer_turn(group, now), token, identities)
        turn = Turn(group, self.settings, now)
        leave(turn, token, identities)
        return self._decision(turn)

    def consumer_heartbeat(self, token: int, group_id: str, request: HeartbeatRequest, now: Moment) -> Decision:
        """ConsumerGroupHeartbeat: answered with a HeartbeatReply, once what it says is committed."""
        group = self._groups.get(group_id)
        own = group if isinstance(group, ConsumerGroup) else ConsumerGroup(group_id)
        return decide_heartbeat(group, self._consumer_turn(own, now), token, request)

    def share_heartbeat(self, token: int, group_id: str, request: ShareHeartbeat, now: Moment) -> Decision:
        """ShareGroupHeartbeat: answered with a HeartbeatReply, once what it says is committed."""
        group = self._groups.get(group_id)
        own = group if isinstance(group, ShareGroup) else ShareGroup(group_id)
        return decide_share_heartbeat(group, self._consumer_turn(own, now), token, request)

    # --- offsets ----------------------------------------------------------------------------------

    def commit(
        self,
        token: int,
        group_id: str,
        identity: MemberIdentity,
        commits: Mapping[TopicPartition, CommitOffset],
        now: Moment,
        *,
        speaks_epochs: bool = False,
        producer: tuple[int, int] | None = None,
    ) -> Decision:
        """OffsetCommit: answered with an ErrorCode for each partition, once committed.

        `speaks_epochs`: the request is of version 9 or later, and its generation may be a member epoch (KIP-848). With
        a producer's id and epoch, TxnOffsetCommit: what it commits counts when its transaction does.
        """
        group = self._groups.get(group_id)
        if group is None and identity.generation >= 0:
            error = ErrorCode.GROUP_ID_NOT_FOUND if speaks_epochs else ErrorCode.ILLEGAL_GENERATION
            return reply_now(token, dict.fromkeys(commits, error))
        error = commit_refusal(
            group or Group(group_id), identity, speaks_epochs=speaks_epochs, in_transaction=producer is not None
        )
        if error is not ErrorCode.NONE:
            return reply_now(token, dict.fromkeys(commits, error))
        records, errors = commit_records(group_id, commits, self.settings.offset_metadata_bytes_max)
        if isinstance(group, ConsumerGroup):
            return replace(reply_when_committed(token, errors), records=tuple(records), producer=producer)
        turn = Turn(group or Group(group_id), self.settings, now)
        take_commit_as_life_sign(turn, identity)
        turn.answer(token, errors)
        return replace(self._decision(turn), records=tuple(records), producer=producer)

    def fetch(
        self,
        token: int,
        group_id: str,
        partitions: Sequence[TopicPartition] | None,
        identity: MemberIdentity | None = None,
        require_stable: bool = False,
    ) -> Decision:
        """OffsetFetch: answered with an offset for each partition, or (None) for all that have one.

        A member of the new protocol says who it is; an ErrorCode tells that it is not, or no longer.
        `require_stable`: an offset that an open transaction may change is UNSTABLE (KIP-447).
        """
        error = fetch_refusal(self._groups.get(group_id), identity)
        if error is not ErrorCode.NONE:
            return reply_now(token, error)
        return reply_when_committed(token, self._offsets.fetch(group_id, partitions, require_stable))

    def delete_offsets(self, token: int, group_id: str, partitions: Sequence[TopicPartition]) -> Decision:
        """OffsetDelete: answered with one ErrorCode for the whole, or with one for each partition."""
        group = self._groups.get(group_id)
        if group is None:
            return reply_now(token, ErrorCode.GROUP_ID_NOT_FOUND)
        refusals = deletion_refusals(group, partitions)
        if isinstance(refusals, ErrorCode):
            return reply_now(token, refusals)
        allowed = [key for key, error in refusals.items() if error is ErrorCode.NONE]
        return Decision(self._offsets.tombstones(group_id, allowed), (Answer(token, refusals),))

    def forget_topics(self, topics: Sequence[str]) -> Decision:
        """Topics were deleted: so are all offsets committed for them, pending ones too. Nobody is answered."""
        return Decision(self._offsets.tombstones_of_topics(topics), is_atomic=False)

    # --- whole groups -----------------------------------------------------------------------------

    def describe(self, token: int, group_id: str) -> Decision:
        """DescribeGroups: answered with a DescribedGroup, or None when there is no such classic group."""
        group = self._groups.get(group_id)
        return reply_when_committed(token, describe(group)) if isinstance(group, Group) else reply_now(token, None)

    def describe_consumers(self, token: int, group_id: str) -> Decision:
        """ConsumerGroupDescribe: answered with a DescribedConsumerGroup, or None when there is no such group.

        Of a classic group the answer is its DescribedGroup, so that the two can be told apart.
        """
        group = self._groups.get(group_id)
        if not isinstance(group, ConsumerGroup) or isinstance(group, ShareGroup):
            return self.describe(token, group_id)
        return reply_when_committed(token, describe_consumers(group, self._settings_of(group_id)))

    def describe_shares(self, token: int, group_id: str) -> Decision:
        """ShareGroupDescribe: answered with a DescribedConsumerGroup and the topics it shares; None without a group."""
        group = self._groups.get(group_id)
        if not isinstance(group, ShareGroup):
            return reply_now(token, None)
        return reply_when_committed(token, (describe_consumers(group, self._settings_of(group_id)), group.shared))

    def change_shared(
        self, token: int, group_id: str, added: Mapping[TopicId, SharedTopic], removed: Collection[TopicId]
    ) -> Decision:
        """An admin has moved a share group, or let it forget topics: answered with an ErrorCode, once committed."""
        group = self._groups.get(group_id)
        if not isinstance(group, ShareGroup):
            return reply_now(token, ErrorCode.GROUP_ID_NOT_FOUND)
        if group.members:
            return reply_now(token, ErrorCode.NON_EMPTY_GROUP)
        kept = {topic_id: topic for topic_id, topic in group.shared.items() if topic_id not in removed}
        after = replace(group, shared={**kept, **added})
        answered = reply_when_committed(token, ErrorCode.NONE)
        return replace(answered, records=tuple(difference(group, after)), groups=((group_id, after),))

    def listed(self) -> list[DescribedGroup]:
        """ListGroups: every group, without its members, by id."""
        return [
            replace(describe(group), members=()) if isinstance(group, Group) else _listed_modern(group)
            for group_id, group in sorted(self._groups.items())
        ]

    def delete(self, token: int, group_id: str) -> Decision:
        """DeleteGroups: answered with an ErrorCode; only an empty group can be deleted, with all its offsets."""
        group = self._groups.get(group_id)
        if group is None:
            return reply_now(token, ErrorCode.GROUP_ID_NOT_FOUND)
        if not is_empty(group):
            return reply_now(token, ErrorCode.NON_EMPTY_GROUP)
        offsets = self._offsets.tombstones(group_id, self._offsets.partitions(group_id))
        records = (*offsets, *self._group_tombstones(group))
        answers = (Answer(token, ErrorCode.NONE),)
        return Decision(records, answers, groups=((group_id, None),), is_atomic=False)

    # --- inside -----------------------------------------------------------------------------------

    def _consumer_turn(self, group: ConsumerGroup, now: Moment) -> ConsumerTurn:
        return ConsumerTurn(group, self._topics(), self._settings_of(group.group_id), now)

    def _settings_of(self, group_id: str) -> Settings:
        return settings_for(self.settings, self._topics().image.group_configs(group_id))

    def _group_tombstones(self, group: AnyGroup) -> list[LogRecord]:
        if isinstance(group, ConsumerGroup):
            return difference(group, None)
        return [(write_group_key(group.group_id), None)]

    def _decision(self, turn: Turn) -> Decision:
        group = turn.group
        records = ((write_group_key(group.group_id), write_group(group)),) if turn.is_written else ()
        return Decision(records, tuple(turn.answers), ((group.group_id, group),))


def _listed_modern(group: ConsumerGroup) -> DescribedGroup:
    if isinstance(group, ShareGroup):
        return DescribedGroup(group.group_id, group.state.value, SHARE_TYPE, group_type=SHARE_TYPE)
    return DescribedGroup(group.group_id, group.state.value, CONSUMER_PROTOCOL, group_type=CONSUMER_TYPE)
