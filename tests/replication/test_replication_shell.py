"""The shell around replication, over simulated links: it holds, wakes, reconnects, follows elections, and repeats."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from shell_cluster import LAG_MS, Broker, ShellCluster, simulate

from cluster.base.errors import ErrorCode
from cluster.base.ids import TopicPartition
from cluster.base.trace import FollowerProgressed
from cluster.metadata import MetadataImage, delta_between
from cluster.records import build_batch
from cluster.replication import PartitionRole
from cluster.runtime.sim import SimProcessFailed


async def elapsed_ms(lab: ShellCluster, leader: int, value: str, topic: str = "orders") -> float:
    began_us = lab.simulation.now_us()
    assert await lab.produce(leader, value, topic) is ErrorCode.NONE
    return (lab.simulation.now_us() - began_us) / 1000


def test_acks_all_takes_round_trips_and_not_timers() -> None:
    async def test(lab: ShellCluster) -> None:
        await elapsed_ms(lab, 1, "warm-up")
        for number in range(20):
            assert await elapsed_ms(lab, 1, f"v{number}") < 20
        await asyncio.sleep(0.05)
        assert [broker.partition().high_watermark for broker in lab.brokers.values()] == [21, 21, 21]

    simulate(test)


def exchanges(lab: ShellCluster, follower: int) -> int:
    """Return at how many different times a follower of broker 1 acknowledged something."""
    times = {
        traced.time_us
        for traced in lab.simulation.trace.events
        if isinstance(traced.event, FollowerProgressed) and traced.event.follower == follower
    }
    return len(times)


def test_small_batches_of_a_pipelined_load_travel_together() -> None:
    """An exchange costs the same for one batch as for fifty."""

    async def test(lab: ShellCluster) -> None:
        await lab.produce(1, "warm-up")
        before = exchanges(lab, 2)
        answers = []
        for number in range(200):  # a batch every half millisecond, whether the last one is acknowledged or not
            answers.append(asyncio.ensure_future(lab.produce(1, f"v{number}")))
            await asyncio.sleep(0.0005)
        assert set(await asyncio.gather(*answers)) == {ErrorCode.NONE}
        assert exchanges(lab, 2) - before <= 12

    simulate(test)


def test_a_response_leaves_when_nothing_more_comes() -> None:
    """Producers that have in flight what they may would otherwise wait for the response, and it for them."""

    async def test(lab: ShellCluster) -> None:
        await lab.produce(1, "warm-up")
        began_us = lab.simulation.now_us()
        for _ in range(20):
            first = asyncio.ensure_future(lab.produce(1, "first"))
            await asyncio.sleep(0.0003)  # the first is on its way to the followers
            await asyncio.gather(first, lab.produce(1, "second"))
        assert (lab.simulation.now_us() - began_us) / 20 < 10_000

    simulate(test)


def test_a_partition_that_is_created_while_a_fetch_is_held_is_copied_at_once() -> None:
    """Otherwise the first acks=all of a topic would wait for replica.fetch.wait.max.ms."""

    async def test(lab: ShellCluster) -> None:
        await asyncio.sleep(2)
        lab.create("late")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert await elapsed_ms(lab, 1, "v", "late") < 100

    simulate(test, replica_fetch_wait_max_ms="30000")


def test_a_killed_follower_leaves_the_isr_and_comes_back_into_it() -> None:
    async def test(lab: ShellCluster) -> None:
        await lab.produce(1, "a")
        lab.simulation.machine("b3").kill()
        took_ms = await elapsed_ms(lab, 1, "b")
        assert LAG_MS <= took_ms <= 2 * LAG_MS
        assert lab.isr == (1, 2)
        await lab.restart(3)
        await asyncio.sleep(1)
        assert lab.isr == (1, 2, 3)
        assert [member.broker_epoch for member in lab.asked[-1].partitions[0].new_isr] == [1, 2, 3]
        assert lab.brokers[3].partition().high_watermark == 2

    simulate(test)


def test_a_controller_that_is_not_there_is_asked_again() -> None:
    async def test(lab: ShellCluster) -> None:
        lab.failures = 3
        lab.simulation.machine("b3").kill()
        assert await lab.produce(1, "b") is ErrorCode.NONE
        assert len(lab.asked) == 4

    simulate(test)


def test_followers_go_over_to_a_new_leader_and_the_old_one_follows() -> None:
    async def test(lab: ShellCluster) -> None:
        await lab.produce(1, "a")
        lab.elect(2, (1, 2, 3))
        await asyncio.sleep(0.1)
        assert [broker.partition().role for broker in lab.brokers.values()] == [
            PartitionRole.FOLLOWER,
            PartitionRole.LEADER,
            PartitionRole.FOLLOWER,
        ]
        assert await elapsed_ms(lab, 2, "b") < 100

    simulate(test)


def test_a_paused_leader_is_given_up_and_found_again() -> None:
    """Its connection stays open: only the follower's own deadline notices."""

    async def test(lab: ShellCluster) -> None:
        await lab.produce(1, "a")
        process = lab.brokers[1].process
        process.pause()
        await asyncio.sleep(5)
        process.resume()
        await asyncio.sleep(2)
        assert await elapsed_ms(lab, 1, "b") < 100

    simulate(test)


def test_what_a_flushed_topic_acknowledged_survives_the_loss_of_all_power() -> None:
    async def test(lab: ShellCluster) -> None:
        await lab.produce(1, "a")
        for name in ("b1", "b2", "b3"):
            lab.simulation.machine(name).power_off()
        for number in (1, 2, 3):
            await lab.restart(number)
        await asyncio.sleep(0.2)
        assert [broker.partition().log_end_offset for broker in lab.brokers.values()] == [1, 1, 1]

    for seed in range(5):
        simulate(test, seed, log_flush_interval_messages="1")


def test_what_its_leader_has_not_synced_is_not_committed() -> None:
    """Or a consumer would be shown what a loss of power takes from the only replica in sync."""

    async def test(lab: ShellCluster) -> None:
        leader = lab.brokers[1]
        partition, clock = leader.partition(), leader.world.clock
        batch = build_batch([(None, b"v", ())], timestamp_ms=0)
        outcome = partition.append(memoryview(batch), -1, clock.monotonic_ms(), clock.wall_ms())
        await asyncio.sleep(0.01)
        assert outcome.error is ErrorCode.NONE
        assert [broker.partition().log_end_offset for broker in lab.brokers.values()] == [1, 1, 1]
        assert partition.high_watermark == 0
        await leader.shell.flush(partition)
        assert partition.high_watermark == 1

    simulate(test, log_flush_interval_messages="1")


def test_without_a_flush_the_loss_of_all_power_takes_what_was_acknowledged() -> None:
    """The test above does bite."""
    kept: list[int] = []

    async def test(lab: ShellCluster) -> None:
        await lab.produce(1, "a")
        for name in ("b1", "b2", "b3"):
            lab.simulation.machine(name).power_off()
        for number in (1, 2, 3):
            await lab.restart(number)
        await asyncio.sleep(0.2)
        kept.append(max(broker.partition().log_end_offset for broker in lab.brokers.values()))

    for seed in range(5):
        simulate(test, seed)
    assert 0 in kept


def test_a_restarted_broker_does_not_live_through_its_history_again() -> None:
    """It is told the metadata log entry by entry; only the state that includes its own registration counts."""

    async def test(lab: ShellCluster) -> None:
        await lab.produce(1, "a")
        led_by_one = lab.image
        lab.simulation.machine("b1").kill()
        lab.elect(2, (2, 3))
        reborn = replace(lab.image.brokers[1], broker_epoch=77)
        lab.image = replace(lab.image, offset=lab.image.offset + 1, brokers={**lab.image.brokers, 1: reborn})
        broker = lab.brokers[1] = Broker(lab, 1)
        await broker.started.wait()
        empty = MetadataImage.empty("c")
        roles = []
        for before, after in ((empty, led_by_one), (led_by_one, lab.image)):
            broker.process.spawn(broker.take(delta_between(before, after)))
            await asyncio.sleep(0.01)
            found = broker.replicas.get(TopicPartition("orders", 0))
            roles.append(None if found is None else found.role)
        assert roles == [None, PartitionRole.FOLLOWER]

    simulate(test)


def test_a_broker_whose_disk_is_full_ends_and_does_not_linger_as_a_leader_that_cannot_write() -> None:
    async def test(lab: ShellCluster) -> None:
        await lab.produce(1, "a")
        lab.simulation.machine("b1").disk.capacity_bytes = 0
        await lab.produce(1, "b")
        await asyncio.sleep(1)

    with pytest.raises(SimProcessFailed, match="b1 ended with") as ended:
        simulate(test, 1)
    assert "no space left" in str(ended.value)


def test_one_seed_gives_one_run() -> None:
    async def test(lab: ShellCluster) -> None:
        for number in range(3):
            await lab.produce(1, f"v{number}")
        lab.simulation.machine("b2").kill()
        await lab.produce(1, "w")

    assert simulate(test, 3).trace_hash == simulate(test, 3).trace_hash
