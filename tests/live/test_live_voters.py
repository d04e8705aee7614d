"""What one voter tells another over real gRPC arrives, also when the other begins to listen later."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import grpc.aio
import pytest
from toy_ports import free_port

from cluster.base.ids import NodeId
from cluster.node.config import Voter
from cluster.node.raft_peer import RaftPeer
from cluster.node.raft_service import RaftService
from cluster.raft import Message
from cluster.raft.messages import RequestVoteReply
from cluster.rpc.raft_pb2_grpc import add_RaftServicer_to_server
from cluster.runtime.live.world import LiveWorld

pytestmark = pytest.mark.live

SOON_S = 10.0
STALE_AFTER_MS = 20_000


def test_a_message_that_was_sent_before_a_voter_listened_is_not_lost(tmp_path: Path) -> None:
    """Above all not to the stream of a call that has failed already, which would still take it away."""
    terms = list(range(1, 21))

    async def main() -> list[int]:
        world = LiveWorld("c1", tmp_path, names={NodeId(2): "c2"})
        voter = Voter(NodeId(2), "127.0.0.1", free_port())
        running = []
        for term in terms:
            peer = RaftPeer(world, voter, STALE_AFTER_MS)
            running.append(asyncio.create_task(peer.run()))
            await asyncio.sleep(0.01)
            message = Message(NodeId(1), NodeId(2), term, RequestVoteReply(pre_vote=True, granted=True))
            asyncio.get_running_loop().call_later(term * 0.01, peer.send, message)
        await asyncio.sleep(0.3)
        heard: list[int] = []
        has_heard_all = asyncio.Event()

        def receive(message: Message) -> None:
            heard.append(message.term)
            if set(heard) >= set(terms):
                has_heard_all.set()

        def register(server: grpc.aio.Server) -> None:
            add_RaftServicer_to_server(RaftService(receive), server)

        server = await world.serve_rpc("127.0.0.1", voter.rpc_port, register)
        with suppress(TimeoutError):
            await asyncio.wait_for(has_heard_all.wait(), SOON_S)
        for task in running:
            task.cancel()
        await asyncio.wait(running)
        await server.stop(None)
        return sorted(set(heard))

    assert asyncio.run(main()) == terms
