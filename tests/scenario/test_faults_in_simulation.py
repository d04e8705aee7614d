"""Every fault of the catalogue bites in the simulation, and is gone when it is healed."""

from __future__ import annotations

from typing import Any

import pytest
from fault_stories import (
    SEGMENT,
    SYNCED,
    Story,
    ack_delays_ms,
    assert_recovered,
    between,
    consumed,
    events,
    states,
    tell,
)

from cluster.base.trace import (
    BatchAppended,
    NodeFaulted,
    NodeStarted,
    RecordAcknowledged,
    RecordFailed,
    StepEnded,
)
from cluster.records import iterate_headers
from cluster.runtime.sim import SimProcessFailed
from cluster.runtime.sim.disk import SimDisk
from cluster.runtime.sim.loop import START_S
from cluster.runtime.sim.patches import EPOCH_S
from cluster.scenario import Lab, Run

CONSUMER = "{p1: {produce: orders, rate: 50/s}, r1: {consume: orders}}"
ALONE = "{orders: {partitions: 1, replication-factor: 1}}"


class Times:
    """When a fault began and when it was healed, by the run's clock."""

    def __init__(self) -> None:
        self.began_us = 0
        self.healed_us = 0
        self.ended_us = 0

    def story(self, verb: str, argument: Any, lasts: str = "3s", **options: Any) -> Story:
        async def story(lab: Lab) -> None:
            await lab.sleep("1s")
            async with lab.fault(verb, argument, id="it", **options):
                self.began_us = lab.target.now_us()
                await lab.sleep(lasts)
                self.healed_us = lab.target.now_us()
            await lab.sleep("4s")
            self.ended_us = lab.target.now_us()

        return story


# --- processes ---


def test_a_crash_loop_kills_again_and_again_until_it_is_healed() -> None:
    run = tell(Times().story("crash-loop", "b2", "5s", up="1s", down="500ms"))
    assert states(run, "b2")[:4] == ["killed", "started", "killed", "started"]
    assert states(run, "b2")[-1] == "started"
    assert 3 <= states(run, "b2").count("killed") <= 4
    assert_recovered(run)


def test_a_rolling_restart_takes_one_node_after_the_other_and_ends_by_itself() -> None:
    async def story(lab: Lab) -> None:
        await lab.do("rolling-restart", "brokers", id="roll", up="2s", down="500ms")
        while lab.active("roll"):
            await lab.sleep("100ms")

    run = tell(story)
    told = [traced.event for traced in events(run, NodeFaulted)]
    assert [(event.target, event.state) for event in told if isinstance(event, NodeFaulted)] == [
        (name, state) for name in ("b1", "b2", "b3") for state in ("stopped", "started")
    ]
    assert [traced.event.step for traced in events(run, StepEnded) if isinstance(traced.event, StepEnded)] == ["roll"]
    assert_recovered(run)


def test_all_nodes_can_be_killed_at_once_and_come_back() -> None:
    run = tell(Times().story("kill", "nodes", "2s"))
    assert all(states(run, name) == ["killed", "started"] for name in ("b1", "b2", "b3", "c1"))
    assert_recovered(run)


# --- disks ---


def test_a_torn_write_leaves_half_a_batch_that_recovery_cuts_off() -> None:
    run = tell(Times().story("torn-write", "leader(orders-0)"))
    started = [traced for traced in events(run, NodeStarted, "b1") if traced.time_us > 1_000_000]
    assert started, "the leader came back"
    assert_recovered(run)


def test_a_wiped_disk_is_filled_again_from_the_other_replicas() -> None:
    run = tell(Times().story("wipe", "one(followers(orders-0))"))
    assert_recovered(run)
    oracle = [check for check in run.result.checks if check.id == "recovered"]
    assert oracle[0].outcome == "holds"


def test_a_lone_replica_whose_disk_is_wiped_loses_everything() -> None:
    run = tell(Times().story("wipe", "leader(orders-0)"), topics=ALONE)
    assert run.result.lost > 40


@pytest.mark.parametrize(
    ("verb", "options"),
    [
        ("disk-full", {}),
        ("disk-error", {"operations": ["write"]}),
        ("disk-error", {"files": ["orders-0/*"], "rate": "20%"}),
    ],
)
def test_a_broker_ends_when_its_disk_takes_no_writes_and_comes_back_with_the_heal(
    verb: str, options: dict[str, Any]
) -> None:
    run = tell(Times().story(verb, "leader(orders-0)", **options))
    assert states(run, "b1") == ["killed", "started"]
    assert_recovered(run)


def test_a_broker_that_cannot_sync_ends() -> None:
    run = tell(Times().story("disk-error", "leader(orders-0)", operations=["sync"]), topics=SYNCED)
    assert len(states(run, "b1")) == 2


def test_a_slow_disk_makes_acknowledgements_of_synced_records_late() -> None:
    times = Times()
    run = tell(times.story("disk-slow", "leader(orders-0)", latency="200ms"), topics=SYNCED)
    assert min(ack_delays_ms(run, times.began_us, times.healed_us - 300_000)) >= 200
    assert max(ack_delays_ms(run, times.healed_us + 500_000, times.ended_us)) < 50
    assert_recovered(run)


def test_a_sync_that_lies_loses_acknowledged_records_with_the_power() -> None:
    def story_of(verb: str) -> Story:
        async def story(lab: Lab) -> None:
            if verb:
                await lab.do(verb, "leader(orders-0)")
            await lab.sleep("2s")
            await lab.do("power-off", "leader(orders-0)", as_="dark")
            await lab.sleep("1s")
            await lab.start("$dark")
            await lab.sleep("2s")

        return story

    assert tell(story_of(""), topics=SYNCED).result.lost == 0, "what was synced survives"
    assert tell(story_of("disk-lie"), topics=SYNCED).result.lost > 0


def test_rotten_bits_are_there_until_they_are_flipped_back() -> None:
    seen: list[bool] = []

    async def story(lab: Lab) -> None:
        await lab.sleep("2s")
        before = stored(lab, "b2")
        async with lab.fault("bit-rot", "b2", files=["orders-0/*.log"], count=5):
            seen.append(stored(lab, "b2")[: len(before)] == before)
        seen.append(stored(lab, "b2")[: len(before)] == before)

    run = tell(story)
    assert seen == [False, True]
    assert_recovered(run)


def test_a_disk_that_misreads_is_found_out_by_whoever_reads_with_checksums() -> None:
    times = Times()
    story = times.story("disk-misread", "leader(orders-0)", files=["orders-0/*.log"])
    run = tell(story, clients=CONSUMER)
    assert consumed(run, times.began_us + 500_000, times.healed_us) == 0 or states(run, "b1")
    assert_recovered(run)


# --- clocks ---


@pytest.mark.parametrize(
    ("options", "least_ms", "most_ms"),
    [
        ({"bump": "10m"}, 599_000, 601_000),
        ({"bump": "-10m"}, -601_000, -599_000),
        ({"drift": "50%"}, 900, 1_600),
        ({"drift": "-50%"}, -1_600, -900),
        ({"strobe": "1m", "period": "200ms"}, 59_000, 61_000),
    ],
)
def test_a_wrong_clock_shows_in_the_timestamps_of_the_log(options: dict[str, str], least_ms: int, most_ms: int) -> None:
    stamped = "{orders: {partitions: 1, replication-factor: 3, config: {message.timestamp.type: LogAppendTime}}}"
    during: dict[int, int] = {}
    after: dict[int, int] = {}

    async def story(lab: Lab) -> None:
        await lab.sleep("1s")
        async with lab.fault("clock", "leader(orders-0)", **options):
            await lab.sleep("3s")
            during.update(stamps(lab))
        await lab.sleep("3s")
        after.update(stamps(lab))

    run = tell(story, topics=stamped)
    skews = skews_ms(run, during)[-20:]
    assert any(least_ms <= skew <= most_ms for skew in skews), skews
    assert abs(skews_ms(run, after)[-1]) < 100, "the time of day is right again"
    if "strobe" in options:
        assert any(abs(skew) < 100 for skew in skews), "it comes and goes"
    assert_recovered(run)


def stored(lab: Lab, name: str) -> bytes:
    """The first segment of orders-0 on a node's disk."""
    disk = lab.target.files(name)
    assert isinstance(disk, SimDisk)
    return disk.read(SEGMENT, 0, disk.size(SEGMENT))


def stamps(lab: Lab) -> dict[int, int]:
    """The time that the leader gave each batch, in milliseconds, by its last offset."""
    content = memoryview(stored(lab, "b1"))
    return {header.last_offset: header.max_timestamp for _, header in iterate_headers(content)}


def skews_ms(run: Run, stamps_ms: dict[int, int]) -> list[float]:
    """How far each time is from when the batch was appended."""
    appended = {
        traced.event.last_offset: traced.time_us
        for traced in events(run, BatchAppended, "b1")
        if isinstance(traced.event, BatchAppended)
    }
    return [stamp - ((EPOCH_S + START_S) * 1000 + appended[offset] / 1000) for offset, stamp in stamps_ms.items()]


# --- links ---


def test_slow_with_an_exponential_tail_is_late_by_its_mean() -> None:
    times = Times()
    link = "followers(orders-0) -> leader(orders-0)"
    run = tell(times.story("slow", link, "6s", jitter="100ms", distribution="exponential"))
    delays = ack_delays_ms(run, times.began_us, times.healed_us - 1_000_000)
    assert 60 < sum(delays) / len(delays) < 400
    assert max(ack_delays_ms(run, times.healed_us + 1_000_000, times.ended_us)) < 60
    assert_recovered(run)


def test_held_fetches_are_delivered_when_they_are_released() -> None:
    times = Times()
    link = "followers(orders-0) -> leader(orders-0)"
    run = tell(times.story("hold", link, "500ms", apis=["Fetch"]))
    acks = events(run, RecordAcknowledged)
    assert len(between(acks, times.began_us + 50_000, times.healed_us)) == 0
    assert between(acks, times.healed_us, times.healed_us + 60_000), "at once, without a retransmission's wait"
    assert_recovered(run)


def test_a_throttled_link_takes_its_time() -> None:
    times = Times()
    run = tell(times.story("throttle", "leader(orders-0) -> followers(orders-0)", bandwidth="20KB/s"))
    slow = ack_delays_ms(run, times.began_us + 500_000, times.healed_us - 500_000)
    fast = ack_delays_ms(run, times.healed_us + 2_000_000, times.ended_us)
    assert sum(slow) / len(slow) > 2 * sum(fast) / len(fast)
    assert_recovered(run)


@pytest.mark.parametrize("verb", ["duplicate", "reorder"])
def test_raft_lives_with_messages_that_come_twice_or_overtake_one_another(verb: str) -> None:
    async def story(lab: Lab) -> None:
        async with lab.fault(verb, "nodes -> nodes", rate="40%"):
            await lab.sleep("2s")
            await lab.kill("leader(orders-0)", as_="victim")
            assert await lab.wait("leader(orders-0) != $victim", timeout="10s")
            await lab.start("$victim")
            await lab.sleep("2s")

    run = tell(story, controllers="3")
    calm = tell(Times().story("pause", "one(followers(orders-0))", "10ms"), controllers="3")
    assert run.result.trace_hash != calm.result.trace_hash
    assert_recovered(run)


def test_one_way_only_what_one_side_sends_is_cut() -> None:
    async def story(lab: Lab) -> None:
        await lab.sleep("1s")
        sides = {"deaf": ["controllers"], "heard": ["leader(orders-0)"]}
        await lab.partition(sides, id="it", as_="side", direction="forward")
        assert await lab.wait("leader(orders-0) != $side.heard", timeout="20s") is False
        await lab.heal("it")
        await lab.partition(sides, id="back", direction="backward")
        assert await lab.wait("leader(orders-0) != $side.heard", timeout="20s")
        await lab.heal("back")

    run = tell(story)
    assert_recovered(run)


def test_a_ring_leaves_everybody_two_neighbours() -> None:
    async def story(lab: Lab) -> None:
        await lab.sleep("1s")
        async with lab.fault("ring", "brokers"):
            assert await lab.wait("isr(orders-0).size == 3", timeout="10s")
            await lab.sleep("1s")
        assert await lab.wait("isr(orders-0).size == 5", timeout="10s")

    wide = "{orders: {partitions: 1, replication-factor: 5, config: {min.insync.replicas: 2}}}"
    run = tell(story, brokers="5", topics=wide)
    assert_recovered(run)


def test_a_client_can_be_cut_off_from_one_broker_only() -> None:
    times = Times()
    run = tell(times.story("drop", "p1 -> leader(orders-0)", rate="100%", direction="both"))
    assert len(between(events(run, RecordAcknowledged), times.began_us + 50_000, times.healed_us)) == 0
    assert run.result.leaderless_s == 0
    assert_recovered(run)


# --- requests of clients ---


def test_requests_fail_as_often_as_they_shall_and_no_more() -> None:
    options = {"apis": ["Produce"], "error": "MESSAGE_TOO_LARGE", "count": 7}
    run = tell(Times().story("fail", "leader(orders-0)", **options))
    assert len(events(run, RecordFailed)) == 7
    assert_recovered(run)


def test_a_client_gets_over_errors_that_pass() -> None:
    times = Times()
    options = {"apis": ["Produce"], "error": "NOT_LEADER_OR_FOLLOWER", "rate": "50%"}
    run = tell(times.story("fail", "leader(orders-0)", **options))
    assert run.result.failed == 0
    delays = ack_delays_ms(run, times.began_us, times.healed_us)
    assert max(delays) > 50, "it waited and asked again"
    assert_recovered(run)


def test_a_reply_that_is_lost_makes_a_plain_producer_send_twice() -> None:
    run = tell(Times().story("lose-reply", "leader(orders-0)", apis=["Produce"], count=5))
    assert run.result.duplicates >= 5, "it was carried out, and then again"


@pytest.mark.parametrize("verb", ["hold", "slow"])
def test_faults_of_one_kafka_api_leave_the_others_of_a_client_alone(verb: str) -> None:
    times = Times()
    options = {"latency": "2500ms"} if verb == "slow" else {}
    story = times.story(verb, "r1 -> leader(orders-0)", "2s", apis=["Fetch"], **options)
    run = tell(story, clients=CONSUMER)
    assert consumed(run, times.began_us + 200_000, times.healed_us) <= 30, "one long poll was under way"
    assert consumed(run, times.healed_us, times.ended_us) > 150
    assert len(between(events(run, RecordAcknowledged), times.began_us, times.healed_us)) > 80
    assert_recovered(run)


# --- operations ---


def test_an_operator_changes_a_config_elects_moves_replicas_and_sends_records() -> None:
    async def story(lab: Lab) -> None:
        await lab.stop("leader(orders-0)", as_="old")
        assert await lab.wait("leader(orders-0) != $old")
        await lab.start("$old")
        assert await lab.wait("isr(orders-0).size == 3")
        await lab.do("elect", {"preferred": "orders-0"})
        assert await lab.wait("leader(orders-0) == preferred(orders-0)", timeout="5s")
        await lab.do("config", {"topic": "orders", "set": {"max.message.bytes": 10}})
        await lab.do("produce", {"topic": "orders", "count": 3}, id="too-large")
        await lab.do("config", {"topic": "orders", "set": {"max.message.bytes": None}})
        await lab.do("produce", {"topic": "orders", "count": 3}, id="extra")
        await lab.do("reassign", {"partition": "orders-0", "to": ["b3", "b2"]})
        assert await lab.wait("replicas(orders-0).size == 2", timeout="20s")

    run = tell(story)
    assert len(events(run, RecordAcknowledged, "extra")) == 3
    assert len(events(run, RecordAcknowledged, "too-large")) == 0
    assert_recovered(run)


def test_an_operation_that_is_refused_is_told_in_the_trace() -> None:
    async def story(lab: Lab) -> None:
        await lab.do("reassign", {"partition": "orders-0", "to": ["b1", "b1"]}, id="twice")

    run = tell(story)
    ended = [traced.event for traced in events(run, StepEnded)]
    assert [event.outcome for event in ended if isinstance(event, StepEnded)] == ["refused: INVALID_REPLICA_ASSIGNMENT"]


def test_a_broker_can_join_and_leave() -> None:
    async def story(lab: Lab) -> None:
        await lab.sleep("1s")
        assert lab.is_true("leader(orders-0) != none")
        await lab.do("add-broker", "b4", id="join")
        await lab.sleep("2s")
        await lab.do("reassign", {"partition": "orders-0", "to": ["b4", "b2", "b3"]})
        assert await lab.wait("b4 in isr(orders-0)", timeout="20s")
        assert await lab.wait("replicas(orders-0).size == 3", timeout="20s")
        await lab.do("remove-broker", "b1", id="leave")
        await lab.sleep("1s")

    run = tell(story, brokers="[{id: b1}, {id: b2}, {id: b3}, {id: b4, joins-later: true}]")
    assert states(run, "b4") == ["started"]
    assert states(run, "b1") == ["stopped"], "it stays away"
    assert_recovered(run)


def test_a_bug_is_a_bug_on_a_failing_disk_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def buggy(*_: object) -> None:
        raise AssertionError("planted")

    monkeypatch.setattr("cluster.replication.Replicas.checkpoint_high_watermarks", buggy)
    with pytest.raises(SimProcessFailed, match="planted"):
        tell(Times().story("disk-slow", "brokers", "10s", latency="1ms"))
