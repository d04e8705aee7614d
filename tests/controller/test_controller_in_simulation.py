"""The controller and its brokers, running: elections, cuts, crashes and clean stops, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from controlled_cluster import ControlledCluster, new_topic

from cluster.base.errors import ErrorCode, KafkaError
from cluster.base.ids import NO_NODE, TopicPartition
from cluster.base.trace import ControllerActivated, NodeReady
from cluster.node.broker_lifecycle import CLEAN_SHUTDOWN_FILE
from cluster.rpc import controller_pb2 as rpc
from cluster.runtime.sim import Simulation, run_simulation

ORDERS = TopicPartition("orders", 0)


def simulate(story: Callable[[ControlledCluster], Awaitable[None]], seed: int = 1, **properties: str) -> None:
    async def main(simulation: Simulation) -> None:
        await story(ControlledCluster(simulation, **properties))

    result = run_simulation(main, seed, virtual_time_limit_s=120)
    assert result.errors == ()


def test_brokers_register_and_are_let_in_within_a_second() -> None:
    async def story(cluster: ControlledCluster) -> None:
        await cluster.until_ready()
        image = cluster.image()
        assert [broker.fenced for broker in image.brokers.values()] == [False] * 3
        epochs = [broker.broker_epoch for broker in image.brokers.values()]
        assert len(set(epochs)) == 3
        ready = [traced for traced in cluster.simulation.trace.events if isinstance(traced.event, NodeReady)]
        assert len(ready) == 3 and max(traced.time_us for traced in ready) < 1_000_000

    simulate(story)


def test_every_broker_gets_every_change() -> None:
    async def story(cluster: ControlledCluster) -> None:
        await cluster.until_ready()
        reply = await cluster.brokers["b1"].client.call("CreateTopics", new_topic("orders"), timeout_ms=1000)
        assert reply.topics[0].error_code == ErrorCode.NONE
        for broker in cluster.brokers.values():
            assert await broker.follower.when(lambda image: image.partition(ORDERS) is not None, 1000)
            assert broker.follower.active_controller == cluster.controllers[cluster.active].controller.node_id

    simulate(story)


def test_a_killed_leader_is_fenced_after_its_session_and_joins_again() -> None:
    async def story(cluster: ControlledCluster) -> None:
        await cluster.until_ready()
        await cluster.brokers["b1"].client.call("CreateTopics", new_topic("orders"), timeout_ms=1000)
        leader = cluster.image().topics["orders"].partitions[0].leader
        epoch = cluster.image().brokers[leader].broker_epoch
        loop, killed_s = asyncio.get_running_loop(), asyncio.get_running_loop().time()
        cluster.kill(f"b{leader}")
        await cluster.until(lambda: cluster.image().brokers[leader].fenced)
        assert 0.6 < loop.time() - killed_s < 1.1, "one session of the fast profile, 900 ms after the last heartbeat"
        state = cluster.image().topics["orders"].partitions[0]
        assert state.leader not in (leader, NO_NODE) and leader not in state.isr
        cluster.start(f"b{leader}")
        await cluster.until_ready(f"b{leader}")
        assert cluster.image().brokers[leader].broker_epoch > epoch

    simulate(story)


def test_a_broker_restarted_at_once_waits_for_its_own_old_session() -> None:
    async def story(cluster: ControlledCluster) -> None:
        await cluster.until_ready()
        before = cluster.image().brokers[1]
        cluster.kill("b1")
        cluster.start("b1")
        await cluster.until_ready("b1")
        after = cluster.image().brokers[1]
        assert after.incarnation_id != before.incarnation_id and after.broker_epoch > before.broker_epoch

    simulate(story)


@pytest.mark.parametrize("fault", ["kill", "isolate"])
def test_brokers_find_the_next_controller(fault: str) -> None:
    async def story(cluster: ControlledCluster) -> None:
        await cluster.until_ready()
        old = cluster.active
        if fault == "kill":
            cluster.kill(old)
        else:
            cluster.isolate(old)
        await cluster.until(lambda: cluster.active not in ("", old))
        reply = await cluster.brokers["b1"].client.call("CreateTopics", new_topic("orders"), timeout_ms=5000)
        assert reply.topics[0].error_code == ErrorCode.NONE
        for broker in cluster.brokers.values():
            assert await broker.follower.when(lambda image: image.partition(ORDERS) is not None, 5000)
        assert not [broker for broker in cluster.image().brokers.values() if broker.fenced], "nobody was late"
        if fault == "isolate":
            stale = cluster.controllers[old].controller
            await cluster.until(lambda: stale.term is None)
            cluster.heal(old)
            await cluster.until(lambda: "orders" in stale.committed.topics)

    simulate(story)


@pytest.mark.parametrize("seed", range(6))
def test_a_deposed_controller_loses_nothing_that_it_had_answered(seed: int) -> None:
    """Topics are created all the while active controllers are cut off or killed; what was answered stays."""

    async def story(cluster: ControlledCluster) -> None:
        await cluster.until_ready()
        answered: list[str] = []
        is_over = False

        async def create_topics(name: str) -> None:
            client = cluster.client(name)
            number = 0
            while not is_over:
                number += 1
                topic = f"{name}-{number}"
                try:
                    reply = await client.call("CreateTopics", new_topic(topic, factor=1), timeout_ms=700)
                except KafkaError:
                    continue
                if reply.status.error_code == ErrorCode.NONE and reply.topics[0].error_code == ErrorCode.NONE:
                    answered.append(topic)
                await asyncio.sleep(0.02)
            await client.close()

        creators = [asyncio.create_task(create_topics(f"p{number}")) for number in (1, 2, 3)]
        rng = cluster.simulation.rng("faults")
        for _ in range(4):
            await asyncio.sleep(0.3 + rng.random())
            target = cluster.active
            if not target:
                continue
            if rng.random() < 0.5:
                cluster.isolate(target)
                await asyncio.sleep(0.4 + rng.random())
                cluster.heal(target)
            else:
                cluster.kill(target)
                await asyncio.sleep(rng.random())
                cluster.start(target)
        is_over = True
        await asyncio.gather(*creators)
        final = cluster.client("p9")
        assert (await final.call("CreateTopics", new_topic("last", factor=1), timeout_ms=10_000)).topics
        await cluster.until(lambda: bool(cluster.active) and "last" in cluster.image().topics)
        assert len(answered) > 20
        assert [topic for topic in answered if topic not in cluster.image().topics] == []
        for broker in cluster.brokers.values():
            assert await broker.follower.when(lambda image: "last" in image.topics, 5000)
            assert [topic for topic in answered if topic not in broker.follower.image.topics] == []
        await final.close()

    simulate(story, seed)


def test_a_clean_stop_is_quick_known_to_all_and_remembered() -> None:
    async def story(cluster: ControlledCluster) -> None:
        await cluster.until_ready()
        await cluster.brokers["b1"].client.call("CreateTopics", new_topic("orders"), timeout_ms=1000)
        leader = cluster.image().topics["orders"].partitions[0].leader
        name = f"b{leader}"
        lifecycle = cluster.brokers[name].lifecycle
        began_s = asyncio.get_running_loop().time()
        assert await lifecycle.controlled_shutdown()
        assert asyncio.get_running_loop().time() - began_s < 0.9, "no session has to run out"
        lifecycle.mark_clean_shutdown()
        disk = cluster.simulation.machine(name).disk
        assert disk.read(CLEAN_SHUTDOWN_FILE, 0, 99) == str(lifecycle.broker_epoch).encode()
        state = cluster.image().topics["orders"].partitions[0]
        assert state.leader not in (leader, NO_NODE) and cluster.image().brokers[leader].fenced
        await cluster.until(lambda: not cluster.simulation.machine(name).is_alive)
        cluster.start(name)
        await cluster.until_ready(name)
        assert not disk.exists(CLEAN_SHUTDOWN_FILE)
        assert asyncio.get_running_loop().time() - began_s < 1.5

    simulate(story)


def test_a_shutdown_without_a_controller_is_bounded_and_not_called_clean() -> None:
    async def story(cluster: ControlledCluster) -> None:
        await cluster.until_ready()
        for name in list(cluster.controllers):
            cluster.kill(name)
        assert not await cluster.brokers["b1"].lifecycle.controlled_shutdown()

    simulate(story)


def test_a_paused_broker_is_fenced_and_let_in_again_under_its_old_epoch() -> None:
    async def story(cluster: ControlledCluster) -> None:
        await cluster.until_ready()
        process = cluster.simulation.machine("b2").process
        assert process is not None
        epoch = cluster.image().brokers[2].broker_epoch
        process.pause()
        await cluster.until(lambda: cluster.image().brokers[2].fenced)
        fenced_offset = cluster.image().offset
        process.resume()
        while cluster.image().brokers[2].fenced:
            knows = cluster.brokers["b2"].follower.image.offset >= fenced_offset
            await asyncio.sleep(0.001)
        assert knows, "or it would serve on as if nobody had taken over"
        assert cluster.image().brokers[2].broker_epoch == epoch

    simulate(story)


@pytest.mark.parametrize("how", ["cut off", "paused"])
def test_a_broker_knows_that_others_may_have_taken_over_before_they_can(how: str) -> None:
    async def story(cluster: ControlledCluster) -> None:
        await cluster.until_ready()
        lifecycle = cluster.brokers["b2"].lifecycle
        process = cluster.simulation.machine("b2").process
        assert process is not None
        for _ in range(100):
            await asyncio.sleep(0.01)
            assert not lifecycle.may_be_replaced(), "it is heard, and answered"
        if how == "paused":
            process.pause()
        else:
            cluster.isolate("b2")
        while not cluster.image().brokers[2].fenced:
            was_sure = not lifecycle.may_be_replaced()
            await asyncio.sleep(0.001)
        assert not was_sure, "to the millisecond"
        assert lifecycle.may_be_replaced()
        await asyncio.sleep(1)
        assert lifecycle.may_be_replaced(), "until it is let in again"
        assert how == "paused" or not await lifecycle.heard_again(500)
        if how == "paused":
            process.resume()
        else:
            cluster.heal("b2")
        await cluster.until(lambda: not cluster.image().brokers[2].fenced)
        assert await lifecycle.heard_again(1000)
        assert not lifecycle.may_be_replaced()

    simulate(story)


def test_a_follower_that_fell_behind_a_snapshot_gets_the_snapshot() -> None:
    async def story(cluster: ControlledCluster) -> None:
        await cluster.until_ready("b1", "b2", "b3")
        cluster.kill("b3")
        for number in range(30):
            request = new_topic(f"t{number}", factor=1, partitions=10)
            await cluster.brokers["b1"].client.call("CreateTopics", request, timeout_ms=2000)
        cluster.start("b3")
        await cluster.until_ready("b3")
        broker = cluster.brokers["b3"]
        assert await broker.follower.when(lambda image: "t29" in image.topics, 5000)
        assert broker.follower.image.topics == cluster.image().topics

    simulate(story, metadata_log_max_record_bytes_between_snapshots="2000")


def test_leadership_returns_to_the_preferred_replica_from_time_to_time() -> None:
    async def story(cluster: ControlledCluster) -> None:
        await cluster.until_ready()
        activations = [
            traced for traced in cluster.simulation.trace.events if isinstance(traced.event, ControllerActivated)
        ]
        assert len(activations) == 1
        await cluster.brokers["b1"].client.call("CreateTopics", new_topic("orders"), timeout_ms=1000)
        state = cluster.image().topics["orders"].partitions[0]
        await alter_isr(cluster, state.replicas)
        cluster.kill(f"b{state.leader}")
        await cluster.until(lambda: cluster.image().topics["orders"].partitions[0].leader != state.leader)
        cluster.start(f"b{state.leader}")
        await cluster.until_ready(f"b{state.leader}")
        await alter_isr(cluster, state.replicas)
        assert cluster.image().topics["orders"].partitions[0].leader != state.leader
        await cluster.until(lambda: cluster.image().topics["orders"].partitions[0].leader == state.leader)

    simulate(story, leader_imbalance_check_interval_seconds="5")


async def alter_isr(cluster: ControlledCluster, isr: tuple[int, ...]) -> None:
    """Say what the leader would say when all followers have caught up."""
    image = cluster.image()
    state = image.topics["orders"].partitions[0]
    request = rpc.AlterPartitionRequest(
        broker_id=state.leader,
        broker_epoch=image.brokers[state.leader].broker_epoch,
        partitions=[
            rpc.AlterPartitionData(
                topic_id=state.topic_id.bytes,
                leader_epoch=state.leader_epoch,
                partition_epoch=state.partition_epoch,
                new_isr=[
                    rpc.BrokerState(broker_id=node, broker_epoch=image.brokers[node].broker_epoch) for node in isr
                ],
            )
        ],
    )
    reply = await cluster.brokers[f"b{state.leader}"].client.call("AlterPartition", request, timeout_ms=1000)
    assert reply.partitions[0].error_code == ErrorCode.NONE


def test_the_active_controller_describes_the_quorum_with_offsets_and_times_of_day() -> None:
    async def story(cluster: ControlledCluster) -> None:
        await cluster.until_ready()
        await cluster.brokers["b1"].client.call("CreateTopics", new_topic("orders"), timeout_ms=1000)
        await asyncio.sleep(1)
        role = cluster.controllers[cluster.active]
        passive = next(name for name in cluster.controllers if name != cluster.active)
        cluster.kill(passive)
        await asyncio.sleep(0.3)
        world_ms = cluster.simulation.world(cluster.simulation.machine("b1").process).clock.wall_ms()  # type: ignore[arg-type]
        reply = await cluster.brokers["b1"].client.call("DescribeQuorum", rpc.DescribeQuorumRequest(), timeout_ms=1000)
        assert reply.status.leader_id == role.controller.node_id
        assert reply.high_watermark == role.controller.committed.offset + 1
        behind = {voter.replica_id: world_ms - voter.last_caught_up_timestamp_ms for voter in reply.voters}
        gone = int(passive[1:]) + 100
        assert sorted(behind) == [101, 102, 103] and behind[gone] >= 250
        assert all(-50 <= late_ms < 200 for node, late_ms in behind.items() if node != gone)
        assert all(voter.log_end_offset == reply.high_watermark for voter in reply.voters)
        assert [observer.replica_id for observer in reply.observers] == [1, 2, 3]
        assert [(node.node_id, node.rpc.host) for node in reply.nodes] == [(101, "c1"), (102, "c2"), (103, "c3")]

    simulate(story)
