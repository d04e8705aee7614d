"""The records of `__consumer_offsets`, byte by byte as Kafka's schemas have them, and the state they stand for."""

from __future__ import annotations

import random
from typing import Any

import pytest
from driven_groups import GROUP, ORDERS, DrivenGroups
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.base.ids import TopicPartition
from cluster.broker.coordinator import key_hash
from cluster.groups import (
    CommitOffset,
    Group,
    GroupKey,
    GroupState,
    Member,
    OffsetKey,
    read_group,
    read_key,
    read_offset,
)
from cluster.groups.record_codec import write_group, write_group_key, write_offset, write_offset_key
from cluster.wire import MalformedMessage

GROUP_VALUE_V3 = bytes.fromhex(
    "0003"  # version
    "0008" + b"consumer".hex() + "00000007"  # protocol type, generation
    "0005" + b"range".hex() + "0002" + b"m1".hex() + "0000018bcfe56800"  # protocol, leader, state timestamp
    "00000002"  # members
    "0002" + b"m1".hex() + "ffff" + "0001" + b"c".hex() + "0002" + b"/h".hex()  # ids: member, instance; client, host
    + "0000ea60" + "00002710" + "00000001" + b"s".hex() + "00000001" + b"a".hex()  # timeouts, subscription, assignment
    + "0002" + b"m2".hex() + "0001" + b"i".hex() + "0001" + b"c".hex() + "0002" + b"/h".hex()
    + "0000ea60" + "00002710" + "00000001" + b"s".hex() + "00000000"
)  # fmt: skip


def member(name: str, instance_id: str | None, assignment: bytes) -> Member:
    return Member(name, instance_id, "c", "/h", 10_000, 60_000, (("range", b"s"),), assignment)


STABLE = Group(
    "g",
    GroupState.STABLE,
    "consumer",
    7,
    "range",
    "m1",
    {"m1": member("m1", None, b"a"), "m2": member("m2", "i", b"")},
    state_timestamp_ms=1_700_000_000_000,
)


def test_a_group_is_written_as_kafka_writes_it() -> None:
    assert write_group(STABLE) == GROUP_VALUE_V3
    assert read_group("g", GROUP_VALUE_V3) == STABLE
    assert write_group_key("g").hex() == "0002000167"
    assert read_key(write_group_key("g")) == GroupKey("g")


def test_an_empty_group_is_read_as_empty() -> None:
    empty = Group("g", GroupState.EMPTY, "consumer", 8, state_timestamp_ms=5)
    assert write_group(empty).hex() == "00030008" + b"consumer".hex() + "00000008ffffffff" + "00" * 7 + "05" + (
        "00000000"
    )
    assert read_group("g", write_group(empty)) == empty


def test_an_offset_is_written_as_kafka_writes_it() -> None:
    key = write_offset_key("g", TopicPartition("t", 3))
    assert key.hex() == "000100016700017400000003"
    assert read_key(key) == read_key(b"\x00\x00" + key[2:]) == OffsetKey("g", TopicPartition("t", 3))
    commit = CommitOffset(42, 5, "note", 1000)
    value = write_offset(commit)
    assert value.hex() == "0003000000000000002a000000050004" + b"note".hex() + "00000000000003e8"
    assert read_offset(value) == commit


def test_an_offset_that_expires_is_written_in_the_version_that_can_say_so() -> None:
    value = write_offset(CommitOffset(42, -1, "", 1000, 2000))
    assert value.hex() == "0001000000000000002a000000000000000003e800000000000007d0"
    assert read_offset(value) == CommitOffset(42, -1, "", 1000, 2000)


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("0000" "000000000000002a" "0001" "6e" "00000000000003e8", CommitOffset(42, -1, "n", 1000)),
        ("0002" "000000000000002a" "0001" "6e" "00000000000003e8", CommitOffset(42, -1, "n", 1000)),
        ("0004" "000000000000002a" "00000005" "02" "6e" "00000000000003e8" "00", CommitOffset(42, 5, "n", 1000)),
        # With a topic id as tagged field 0 (KIP-848), which names what the key names already.
        (
            "0004" "000000000000002a" "00000005" "02" "6e" "00000000000003e8" "01" "00" "10" + "ab" * 16,
            CommitOffset(42, 5, "n", 1000),
        ),
    ],
)  # fmt: skip
def test_offsets_of_older_and_newer_versions_are_read(value: str, read: CommitOffset) -> None:
    assert read_offset(bytes.fromhex(value)) == read


@pytest.mark.parametrize("version", range(5))
def test_groups_of_all_versions_are_read(version: int) -> None:
    flexible = version == 4

    def text(value: str) -> str:
        return (f"{len(value) + 1:02x}" if flexible else f"{len(value):04x}") + value.encode().hex()

    def data(value: str) -> str:
        return (f"{len(value) + 1:02x}" if flexible else f"{len(value):08x}") + value.encode().hex()

    tags = "00" if flexible else ""
    value = f"{version:04x}" + text("consumer") + "00000007" + text("range") + text("m1")
    value += "0000000000000005" if version >= 2 else ""
    value += "02" if flexible else "00000001"
    value += text("m1") + (("00" if flexible else "ffff") if version >= 3 else "") + text("c") + text("/h")
    value += ("0000ea60" if version >= 1 else "") + "00002710" + data("s") + data("a") + tags + tags
    group = read_group("g", bytes.fromhex(value))
    (only,) = group.members.values()
    assert (group.generation, group.leader, group.protocol) == (7, "m1", "range")
    assert group.state_timestamp_ms == (5 if version >= 2 else -1)
    assert (only.protocols, only.assignment, only.session_timeout_ms) == ((("range", b"s"),), b"a", 10_000)
    assert only.rebalance_timeout_ms == (60_000 if version >= 1 else 10_000)


def test_what_is_not_ours_is_skipped_and_what_is_broken_is_said() -> None:
    assert read_key(b"\x00\x11" + b"whatever another coordinator wrote") is None
    for broken in (b"", b"\x00\x01\x00\x05ab", b"\x00"):
        with pytest.raises(MalformedMessage):
            read_key(broken)
    for broken in (b"", b"\x00\x05" + bytes(40), GROUP_VALUE_V3[:-1]):
        with pytest.raises(MalformedMessage):
            read_group("g", broken)


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-1, 2**31 - 1), st.text(max_size=50), st.integers(-1, 2**63 - 1))
@settings(max_examples=100, deadline=None)
def test_every_offset_comes_back_as_it_was(offset: int, epoch: int, note: str, time_ms: int) -> None:
    commit = CommitOffset(offset, epoch, note, time_ms)
    assert read_offset(write_offset(commit)) == commit


# String.hashCode() of Java, known values; the last is the one whose absolute value does not exist.
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", 0),
        ("a", 97),
        ("hello", 99162322),
        ("Hello World", 862545276),
        ("ä", 228),
        ("😀", 1772899),
        ("polygenelubricants", 0),
    ],
)
def test_keys_are_spread_as_java_spreads_them(text: str, value: int) -> None:
    assert key_hash(text) == value


# --- the state that records stand for -------------------------------------------------------------


def durable(groups: DrivenGroups) -> Any:
    """What a successor has to know: groups that are settled, with their members' shares, and all offsets."""
    found = {}
    for group_id, group in groups.shard._groups.items():
        if group.state is GroupState.STABLE:
            shares = {
                name: (each.instance_id, each.metadata_for(group.protocol), each.assignment)
                for name, each in group.members.items()
            }
            found[group_id] = (group.state, group.generation, group.protocol, group.leader, shares)
        elif group.state is GroupState.EMPTY:
            found[group_id] = (group.state, group.generation, None, None, {})
    return found, groups.committed()


def test_a_successor_knows_what_the_former_coordinator_knew() -> None:
    assert sum(map(settled_steps, range(40))) > 500, "the histories must be worth the while"


def settled_steps(seed: int) -> int:
    """Random members come, sync, commit, fall silent and restart; whenever the group is settled, so is its log's."""
    dice = random.Random(seed)
    groups = DrivenGroups(initial_rebalance_delay_ms=100, session_timeout_ms_min=1)
    tokens: list[int] = []
    known: list[tuple[str, int, str | None]] = []
    settled = 0
    actions = ("join", "join-static", "rejoin", "rejoin", "sync", "sync", "sync", "commit", "leave", "sleep")
    for step in range(200):
        groups.log_is_full = dice.random() < 0.1
        action = dice.choice(actions)
        name, generation, instance_id = dice.choice(known) if known else ("nobody", 0, None)
        if action == "join":
            tokens.append(groups.join(session_timeout_ms=3_000, rebalance_timeout_ms=1_000))
        elif action == "join-static":
            chosen = dice.choice(("i1", "i2"))
            tokens.append(groups.join(instance_id=chosen, session_timeout_ms=3_000, rebalance_timeout_ms=1_000))
        elif action == "rejoin":
            changes = {"session_timeout_ms": 3_000, "rebalance_timeout_ms": 1_000, "instance_id": instance_id}
            tokens.append(groups.join(name, **changes))
        elif action == "sync":
            for each, its_generation, its_instance in known:
                shares = {other: f"{step}-{other}".encode() for other, _, _ in known}
                groups.sync(each, its_generation, shares, instance_id=its_instance)
        elif action == "commit":
            groups.commit(step, name, generation, instance_id=instance_id)
        elif action == "leave":
            groups.leave((name, instance_id) if instance_id else name)
        elif action == "sleep":
            groups.sleep(dice.randrange(1, 1_200))
        for token in tokens:
            reply = groups.reply(token)
            if reply is not None and getattr(reply, "generation", -1) >= 0:
                member = groups.shard._groups.get(GROUP)
                if member is not None and reply.member_id in member.members:
                    found = (reply.member_id, reply.generation, member.members[reply.member_id].instance_id)
                    known = [each for each in known if each[0] != reply.member_id] + [found]
        live = durable(groups)
        if any(entry[0] is GroupState.STABLE for entry in live[0].values()):
            settled += 1
            assert durable(groups.moved()) == live, (seed, step)
        assert groups.moved().committed() == live[1]
    return settled


def test_records_that_mean_nothing_do_no_harm() -> None:
    groups = DrivenGroups()
    groups.commit(1)
    groups.shard.replay(None, b"x")
    groups.shard.replay(b"\x00\x09", b"x")
    assert groups.committed() == {ORDERS: 1}
