"""Link rules hold messages between real gRPC peers, per direction and RPC, and cost nothing when there are none."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from toy_ports import free_port

from cluster.base.ids import NodeId
from cluster.lab.node_calls import NodeCalls
from cluster.lab.target import NodeAddress
from cluster.rpc import controller_pb2, controller_pb2_grpc, replication_pb2, replication_pb2_grpc
from cluster.runtime.links import LinkRule
from cluster.runtime.live.world import LiveWorld

pytestmark = pytest.mark.live

NAMES = {NodeId(1): "b1", NodeId(2): "b2"}
SOON_S = 5.0  # for what must happen; generous, because the machine may be busy
HELD_S = 0.15  # for what must not happen yet


class Echo(controller_pb2_grpc.ControllerServicer, replication_pb2_grpc.ReplicationServicer):
    """Answers what it is asked, with the number that it was asked with."""

    async def BrokerHeartbeat(
        self, request: controller_pb2.BrokerHeartbeatRequest, _context: object
    ) -> controller_pb2.BrokerHeartbeatReply:
        return controller_pb2.BrokerHeartbeatReply(is_caught_up=True)

    async def FollowMetadata(self, request: Any, _context: object) -> AsyncIterator[controller_pb2.MetadataUpdate]:
        for number in range(3):
            yield controller_pb2.MetadataUpdate(high_watermark=request.next_offset + number)

    async def Fetch(self, _requests: object, context: Any) -> None:
        while (request := await context.read()) is not grpc.aio.EOF:
            await context.write(replication_pb2.FetchResponse(error_code=request.max_bytes))


@dataclass
class Pair:
    """b1 calls b2."""

    caller: LiveWorld
    server: LiveWorld
    channel: grpc.aio.Channel
    port: int

    @property
    def controller(self) -> controller_pb2_grpc.ControllerAsyncStub:
        return controller_pb2_grpc.ControllerStub(self.channel)

    @property
    def replication(self) -> replication_pb2_grpc.ReplicationAsyncStub:
        return replication_pb2_grpc.ReplicationStub(self.channel)

    def rule(self, *rules: LinkRule) -> None:
        self.caller.links.replace(rules)
        self.server.links.replace(rules)


@asynccontextmanager
async def pair(directory: Path) -> AsyncIterator[Pair]:
    caller = LiveWorld("b1", directory / "b1", names=NAMES)
    server = LiveWorld("b2", directory / "b2", names=NAMES)

    def register(grpc_server: grpc.aio.Server) -> None:
        controller_pb2_grpc.add_ControllerServicer_to_server(Echo(), grpc_server)
        replication_pb2_grpc.add_ReplicationServicer_to_server(Echo(), grpc_server)

    port = free_port()
    listening = await server.serve_rpc("127.0.0.1", port, register)
    channel = caller.channel(NodeId(2), "127.0.0.1", port)
    try:
        yield Pair(caller, server, channel, port)
    finally:
        await channel.close()
        await listening.stop(None)


def with_pair(directory: Path, claim: Callable[[Pair], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(30), pair(directory) as two:
            await claim(two)

    asyncio.run(main())


async def heartbeat(two: Pair, deadline_s: float | None = None) -> controller_pb2.BrokerHeartbeatReply:
    return await two.controller.BrokerHeartbeat(controller_pb2.BrokerHeartbeatRequest(), timeout=deadline_s)


async def is_held(task: asyncio.Task[Any]) -> bool:
    done, _ = await asyncio.wait({task}, timeout=HELD_S)
    return not done


def test_without_rules_a_call_is_the_bare_call(tmp_path: Path) -> None:
    async def claim(two: Pair) -> None:
        call = two.controller.BrokerHeartbeat(controller_pb2.BrokerHeartbeatRequest())
        assert type(call).__module__.startswith("grpc.aio"), "nothing of ours is in the way"
        assert (await call).is_caught_up

    with_pair(tmp_path, claim)


@pytest.mark.parametrize(("source", "target"), [("b1", "b2"), ("b2", "b1")], ids=["request", "reply"])
def test_a_cut_holds_a_message_in_its_direction_until_it_is_healed(tmp_path: Path, source: str, target: str) -> None:
    async def claim(two: Pair) -> None:
        two.rule(LinkRule(source, target, cut=True))
        asked = asyncio.create_task(heartbeat(two))
        assert await is_held(asked)
        two.rule()
        assert (await asyncio.wait_for(asked, SOON_S)).is_caught_up

    with_pair(tmp_path, claim)


def test_a_held_call_ends_with_its_deadline(tmp_path: Path) -> None:
    async def claim(two: Pair) -> None:
        two.rule(LinkRule("b1", "b2", cut=True))
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await heartbeat(two, deadline_s=HELD_S)
        assert ended.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED

    with_pair(tmp_path, claim)


def test_a_held_call_can_be_cancelled(tmp_path: Path) -> None:
    async def claim(two: Pair) -> None:
        two.rule(LinkRule("b1", "b2", cut=True))
        asked = asyncio.create_task(heartbeat(two))
        assert await is_held(asked)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked

    with_pair(tmp_path, claim)


def test_a_rule_for_one_rpc_leaves_the_others_alone(tmp_path: Path) -> None:
    async def claim(two: Pair) -> None:
        two.rule(LinkRule("b1", "b2", cut=True, apis=("Fetch",)))
        assert (await heartbeat(two, deadline_s=SOON_S)).is_caught_up
        stream = two.replication.Fetch()
        await stream.write(replication_pb2.FetchRequest(max_bytes=1))
        answered = asyncio.create_task(stream.read())
        assert await is_held(answered)
        two.rule()
        assert (await asyncio.wait_for(answered, SOON_S)).error_code == 1
        stream.cancel()

    with_pair(tmp_path, claim)


def test_a_slow_link_delays_and_latencies_add_up(tmp_path: Path) -> None:
    async def claim(two: Pair) -> None:
        await heartbeat(two)  # the connection is there
        two.rule(
            LinkRule("b1", "b2", latency_ms=60),
            LinkRule("b1", "b2", latency_ms=60),
            LinkRule("b2", "b1", latency_ms=60),
        )
        began_s = time.monotonic()
        await heartbeat(two)
        assert time.monotonic() - began_s >= 0.18

    with_pair(tmp_path, claim)


def test_a_stream_that_was_open_before_is_held_in_order_and_writing_does_not_wait(tmp_path: Path) -> None:
    async def claim(two: Pair) -> None:
        stream = two.replication.Fetch()
        await stream.write(replication_pb2.FetchRequest(max_bytes=1))
        assert (await stream.read()).error_code == 1
        two.rule(LinkRule("b1", "b2", cut=True))
        for number in (2, 3, 4):
            await asyncio.wait_for(stream.write(replication_pb2.FetchRequest(max_bytes=number)), SOON_S)
        answered = asyncio.create_task(stream.read())
        assert await is_held(answered)
        two.rule()
        await stream.write(replication_pb2.FetchRequest(max_bytes=5))
        replies = [
            await asyncio.wait_for(answered, SOON_S),
            *[await asyncio.wait_for(stream.read(), SOON_S) for _ in "345"],
        ]
        assert [reply.error_code for reply in replies] == [2, 3, 4, 5]
        await stream.done_writing()
        assert await asyncio.wait_for(stream.read(), SOON_S) is grpc.aio.EOF

    with_pair(tmp_path, claim)


def test_replies_of_an_open_stream_are_held_by_the_server(tmp_path: Path) -> None:
    async def claim(two: Pair) -> None:
        stream = two.replication.Fetch()
        await stream.write(replication_pb2.FetchRequest(max_bytes=1))
        assert (await stream.read()).error_code == 1
        two.server.links.replace([LinkRule("b2", "b1", cut=True)])
        await stream.write(replication_pb2.FetchRequest(max_bytes=2))
        answered = asyncio.create_task(stream.read())
        assert await is_held(answered)
        two.rule()
        assert (await asyncio.wait_for(answered, SOON_S)).error_code == 2
        stream.cancel()

    with_pair(tmp_path, claim)


def test_a_stream_of_replies_goes_by_the_rules_and_ends_after_the_last(tmp_path: Path) -> None:
    async def claim(two: Pair) -> None:
        two.rule(LinkRule("b2", "b1", latency_ms=20), LinkRule("b1", "b2", latency_ms=1))
        call = two.controller.FollowMetadata(controller_pb2.FollowMetadataRequest(next_offset=7))
        assert [update.high_watermark async for update in call] == [7, 8, 9]
        two.rule()
        call = two.controller.FollowMetadata(controller_pb2.FollowMetadataRequest(next_offset=1))
        assert [update.high_watermark async for update in call] == [1, 2, 3]

    with_pair(tmp_path, claim)


def test_a_lossy_link_delivers_everything_late(tmp_path: Path) -> None:
    async def claim(two: Pair) -> None:
        two.rule(LinkRule("b1", "b2", drop_rate=0.3))
        replies = await asyncio.gather(*(heartbeat(two) for _ in range(20)))
        assert all(reply.is_caught_up for reply in replies)

    with_pair(tmp_path, claim)


def test_the_lab_reaches_a_node_that_is_cut_off_from_everyone(tmp_path: Path) -> None:
    async def claim(two: Pair) -> None:
        two.rule(LinkRule("b1", "b2", cut=True), LinkRule("b2", "b1", cut=True))
        asked = asyncio.create_task(heartbeat(two))
        assert await is_held(asked)
        lab = NodeCalls({"b2": NodeAddress("127.0.0.1", two.port)}, {"b2": NodeId(2)})
        try:
            assert await lab.set_rules("b2", [LinkRule("b2", "b9", latency_ms=3, apis=("Fetch",))])
            assert two.server.links.verdict("b2", "b9", "Fetch").latency_ms == 3
            assert not two.server.links.verdict("b2", "b1", "Fetch").cut
        finally:
            await lab.close()
        two.caller.links.replace(())
        assert (await asyncio.wait_for(asked, SOON_S)).is_caught_up

    with_pair(tmp_path, claim)


def test_a_taken_address_is_an_error_with_its_name_and_a_remedy(tmp_path: Path) -> None:
    async def claim(two: Pair) -> None:
        with pytest.raises(OSError, match=rf"127\.0\.0\.1:{two.port}, the address is taken: stop the process"):
            await two.caller.serve_rpc("127.0.0.1", two.port, lambda _server: None)
        with pytest.raises(OSError, match=rf"127\.0\.0\.1:{two.port}, the address is taken"):
            await two.caller.listen(asyncio.Protocol, "127.0.0.1", two.port)

    with_pair(tmp_path, claim)
