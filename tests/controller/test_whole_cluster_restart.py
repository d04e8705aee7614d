"""A cluster that was stopped or killed as a whole comes back: at once after good order, after a session otherwise."""

from __future__ import annotations

import asyncio

import pytest
from controlled_cluster import ControlledCluster, new_topic

from cluster.node.broker_lifecycle import CLEAN_SHUTDOWN_FILE
from cluster.runtime.sim import Simulation, run_simulation

SESSION_S = 9.0


def seconds_until_ready_again(end: str) -> float:
    """End all nodes in one way, start them all, and return virtual seconds until every broker was let in again."""

    async def main(simulation: Simulation) -> float:
        cluster = ControlledCluster(simulation, broker_session_timeout_ms=f"{SESSION_S * 1000:.0f}")
        await cluster.until_ready()
        await cluster.brokers["b1"].client.call("CreateTopics", new_topic("orders", partitions=3), timeout_ms=1000)
        names = [*cluster.controllers, *cluster.brokers]
        if end == "stopped":
            stops = (broker.lifecycle.controlled_shutdown() for broker in cluster.brokers.values())
            assert await asyncio.gather(*stops) == [True] * 3
        elif end == "killed while stopping":
            stopping = [
                asyncio.create_task(broker.lifecycle.controlled_shutdown()) for broker in cluster.brokers.values()
            ]
            await cluster.until(
                lambda: all(broker.in_controlled_shutdown for broker in cluster.image().brokers.values())
            )
            for task in stopping:
                task.cancel()
        for name in names:
            if cluster.simulation.machine(name).is_alive:
                cluster.kill(name)
        began_s = asyncio.get_running_loop().time()
        for name in names:
            cluster.start(name)
        await cluster.until_ready()
        return asyncio.get_running_loop().time() - began_s

    result = run_simulation(main, 1, virtual_time_limit_s=120)
    assert result.errors == ()
    return result.value


@pytest.mark.parametrize("end", ["stopped", "killed while stopping"])
def test_a_cluster_that_said_goodbye_is_back_at_once(end: str) -> None:
    assert seconds_until_ready_again(end) < 2.0


def test_brokers_that_were_killed_wait_for_the_sessions_that_a_new_controller_gives_them() -> None:
    """It cannot know that they are dead: their old processes may be alive and cut off (as in Kafka)."""
    assert SESSION_S <= seconds_until_ready_again("killed") < SESSION_S + 3.0


def test_a_stop_that_is_asked_for_twice_waits_for_no_controller_and_loses_nothing() -> None:
    async def main(simulation: Simulation) -> None:
        cluster = ControlledCluster(simulation)
        await cluster.until_ready()
        for name in list(cluster.controllers):
            cluster.kill(name)
        lifecycle = cluster.brokers["b1"].lifecycle
        stopping = asyncio.create_task(lifecycle.controlled_shutdown())
        await asyncio.sleep(0.5)
        assert not stopping.done()
        lifecycle.hurry()
        async with asyncio.timeout(0.1):
            assert not await stopping, "nobody let it go"
        lifecycle.mark_clean_shutdown()
        assert simulation.machine("b1").disk.read(CLEAN_SHUTDOWN_FILE, 0, 99) == str(lifecycle.broker_epoch).encode()

    assert run_simulation(main, 1, virtual_time_limit_s=120).errors == ()
