"""Members of a share group in the simulated world, while leaders and share coordinators are killed and cut off.

What must hold: a record whose acknowledgement was answered is never delivered again, and when all is healed every
record has been processed.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import aiokafka
import pytest

from cluster.base.errors import ErrorCode
from cluster.base.trace import PartitionRoleChanged, Traced
from cluster.broker.share_partitions import LedShare
from cluster.lab import TopicSpec, numbered_cluster
from cluster.lab.sim_target import SimTarget
from cluster.runtime.links import LinkRule
from cluster.runtime.sim import Simulation, run_simulation
from cluster.sharing import ACCEPT
from cluster.wire import decode_response, encode_request

METADATA, FETCH, ACKNOWLEDGE = 3, 78, 79
RECORDS = 60
SPEC = replace(
    numbered_cluster(3, 3, combined=True),
    profile="fast",
    topics=(TopicSpec("orders", 1, 3, {"min.insync.replicas": "2"}),),
    properties={
        "share.coordinator.state.topic.num.partitions": "2",
        "group.share.auto.offset.reset": "earliest",
        "group.share.record.lock.duration.ms": "1000",
        "group.share.delivery.count.limit": "50",
        "min.insync.replicas": "2",
    },
)


class Member:
    """One member of the group: it takes a few records, works, and accepts them."""

    def __init__(self, target: SimTarget, name: str, done: dict[int, str]) -> None:
        self.target = target
        self.name = name
        self.done = done
        self.epoch = 0
        self.topic_id: Any = None
        self.wrong: list[str] = []

    async def run(self) -> None:
        while True:
            for address in self.target.bootstrap.split(","):
                with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
                    async with asyncio.timeout(3):
                        await self.work_at(address)
                self.epoch = 0
            await asyncio.sleep(0.1)

    async def work_at(self, address: str) -> None:
        """Read from one broker as long as it leads."""
        host, _, port = address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            if self.topic_id is None:
                topics = [{"name": "orders", "topic_id": None}]
                found = await ask(reader, writer, METADATA, 12, {"topics": topics, "allow_auto_topic_creation": False})
                self.topic_id = found.topics[0].topic_id
            while True:
                given = await self.fetch(reader, writer)
                if given is None:
                    return
                for first, last in given:
                    await asyncio.sleep(0.02)
                    if not await self.accept(reader, writer, first, last):
                        return
        finally:
            writer.close()

    async def fetch(self, reader: Any, writer: Any) -> list[tuple[int, int]] | None:
        part = {"partition_index": 0, "acknowledgement_batches": ()}
        fields = {
            "group_id": "g", "member_id": self.name, "share_session_epoch": self.epoch,
            "max_wait": timedelta(milliseconds=300), "min_bytes": 1, "max_bytes": 10_000, "max_records": 3,
            "batch_size": 3, "topics": [{"topic_id": self.topic_id, "partitions": [part]}],
            "forgotten_topics_data": (),
        }  # fmt: skip
        reply = await ask(reader, writer, FETCH, 1, fields)
        if reply.error_code.value != 0:
            return None
        self.epoch += 1
        parts = [each for topic in reply.responses for each in topic.partitions]
        if any(each.error_code.value != 0 for each in parts):
            return None
        given = [(each.first_offset, each.last_offset) for part in parts for each in part.acquired_records]
        for first, last in given:
            again = [offset for offset in range(first, last + 1) if offset in self.done]
            self.wrong += [f"{offset} was accepted by {self.done[offset]}, and {self.name} has it" for offset in again]
        return given

    async def accept(self, reader: Any, writer: Any, first: int, last: int) -> bool:
        said = {"first_offset": first, "last_offset": last, "acknowledge_types": (ACCEPT,)}
        part = {"partition_index": 0, "acknowledgement_batches": [said]}
        topics = [{"topic_id": self.topic_id, "partitions": [part]}]
        fields = {"group_id": "g", "member_id": self.name, "share_session_epoch": self.epoch, "topics": topics}
        reply = await ask(reader, writer, ACKNOWLEDGE, 1, fields)
        if reply.error_code.value != 0:
            return False
        self.epoch += 1
        if reply.responses[0].partitions[0].error_code.value != 0:
            return False
        self.done |= dict.fromkeys(range(first, last + 1), self.name)
        return True


async def ask(reader: Any, writer: Any, api_key: int, version: int, request: dict[str, Any]) -> Any:
    frame = encode_request(api_key, version, 1, "share", request)
    writer.write(struct.pack(">i", len(frame)) + frame)
    (size_bytes,) = struct.unpack(">i", await reader.readexactly(4))
    return decode_response(api_key, version, await reader.readexactly(size_bytes))


async def produce(target: SimTarget) -> None:
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=target.bootstrap, acks="all", request_timeout_ms=2_000)
    await producer.start()
    while True:
        with suppress(aiokafka.errors.KafkaError):
            await producer.send_and_wait("orders", b"x", partition=0)
        await asyncio.sleep(0.3)


async def until(claim: Callable[[], bool], patience_s: float = 90.0) -> None:
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + patience_s
    while not claim():
        assert loop.time() < deadline_s, "it did not come true"
        await asyncio.sleep(0.05)


async def break_and_mend(target: SimTarget, victim: str, fault: str) -> None:
    if fault == "isolate":
        others = [name for name in target.node_names if name != victim]
        rules = [LinkRule(*pair, cut=True) for other in others for pair in ((victim, other), (other, victim))]
        await target.set_link_rule("isolate", rules)  # its clients still reach it
    else:
        await target.kill(victim)
    await asyncio.sleep(5)
    if fault == "isolate":
        await target.clear_link_rule("isolate")
    else:
        await target.start_node(victim)
    await asyncio.sleep(5)


def lived_through(fault: str, seed: int) -> list[str]:
    """Lose the leader of the partition twice; return what was delivered although it was done."""

    async def main(simulation: Simulation) -> list[str]:
        target = SimTarget(simulation, SPEC)
        leaders: list[str] = []

        def on_event(traced: Traced) -> None:
            event = traced.event
            if isinstance(event, PartitionRoleChanged) and (event.topic, event.role) == ("orders", "leader"):
                leaders.append(traced.node)

        target.subscribe(on_event)
        await target.start()
        done: dict[int, str] = {}
        members = [Member(target, name, done) for name in ("m1", "m2", "m3")]
        target.spawn_client("p1", lambda: produce(target))
        for member in members:
            target.spawn_client(member.name, member.run)
        await until(lambda: len(done) >= 10)
        for _ in range(2):
            await break_and_mend(target, leaders[-1], fault)
        assert len(leaders) >= 2, "nobody had to take over"
        await until(lambda: sorted(done) == list(range(len(done))) and len(done) >= RECORDS)
        await target.close()
        return [wrong for member in members for wrong in member.wrong]

    result = run_simulation(main, seed, virtual_time_limit_s=300)
    assert result.errors == ()
    return result.value


@pytest.mark.parametrize("fault", ["kill", "isolate"])
@pytest.mark.parametrize("seed", [1, 2])
def test_what_was_accepted_never_comes_again_and_everything_is_processed(fault: str, seed: int) -> None:
    assert lived_through(fault, seed) == []


def test_a_leader_that_answers_before_the_state_is_kept_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted bug: an acknowledgement is answered, and kept by nobody. The next leader delivers again."""

    async def forget(self: LedShare) -> ErrorCode:
        return ErrorCode.NONE

    monkeypatch.setattr(LedShare, "_save", forget)
    assert lived_through("kill", 1)
