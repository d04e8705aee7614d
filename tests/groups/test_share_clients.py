"""librdkafka's share consumers on three brokers as processes (KIP-932).

Members share partitions, release and reject, crash, and go on while the brokers that they depend on are killed: what
was acknowledged is never delivered again, and everything is processed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
from confluent_kafka import AcknowledgeType, Message, Producer
from group_clients import PARTITIONS, SOON_S, Brokers, texts
from share_members import EARLIEST, ShareMembers, set_group_configs, share_coordinator

pytestmark = pytest.mark.live


def victim(brokers: Brokers, role: str, group: str, topic: str) -> str:
    if role == "leader":
        return f"leader({topic}-0)"
    return brokers.coordinator(group) if role == "group" else share_coordinator(brokers, group, topic, 0)


@pytest.mark.parametrize("role", ["leader", "group", "share"])
def test_members_share_partitions_while_a_broker_is_killed_and_restarted(
    brokers: Brokers, topic: str, role: str
) -> None:
    group = f"g-{topic}"
    members = ShareMembers(brokers, topic, group)
    for name in ("m1", "m2", "m3", "m4"):  # more than there are partitions
        members.add(name)
    written = texts("first", 60)
    brokers.write(topic, written)
    members.until(lambda: len(members.done) >= 20)
    fault = json.loads(brokers.run("break", "kill", victim(brokers, role, group, topic), "--json"))
    written += texts("second", 60)
    brokers.write(topic, written[60:])
    members.until(lambda: {*members.done.values()} == {*written})
    brokers.run("heal", fault["id"])
    written += texts("third", 60)
    brokers.write(topic, written[120:])
    members.until(lambda: {*members.done.values()} == {*written})
    assert members.wrong == []
    assert len({name for name, _, _ in members.deliveries}) > PARTITIONS - 1
    members.close()


def test_what_was_released_comes_again_and_what_was_rejected_does_not(brokers: Brokers, topic: str) -> None:
    def choose(message: Message) -> AcknowledgeType:
        value = message.value() or b""
        if value.startswith(b"poison"):
            return AcknowledgeType.REJECT
        return AcknowledgeType.RELEASE if message.delivery_count() == 1 else AcknowledgeType.ACCEPT

    members = ShareMembers(brokers, topic, f"g-{topic}", choose)
    members.add("m1")
    members.add("m2")
    brokers.write(topic, texts("poison", 3) + texts("late", 12))
    members.until(lambda: len(members.done) == 15)
    assert members.wrong == []
    counts = {place: [n for _, each, n in members.deliveries if each == place] for place in members.done}
    assert all(counts[place] == ([1] if value.startswith("poison") else [1, 2])
               for place, value in members.done.items())  # fmt: skip
    members.close()


def test_what_is_released_again_and_again_is_given_up(brokers: Brokers, topic: str) -> None:
    members = ShareMembers(brokers, topic, f"g-{topic}", lambda message: (
        AcknowledgeType.RELEASE if message.value() == b"hot-0" else AcknowledgeType.ACCEPT
    ))  # fmt: skip
    members.add("m1")
    brokers.write(topic, ["hot-0"])
    members.until(lambda: len(members.deliveries) == 5)
    brokers.write(topic, texts("last", 3))
    members.until(lambda: len(members.done) == 3)
    assert [count for _, place, count in members.deliveries if place not in members.done] == [1, 2, 3, 4, 5]
    members.close()


def test_what_a_crashed_member_had_is_given_to_another(brokers: Brokers, topic: str) -> None:
    group = f"g-{topic}"
    set_group_configs(brokers, group, EARLIEST)
    brokers.write(topic, texts("held", 9))
    code = (
        "import sys; from confluent_kafka import ShareConsumer;"
        "c = ShareConsumer({'bootstrap.servers': sys.argv[1], 'group.id': sys.argv[2]}); c.subscribe([sys.argv[3]])\n"
        "while not len(c.poll(0.1)): pass\nprint('has', flush=True)\nsys.stdin.read()"
    )
    command = [sys.executable, "-c", code, brokers.bootstrap, group, topic]
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, **streams) as crashing:  # type: ignore[call-overload]
        assert crashing.stdout.readline() == "has\n"
        os.kill(crashing.pid, signal.SIGKILL)
    members = ShareMembers(brokers, topic, group)
    members.add("m2")
    members.until(lambda: len(members.done) == 9)
    assert 2 in {count for _, _, count in members.deliveries}, "nothing was in the crashed member's hands"
    members.close()


def test_a_group_that_reads_committed_is_given_what_was_committed(brokers: Brokers, topic: str) -> None:
    members = ShareMembers(brokers, topic, f"g-{topic}", **{"share.isolation.level": "read_committed"})
    members.add("m1")
    others = ShareMembers(brokers, topic, f"all-{topic}")
    others.add("m2")
    producers = {}
    for name in ("aborted", "committed", "open"):
        producers[name] = Producer({"bootstrap.servers": brokers.bootstrap, "transactional.id": f"{name}-{topic}"})
        producers[name].init_transactions(SOON_S)
        producers[name].begin_transaction()
        for value in texts(name, 3):
            producers[name].produce(topic, value, partition=0)
        assert producers[name].flush(SOON_S) == 0
    producers["aborted"].abort_transaction(SOON_S)
    producers["committed"].commit_transaction(SOON_S)
    others.until(lambda: len(others.done) == 9)
    members.until(lambda: len(members.done) == 3)
    assert sorted(members.done.values()) == texts("committed", 3)
    producers["open"].commit_transaction(SOON_S)
    brokers.write(topic, texts("plain", 3))
    members.until(lambda: len(members.done) == 9)
    assert sorted(members.done.values()) == texts("committed", 3) + texts("open", 3) + texts("plain", 3)
    members.close()
    others.close()
