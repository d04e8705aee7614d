"""The records of consumer groups: Kafka's own bytes, and what is written when a group changes."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from uuid import UUID

import pytest

from cluster.groups import ConsumerGroup, ConsumerKey, ConsumerMember, MemberState, Subject, TopicIdPartition, read_key
from cluster.groups.consumer import record_codec as codec
from cluster.groups.consumer.group import ClassicSide, ResolvedRegex
from cluster.groups.consumer.records import ReplayedGroups, difference
from cluster.wire import MalformedMessage

TOPIC = UUID("11223344-5566-7788-99aa-bbccddeeff00")
MEMBER = ConsumerMember(
    "m1",
    "i1",
    None,
    "client",
    "/127.0.0.1",
    ("orders", "payments"),
    "ord.*",
    60_000,
    "range",
)
CLASSIC = replace(MEMBER, classic=ClassicSide(45_000, (("range", b"\1\2\3"),)))
CURRENT = replace(
    ConsumerMember("m1"),
    epoch=7,
    previous_epoch=6,
    state=MemberState.UNREVOKED_PARTITIONS,
    assigned=frozenset({TopicIdPartition(TOPIC, 0), TopicIdPartition(TOPIC, 1)}),
    revoking=frozenset({TopicIdPartition(TOPIC, 2)}),
)
REGEX = ResolvedRegex(("orders",), 5, 1_700_000_000_000)

# Written by the serialisers of Kafka 4.0 (kafka-group-coordinator), from the same facts.
KAFKA_MEMBER = bytes.fromhex(
    "00000369310007636c69656e740b2f3132372e302e302e3103076f7264657273097061796d656e7473066f72642e2a"
    "0000ea600672616e676500"
)
KAFKA_CLASSIC = bytes.fromhex(
    "00000369310007636c69656e740b2f3132372e302e302e3103076f7264657273097061796d656e7473066f72642e2a"
    "0000ea600672616e6765010012010000afc8020672616e6765040102030000"
)
KAFKA_CURRENT = bytes.fromhex(
    "000000000007000000060102112233445566778899aabbccddeeff000300000000000000010002112233445566778899aabbccddeeff00"
    "02000000020000"
)
KAFKA_TARGET = bytes.fromhex("000002112233445566778899aabbccddeeff0002000000030000")
KAFKA_TARGET_EPOCH = bytes.fromhex("00000000000900")
KAFKA_GROUP = bytes.fromhex("00000000000900")
KAFKA_REGEX = bytes.fromhex("000002076f726465727300000000000000050000018bcfe5680000")
KAFKA_REGEX_KEY = bytes.fromhex("001000016700056f72642e2a")
KAFKA_MEMBER_KEY = bytes.fromhex("000500016700026d31")


def test_values_are_written_byte_for_byte_as_kafka_writes_them() -> None:
    assert codec.write_member(MEMBER) == KAFKA_MEMBER
    assert codec.write_member(CLASSIC) == KAFKA_CLASSIC
    assert codec.write_current(CURRENT) == KAFKA_CURRENT
    assert codec.write_target(frozenset({TopicIdPartition(TOPIC, 3)})) == KAFKA_TARGET
    assert codec.write_target_epoch(9) == KAFKA_TARGET_EPOCH
    assert codec.write_regex(REGEX) == KAFKA_REGEX


def test_what_kafka_wrote_is_read() -> None:
    blank = ConsumerMember("m1")
    assert codec.read_member(KAFKA_MEMBER, blank) == MEMBER
    assert codec.read_member(KAFKA_CLASSIC, blank) == CLASSIC
    assert codec.read_current(KAFKA_CURRENT, blank) == CURRENT
    assert codec.read_target(KAFKA_TARGET) == {TopicIdPartition(TOPIC, 3)}
    assert codec.read_group(KAFKA_GROUP) == (9, 0), "4.0 writes no hash"
    assert codec.read_group(codec.write_group(9, -5)) == (9, -5)
    assert codec.read_regex(KAFKA_REGEX) == REGEX


def test_keys_say_what_they_are() -> None:
    assert codec.write_key(Subject.REGEX, "g", "ord.*") == KAFKA_REGEX_KEY
    assert read_key(KAFKA_REGEX_KEY) == ConsumerKey(Subject.REGEX, "g", "ord.*")
    assert read_key(KAFKA_MEMBER_KEY) == ConsumerKey(Subject.MEMBER, "g", "m1")
    assert read_key(codec.write_key(Subject.GROUP, "g")) == ConsumerKey(Subject.GROUP, "g")


@pytest.mark.parametrize(
    ("subject", "broken"),
    [
        (Subject.MEMBER, KAFKA_MEMBER[:-3]),
        (Subject.MEMBER, KAFKA_CLASSIC[:-6]),
        (Subject.CURRENT, KAFKA_CURRENT[:11]),
        (Subject.CURRENT, KAFKA_CURRENT[:10] + b"\x7f" + KAFKA_CURRENT[11:]),
        (Subject.GROUP, b"\0\1" + KAFKA_GROUP[2:]),
        (Subject.TARGET, KAFKA_TARGET[:-2]),
        (Subject.TARGET_EPOCH, b""),
        (Subject.REGEX, KAFKA_REGEX[:-9]),
    ],
)
def test_a_broken_value_is_said_and_changes_nothing(subject: Subject, broken: bytes) -> None:
    replayed = ReplayedGroups()
    replayed.replay(ConsumerKey(Subject.GROUP, "g"), KAFKA_GROUP)
    before = replayed.finish()
    with pytest.raises(MalformedMessage):
        replayed.replay(ConsumerKey(subject, "g", "m1"), broken)
    assert replayed.finish() == before


def a_group(rng: Random) -> ConsumerGroup:
    """Return a group with members at random; what is not written is as it is after loading."""
    partitions = [TopicIdPartition(TOPIC, number) for number in range(8)]
    rng.shuffle(partitions)
    members, targets = {}, {}
    for number in range(rng.randrange(4)):
        member_id = f"m{rng.randrange(6)}"
        cut = frozenset(partitions[number * 2 : number * 2 + 1])
        members[member_id] = replace(
            rng.choice((MEMBER, CLASSIC)),
            member_id=member_id,
            epoch=rng.randrange(5),
            previous_epoch=rng.randrange(3),
            state=rng.choice(list(MemberState)),
            assigned=cut,
            revoking=frozenset(partitions[number * 2 + 1 : number * 2 + 2]),
        )
        targets[member_id] = cut
    regexes = {"ord.*": REGEX} if rng.random() < 0.5 else {}
    return ConsumerGroup("g", rng.randrange(1, 9), rng.randrange(-5, 5), rng.randrange(9), members, targets, regexes)


@pytest.mark.parametrize("seed", range(50))
def test_what_is_written_leads_from_any_group_to_any_other(seed: int) -> None:
    rng = Random(seed)
    replayed = ReplayedGroups()
    log: dict[bytes, bytes | None] = {}
    before: ConsumerGroup | None = None
    for _ in range(6):
        after = None if rng.random() < 0.15 else a_group(rng)
        for key, value in difference(before, after):
            subject = read_key(key)
            assert isinstance(subject, ConsumerKey)
            replayed.replay(subject, value)
            log.pop(key, None)
            log[key] = value  # where compaction leaves it: at its last place
        before = after
    expected = {} if before is None else {"g": before}
    assert replayed.finish() == expected
    compacted = ReplayedGroups()
    for key, value in log.items():
        subject = read_key(key)
        assert isinstance(subject, ConsumerKey)
        compacted.replay(subject, value)
    assert compacted.finish() == expected


def test_nothing_is_written_when_nothing_changed() -> None:
    group = a_group(Random(1))
    assert difference(group, replace(group, topics_seen=9)) == []
