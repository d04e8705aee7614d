"""What is written of a consumer group: the difference between what it was and what it becomes.

Here: from two groups to the records that lead from one to the other, and from records back to groups. A rule that
changes a group therefore never has to say what is to be written, and cannot forget it. The order is Kafka's: members
before what they get, and when one goes, what it got before itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from cluster.groups.consumer import record_codec as codec
from cluster.groups.consumer.group import ConsumerGroup, ConsumerMember, ResolvedRegex
from cluster.groups.consumer.partitions import Partitions
from cluster.groups.consumer.record_codec import ConsumerKey, Subject, write_key

_Record = tuple[bytes, bytes | None]


def difference(before: ConsumerGroup | None, after: ConsumerGroup | None) -> list[_Record]:
    """Return the records that turn a group into another; None stands for no group."""
    if after is None:
        return [] if before is None else list(_tombstones(before))
    return list(_changes(before or ConsumerGroup(after.group_id), after, is_new=before is None))


def _changes(before: ConsumerGroup, after: ConsumerGroup, *, is_new: bool) -> Iterator[_Record]:
    group_id = after.group_id
    for member_id in before.members:
        if member_id not in after.members:
            yield from _member_tombstones(group_id, member_id)
    for member_id, member in after.members.items():
        value = codec.write_member(member)
        was = before.members.get(member_id)
        if was is None or codec.write_member(was) != value:
            yield write_key(Subject.MEMBER, group_id, member_id), value
    for regex in before.regexes:
        if regex not in after.regexes:
            yield write_key(Subject.REGEX, group_id, regex), None
    for regex, resolved in after.regexes.items():
        if before.regexes.get(regex) != resolved:
            yield write_key(Subject.REGEX, group_id, regex), codec.write_regex(resolved)
    if is_new or (before.epoch, before.metadata_hash) != (after.epoch, after.metadata_hash):
        yield write_key(Subject.GROUP, group_id), codec.write_group(after.epoch, after.metadata_hash)
    for member_id, target in after.targets.items():
        if before.targets.get(member_id) != target:
            yield write_key(Subject.TARGET, group_id, member_id), codec.write_target(target)
    if is_new or before.target_epoch != after.target_epoch:
        yield write_key(Subject.TARGET_EPOCH, group_id), codec.write_target_epoch(after.target_epoch)
    for member_id, member in after.members.items():
        value = codec.write_current(member)
        was = before.members.get(member_id)
        if was is None or codec.write_current(was) != value:
            yield write_key(Subject.CURRENT, group_id, member_id), value


def _member_tombstones(group_id: str, member_id: str) -> Iterator[_Record]:
    for subject in (Subject.CURRENT, Subject.TARGET, Subject.MEMBER):
        yield write_key(subject, group_id, member_id), None


def _tombstones(group: ConsumerGroup) -> Iterator[_Record]:
    for member_id in group.members:
        yield from _member_tombstones(group.group_id, member_id)
    for regex in group.regexes:
        yield write_key(Subject.REGEX, group.group_id, regex), None
    yield write_key(Subject.TARGET_EPOCH, group.group_id), None
    yield write_key(Subject.GROUP, group.group_id), None


@dataclass(slots=True)
class _Replayed:
    """A group in the making, from records that compaction may have left in any order."""

    epoch: int | None = None
    metadata_hash: int = 0
    target_epoch: int = 0
    members: dict[str, ConsumerMember] = field(default_factory=dict)
    present: dict[str, None] = field(default_factory=dict)
    targets: dict[str, Partitions] = field(default_factory=dict)
    regexes: dict[str, ResolvedRegex] = field(default_factory=dict)


class ReplayedGroups:
    """The consumer groups of a log while it is read."""

    def __init__(self) -> None:
        self._groups: dict[str, _Replayed] = {}

    def replay(self, key: ConsumerKey, value: bytes | None) -> None:
        """Take one record in. Raises MalformedMessage when the value cannot be read; nothing has changed then."""
        group = self._groups.setdefault(key.group_id, _Replayed())
        if value is None:
            self._forget(group, key)
            return
        match key.subject:
            case Subject.GROUP:
                group.epoch, group.metadata_hash = codec.read_group(value)
            case Subject.MEMBER:
                member = group.members.get(key.detail, ConsumerMember(key.detail))
                group.members[key.detail] = codec.read_member(value, member)
                group.present[key.detail] = None
            case Subject.CURRENT:
                member = group.members.get(key.detail, ConsumerMember(key.detail))
                group.members[key.detail] = codec.read_current(value, member)
            case Subject.TARGET:
                group.targets[key.detail] = codec.read_target(value)
            case Subject.TARGET_EPOCH:
                group.target_epoch = codec.read_target_epoch(value)
            case Subject.REGEX:
                group.regexes[key.detail] = codec.read_regex(value)

    def _forget(self, group: _Replayed, key: ConsumerKey) -> None:
        match key.subject:
            case Subject.GROUP:
                del self._groups[key.group_id]
            case Subject.MEMBER:
                group.members.pop(key.detail, None)
                group.present.pop(key.detail, None)
            case Subject.CURRENT:
                if key.detail in group.members:
                    was = group.members[key.detail]
                    empty = ConsumerMember(key.detail)
                    group.members[key.detail] = codec.read_member(codec.write_member(was), empty)
            case Subject.TARGET:
                group.targets.pop(key.detail, None)
            case Subject.TARGET_EPOCH:
                group.target_epoch = 0
            case Subject.REGEX:
                group.regexes.pop(key.detail, None)

    def finish(self) -> dict[str, ConsumerGroup]:
        """Return the groups that the log has told of to the end; what was never said or taken back is left out."""
        return {
            group_id: ConsumerGroup(
                group_id,
                group.epoch,
                group.metadata_hash,
                group.target_epoch,
                {member_id: group.members[member_id] for member_id in group.present},
                {member_id: target for member_id, target in group.targets.items() if member_id in group.present},
                group.regexes,
            )
            for group_id, group in self._groups.items()
            if group.epoch is not None
        }
