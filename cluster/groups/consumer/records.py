"""What is written of a consumer group or a share group: the difference between what it was and what it becomes.

Here: from two groups to the records that lead from one to the other, and from records back to groups. A rule that
changes a group therefore never has to say what is to be written, and cannot forget it. The order is Kafka's: members
before what they get, and when one goes, what it got before itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from cluster.base.answers import LogRecord
from cluster.base.ids import TopicId
from cluster.groups.consumer import record_codec as codec
from cluster.groups.consumer.group import ConsumerGroup, ConsumerMember, ResolvedRegex
from cluster.groups.consumer.partitions import Partitions
from cluster.groups.consumer.record_codec import ConsumerKey, Subject, write_key
from cluster.groups.share.group import SharedTopic, ShareGroup


@dataclass(frozen=True, slots=True)
class _Layout:
    """How a kind of group is written: share groups have keys of their own, and simpler members."""

    subjects: Mapping[Subject, Subject]
    write_member: Callable[[ConsumerMember], bytes]
    read_member: Callable[[bytes, ConsumerMember], ConsumerMember]
    write_current: Callable[[ConsumerMember], bytes]
    read_current: Callable[[bytes, ConsumerMember], ConsumerMember]


_CONSUMER = _Layout({}, codec.write_member, codec.read_member, codec.write_current, codec.read_current)

_SHARE = _Layout(
    {
        Subject.GROUP: Subject.SHARE_GROUP,
        Subject.MEMBER: Subject.SHARE_MEMBER,
        Subject.TARGET_EPOCH: Subject.SHARE_TARGET_EPOCH,
        Subject.TARGET: Subject.SHARE_TARGET,
        Subject.CURRENT: Subject.SHARE_CURRENT,
    },
    codec.write_share_member,
    codec.read_share_member,
    codec.write_share_current,
    codec.read_share_current,
)

_PLAIN = {share: plain for plain, share in _SHARE.subjects.items()}


def difference(before: ConsumerGroup | None, after: ConsumerGroup | None) -> list[LogRecord]:
    """Return the records that turn a group into another; None stands for no group."""
    if after is None:
        return [] if before is None else list(_tombstones(before))
    return list(_changes(before or ConsumerGroup(after.group_id), after, is_new=before is None))


def _changes(before: ConsumerGroup, after: ConsumerGroup, *, is_new: bool) -> Iterator[LogRecord]:
    layout = _layout_of(after)
    for member_id in before.members:
        if member_id not in after.members:
            yield from _member_tombstones(after, member_id)
    for member_id, member in after.members.items():
        value = layout.write_member(member)
        was = before.members.get(member_id)
        if was is None or layout.write_member(was) != value:
            yield _key(after, Subject.MEMBER, member_id), value
    for regex in before.regexes:
        if regex not in after.regexes:
            yield _key(after, Subject.REGEX, regex), None
    for regex, resolved in after.regexes.items():
        if before.regexes.get(regex) != resolved:
            yield _key(after, Subject.REGEX, regex), codec.write_regex(resolved)
    if is_new or (before.epoch, before.metadata_hash) != (after.epoch, after.metadata_hash):
        yield _key(after, Subject.GROUP), codec.write_group(after.epoch, after.metadata_hash)
    for member_id, target in after.targets.items():
        if before.targets.get(member_id) != target:
            yield _key(after, Subject.TARGET, member_id), codec.write_target(target)
    if is_new or before.target_epoch != after.target_epoch:
        yield _key(after, Subject.TARGET_EPOCH), codec.write_target_epoch(after.target_epoch)
    for member_id, member in after.members.items():
        value = layout.write_current(member)
        was = before.members.get(member_id)
        if was is None or layout.write_current(was) != value:
            yield _key(after, Subject.CURRENT, member_id), value
    if isinstance(after, ShareGroup):
        shared_before = before.shared if isinstance(before, ShareGroup) else {}
        if after.shared != shared_before:
            yield write_key(Subject.SHARE_TOPICS, after.group_id), codec.write_shared_topics(after.shared)


def _member_tombstones(group: ConsumerGroup, member_id: str) -> Iterator[LogRecord]:
    for subject in (Subject.CURRENT, Subject.TARGET, Subject.MEMBER):
        yield _key(group, subject, member_id), None


def _tombstones(group: ConsumerGroup) -> Iterator[LogRecord]:
    for member_id in group.members:
        yield from _member_tombstones(group, member_id)
    for regex in group.regexes:
        yield _key(group, Subject.REGEX, regex), None
    if isinstance(group, ShareGroup):
        yield write_key(Subject.SHARE_TOPICS, group.group_id), None
    yield _key(group, Subject.TARGET_EPOCH), None
    yield _key(group, Subject.GROUP), None


def _layout_of(group: ConsumerGroup) -> _Layout:
    return _SHARE if isinstance(group, ShareGroup) else _CONSUMER


def _key(group: ConsumerGroup, subject: Subject, detail: str = "") -> bytes:
    return write_key(_layout_of(group).subjects.get(subject, subject), group.group_id, detail)


@dataclass(slots=True)
class _Replayed:
    """A group in the making, from records that compaction may have left in any order."""

    is_share: bool = False
    epoch: int | None = None
    metadata_hash: int = 0
    target_epoch: int = 0
    members: dict[str, ConsumerMember] = field(default_factory=dict)
    present: dict[str, None] = field(default_factory=dict)
    targets: dict[str, Partitions] = field(default_factory=dict)
    regexes: dict[str, ResolvedRegex] = field(default_factory=dict)
    shared: dict[TopicId, SharedTopic] = field(default_factory=dict)

    def finished(self, group_id: str, epoch: int) -> ConsumerGroup:
        members = {member_id: self.members[member_id] for member_id in self.present}
        targets = {member_id: target for member_id, target in self.targets.items() if member_id in self.present}
        if self.is_share:
            return ShareGroup(
                group_id, epoch, self.metadata_hash, self.target_epoch, members, targets, shared=self.shared
            )
        return ConsumerGroup(group_id, epoch, self.metadata_hash, self.target_epoch, members, targets, self.regexes)


class ReplayedGroups:
    """The consumer groups of a log while it is read."""

    def __init__(self) -> None:
        self._groups: dict[str, _Replayed] = {}

    def replay(self, key: ConsumerKey, value: bytes | None) -> None:
        """Take one record in. Raises MalformedMessage when the value cannot be read; nothing has changed then."""
        group = self._groups.setdefault(key.group_id, _Replayed())
        layout = _SHARE if key.subject in _PLAIN or key.subject is Subject.SHARE_TOPICS else _CONSUMER
        subject = _PLAIN.get(key.subject, key.subject)
        if value is None:
            self._forget(group, subject, key, layout)
            return
        member = group.members.get(key.detail, ConsumerMember(key.detail))
        match subject:
            case Subject.GROUP:
                group.epoch, group.metadata_hash = codec.read_group(value)
                group.is_share = layout is _SHARE
            case Subject.MEMBER:
                group.members[key.detail] = layout.read_member(value, member)
                group.present[key.detail] = None
            case Subject.CURRENT:
                group.members[key.detail] = layout.read_current(value, member)
            case Subject.TARGET:
                group.targets[key.detail] = codec.read_target(value)
            case Subject.TARGET_EPOCH:
                group.target_epoch = codec.read_target_epoch(value)
            case Subject.REGEX:
                group.regexes[key.detail] = codec.read_regex(value)
            case Subject.SHARE_TOPICS:
                group.shared = codec.read_shared_topics(value)

    def _forget(self, group: _Replayed, subject: Subject, key: ConsumerKey, layout: _Layout) -> None:
        match subject:
            case Subject.GROUP:
                del self._groups[key.group_id]
            case Subject.MEMBER:
                group.members.pop(key.detail, None)
                group.present.pop(key.detail, None)
            case Subject.CURRENT:
                if key.detail in group.members:
                    said = layout.write_member(group.members[key.detail])
                    group.members[key.detail] = layout.read_member(said, ConsumerMember(key.detail))
            case Subject.TARGET:
                group.targets.pop(key.detail, None)
            case Subject.TARGET_EPOCH:
                group.target_epoch = 0
            case Subject.REGEX:
                group.regexes.pop(key.detail, None)
            case Subject.SHARE_TOPICS:
                group.shared = {}

    def finish(self) -> dict[str, ConsumerGroup]:
        """Return the groups that the log has told of to the end; what was never said or taken back is left out."""
        return {
            group_id: group.finished(group_id, group.epoch)
            for group_id, group in self._groups.items()
            if group.epoch is not None
        }
