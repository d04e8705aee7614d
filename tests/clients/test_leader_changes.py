"""Clients go on through a change of leader: nothing acknowledged is lost, and with idempotence nothing is twice.

A leader is killed while records are in flight, another takes over, the killed one comes back and is in sync again;
then what all three replicas hold is the same, and it is what the clients were told.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future

import pytest
from client_faces import BEGINNING, CLIENTS, Client, Confluent, Given, Got
from steady_writers import (
    AT_LEAST_ONCE_WRITERS,
    EXACTLY_ONCE_WRITERS,
    IdempotentConfluentWriter,
    SteadyWriter,
)
from three_brokers import ThreeBrokers, leader_high_watermark, replica_states

from cluster.base.ids import TopicPartition
from cluster.lab.observation import Observation

pytestmark = pytest.mark.live

SOME = 100
"""Records that must be committed before and after each change, so that it happens in the middle of the writing."""


def write_some(cluster: ThreeBrokers, partition: TopicPartition) -> None:
    """Return when so many records have been committed that were not when this was called."""
    wanted = max(cluster.high_watermark(partition), 0) + SOME
    cluster.until(f"{partition} has {wanted} records", lambda now: leader_high_watermark(now, partition) >= wanted)


def written(cluster: ThreeBrokers, partition: TopicPartition) -> list[bytes]:
    """Everything in the partition, which all replicas hold alike."""
    batches = cluster.stored_batches(partition)
    return [value.encode() for batch in batches for value in batch.values]


def runs_ahead(now: Observation, name: str, partition: TopicPartition) -> bool:
    state = replica_states(now, partition)[name]
    return state.role == "leader" and state.log_end_offset > state.high_watermark


def kill_the_leader_while_writing(cluster: ThreeBrokers, writer: SteadyWriter, partition: TopicPartition) -> None:
    with writer:
        write_some(cluster, partition)
        victim = cluster.leader(partition)
        cluster.slow_down_fetches_from(victim)
        cluster.until("only the leader has the last records", lambda now: runs_ahead(now, victim, partition))
        cluster.kill(victim)
        cluster.new_leader(partition, victim)
        write_some(cluster, partition)
    cluster.mend()


@pytest.mark.parametrize("make_writer", AT_LEAST_ONCE_WRITERS)
def test_nothing_acknowledged_is_lost_when_the_leader_is_killed(
    cluster: ThreeBrokers, make_writer: Callable[[str, TopicPartition], SteadyWriter]
) -> None:
    partition = TopicPartition(cluster.new_topic(), 0)
    writer = make_writer(cluster.bootstrap, partition)
    kill_the_leader_while_writing(cluster, writer, partition)
    assert writer.failures == []
    assert len(writer.acknowledged) == len(writer.sent)
    found = written(cluster, partition)
    assert sorted(set(found), key=int) == writer.sent
    read = Confluent().read(cluster.bootstrap, partition, BEGINNING, len(found))
    assert [record.value for record in read] == found


@pytest.mark.parametrize("make_writer", EXACTLY_ONCE_WRITERS)
def test_an_idempotent_producer_is_not_confused_when_the_leader_is_killed(
    cluster: ThreeBrokers, make_writer: Callable[[str, TopicPartition], SteadyWriter]
) -> None:
    partition = TopicPartition(cluster.new_topic(), 0)
    writer = make_writer(cluster.bootstrap, partition)
    kill_the_leader_while_writing(cluster, writer, partition)
    assert writer.failures == []
    assert writer.acknowledged == writer.sent
    assert written(cluster, partition) == writer.sent


def partition_led_by(cluster: ThreeBrokers, active_controller: bool) -> tuple[TopicPartition, str]:
    """Return a new partition and its leader, which is the active controller or is not."""
    topic = cluster.new_topic(partitions=3)  # each broker leads one
    controller = cluster.until("a controller is active", lambda now: now.active_controller())
    partitions = [TopicPartition(topic, number) for number in range(3)]
    leaders = {partition: cluster.leader(partition) for partition in partitions}
    return next((where, name) for where, name in leaders.items() if (name == controller) is active_controller)


@pytest.mark.parametrize(
    ("how", "active_controller"),
    [("kill", True), ("stop", False), ("stop", True), ("pause", True)],
)
def test_nothing_is_lost_or_twice_however_a_leader_goes(
    cluster: ThreeBrokers, how: str, active_controller: bool
) -> None:
    partition, victim = partition_led_by(cluster, active_controller)
    go = {"kill": cluster.kill, "stop": cluster.stop, "pause": cluster.pause}[how]
    with IdempotentConfluentWriter(cluster.bootstrap, partition) as writer:
        write_some(cluster, partition)
        go(victim)
        cluster.new_leader(partition, victim)
        write_some(cluster, partition)
        cluster.mend()
        write_some(cluster, partition)
    assert writer.failures == []
    assert writer.acknowledged == writer.sent
    assert written(cluster, partition) == writer.sent


@pytest.mark.parametrize("active_controller", [False, True])
def test_a_leader_that_is_cut_off_acknowledges_nothing_and_gives_up_what_it_took(
    cluster: ThreeBrokers, active_controller: bool
) -> None:
    """A client that only talks to the old leader gets on when that is healed, as with Kafka: nobody tells it before."""
    partition, victim = partition_led_by(cluster, active_controller)
    others = [Given(b"other %d" % number) for number in range(50)]
    with IdempotentConfluentWriter(cluster.bootstrap, partition) as writer:
        write_some(cluster, partition)
        cluster.isolate(victim)
        cluster.new_leader(partition, victim)
        # The old leader has taken in records of the next epoch's offsets, and no more is acknowledged.
        cluster.until("the old leader runs ahead alone", lambda now: runs_ahead(now, victim, partition))
        acknowledged = len(writer.acknowledged)
        Confluent().produce(cluster.bootstrap_without(victim), partition, others)
        assert len(writer.acknowledged) == acknowledged
        cluster.mend()
        write_some(cluster, partition)
    assert writer.failures == []
    assert writer.acknowledged == writer.sent
    found = written(cluster, partition)
    assert [value for value in found if not value.startswith(b"other")] == writer.sent
    assert [value for value in found if value.startswith(b"other")] == [record.value for record in others]


def test_two_leaders_in_a_row_are_killed_under_one_idempotent_producer(cluster: ThreeBrokers) -> None:
    partition = TopicPartition(cluster.new_topic(), 0)
    with IdempotentConfluentWriter(cluster.bootstrap, partition) as writer:
        for _ in range(2):
            write_some(cluster, partition)
            victim = cluster.leader(partition)
            cluster.kill(victim)
            cluster.new_leader(partition, victim)
            write_some(cluster, partition)
            cluster.mend()
    assert writer.failures == []
    assert writer.acknowledged == writer.sent
    assert written(cluster, partition) == writer.sent


def reading(client: Client, cluster: ThreeBrokers, partition: TopicPartition, count: int) -> Future[list[Got]]:
    """Let a client read in a thread of its own."""
    outcome: Future[list[Got]] = Future()

    def main() -> None:
        try:
            outcome.set_result(client.read(cluster.bootstrap, partition, BEGINNING, count))
        except BaseException as failure:  # noqa: BLE001 - the future raises it
            outcome.set_exception(failure)

    threading.Thread(target=main, daemon=True).start()
    return outcome


def test_every_consumer_reads_on_when_the_leader_is_killed(cluster: ThreeBrokers) -> None:
    partition = TopicPartition(cluster.new_topic(), 0)
    count = 1500  # more than are written before the leader dies
    readers = {
        param.id: reading(param.values[0], cluster, partition, count)
        for param in CLIENTS
        if not any(mark.args[0] for mark in param.marks)
    }
    with IdempotentConfluentWriter(cluster.bootstrap, partition) as writer:
        write_some(cluster, partition)
        victim = cluster.leader(partition)
        cluster.kill(victim)
        assert len(writer.sent) < count, "the leader dies in the middle"
        cluster.new_leader(partition, victim)
        cluster.until("enough is written", lambda now: leader_high_watermark(now, partition) >= count)
        for name, reader in readers.items():
            got = reader.result(30)
            assert [record.value for record in got] == writer.sent[:count], name
            assert [record.offset for record in got] == list(range(count)), name
