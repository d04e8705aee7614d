"""The records of consumer and share groups in `__consumer_offsets`, in Kafka's format (schemas `ConsumerGroup*`,
`ShareGroup*`).

Here: keys and values as bytes, both ways. A key begins with its version, which also says what it is. Values have
version 0 and are flexible. `ConsumerGroupPartitionMetadata` (key 4) is no longer written, as in Kafka since 4.1, which
keeps a hash of the subscribed topics in the group's record instead; what older coordinators wrote of it is skipped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from cluster.base.ids import TopicId
from cluster.groups.consumer.group import ClassicSide, ConsumerMember, ResolvedRegex
from cluster.groups.consumer.partitions import Partitions, TopicIdPartition, by_topic
from cluster.groups.consumer.states import MemberState
from cluster.groups.share.group import SharedTopic
from cluster.wire import INT16, INT32, INT64, Cursor, MalformedMessage, length, string, tagged, unsigned_varint

_VALUE_VERSION = 0
_METADATA_HASH_TAG = 0
_CLASSIC_MEMBER_TAG = 0
_NO_TAGS = tagged(())


class Subject(IntEnum):
    """What a record is about; the numbers are the versions of the keys."""

    GROUP = 3
    MEMBER = 5
    TARGET_EPOCH = 6
    TARGET = 7
    CURRENT = 8
    SHARE_MEMBER = 10
    SHARE_GROUP = 11
    SHARE_TARGET_EPOCH = 12
    SHARE_TARGET = 13
    SHARE_CURRENT = 14
    SHARE_TOPICS = 15
    REGEX = 16


_WITH_DETAIL = (
    Subject.MEMBER,
    Subject.TARGET,
    Subject.CURRENT,
    Subject.REGEX,
    Subject.SHARE_MEMBER,
    Subject.SHARE_TARGET,
    Subject.SHARE_CURRENT,
)


@dataclass(frozen=True, slots=True)
class ConsumerKey:
    """What a record is about: a group, and for some subjects one of its members or regular expressions."""

    subject: Subject
    group_id: str
    detail: str = ""


def write_key(subject: Subject, group_id: str, detail: str = "") -> bytes:
    """Return a key."""
    head = INT16.pack(subject) + string(group_id, False)
    return head + string(detail, False) if subject in _WITH_DETAIL else head


def read_consumer_key(version: int, cursor: Cursor) -> ConsumerKey | None:
    """Read the rest of a key after its version; None for a version that is none of ours. Raises MalformedMessage."""
    if version not in Subject.__members__.values():
        return None
    subject = Subject(version)
    group_id = cursor.text(False)
    return ConsumerKey(subject, group_id, cursor.text(False) if subject in _WITH_DETAIL else "")


# --- values -----------------------------------------------------------------------------------------


def write_group(epoch: int, metadata_hash: int) -> bytes:
    """Return the value of a group."""
    return _head() + INT32.pack(epoch) + tagged([(_METADATA_HASH_TAG, INT64.pack(metadata_hash))])


def read_group(data: bytes) -> tuple[int, int]:
    """Return a group's epoch and the hash of its subscribed topics, 0 when there is none."""
    cursor = _open(data)
    epoch = cursor.number(INT32)
    hashes = [Cursor(value).number(INT64) for tag, value in cursor.tags() if tag == _METADATA_HASH_TAG]
    return epoch, hashes[0] if hashes else 0


def write_target_epoch(epoch: int) -> bytes:
    """Return the value that says of which epoch the target assignment is."""
    return _head() + INT32.pack(epoch) + _NO_TAGS


def read_target_epoch(data: bytes) -> int:
    """Return of which epoch the target assignment is."""
    return _open(data).number(INT32)


def write_target(partitions: Partitions) -> bytes:
    """Return the value of one member's target assignment."""
    return _head() + _write_partitions(partitions) + _NO_TAGS


def read_target(data: bytes) -> Partitions:
    """Read one member's target assignment."""
    return _read_partitions(_open(data))


def write_current(member: ConsumerMember) -> bytes:
    """Return the value of a member's current assignment."""
    head = INT32.pack(member.epoch) + INT32.pack(member.previous_epoch) + bytes((member.state,))
    return _head() + head + _write_partitions(member.assigned) + _write_partitions(member.revoking) + _NO_TAGS


def read_current(data: bytes, member: ConsumerMember) -> ConsumerMember:
    """Return a member with the current assignment that a value says."""
    cursor = _open(data)
    epoch, previous_epoch = cursor.number(INT32), cursor.number(INT32)
    state = cursor.take(1)[0]
    if state not in MemberState.__members__.values():
        raise MalformedMessage(f"a member in state {state}; 0 to 2 are known")
    assigned, revoking = _read_partitions(cursor), _read_partitions(cursor)
    return replace(
        member,
        epoch=epoch,
        previous_epoch=previous_epoch,
        state=MemberState(state),
        assigned=assigned,
        revoking=revoking,
    )


def write_member(member: ConsumerMember) -> bytes:
    """Return the value of what a member says of itself."""
    parts = [
        _head(),
        string(member.instance_id, True),
        string(member.rack_id, True),
        string(member.client_id, True),
        string(member.client_host, True),
        _write_texts(member.topics),
        string(member.regex, True),
        INT32.pack(member.rebalance_timeout_ms),
        string(member.assignor, True),
    ]
    classic = () if member.classic is None else ((_CLASSIC_MEMBER_TAG, _write_classic(member.classic)),)
    return b"".join(parts) + tagged(classic)


def read_member(data: bytes, member: ConsumerMember) -> ConsumerMember:
    """Return a member with what a value says of it."""
    cursor = _open(data)
    changed = replace(
        member,
        instance_id=cursor.string(True),
        rack_id=cursor.string(True),
        client_id=cursor.text(True),
        client_host=cursor.text(True),
        topics=_read_texts(cursor),
        regex=cursor.string(True),
        rebalance_timeout_ms=cursor.number(INT32),
        assignor=cursor.string(True),
    )
    classic = [_read_classic(Cursor(value)) for tag, value in cursor.tags() if tag == _CLASSIC_MEMBER_TAG]
    return replace(changed, classic=classic[0] if classic else None)


def write_regex(resolved: ResolvedRegex) -> bytes:
    """Return the value of a regular expression: what it means at present."""
    times = INT64.pack(resolved.version) + INT64.pack(resolved.timestamp_ms)
    return _head() + _write_texts(resolved.topics) + times + _NO_TAGS


def read_regex(data: bytes) -> ResolvedRegex:
    """Read what a regular expression means."""
    cursor = _open(data)
    return ResolvedRegex(_read_texts(cursor), cursor.number(INT64), cursor.number(INT64))


# --- share groups -----------------------------------------------------------------------------------


def write_share_member(member: ConsumerMember) -> bytes:
    """Return the value of what a member of a share group says of itself."""
    texts = (string(text, True) for text in (member.rack_id, member.client_id, member.client_host))
    return b"".join((_head(), *texts, _write_texts(member.topics), _NO_TAGS))


def read_share_member(data: bytes, member: ConsumerMember) -> ConsumerMember:
    """Return a member with what a value says of it."""
    cursor = _open(data)
    return replace(
        member,
        rack_id=cursor.string(True),
        client_id=cursor.text(True),
        client_host=cursor.text(True),
        topics=_read_texts(cursor),
    )


def write_share_current(member: ConsumerMember) -> bytes:
    """Return the value of what a member of a share group reads."""
    head = INT32.pack(member.epoch) + INT32.pack(member.previous_epoch) + bytes((member.state,))
    return _head() + head + _write_partitions(member.assigned) + _NO_TAGS


def read_share_current(data: bytes, member: ConsumerMember) -> ConsumerMember:
    """Return a member with what a value says that it reads."""
    cursor = _open(data)
    epoch, previous_epoch = cursor.number(INT32), cursor.number(INT32)
    cursor.take(1)
    return replace(member, epoch=epoch, previous_epoch=previous_epoch, assigned=_read_partitions(cursor))


def write_shared_topics(topics: Mapping[TopicId, SharedTopic]) -> bytes:
    """Return the value of the topics that a share group has read (`ShareGroupStatePartitionMetadataValue`)."""
    parts = [_head(), length(len(topics), True)]
    for topic_id, topic in topics.items():
        numbers = (INT32.pack(number) for number in range(topic.partitions))
        parts += (topic_id.bytes, string(topic.name, True), length(topic.partitions, True), *numbers, _NO_TAGS)
    return b"".join((*parts, length(0, True), _NO_TAGS))  # none is being deleted


def read_shared_topics(data: bytes) -> dict[TopicId, SharedTopic]:
    """Read the topics that a share group has read."""
    cursor = _open(data)
    found: dict[TopicId, SharedTopic] = {}
    for _ in cursor.elements(True):
        topic_id, name = cursor.topic_id(), cursor.text(True)
        numbers = [cursor.number(INT32) for _ in cursor.elements(True)]
        cursor.tags()
        found[topic_id] = SharedTopic(name, len(numbers))
    return found


# --- parts ------------------------------------------------------------------------------------------


def _head() -> bytes:
    return INT16.pack(_VALUE_VERSION)


def _open(data: bytes) -> Cursor:
    cursor = Cursor(data)
    version = cursor.number(INT16)
    if version != _VALUE_VERSION:
        raise MalformedMessage(f"a value of version {version}; {_VALUE_VERSION} is known")
    return cursor


def _write_texts(texts: Sequence[str]) -> bytes:
    return length(len(texts), True) + b"".join(string(text, True) for text in texts)


def _read_texts(cursor: Cursor) -> tuple[str, ...]:
    return tuple(cursor.text(True) for _ in cursor.elements(True))


def _write_partitions(partitions: Partitions) -> bytes:
    topics = by_topic(partitions)
    parts = [length(len(topics), True)]
    for topic_id, numbers in topics.items():
        parts += (topic_id.bytes, length(len(numbers), True), *(INT32.pack(number) for number in numbers), _NO_TAGS)
    return b"".join(parts)


def _read_partitions(cursor: Cursor) -> Partitions:
    found: list[TopicIdPartition] = []
    for _ in cursor.elements(True):
        topic_id = cursor.topic_id()
        found += [TopicIdPartition(topic_id, cursor.number(INT32)) for _ in cursor.elements(True)]
        cursor.tags()
    return frozenset(found)


def _write_classic(classic: ClassicSide) -> bytes:
    parts = [unsigned_varint(1), INT32.pack(classic.session_timeout_ms), length(len(classic.protocols), True)]
    for name, metadata in classic.protocols:
        parts += (string(name, True), length(len(metadata), True), metadata, _NO_TAGS)
    return b"".join((*parts, _NO_TAGS))


def _read_classic(cursor: Cursor) -> ClassicSide:
    if cursor.unsigned_varint() == 0:  # a structure that may be null begins with whether it is there
        raise MalformedMessage("null, where a classic member must be")
    session_timeout_ms = cursor.number(INT32)
    protocols = []
    for _ in cursor.elements(True):
        name, metadata = cursor.text(True), bytes(cursor.data(True) or b"")
        cursor.tags()
        protocols.append((name, metadata))
    return ClassicSide(session_timeout_ms, tuple(protocols))
