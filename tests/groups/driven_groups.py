"""A shard of groups with a log in memory and a clock of its own: what a coordinator does around it, without the broker.

Records are in the log at once, and committed when the test says so; time passes when the test says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from typing import Any, Self

from cluster.base.answers import LogRecord
from cluster.base.errors import ErrorCode
from cluster.base.ids import TopicPartition
from cluster.base.ports import SilentTracer
from cluster.groups import (
    CommitOffset,
    Decision,
    DescribedGroup,
    GroupShard,
    JoinReply,
    JoinRequest,
    MemberIdentity,
    Moment,
    Settings,
    SyncReply,
    SyncRequest,
    Topics,
)
from cluster.metadata import MetadataImage

GROUP = "g"
SESSION_MS = 10_000
REBALANCE_MS = 60_000
RANGE = (("range", b"range-subscription"),)
START_MS = 5_000
WALL_MS = 1_700_000_000_000
ORDERS = TopicPartition("orders", 0)


class DrivenGroups:
    """One shard. `join` and the others return a token; `reply(token)` is what came back, None while it waits."""

    def __init__(self, **settings: int) -> None:
        self.settings = Settings(**settings)
        self.topics = Topics(MetadataImage.empty("cluster"))
        self.shard = GroupShard(self.settings, SilentTracer(), lambda: self.topics)
        self.now_ms = START_MS
        self.log: list[LogRecord] = []
        self.log_is_full = False
        self.replies: dict[int, Any] = {}
        self._next_token = 0
        self._next_member = 0

    # --- what a coordinator does --------------------------------------------------------------

    @property
    def now(self) -> Moment:
        return Moment(self.now_ms, WALL_MS + self.now_ms)

    def carry_out(self, decision: Decision) -> bool:
        """Append, take in, answer. False when the log refuses; then nothing has happened."""
        if decision.records and self.log_is_full:
            return False
        self.log += decision.records
        self.shard.accept(decision)
        for answer in decision.answers:
            assert answer.token not in self.replies, "a request is answered once"
            self.replies[answer.token] = answer.reply
        return True

    def ask(self, decide: Callable[[int], Decision]) -> int:
        token, self._next_token = self._next_token, self._next_token + 1
        if not self.carry_out(decide(token)):
            self.replies[token] = ErrorCode.COORDINATOR_NOT_AVAILABLE
        return token

    def sleep(self, duration_ms: int) -> None:
        """Let time pass; everything that becomes due happens at its time."""
        end_ms = self.now_ms + duration_ms
        while (due_ms := self.shard.next_deadline_ms()) is not None and due_ms <= end_ms:
            self.now_ms = max(self.now_ms, due_ms)
            while (decision := self.shard.time_passed(self.now)) is not None:
                if not self.carry_out(decision):
                    self.shard.retry_at(decision, self.now_ms + 500)
        self.now_ms = end_ms

    def moved(self) -> Self:
        """Another coordinator, with this one's log."""
        successor = copy(self)
        successor.log, successor.replies = list(self.log), {}
        successor.shard = GroupShard(self.settings, SilentTracer(), lambda: successor.topics)
        for key, value in self.log:
            successor.shard.replay(key, value)
        successor.shard.loaded(self.now_ms)
        return successor

    def reply(self, token: int) -> Any:
        return self.replies.get(token)

    # --- what clients ask ---------------------------------------------------------------------

    def join(self, member_id: str = "", **changes: Any) -> int:
        self._next_member += 1
        instance_id = changes.pop("instance_id", None)
        values: dict[str, Any] = {
            "new_member_id": f"m{self._next_member}",
            "client_id": "client",
            "client_host": "/host",
            "session_timeout_ms": SESSION_MS,
            "rebalance_timeout_ms": REBALANCE_MS,
            "protocol_type": "consumer",
            "protocols": RANGE,
            **changes,
        }
        request = JoinRequest(MemberIdentity(member_id, instance_id), **values)
        return self.ask(lambda token: self.shard.join(token, GROUP, request, self.now))

    def sync(self, member_id: str, generation: int, assignments: Mapping[str, bytes] | None = None, **more: Any) -> int:
        identity = MemberIdentity(member_id, more.pop("instance_id", None), generation)
        request = SyncRequest(identity, assignments or {}, **more)
        return self.ask(lambda token: self.shard.sync(token, GROUP, request, self.now))

    def heartbeat(self, member_id: str, generation: int, instance_id: str | None = None) -> ErrorCode:
        identity = MemberIdentity(member_id, instance_id, generation)
        token = self.ask(lambda token: self.shard.heartbeat(token, GROUP, identity, self.now))
        error: ErrorCode = self.replies[token]
        return error

    def leave(self, *members: str | tuple[str, str]) -> tuple[ErrorCode, ...]:
        """Let members go; a static one is given as (member id, instance id)."""
        identities = [MemberIdentity(*(member if isinstance(member, tuple) else (member,))) for member in members]
        token = self.ask(lambda token: self.shard.leave(token, GROUP, identities, self.now))
        errors: tuple[ErrorCode, ...] = self.replies[token]
        return errors

    def commit(self, offset: int, member_id: str = "", generation: int = -1, **more: Any) -> ErrorCode:
        """Commit one offset of `partition` (orders-0)."""
        partition = more.pop("partition", ORDERS)
        identity = MemberIdentity(member_id, more.pop("instance_id", None), generation)
        speaks_epochs = more.pop("speaks_epochs", False)
        commits = {partition: CommitOffset(offset, commit_timestamp_ms=self.now.wall_ms, **more)}
        token = self.ask(
            lambda token: self.shard.commit(token, GROUP, identity, commits, self.now, speaks_epochs=speaks_epochs)
        )
        reply = self.replies[token]
        if isinstance(reply, ErrorCode):
            return reply
        error: ErrorCode = reply[partition]
        return error

    def committed(self, group_id: str = GROUP) -> dict[TopicPartition, int]:
        token = self.ask(lambda token: self.shard.fetch(token, group_id, None))
        return {key: commit.offset for key, commit in self.replies[token].items()}

    def fetched(self, member_id: str = "", epoch: int = -1) -> int | ErrorCode:
        """Fetch the offset of orders-0 as a member of the new protocol."""
        identity = MemberIdentity(member_id, None, epoch)
        token = self.ask(lambda token: self.shard.fetch(token, GROUP, [ORDERS], identity))
        reply = self.replies[token]
        if isinstance(reply, ErrorCode):
            return reply
        offset: int = reply[ORDERS].offset
        return offset

    def deleted(self) -> ErrorCode:
        token = self.ask(lambda token: self.shard.delete(token, GROUP))
        error: ErrorCode = self.replies[token]
        return error

    def deleted_offsets(self, *names: str) -> list[ErrorCode]:
        partitions = [TopicPartition.parse(name) for name in names]
        token = self.ask(lambda token: self.shard.delete_offsets(token, GROUP, partitions))
        return [self.replies[token][partition] for partition in partitions]

    def described(self) -> DescribedGroup | None:
        token = self.ask(lambda token: self.shard.describe(token, GROUP))
        group: DescribedGroup | None = self.replies[token]
        return group

    @property
    def state(self) -> str:
        group = self.described()
        return "Dead" if group is None else group.state

    # --- stories ------------------------------------------------------------------------------

    def joined(self, token: int) -> JoinReply:
        reply = self.replies[token]
        assert isinstance(reply, JoinReply) and reply.error is ErrorCode.NONE, reply
        return reply

    def synced(self, token: int) -> SyncReply:
        reply = self.replies[token]
        assert isinstance(reply, SyncReply) and reply.error is ErrorCode.NONE, reply
        return reply

    def form(self, count: int, **changes: Any) -> list[str]:
        """Form a stable group of so many members; return their ids, the leader's first."""
        tokens = [self.join(**changes) for _ in range(count)]
        self.sleep(self.settings.initial_rebalance_delay_ms * 2 + 1)
        replies = [self.joined(token) for token in tokens]
        self.assign(replies)
        return [reply.member_id for reply in replies]

    def assign(self, replies: list[JoinReply]) -> None:
        """Let everybody sync, the leader last; every member gets its own name."""
        shares = {reply.member_id: f"share of {reply.member_id}".encode() for reply in replies}
        tokens = {}
        for reply in sorted(replies, key=lambda reply: reply.member_id == reply.leader):
            is_leader = reply.member_id == reply.leader
            tokens[reply.member_id] = self.sync(reply.member_id, reply.generation, shares if is_leader else None)
        for member_id, token in tokens.items():
            assert self.synced(token).assignment == shares[member_id]
