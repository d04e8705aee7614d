"""The same faults on processes of this machine: they bite and heal there too. The same stories as in the simulation."""

from __future__ import annotations

import pytest
from fault_stories import SEGMENT, SYNCED, ack_delays_ms, assert_recovered, between, events, states, tell

from cluster.base.trace import RecordAcknowledged, RecordFailed
from cluster.lab.node_directory import NodeDirectory
from cluster.records import iterate_headers
from cluster.scenario import Lab

pytestmark = pytest.mark.live

STAMPED = "{orders: {partitions: 1, replication-factor: 3, config: {message.timestamp.type: LogAppendTime}}}"


def stored(lab: Lab, name: str) -> bytes:
    files = lab.target.files(name)
    assert isinstance(files, NodeDirectory)
    return files.read(SEGMENT)


def test_disks_that_fill_up_rot_tear_or_are_wiped_heal() -> None:
    rotten: list[bool] = []

    async def story(lab: Lab) -> None:
        await lab.sleep("1s")
        before = stored(lab, "b2")
        async with lab.fault("bit-rot", "b2", files=["orders-0/*.log"], count=3):
            rotten.append(stored(lab, "b2")[: len(before)] != before)
        rotten.append(stored(lab, "b2")[: len(before)] != before)
        async with lab.fault("disk-full", "b2"):
            assert await lab.wait("isr(orders-0).size == 2", timeout="20s")
        assert await lab.wait("isr(orders-0).size == 3", timeout="20s")
        for verb in ("torn-write", "wipe", "power-off"):
            async with lab.fault(verb, "b3"):
                assert await lab.wait("isr(orders-0).size == 2", timeout="20s")
            assert await lab.wait("isr(orders-0).size == 3", timeout="20s")

    run = tell(story, on="local")
    assert rotten == [True, False]
    assert states(run, "b2") == ["killed", "started"]
    assert states(run, "b3") == ["killed", "started", "killed", "started", "powered-off", "started"]
    assert_recovered(run)


def test_a_loss_of_power_takes_what_was_not_synced_and_a_lying_disk_more() -> None:
    def lost(verb: str) -> int:
        async def story(lab: Lab) -> None:
            if verb:
                await lab.do(verb, "leader(orders-0)")
            await lab.sleep("2s")
            await lab.do("power-off", "leader(orders-0)", as_="dark")
            await lab.start("$dark")
            await lab.sleep("2s")

        return tell(story, on="local", topics=SYNCED).result.lost

    assert lost("") == 0, "what was synced survives"
    assert lost("disk-lie") > 0


def test_a_slow_disk_and_a_wrong_clock_show() -> None:
    skews_ms: list[float] = []
    moments: list[int] = []

    async def story(lab: Lab) -> None:
        await lab.sleep("1s")
        async with lab.fault("clock", "leader(orders-0)", bump="10m"):
            await lab.sleep("1s")
            skews_ms.append(newest_stamp_ms(lab))
        await lab.sleep("1s")
        skews_ms.append(newest_stamp_ms(lab))
        async with lab.fault("throttle", "leader(orders-0) -> followers(orders-0)", bandwidth="1KB/s"):
            moments.append(lab.target.now_us())
            await lab.sleep("3s")
            moments.append(lab.target.now_us())

    run = tell(story, on="local", topics=STAMPED)
    assert 590_000 < skews_ms[0] - skews_ms[1] < 610_000
    assert max(ack_delays_ms(run, *moments)) > 200
    assert_recovered(run)


def newest_stamp_ms(lab: Lab) -> float:
    return [header.max_timestamp for _, header in iterate_headers(memoryview(stored(lab, "b1")))][-1]


def test_requests_fail_are_held_up_or_lose_their_replies() -> None:
    moments: list[int] = []

    async def story(lab: Lab) -> None:
        await lab.sleep("1s")
        fails = {"apis": ["Produce"], "error": "MESSAGE_TOO_LARGE", "count": 7}
        async with lab.fault("fail", "leader(orders-0)", **fails):
            await lab.sleep("1s")
        async with lab.fault("hold", "p1 -> leader(orders-0)", apis=["Produce"]):
            moments.append(lab.target.now_us())
            await lab.sleep("1s")
            moments.append(lab.target.now_us())
        async with lab.fault("lose-reply", "leader(orders-0)", apis=["Produce"], count=3):
            await lab.sleep("2s")

    run = tell(story, on="local")
    assert 7 <= len(events(run, RecordFailed)) < 30, "seven requests, each of one record or, on a busy machine, of more"
    assert not between(events(run, RecordAcknowledged), moments[0] + 200_000, moments[1])
    assert run.result.duplicates >= 3
    assert_recovered(run)


def test_raft_lives_with_doubled_and_overtaken_messages_and_a_node_that_keeps_crashing() -> None:
    async def story(lab: Lab) -> None:
        async with (
            lab.fault("duplicate", "nodes -> nodes", rate="40%"),
            lab.fault("reorder", "nodes -> nodes", rate="40%"),
        ):
            async with lab.fault("crash-loop", "b3", up="1500ms", down="300ms"):
                await lab.sleep("4s")
            await lab.kill("active-controller", as_="old")
            assert await lab.wait("active-controller != $old", timeout="20s")
            await lab.start("$old")

    run = tell(story, on="local", controllers="3")
    assert states(run, "b3").count("killed") >= 2
    assert_recovered(run)


def test_an_operator_works_on_processes_too_and_a_broker_joins() -> None:
    async def story(lab: Lab) -> None:
        await lab.do("config", {"topic": "orders", "set": {"min.insync.replicas": 1}})
        await lab.do("produce", {"topic": "orders", "count": 3}, id="extra")
        await lab.do("add-broker", "b4", id="join")
        await lab.sleep("2s")
        await lab.do("reassign", {"partition": "orders-0", "to": ["b4", "b2", "b3"]})
        assert await lab.wait("b4 in isr(orders-0)", timeout="30s")
        await lab.do("elect", {"preferred": "orders-0"})
        assert await lab.wait("leader(orders-0) == b4", timeout="30s")

    run = tell(story, on="local", brokers="[{id: b1}, {id: b2}, {id: b3}, {id: b4, joins-later: true}]")
    assert len(events(run, RecordAcknowledged, "extra")) == 3
    assert_recovered(run)
