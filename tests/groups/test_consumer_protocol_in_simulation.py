"""Members of the new protocol in the simulated world, while their coordinator is killed, cut off, paused.

No client for Python speaks this protocol, so that these members are written here, on the wire: a heartbeat every so
often, an answer that may get lost, partitions given up in their own time. What must hold whatever happens: no two
members own a partition at once; and when all is healed, every partition has an owner again.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from test_groups_in_simulation import GROUP, OFFSETS_PARTITIONS, PARTITIONS, SPEC, break_coordinator, heal

from cluster.base.errors import ErrorCode
from cluster.base.group_trace import ConsumerAssigned, ConsumerGone, ConsumerReported
from cluster.base.trace import CoordinatorLoaded, Traced
from cluster.broker.coordinator import key_hash
from cluster.broker.coordinator.hosted_shard import HostedShard
from cluster.checks import ORACLES
from cluster.lab.sim_target import SimTarget
from cluster.runtime.sim import Simulation, run_simulation
from cluster.wire import decode_response, encode_request

HEARTBEAT, FIND_COORDINATOR = 68, 10
ANSWER_S = 1.0
BEAT_S = 0.3


class Member:
    """One member: what it owns, by topic id and partition, and in which epoch."""

    def __init__(self, target: SimTarget, name: str) -> None:
        self.target = target
        self.name = name
        self.epoch = 0
        self.owned: list[tuple[Any, int]] = []
        self.tells_all = True

    async def run(self) -> None:
        while True:
            addresses = self.target.bootstrap.split(",")
            first = int(self.name[1:])  # each believes in another coordinator for as long as that answers
            for address in addresses[first:] + addresses[:first]:
                with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                    async with asyncio.timeout(ANSWER_S):
                        reply = await exchange(address, self.name, HEARTBEAT, 1, self.request())
                        if await self.take(reply):
                            break
                self.tells_all = True  # that answer may have been the one
            await asyncio.sleep(BEAT_S)

    def request(self) -> dict[str, Any]:
        owned = [{"topic_id": topic_id, "partitions": (number,)} for topic_id, number in self.owned]
        tells_all = self.tells_all or self.epoch == 0
        return {
            "group_id": GROUP,
            "member_id": self.name,
            "member_epoch": self.epoch,
            "rebalance_timeout": timedelta(seconds=5) if tells_all else timedelta(milliseconds=-1),
            "subscribed_topic_names": ("orders",) if tells_all else None,
            "topic_partitions": owned,
        }

    async def take(self, reply: Any) -> bool:
        """Do as the answer says; false when it was not the coordinator's."""
        error = ErrorCode(reply.error_code.value)
        if error in (ErrorCode.FENCED_MEMBER_EPOCH, ErrorCode.UNKNOWN_MEMBER_ID):
            self.epoch, self.owned, self.tells_all = 0, [], True
            return True
        if error is not ErrorCode.NONE:
            return False
        self.epoch, self.tells_all = reply.member_epoch, False
        if reply.assignment is not None:
            assigned = [(topic.topic_id, n) for topic in reply.assignment.topic_partitions for n in topic.partitions]
            self.owned += [each for each in assigned if each not in self.owned]
            await asyncio.sleep(0.1)  # finishing what it was doing
            self.owned = [each for each in self.owned if each in assigned]
        return True


async def exchange(address: str, client_id: str, api_key: int, version: int, request: dict[str, Any]) -> Any:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        frame = encode_request(api_key, version, 1, client_id, request)
        writer.write(struct.pack(">i", len(frame)) + frame)
        (size_bytes,) = struct.unpack(">i", await reader.readexactly(4))
        return decode_response(api_key, version, await reader.readexactly(size_bytes))
    finally:
        writer.close()


class NewGroup:
    """Three members, and the oracle that watches what they are told."""

    def __init__(self, target: SimTarget) -> None:
        self.target = target
        self.coordinator = ""
        self.oracle = ORACLES["one-owner-at-a-time"]()
        self.counts = dict.fromkeys(self.oracle.kinds, 0)
        self.members = {name: Member(target, name) for name in ("m1", "m2", "m3")}
        target.subscribe(self._on_event)

    def _on_event(self, traced: Traced) -> None:
        event = traced.event
        if isinstance(event, CoordinatorLoaded) and event.partition == key_hash(GROUP) % OFFSETS_PARTITIONS:
            self.coordinator = traced.node
        if event.kind in self.oracle.kinds:
            self.counts[event.kind] += 1
            self.oracle.on_event(traced)

    def start(self, name: str) -> None:
        self.target.spawn_client(name, self.members[name].run)

    async def until(self, claim: Callable[[], bool], patience_s: float = 60.0) -> None:
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + patience_s
        while not claim():
            assert loop.time() < deadline_s, "it did not come true"
            await asyncio.sleep(0.05)

    def is_shared(self, *names: str) -> bool:
        """Whether these members share all partitions, each with something to do."""
        shares = [self.members[name].owned for name in names]
        owned = sorted(number for share in shares for _, number in share)
        return all(shares) and owned == list(range(PARTITIONS))


def with_members(story: Callable[[NewGroup], Awaitable[None]], seed: int = 1) -> list[str]:
    """Run a story, let the group come to rest, and return what the oracle saw."""

    async def main(simulation: Simulation) -> list[str]:
        target = SimTarget(simulation, SPEC)
        await target.start()
        group = NewGroup(target)
        found = {"key_type": 0, "coordinator_keys": (GROUP,)}
        await exchange(target.bootstrap.split(",")[0], "admin", FIND_COORDINATOR, 4, found)
        for name in group.members:
            group.start(name)
        await group.until(lambda: group.is_shared("m1", "m2", "m3"))
        await story(group)
        await group.until(lambda: group.is_shared("m1", "m2", "m3"))
        assert group.counts[ConsumerAssigned.kind] >= 3 and group.counts[ConsumerReported.kind] >= 10, group.counts
        await target.close()
        return [violation.message for violation in group.oracle.violations]

    result = run_simulation(main, seed, virtual_time_limit_s=300)
    assert result.errors == ()
    return result.value


@pytest.mark.parametrize("fault", ["kill", "power_off", "stop", "pause", "isolate"])
def test_a_group_survives_the_loss_of_its_coordinator(fault: str) -> None:
    async def story(group: NewGroup) -> None:
        victim = await break_coordinator(group, fault)  # type: ignore[arg-type]
        await asyncio.sleep(3)
        await heal(group, victim, fault)  # type: ignore[arg-type]

    assert with_members(story) == []


def test_a_member_that_dies_is_fenced_and_one_that_comes_back_is_taken() -> None:
    async def story(group: NewGroup) -> None:
        await group.target.kill("m2")
        group.members["m2"].owned = []
        await group.until(lambda: group.is_shared("m1", "m3"))
        assert group.counts[ConsumerGone.kind] >= 1
        group.members["m2"] = Member(group.target, "m2")
        group.start("m2")

    assert with_members(story) == []


@pytest.mark.parametrize("seed", range(1, 4))
def test_a_group_survives_one_coordinator_after_the_other(seed: int) -> None:
    async def story(group: NewGroup) -> None:
        for fault in ("kill", "isolate", "pause"):
            victim = await break_coordinator(group, fault)  # type: ignore[arg-type]
            await asyncio.sleep(1)
            await heal(group, victim, fault)  # type: ignore[arg-type]
            await asyncio.sleep(4)

    assert with_members(story, seed) == []


def test_a_coordinator_that_does_not_wait_for_its_replicas_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted bug: answers leave before what they say is committed. A coordinator that is cut off then lies."""

    def answer_at_once(self: HostedShard[Any], answers: Sequence[Any]) -> None:
        self._answer(answers)

    monkeypatch.setattr(HostedShard, "_answer_when_committed", answer_at_once)

    async def story(group: NewGroup) -> None:
        victim = await break_coordinator(group, "isolate")  # type: ignore[arg-type]
        await asyncio.sleep(8)  # the one that is cut off gives away what silent members had, and so does its successor
        await heal(group, victim, "isolate")  # type: ignore[arg-type]

    assert [wrong for seed in range(1, 6) for wrong in with_members(story, seed)]
