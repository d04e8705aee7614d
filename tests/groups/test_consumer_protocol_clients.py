"""librdkafka's consumers with `group.protocol=consumer` on three brokers as processes (KIP-848).

Members come, leave, crash and change their subscription, the broker that coordinates them is killed, and a classic
group is upgraded under way: the group reads on, and what was committed is not lost.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
from confluent_kafka import ConsumerGroupState, ConsumerGroupType, TopicPartition
from confluent_kafka.admin import NewPartitions
from group_clients import PARTITIONS, SOON_S, Brokers, Members, texts

pytestmark = pytest.mark.live

CONSUMER = {"group.protocol": "consumer"}


def test_members_come_and_leave_while_the_coordinator_is_killed(brokers: Brokers, topic: str) -> None:
    group = f"g-{topic}"
    members = Members(brokers, topic, group, **CONSUMER)
    members.add("m1")
    brokers.write(topic, texts("first", 30))
    members.until(lambda: len(members.read) == 30)
    members.add("m2")
    members.until(members.is_shared)
    fault = json.loads(brokers.run("break", "kill", brokers.coordinator(group), "--json"))
    brokers.write(topic, texts("second", 30))
    members.until(lambda: len({*members.read}) == 60)
    members.until(members.is_shared)
    brokers.run("heal", fault["id"])
    members.until(lambda: brokers.committed(group, topic) == [20] * PARTITIONS)
    members.add("m3", **{"group.remote.assignor": "range"})
    members.until(members.is_shared)
    members.remove("m1")
    members.until(members.is_shared)
    before = len(members.read)
    brokers.write(topic, texts("third", 30))
    members.until(lambda: len(members.read) == before + 30)
    assert sorted({*members.read}) == sorted(texts("first", 30) + texts("second", 30) + texts("third", 30))
    members.close()


def test_a_member_whose_process_is_killed_is_fenced_and_replaced(brokers: Brokers, topic: str) -> None:
    group = f"g-{topic}"
    code = (
        "import sys; from confluent_kafka import Consumer;"
        "c = Consumer({'bootstrap.servers': sys.argv[1], 'group.id': sys.argv[2], 'group.protocol': 'consumer'});"
        "c.subscribe([sys.argv[3]])\nwhile not c.assignment(): c.poll(0.1)\nprint('reads', flush=True)\n"
        "while True: c.poll(0.1)"
    )
    command = [sys.executable, "-c", code, brokers.bootstrap, group, topic]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as crashing:
        assert crashing.stdout is not None and crashing.stdout.readline() == "reads\n"
        os.kill(crashing.pid, signal.SIGKILL)
    members = Members(brokers, topic, group, **CONSUMER)
    members.add("m1")
    members.until(lambda: members.share("m1") == list(range(PARTITIONS)))
    members.close()


def test_a_regular_expression_takes_in_new_topics_and_partitions(brokers: Brokers, topic: str) -> None:
    members = Members(brokers, f"^{topic}.*", f"g-{topic}", **CONSUMER)
    members.add("m1")
    members.until(lambda: members.share("m1") == list(range(PARTITIONS)))
    admin = brokers.new_admin()
    admin.create_partitions([NewPartitions(topic, PARTITIONS + 2)])[topic].result(SOON_S)
    members.until(lambda: members.share("m1") == list(range(PARTITIONS + 2)))
    members.close()


def test_admins_see_the_group_as_it_is(brokers: Brokers, topic: str) -> None:
    group = f"g-{topic}"
    members = Members(brokers, topic, group, **CONSUMER)
    members.add("m1", **{"group.instance.id": "i1"})
    members.until(members.is_shared)
    admin = brokers.new_admin()
    described = admin.describe_consumer_groups([group])[group].result(SOON_S)
    assert described.type is ConsumerGroupType.CONSUMER and described.state is ConsumerGroupState.STABLE
    (member,) = described.members
    assert (member.client_id, member.group_instance_id) == ("m1", "i1")
    assert sorted(member.assignment.topic_partitions) == [TopicPartition(topic, n) for n in range(PARTITIONS)]
    assert sorted(member.target_assignment.topic_partitions) == sorted(member.assignment.topic_partitions)
    shown = brokers.run("consumer-groups", "--bootstrap-server", brokers.bootstrap, "--describe", "--group", group,
                        "--state")  # fmt: skip
    assert "uniform" in shown and "Stable" in shown
    members.close()


def test_a_classic_group_is_upgraded_and_downgraded_while_it_reads(brokers: Brokers, topic: str) -> None:
    group = f"g-{topic}"
    members = Members(brokers, topic, group)
    strategy = {"partition.assignment.strategy": "cooperative-sticky"}
    members.add("old1", **strategy)
    members.add("old2", **strategy)
    members.until(members.is_shared)
    members.add("new1", **CONSUMER)
    members.until(members.is_shared)
    assert _type(brokers, group) is ConsumerGroupType.CONSUMER
    brokers.write(topic, texts("both", 30))
    members.until(lambda: len({*members.read}) == 30)
    members.remove("new1")
    members.until(members.is_shared)
    assert _type(brokers, group) is ConsumerGroupType.CLASSIC
    brokers.write(topic, texts("old", 30))
    members.until(lambda: len({*members.read}) == 60)
    members.close()


def _type(brokers: Brokers, group: str) -> ConsumerGroupType:
    admin = brokers.new_admin()
    found = admin.list_consumer_groups().result(SOON_S).valid
    (kind,) = [each.type for each in found if each.group_id == group]
    assert isinstance(kind, ConsumerGroupType)
    return kind
