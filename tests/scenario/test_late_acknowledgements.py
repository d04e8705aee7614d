"""A leader wakes up to an acknowledgement of what its follower has lost since: what it commits by that is not lost."""

from __future__ import annotations

from fault_stories import events, tell

from cluster.base.trace import FollowerProgressed, HighWatermarkAdvanced, NodeFaulted, PartitionRoleChanged
from cluster.scenario import Lab


async def lose_what_was_acknowledged(lab: Lab) -> None:
    """Two are in sync; the leader sleeps while a fetch is on its way, and its follower leads and loses power."""
    lab.check("durable", finally_="no-lost-acks")
    await lab.sleep("1s")
    await lab.kill("one(followers(orders-0))", as_="spare")
    assert await lab.wait("isr(orders-0).size == 2")
    await lab.do("slow", "followers(orders-0) -> leader(orders-0)", id="late", apis=["Fetch"], latency="200ms")
    await lab.sleep("1s")
    await lab.pause("leader(orders-0)", id="asleep", as_="old")
    assert await lab.wait("leader(orders-0) != $old", timeout="5s")
    await lab.do("power-off", "leader(orders-0)", id="dark", as_="forgetful")
    await lab.start("$forgetful")
    await lab.sleep("3s")
    await lab.heal("late")
    await lab.resume("$old")
    assert await lab.wait("leader(orders-0) == $old", timeout="5s")
    await lab.start("$spare")
    assert await lab.wait("isr(orders-0).size == 3", timeout="20s")


def test_a_leader_commits_what_its_follower_acknowledged_and_lost_and_keeps_it() -> None:
    run = tell(lose_what_was_acknowledged)
    (woken,) = (one.time_us for one in events(run, NodeFaulted) if one.event.state == "resumed")
    (old,) = (one.event.target for one in events(run, NodeFaulted) if one.event.state == "paused")
    (dark,) = (one.event.target for one in events(run, NodeFaulted) if one.event.state == "powered-off")
    returned = [one.event for one in events(run, PartitionRoleChanged, dark) if one.time_us < woken][-1]
    heard = [one.event for one in events(run, FollowerProgressed, old) if one.time_us == woken]
    committed = [one.event for one in events(run, HighWatermarkAdvanced, old) if one.time_us == woken]
    assert heard and committed, "the acknowledgement was read only now"
    assert committed[-1].high_watermark > returned.log_end_offset, "who gave it has the record no more"
    assert committed[-1].leader_epoch < returned.leader_epoch, "by a leader that was replaced meanwhile"
    assert run.result.verdict == "as-expected", run.result
    assert run.result.lost == 0
